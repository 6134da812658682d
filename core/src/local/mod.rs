//! A head, a node and its workers, within this process: the runtime that a program starts for itself.
//!
//! One thread performs what [`crate::schedule`] decides: `shell` is its loop, `clients` are the sockets, `requests`
//! takes in what clients say, `actions` does what the node wants done, `values` hands objects out of the store,
//! `workers` are the processes, which the `zygote` forks, `output` is what they print, `logs` are files with it,
//! `keeper` saves what the head wants saved, and `metrics` what there is to measure. `inquiry` answers what people ask:
//! `holders` has objects, `files` what was printed. `warnings` go to the drivers whose tasks find no node; `leaving` is
//! how a node is drained, `demand` what waits for nodes that can come. `fragments` are the parts of plans that it runs itself, `parts` is what they read and write,
//! and `source` an object of which ranges are read.

mod actions;
mod clients;
mod demand;
mod disk;
mod door;
mod files;
mod fragments;
mod gpus;
mod groups;
mod holders;
mod inlet;
mod inquiry;
mod keeper;
mod leaving;
mod logs;
mod metrics;
mod output;
mod parts;
mod peers;
mod requests;
mod shell;
mod source;
mod values;
mod warnings;
mod workers;
mod zygote;

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use crate::client::Lines;
use crate::env;
use crate::fragment::Executor;
use crate::network::Network;
use crate::resources::Resources;
use crate::state::StateStore;
use crate::{Error, ErrorKind, Result};

pub use door::knock;
pub use files::{From, Part};
pub use inlet::{Fetched, Inlet, Reading, Room};
pub use inquiry::{Filter, Inquiry};
pub use source::RangeSource;

pub use crate::wire::Line;
use shell::{Input, Outside, Shell};

/// What a node is to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// There are no others: it is its own head.
    Alone,
    /// It is the head too, and others reach it there.
    Head(String),
    /// Its head is another node; others reach it there.
    Member(String),
}

impl Role {
    /// Where others reach the node.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Alone => None,
            Self::Head(address) | Self::Member(address) => Some(address),
        }
    }

    fn has_head(&self) -> bool {
        !matches!(self, Self::Member(_))
    }
}

/// What a runtime is given.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// What it is to others.
    pub role: Role,
    /// What tasks may ask for.
    pub resources: Resources,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Bytes of objects that stay in memory.
    pub store_bytes: u64,
    /// Where objects beyond that go.
    pub spill_dir: PathBuf,
    /// The command that starts the process from which workers are forked; `{fd}` stands for the number of its socket.
    pub command: Vec<String>,
    /// What the head of this process keeps for the one after it; `None` for nothing.
    pub state: Option<Arc<dyn StateStore>>,
    /// What runs parts of plans here; a node without refuses those that need no worker.
    pub executor: Option<Arc<dyn Executor>>,
    /// Bytes that operators may hold in all workers that run parts of plans.
    pub query_bytes: u64,
    /// Below which a folder for the logs of this session is made, if anywhere.
    pub log_dir: Option<PathBuf>,
}

/// A runtime in this process; it ends when it is dropped.
#[derive(Debug)]
pub struct Local {
    inlet: Inlet,
    lines: Arc<Lines>,
    has_left: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Local {
    /// Starts it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses threads, sockets or the first process, or the folder for spilled
    /// objects cannot be written to.
    pub fn start(options: LocalOptions) -> Result<Self> {
        Self::start_with(options, |_| Ok(None))
    }

    /// The same, with a network to other nodes, which is told by what it reaches this one.
    ///
    /// # Errors
    /// As [`Local::start`], and those of the network.
    pub fn start_with(
        options: LocalOptions,
        network: impl FnOnce(Inlet) -> Result<Option<Box<dyn Network>>>,
    ) -> Result<Self> {
        let failed = |what: &str| {
            let what = what.to_string();
            move |error: &dyn std::fmt::Display| {
                Error::new(ErrorKind::Io, format!("cannot start the runtime: {what}: {error}"))
            }
        };
        std::fs::create_dir_all(&options.spill_dir).and_then(|()| tempfile::tempfile_in(&options.spill_dir)).map_err(
            |error| failed(&format!("spilled objects cannot go to {}", options.spill_dir.display()))(&error),
        )?;
        let waker = Arc::new(
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
                .map_err(|error| failed("no event")(&error))?,
        );
        let (inputs, arriving) = std::sync::mpsc::channel();
        let lines = Arc::new(Lines::default());
        let inlet = Inlet::new(inputs.clone(), Arc::clone(&waker));
        let network = network(inlet.clone())?;
        let has_left = Arc::new(AtomicBool::new(false));
        let (lines_of_node, left) = (Arc::clone(&lines), Arc::clone(&has_left));
        let outside =
            Outside { inputs: arriving, results: inputs, waker, lines: lines_of_node, has_left: left, network };
        let shell = Shell::new(options, outside)?;
        let told = Arc::clone(&lines);
        let thread = env::thread("sheaf-node", move || {
            let mut life = Some(shell);
            while let Some((options, outside)) = life.take().and_then(Shell::run) {
                match Shell::new(options, outside) {
                    Ok(shell) => life = Some(shell),
                    Err(error) => {
                        told.say(format!("the node cannot start anew: {error}"));
                        told.end();
                    }
                }
            }
        })?;
        Ok(Self { inlet, lines, has_left, thread: Mutex::new(Some(thread)) })
    }

    /// A socket that speaks for a new client.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses, [`ErrorKind::Cancelled`] when the runtime has ended.
    pub fn connect(&self) -> Result<UnixStream> {
        let refused = |error| Error::new(ErrorKind::Io, format!("cannot connect to the runtime: {error}"));
        let (here, there) = UnixStream::pair().map_err(refused)?;
        self.inlet
            .tell(Input::Connect(there))
            .then_some(here)
            .ok_or_else(|| Error::new(ErrorKind::Cancelled, "the runtime has ended"))
    }

    /// What others of this process ask the node through.
    #[must_use]
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// Lines that workers printed and words of the runtime's own, waiting for the first one; `None` when the runtime
    /// has ended and all are read.
    #[must_use]
    pub fn output(&self, patience: Duration) -> Option<Vec<Line>> {
        self.lines.take(patience)
    }

    /// Whether the node has left its cluster, for it was drained: the runtime has ended or is about to.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Ends all processes and frees all objects. Waits for at most some seconds.
    pub fn shutdown(&self) {
        self.inlet.tell(Input::Shutdown);
        if let Some(thread) = self.thread.lock().take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.shutdown();
    }
}
