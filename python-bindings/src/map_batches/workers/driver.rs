//! The thread that does what a pool decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use pyo3::intern;
use pyo3::prelude::*;
use sheaf::core::env::Moment;
use sheaf::core::host::resident_bytes_of;
use sheaf::dataset::BatchPosition;
use sheaf::dataset::operators::map_batches::pool::{Action, CallId, Event, Loss, Pool, PoolOptions, WorkerId};
use sheaf::dataset::operators::map_batches::{Counts, Failure, FailureKind};
use sheaf::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::super::to_batch;
use super::LostCall;
use crate::convert::batch_to_pyarrow;

/// How often times and memory are looked at.
const TICK: Duration = Duration::from_millis(100);

/// What the thread is told.
pub(super) enum Told {
    /// There is a call to be made.
    Called { call: CallId, batch: RecordBatch, at: BatchPosition, reply: oneshot::Sender<Result<Vec<RecordBatch>>> },
    /// Nobody waits for it any more.
    Forgotten(CallId),
    /// A worker says where it is, or the runtime why it is not.
    Placed(WorkerId, Py<PyAny>),
    /// A call has ended, one way or the other.
    Answered(WorkerId, CallId, Py<PyAny>),
    /// The run is over.
    Over,
}

/// What Python tells of what happens, from whichever thread.
#[pyclass(frozen)]
struct Ear(Sender<Told>);

#[pymethods]
impl Ear {
    fn placed(&self, worker: u64, value: Py<PyAny>) {
        let _ = self.0.send(Told::Placed(WorkerId(worker), value));
    }

    fn answered(&self, worker: u64, call: u64, value: Py<PyAny>) {
        let _ = self.0.send(Told::Answered(WorkerId(worker), CallId(call), value));
    }
}

/// A call that has not ended.
struct Call {
    batch: RecordBatch,
    at: BatchPosition,
    reply: oneshot::Sender<Result<Vec<RecordBatch>>>,
}

pub(super) struct Driver {
    name: String,
    open: Py<PyAny>,
    counts: Arc<Counts>,
    tell: Sender<Told>,
    options: PoolOptions,
    pool: Pool,
    started: Instant,
    /// Python's `Workers`, once they are there.
    workers: Option<Py<PyAny>>,
    calls: HashMap<CallId, Call>,
    /// What calls ended with that the pool has not been asked about yet.
    answers: HashMap<CallId, Result<Vec<RecordBatch>>>,
    /// The processes of the workers that are on this machine.
    pids: HashMap<WorkerId, u32>,
    /// Why workers ended, or never began.
    ends: HashMap<WorkerId, (String, Option<PyErr>)>,
    /// Why no worker can be made.
    broken: Option<(String, Option<PyErr>)>,
}

impl Driver {
    pub(super) fn new(
        name: String,
        open: Py<PyAny>,
        options: PoolOptions,
        counts: Arc<Counts>,
        tell: Sender<Told>,
    ) -> Self {
        Self {
            name,
            open,
            counts,
            tell,
            pool: Pool::new(options.clone()),
            options,
            started: Instant::now(),
            workers: None,
            calls: HashMap::new(),
            answers: HashMap::new(),
            pids: HashMap::new(),
            ends: HashMap::new(),
            broken: None,
        }
    }

    /// Does what is to be done until the run is over.
    pub(super) fn drive(mut self, told: &Receiver<Told>) {
        if let Some(Err(error)) = Python::try_attach(|py| self.start(py)) {
            self.break_down((format!("the workers of {:?} could not be started: {error}", self.name), Some(error)));
        }
        let mut looked = Instant::now();
        self.step(Event::Tick);
        loop {
            match told.recv_timeout(TICK.saturating_sub(looked.elapsed())) {
                Ok(Told::Over) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(told) => self.hear(told),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.look();
                self.step(Event::Tick);
            }
        }
        let workers = self.workers.take();
        Python::try_attach(|py| {
            let closed = workers.map(|workers| workers.call_method0(py, intern!(py, "close")));
            if let Some(Err(error)) = closed {
                error.write_unraisable(py, None);
            }
        });
    }

    fn start(&mut self, py: Python<'_>) -> PyResult<()> {
        let ear = Py::new(py, Ear(self.tell.clone()))?;
        self.workers = Some(self.open.call1(py, (self.options.max_workers, ear))?);
        Ok(())
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Called { call, batch, at, reply } => {
                if let Some((why, exception)) = &self.broken {
                    let _ = reply.send(Err(fatal(why, exception.as_ref())));
                    return;
                }
                self.calls.insert(call, Call { batch, at, reply });
                self.step(Event::Called(call));
            }
            Told::Forgotten(call) => {
                self.calls.remove(&call);
                self.step(Event::Forgotten(call));
            }
            Told::Placed(worker, value) => self.placed(worker, &value),
            Told::Answered(worker, call, value) => self.answered(worker, call, &value),
            Told::Over => {}
        }
    }

    /// A worker is ready, cannot be, or has ended before it was.
    fn placed(&mut self, worker: WorkerId, value: &Py<PyAny>) {
        let Some(workers) = &self.workers else { return };
        let heard = Python::try_attach(|py| -> PyResult<(Option<u32>, Option<Py<PyAny>>, bool)> {
            workers.bind(py).call_method1(intern!(py, "place_of"), (worker.0, value))?.extract()
        });
        let event = match heard {
            None => return,
            Some(Ok((pid, None, _))) => {
                self.pids.extend(pid.map(|pid| (worker, pid)));
                Event::Ready(worker)
            }
            Some(Ok((_, Some(exception), has_ended))) => {
                self.note_end(worker, exception);
                if has_ended { Event::Ended(worker) } else { Event::Unable(worker) }
            }
            Some(Err(exception)) => {
                self.ends.insert(worker, (exception.to_string(), Some(exception)));
                Event::Unable(worker)
            }
        };
        self.step(event);
        self.counts.workers.set_max(self.pool.ready_workers());
    }

    fn note_end(&mut self, worker: WorkerId, exception: Py<PyAny>) {
        self.pids.remove(&worker);
        Python::try_attach(|py| {
            let exception = exception.into_bound(py);
            self.ends.insert(worker, (exception.to_string(), Some(PyErr::from_value(exception))));
        });
    }

    /// A call has ended: with results, with an error of the function's, or with its worker.
    fn answered(&mut self, worker: WorkerId, call: CallId, value: &Py<PyAny>) {
        let Some(at) = self.calls.get(&call).map(|call| call.at) else {
            self.step(Event::Returned(worker, call));
            return;
        };
        let (name, Some(workers)) = (&self.name, &self.workers) else { return };
        let heard = Python::try_attach(|py| -> PyResult<std::result::Result<_, Py<PyAny>>> {
            let outcome = workers.bind(py).call_method1(intern!(py, "outcome_of"), (value,))?;
            let (kind, told): (String, Bound<'_, PyAny>) = outcome.extract()?;
            match &kind[..] {
                "made" => {
                    let made = told.extract::<Vec<Bound<'_, PyAny>>>()?;
                    Ok(Ok(Ok(made.iter().map(|each| to_batch(py, each)).collect::<PyResult<Vec<_>>>()?)))
                }
                "raised" => Ok(Ok(Err(raised(name, at, told.extract()?)))),
                _ => Ok(Err(told.unbind())),
            }
        });
        let answer = match heard {
            None => return,
            Some(Ok(Ok(answer))) => answer,
            Some(Ok(Err(exception))) => {
                self.note_end(worker, exception);
                self.step(Event::Ended(worker));
                return;
            }
            Some(Err(exception)) => {
                Err(fatal(&format!("what {name:?} returned cannot be read ({at})"), Some(&exception)))
            }
        };
        self.answers.insert(call, answer);
        self.step(Event::Returned(worker, call));
        // It was of a worker that is not heard any more.
        self.answers.remove(&call);
    }

    /// The memory of the workers that are on this machine.
    fn look(&mut self) {
        let resident: Vec<_> =
            self.pids.iter().filter_map(|(worker, pid)| Some((*worker, resident_bytes_of(*pid)?))).collect();
        if let Some(peak) = resident.iter().map(|(_, bytes)| *bytes).max() {
            self.counts.peak_worker_bytes.set_max(usize::try_from(peak).unwrap_or(usize::MAX));
        }
        self.step(Event::Resident(resident));
    }

    fn step(&mut self, event: Event) {
        if self.broken.is_some() {
            return;
        }
        for action in self.pool.step(Moment::after(self.started), event) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(worker) => self.tell_python(worker, None, |py, workers| {
                workers.call_method1(intern!(py, "start"), (worker.0,)).map(drop)
            }),
            Action::Stop(worker) => {
                self.pids.remove(&worker);
                self.say(|py, workers| workers.call_method1(intern!(py, "stop"), (worker.0,)).map(drop));
            }
            Action::Make(worker, call) => {
                let Some(batch) = self.calls.get(&call).map(|call| call.batch.clone()) else {
                    // Nobody waits for it any more: to the pool it has ended.
                    let _ = self.tell.send(Told::Answered(worker, call, Python::attach(|py| py.None())));
                    return;
                };
                self.tell_python(worker, Some(call), |py, workers| {
                    let batch = batch_to_pyarrow(py, batch)?;
                    workers.call_method1(intern!(py, "make"), (worker.0, call.0, batch)).map(drop)
                });
            }
            Action::Deliver(call) => {
                if let (Some(call), Some(answer)) = (self.calls.remove(&call), self.answers.remove(&call)) {
                    let _ = call.reply.send(answer);
                }
            }
            Action::Fail(call, loss) => self.fail(call, loss),
            Action::Break(worker) => {
                let end = self.ends.remove(&worker);
                let (why, exception) = end.unwrap_or_else(|| ("its workers end before they are ready".into(), None));
                self.break_down((format!("the function {:?} cannot be made in a worker: {why}", self.name), exception));
            }
            Action::TellUnready(workers, ready) => self.say(|py, python| {
                let ids: Vec<u64> = workers.iter().map(|worker| worker.0).collect();
                python.call_method1(intern!(py, "tell_unready"), (ids, ready)).map(drop)
            }),
            Action::TellStall(running, waiting) => self.say(|py, workers| {
                let running: Vec<_> =
                    running.iter().map(|(worker, _, millis)| (worker.0, *millis as f64 / 1e3)).collect();
                workers.call_method1(intern!(py, "tell_stall"), (running, waiting)).map(drop)
            }),
        }
    }

    /// Lets Python do something that the run can do without.
    fn say(&self, work: impl FnOnce(Python<'_>, &Bound<'_, PyAny>) -> PyResult<()>) {
        let Some(workers) = &self.workers else { return };
        Python::try_attach(|py| {
            if let Err(exception) = work(py, workers.bind(py)) {
                exception.write_unraisable(py, None);
            }
        });
    }

    /// Lets Python do something. Where it cannot, the call that it was for has failed, or the worker cannot be made.
    fn tell_python(
        &mut self,
        worker: WorkerId,
        call: Option<CallId>,
        work: impl FnOnce(Python<'_>, &Bound<'_, PyAny>) -> PyResult<()>,
    ) {
        let Some(workers) = &self.workers else { return };
        let Some(Err(exception)) = Python::try_attach(|py| work(py, workers.bind(py))) else { return };
        match call.and_then(|call| self.calls.remove(&call)) {
            Some(lost) => {
                let message =
                    format!("a batch cannot be sent to a worker of {:?} ({}): {exception}", self.name, lost.at);
                let _ = lost.reply.send(Err(fatal(&message, Some(&exception))));
            }
            None => self.break_down((format!("worker {} of {:?}: {exception}", worker.0, self.name), Some(exception))),
        }
    }

    fn fail(&mut self, call: CallId, loss: Loss) {
        let Some(call) = self.calls.remove(&call) else { return };
        let (name, at, rows) = (&self.name, call.at, call.batch.num_rows());
        let (kind, error, exception, hint) = match loss {
            Loss::Crashed(worker) => {
                self.counts.crashes.add(1);
                let end = self.ends.get(&worker);
                let exception = end.and_then(|(_, exception)| exception.as_ref().map(clone));
                let why = end.map_or("it ended", |(why, _)| why);
                let error = format!("the worker process of the function {name:?} ended in a call: {why}");
                (FailureKind::Crashed, error, exception, "max_retries= says how often such a batch is tried again")
            }
            Loss::TimedOut => {
                self.counts.timeouts.add(1);
                let seconds = self.options.timeout_millis.unwrap_or_default() as f64 / 1e3;
                let error = format!("a call of the function {name:?} took longer than timeout={seconds} seconds");
                let hint = "give it more time or smaller batches, or use on_error=\"skip\" to leave such rows out";
                (FailureKind::TimedOut, error, None, hint)
            }
            Loss::OutOfMemory(bytes) => {
                self.counts.stopped_for_memory.add(1);
                let (peak, limit) = (mebibytes(bytes), mebibytes(self.options.memory.unwrap_or_default()));
                let error = format!(
                    "MapBatches: a worker of the function {name:?} had {peak} MiB of memory, and memory= allows {limit} MiB"
                );
                (FailureKind::OutOfMemory, error, None, "raise memory=, or use smaller batches")
            }
        };
        let message = format!("{error} ({rows} rows at {at})");
        let lost = LostCall { failure: Failure { kind, error, traceback: None }, exception };
        let error_kind =
            if kind == FailureKind::OutOfMemory { ErrorKind::MemoryLimit } else { ErrorKind::UserFunction };
        let _ = call.reply.send(Err(Error::new(error_kind, message).with_hint(hint).with_source(lost)));
    }

    /// No call can be made any more, and why.
    fn break_down(&mut self, why: (String, Option<PyErr>)) {
        for (_, call) in self.calls.drain() {
            let _ = call.reply.send(Err(fatal(&why.0, why.1.as_ref())));
        }
        self.broken = Some(why);
    }
}

/// What the worker says of an exception: whether it is worth another try, its type, text and traceback, and itself.
type Raised = (bool, String, String, String, Option<Py<PyAny>>);

/// The error of a call in which the function raised.
fn raised(name: &str, at: BatchPosition, (retry, class, said, traceback, exception): Raised) -> Error {
    let exception = exception.and_then(|exception| {
        Python::try_attach(|py| {
            let exception = PyErr::from_value(exception.into_bound(py));
            // Its frames are in the worker: what the user reads has them as text.
            let noted =
                exception.value(py).call_method1(intern!(py, "add_note"), (format!("\nIn the worker:\n{traceback}"),));
            noted.map(|_| exception).ok()
        })
        .flatten()
    });
    let message = format!("the function {name:?} raised {class}: {said} ({at})");
    let failure =
        Failure { kind: FailureKind::Raised { retry }, error: format!("{class}: {said}"), traceback: Some(traceback) };
    Error::new(ErrorKind::UserFunction, message)
        .with_hint("the exception that follows from it, with its traceback, is the function's own")
        .with_source(LostCall { failure, exception })
}

/// An error that nothing can be done about.
fn fatal(message: &str, exception: Option<&PyErr>) -> Error {
    let failure = Failure { kind: FailureKind::Fatal, error: message.to_string(), traceback: None };
    Error::new(ErrorKind::UserFunction, message).with_source(LostCall { failure, exception: exception.map(clone) })
}

fn clone(exception: &PyErr) -> PyErr {
    Python::attach(|py| exception.clone_ref(py))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}
