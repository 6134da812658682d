//! What every command has: the session, and a small runtime of the command line's own that waits for the engine and
//! for Ctrl-C. It is apart from the session's threads, so that a signal is seen however busy they are.

use std::io;
use std::sync::Arc;

use sheaf_core::{Error, ErrorKind, Options, Result};
use sheaf_dataset::Session;
use sheaf_dataset::engines::Cluster;
use tokio::runtime::{Builder, Runtime};

use super::exit::Stop;
use super::progress::Progress;

/// The session of a command and the place where it waits.
pub(super) struct Console {
    // Dropped first: the session's end may wait for its threads.
    runtime: Runtime,
    session: Session,
}

impl Console {
    pub(super) fn start(options: Options) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot wait for the engine: {error}")))?;
        Ok(Self { runtime, session: Session::new(options)? })
    }

    /// The same with its queries on a cluster, if there is one.
    pub(super) fn on(self, cluster: Option<Arc<Cluster>>) -> Self {
        match cluster {
            Some(cluster) => Self { session: self.session.on(&cluster), ..self },
            None => self,
        }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The progress line of one piece of work.
    pub(super) fn progress(&self) -> Progress {
        Progress::new(self.session.settings().progress)
    }

    /// Waits for `work`. Ctrl-C drops it, which ends what it started.
    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                signal = tokio::signal::ctrl_c() => Err(interrupted(signal)),
                done = work => done,
            }
        })
    }
}

fn interrupted(signal: io::Result<()>) -> Stop {
    Stop::Failed(match signal {
        Ok(()) => Error::new(ErrorKind::Cancelled, "stopped by Ctrl-C"),
        Err(error) => Error::from(error).with_context("waiting for Ctrl-C"),
    })
}
