//! A head, a node and its workers, within this process: the runtime that a program starts for itself.
//!
//! One thread performs what [`crate::schedule`] decides: `shell` is its loop, `clients` are the sockets, `requests`
//! takes in what clients say, `actions` does what the node wants done, `values` hands objects out of the store,
//! `workers` are the processes, which the `zygote` forks, and `output` is what they print.

mod actions;
mod clients;
mod disk;
mod gpus;
mod groups;
mod output;
mod requests;
mod shell;
mod values;
mod workers;
mod zygote;

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use crate::env;
use crate::resources::Resources;
use crate::{Error, ErrorKind, Result};

pub use output::Line;
use output::Lines;
use shell::{Input, Shell};

/// What a runtime is given.
#[derive(Debug, Clone)]
pub struct LocalOptions {
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
    /// Where a file for each worker's output is written, if anywhere.
    pub log_dir: Option<PathBuf>,
}

/// A runtime in this process; it ends when it is dropped.
#[derive(Debug)]
pub struct Local {
    inputs: Sender<Input>,
    waker: Arc<EventFd>,
    lines: Arc<Lines>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Local {
    /// Starts it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses threads, sockets or the first process, or the folder for spilled
    /// objects cannot be written to.
    pub fn start(options: LocalOptions) -> Result<Self> {
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
        let shell = Shell::new(options, arriving, inputs.clone(), Arc::clone(&waker), Arc::clone(&lines))?;
        let thread = env::thread("sheaf-node", move || shell.run())?;
        Ok(Self { inputs, waker, lines, thread: Mutex::new(Some(thread)) })
    }

    /// A socket that speaks for a new client.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses, [`ErrorKind::Cancelled`] when the runtime has ended.
    pub fn connect(&self) -> Result<UnixStream> {
        let refused = |error| Error::new(ErrorKind::Io, format!("cannot connect to the runtime: {error}"));
        let (here, there) = UnixStream::pair().map_err(refused)?;
        self.tell(Input::Connect(there))
            .then_some(here)
            .ok_or_else(|| Error::new(ErrorKind::Cancelled, "the runtime has ended"))
    }

    /// Lines that workers printed and words of the runtime's own, waiting for the first one; `None` when the runtime
    /// has ended and all are read.
    #[must_use]
    pub fn output(&self, patience: Duration) -> Option<Vec<Line>> {
        self.lines.take(patience)
    }

    /// Ends all processes and frees all objects. Waits for at most some seconds.
    pub fn shutdown(&self) {
        self.tell(Input::Shutdown);
        if let Some(thread) = self.thread.lock().take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }

    fn tell(&self, input: Input) -> bool {
        let told = self.inputs.send(input).is_ok();
        let _ = self.waker.write(1);
        told
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.shutdown();
    }
}
