//! Functions in worker processes of the runtime: batches go to them, and their results come back, through shared
//! memory.
//!
//! What is to be done is decided by [`Pool`]. A thread of each run does it: it speaks to Python's `Workers`, which
//! speaks to the runtime. It has the GIL for as long as that takes; the engine's threads need none.

mod driver;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use arrow::record_batch::RecordBatch;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use pyo3::prelude::*;
use sheaf::core::env;
use sheaf::dataset::operators::map_batches::pool::{CallId, PoolOptions};
use sheaf::dataset::operators::map_batches::{Failure, FailureKind, RunStart};
use sheaf::dataset::{BatchFunction, BatchPosition, Outputs};
use sheaf::{Error, Result};
use tokio::sync::oneshot;

use crate::pickles::pickled;
use driver::{Driver, Told};

/// What a pool is to be, of a dict that `sheaf._functions` fills.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PoolArgs {
    /// Makes the `Workers` of a run: it is given how many there are at the most, and what to tell of what happens.
    open: Py<PyAny>,
    min_workers: usize,
    max_workers: usize,
    concurrency: usize,
    timeout: Option<f64>,
    memory: Option<u64>,
    stall: f64,
    holds_cpus: bool,
}

/// Calls that wait in a worker behind those that it runs: one is enough to hide the way there, unless they are quick.
const AHEAD: usize = 1;
/// The same of quick calls: the way there and back takes as long as several of them.
const AHEAD_OF_QUICK: usize = 4;

/// What a pickled function has besides its name and itself, as [`PoolArgs`] and [`PoolOptions`] name it.
type Unpickled = (Py<PyAny>, usize, usize, usize, Option<u64>, Option<u64>, u64, bool);

/// The function; each run has a [`PoolRun`].
pub(super) struct PoolFunction {
    name: String,
    /// The function as its user wrote it.
    call: Py<PyAny>,
    open: Py<PyAny>,
    options: PoolOptions,
    /// Whether its workers hold CPUs.
    holds_cpus: bool,
}

impl PoolFunction {
    pub(super) fn new(name: String, call: Py<PyAny>, args: PoolArgs) -> Self {
        let millis = |seconds: f64| (seconds * 1000.0) as u64;
        let options = PoolOptions {
            min_workers: args.min_workers,
            max_workers: args.max_workers,
            concurrency: args.concurrency,
            ahead: AHEAD,
            ahead_of_quick: AHEAD_OF_QUICK,
            timeout_millis: args.timeout.map(millis),
            memory: args.memory,
            stall_millis: millis(args.stall),
        };
        Self { name, call, open: args.open, options, holds_cpus: args.holds_cpus }
    }

    /// The function of what [`BatchFunction::to_bytes`] wrote.
    pub(super) fn unpickled(name: String, call: Py<PyAny>, rest: Unpickled) -> Self {
        let (open, min_workers, max_workers, concurrency, timeout_millis, memory, stall_millis, holds_cpus) = rest;
        let options = PoolOptions {
            min_workers,
            max_workers,
            concurrency,
            ahead: AHEAD,
            ahead_of_quick: AHEAD_OF_QUICK,
            timeout_millis,
            memory,
            stall_millis,
        };
        Self { name, call, open, options, holds_cpus }
    }
}

impl BatchFunction for PoolFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, _batch: RecordBatch, at: BatchPosition) -> Outputs {
        let error = Error::internal(format!("{} was called at {at} before its run had begun", self.name));
        Outputs::Elsewhere(stream::iter([Err(error)]).boxed())
    }

    fn elsewhere(&self) -> Option<usize> {
        Some(1)
    }

    fn processes(&self) -> Option<usize> {
        Some(self.options.max_workers)
    }

    fn holds_cpus(&self) -> bool {
        self.holds_cpus
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        super::fingerprint(&self.call)
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let PoolOptions { min_workers, max_workers, concurrency, timeout_millis, memory, stall_millis, .. } =
            self.options;
        Python::attach(|py| {
            let open = self.open.bind(py);
            let (timeout, stall, holds) = (timeout_millis, stall_millis, self.holds_cpus);
            let rest = (open, min_workers, max_workers, concurrency, timeout, memory, stall, holds);
            pickled(py, &self.name, (super::POOL, &self.name, self.call.bind(py), rest))
        })
    }

    fn begin(&self, run: RunStart) -> Result<Option<Arc<dyn BatchFunction>>> {
        let mut options = self.options.clone();
        // Of a run in several tasks each has its part of them.
        options.max_workers = run.task.share_of(options.max_workers).max(1);
        options.min_workers = run.task.share_of(options.min_workers).clamp(1, options.max_workers);
        if run.is_look {
            (options.min_workers, options.max_workers) = (1, 1);
        }
        // Enough for every worker to have calls and for some to be on their way, whichever partition has rows.
        let at_once = options.max_workers * options.concurrency + AHEAD_OF_QUICK;
        let (tell, told) = mpsc::channel();
        let open = Python::attach(|py| self.open.clone_ref(py));
        let driver = Driver::new(self.name.clone(), open, options, run.counts, tell.clone());
        env::thread("sheaf-pool", move || driver.drive(&told))?;
        Ok(Some(Arc::new(PoolRun { name: self.name.clone(), at_once, tell, next: AtomicU64::new(0) })))
    }
}

/// The pool of one run. Its workers end when the run is over.
struct PoolRun {
    name: String,
    at_once: usize,
    tell: mpsc::Sender<Told>,
    next: AtomicU64,
}

impl BatchFunction for PoolRun {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs {
        let (reply, answer) = oneshot::channel();
        let call = CallId(self.next.fetch_add(1, Ordering::Relaxed));
        let waiting = Forget { call: Some(call), tell: self.tell.clone() };
        // Where the driver is gone the reply goes with it, and whoever waits is told.
        let _ = self.tell.send(Told::Called { call, batch, at, reply });
        let answer = answer.map(move |answer| {
            waiting.over();
            let lost = |_| Err(Error::internal(format!("the pool of workers ended before its calls ({at})")));
            let outputs = answer.unwrap_or_else(lost);
            stream::iter(outputs.map_or_else(|error| vec![Err(error)], |all| all.into_iter().map(Ok).collect()))
        });
        Outputs::Elsewhere(answer.flatten_stream().boxed())
    }

    fn elsewhere(&self) -> Option<usize> {
        Some(self.at_once)
    }

    fn failure(&self, error: &Error) -> Failure {
        let lost = StdError::source(error).and_then(|source| source.downcast_ref::<LostCall>());
        lost.map_or_else(
            || Failure { kind: FailureKind::Fatal, error: error.to_string(), traceback: None },
            |lost| lost.failure.clone(),
        )
    }
}

impl Drop for PoolRun {
    fn drop(&mut self) {
        let _ = self.tell.send(Told::Over);
    }
}

/// Who waits for a call: gone before it has ended, it says so.
struct Forget {
    call: Option<CallId>,
    tell: mpsc::Sender<Told>,
}

impl Forget {
    /// It has ended.
    fn over(mut self) {
        self.call = None;
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            let _ = self.tell.send(Told::Forgotten(call));
        }
    }
}

/// Why a call in a worker failed, under the error that says so.
#[derive(Debug)]
struct LostCall {
    failure: Failure,
    /// What the function raised, or what the runtime says of its worker.
    exception: Option<PyErr>,
}

impl fmt::Display for LostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure.error)
    }
}

impl StdError for LostCall {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.exception.as_ref().map(|exception| exception as &(dyn StdError + 'static))
    }
}
