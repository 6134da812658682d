//! The calls of user functions that run now, and how Ctrl-C reaches those that nobody waits for any more.
//!
//! A call leaves the list under the GIL, and interruptions are sent under the GIL: none can hit a thread that went on
//! to something else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use sheaf::dataset::BatchPosition;

/// How long after Ctrl-C calls are looked for: executions are dropped on other threads, a moment later.
const LOOKING: Duration = Duration::from_millis(250);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// How often it is looked for calls that run for long; shorter ones are not looked at.
const LONG: Duration = Duration::from_secs(1);

static CALLS: Mutex<Option<HashMap<u64, Call>>> = Mutex::new(None);
static NEXT: AtomicU64 = AtomicU64::new(0);

struct Call {
    function: usize,
    at: BatchPosition,
    // Python's name for the thread.
    thread: u64,
    since: Instant,
    abandoned: bool,
    interrupted: bool,
}

/// A call that runs; it leaves the list when it is dropped, which must be under the GIL.
pub(crate) struct Running(u64);

impl Running {
    /// Enters the call of `function` (an address that is its own while it lives) by this thread.
    pub(crate) fn enter(py: Python<'_>, function: usize, at: BatchPosition) -> PyResult<Self> {
        let thread = py.import(intern!(py, "threading"))?.call_method0(intern!(py, "get_ident"))?.extract()?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let call = Call { function, at, thread, since: Instant::now(), abandoned: false, interrupted: false };
        CALLS.lock().get_or_insert_default().insert(id, call);
        Ok(Self(id))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(calls) = CALLS.lock().as_mut() {
            calls.remove(&self.0);
        }
    }
}

/// Notes that nobody waits for the call of `function` for this batch, whichever of its rows are tried.
pub(crate) fn abandon(function: usize, at: BatchPosition) {
    if let Some(calls) = CALLS.lock().as_mut() {
        let is_it = |call: &Call| (call.at.partition, call.at.batch) == (at.partition, at.batch);
        for call in calls.values_mut().filter(|call| call.function == function && is_it(call)) {
            call.abandoned = true;
        }
    }
}

/// Looks now and then, for whoever waits, whether functions do not come back.
pub(crate) struct Stalls {
    looked: Instant,
}

impl Default for Stalls {
    fn default() -> Self {
        Self { looked: Instant::now() }
    }
}

impl Stalls {
    /// Looks, if that is due; `sheaf._interrupt` tells of the calls that have run for long.
    pub(crate) fn look(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.looked.elapsed() < LONG {
            return Ok(());
        }
        self.looked = Instant::now();
        let long = long_calls();
        if !long.is_empty() {
            py.import(intern!(py, "sheaf._interrupt"))?.call_method1(intern!(py, "tell_stalls"), (long,))?;
        }
        Ok(())
    }
}

/// Calls that have run for a while: their number, thread, seconds, and place.
fn long_calls() -> Vec<(u64, u64, f64, String)> {
    let calls = CALLS.lock();
    let long = calls.iter().flatten().filter(|(_, call)| call.since.elapsed() >= LONG);
    long.map(|(id, call)| (*id, call.thread, call.since.elapsed().as_secs_f64(), call.at.to_string())).collect()
}

/// Raises `KeyboardInterrupt` in the abandoned calls, looking for a moment until there are none.
pub(crate) fn abandoned_calls(py: Python<'_>) {
    let end = Instant::now() + LOOKING;
    while Instant::now() < end {
        let (threads, left) = take_abandoned();
        for thread in threads {
            // A thread that has ended meanwhile has nothing to be interrupted.
            let _ = py
                .import(intern!(py, "sheaf._interrupt"))
                .and_then(|module| module.call_method1(intern!(py, "interrupt"), (thread,)));
        }
        if !left {
            return;
        }
        py.detach(|| std::thread::sleep(PAUSE));
    }
}

/// The threads of abandoned calls that are not interrupted yet, and whether any call runs.
fn take_abandoned() -> (Vec<u64>, bool) {
    let mut calls = CALLS.lock();
    let Some(calls) = calls.as_mut() else { return (Vec::new(), false) };
    let mut threads = Vec::new();
    for call in calls.values_mut().filter(|call| call.abandoned && !call.interrupted) {
        call.interrupted = true;
        threads.push(call.thread);
    }
    (threads, !calls.is_empty())
}
