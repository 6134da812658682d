//! What a driver or worker process says to its node.

use std::collections::BTreeMap;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use sheaf::core::client::{Amounts, Batch, Client, Host, NewCall, Next, Reply, Value};
use sheaf::core::env;
use sheaf::core::fragment::Executor;
use sheaf::core::ids::{Attempt, ObjectId, TaskId};
use sheaf::core::metrics::{Change, Update};
use sheaf::core::resources::Resources;
use sheaf::core::wire::{Share, Wish};

use super::call::PyCall;
use super::fragments;
use super::groups;
use super::options::CallOptions;
use super::reference::{ObjectRef, bytes_of, hex};
use super::stream::ItemStream;
use super::value::{Parts, reply_to_python};
use super::{Connection, IntoRuntimeResult, PATIENCE, Printed, printed};

/// How long a wait may be deaf to signals.
pub(super) const SLICE: Duration = Duration::from_millis(50);
/// What ends the namespace in the head's table of names.
const SEPARATOR: char = '\0';

/// How long after each signal the next one is sent to a call that has not ended. One that comes just before a system
/// call begins to wait does not end that wait.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(320),
    Duration::from_millis(1_280),
    Duration::from_millis(5_120),
];

static CONNECTION: Mutex<Option<Connection>> = Mutex::new(None);

/// The connection of this process.
pub(super) fn connection(py: Python<'_>) -> PyResult<Connection> {
    if let Some(client) = CONNECTION.lock().as_ref().filter(|client| client.is_here()) {
        return Ok(Arc::clone(client));
    }
    // Whoever reads a reference before `init` starts the runtime by that.
    py.import(intern!(py, "sheaf._runtime.process"))?.call_method0(intern!(py, "client"))?;
    let connected = CONNECTION.lock().clone();
    connected.ok_or_else(|| PyRuntimeError::new_err("the runtime is not started; call sheaf.init()"))
}

/// What this process does when its node is gone or stops one of its calls.
struct Process {
    is_worker: bool,
}

impl Host for Process {
    #[expect(unsafe_code, reason = "a worker without its node ends at once, whatever it runs")]
    fn node_is_gone(&self) {
        if self.is_worker {
            sheaf::dataset::remove_spill_folders();
            // SAFETY: it ends the process and runs no code of ours.
            unsafe { libc::_exit(1) };
        }
    }

    fn executor(&self, share: &Share) -> sheaf::Result<Option<Arc<dyn Executor>>> {
        fragments::executor(share).map(Some)
    }

    fn stop(&self, call: Attempt, is_function: bool) {
        // Python may be busy, and what the node says is to be heard meanwhile.
        let stopping = env::thread("sheaf-stop", move || {
            if !is_function {
                return Python::attach(|py| stop_method(py, call));
            }
            for pause in AGAIN {
                interrupt();
                std::thread::sleep(pause);
                if !CONNECTION.lock().as_ref().is_some_and(|client| client.is_stopped(call)) {
                    return;
                }
            }
        });
        // Without a thread for it the call goes on: it may end as if it had not been stopped.
        drop(stopping);
    }
}

/// Lets the main thread look whether its call is to stop.
#[expect(unsafe_code, reason = "a signal is sent to a thread of this process")]
fn interrupt() {
    let process = std::process::id();
    // SAFETY: the thread that the process began with is there as long as the process.
    unsafe { libc::syscall(libc::SYS_tgkill, process, process, libc::SIGINT) };
}

fn stop_method(py: Python<'_>, call: Attempt) {
    let name = hex(&bytes_of(call.task.result(0))[..16]);
    let told = py
        .import(intern!(py, "sheaf._runtime.worker"))
        .and_then(|worker| worker.call_method1(intern!(py, "cancel"), (name,)));
    if let Err(error) = told {
        error.print(py);
    }
}

/// The connection of a process to its node.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct RuntimeClient(Connection);

impl RuntimeClient {
    pub(crate) fn connection(&self) -> Connection {
        Arc::clone(&self.0)
    }

    /// Speaks through a socket, for all of this process.
    pub(super) fn over(py: Python<'_>, socket: UnixStream, is_worker: bool) -> PyResult<Self> {
        let client = py.detach(|| Client::new(socket, Process { is_worker })).runtime(py)?;
        *CONNECTION.lock() = Some(Arc::clone(&client));
        Ok(Self(client))
    }

    /// The name of a reference, which has to be of this connection.
    fn id_of(&self, reference: &ObjectRef) -> PyResult<ObjectId> {
        if !reference.is_of(&self.0) {
            let text = format!("{} is of a runtime that has ended; what it stood for is gone", reference.shown());
            return Err(PyRuntimeError::new_err(text));
        }
        Ok(reference.id())
    }

    fn ids(&self, refs: &[Bound<'_, ObjectRef>]) -> PyResult<Vec<ObjectId>> {
        refs.iter().map(|reference| self.id_of(reference.get())).collect()
    }

    fn refs(&self, py: Python<'_>, task: TaskId, count: u32) -> PyResult<Vec<Py<ObjectRef>>> {
        (0..count).map(|index| Py::new(py, ObjectRef::counted(task.result(index), &self.0))).collect()
    }
}

/// Waits until so many questions are answered, with the GIL free and signals heard; says whether they are in time.
fn wait(py: Python<'_>, client: &Client, batch: &Batch, count: usize, timeout: Option<f64>) -> PyResult<bool> {
    let end = timeout
        .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
        .map(|patience| Instant::now() + patience);
    loop {
        let slice = end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()).min(SLICE));
        if py.detach(|| batch.wait(count, slice)) {
            return Ok(true);
        }
        py.check_signals()?;
        if end.is_some_and(|end| Instant::now() >= end) {
            // What could be answered at once is in time, however short that is.
            return py.detach(|| client.ping().map(|()| batch.wait(count, Duration::ZERO))).runtime(py);
        }
    }
}

/// Name, description, tags, kind; for a histogram its bounds, and for all the value or sum; the counts of buckets.
type MetricUpdate = (String, String, BTreeMap<String, String>, String, Vec<f64>, Vec<u64>);
type Buffers<'py> = Vec<Bound<'py, PyAny>>;
type Refs<'py> = Vec<Bound<'py, ObjectRef>>;

impl RuntimeClient {
    #[expect(clippy::too_many_arguments, reason = "they are those of three methods of Python's")]
    fn send_call(
        &self,
        py: Python<'_>,
        options: &CallOptions,
        actor: Option<(ObjectId, String)>,
        makes_actor: bool,
        function: Option<ObjectId>,
        value: (&Bound<'_, PyBytes>, &Buffers<'_>),
        contained: &Refs<'_>,
        needs: &Refs<'_>,
    ) -> PyResult<TaskId> {
        let streams = options.streams();
        let options = options.number(py, &self.0)?;
        let parts = Parts::new(value.0, value.1)?;
        let (needs, refs) = (self.ids(needs)?, self.ids(contained)?);
        py.detach(|| {
            let parts = parts.slices();
            self.0.submit(NewCall { options, actor, makes_actor, streams, function, needs, refs, parts: &parts })
        })
        .runtime(py)
    }
}

#[pymethods]
impl RuntimeClient {
    #[getter]
    fn node_id(&self) -> String {
        format!("{:016x}", self.0.node().0)
    }

    #[getter]
    fn client_id(&self) -> u64 {
        self.0.id().0
    }

    fn put(
        &self,
        py: Python<'_>,
        data: Bound<'_, PyBytes>,
        buffers: Buffers<'_>,
        contained: Refs<'_>,
    ) -> PyResult<ObjectRef> {
        let parts = Parts::new(&data, &buffers)?;
        let contained = self.ids(&contained)?;
        let object = py.detach(|| self.0.put(&parts.slices(), contained)).runtime(py)?;
        Ok(ObjectRef::counted(object, &self.0))
    }

    #[expect(clippy::too_many_arguments, reason = "Python's method has them")]
    fn submit(
        &self,
        py: Python<'_>,
        options: &CallOptions,
        function: &ObjectRef,
        data: Bound<'_, PyBytes>,
        buffers: Buffers<'_>,
        contained: Refs<'_>,
        needs: Refs<'_>,
    ) -> PyResult<Vec<Py<ObjectRef>>> {
        let function = Some(self.id_of(function)?);
        let task = self.send_call(py, options, None, false, function, (&data, &buffers), &contained, &needs)?;
        self.refs(py, task, options.returns())
    }

    #[expect(clippy::too_many_arguments, reason = "Python's method has them")]
    fn create_actor(
        &self,
        py: Python<'_>,
        options: &CallOptions,
        function: &ObjectRef,
        data: Bound<'_, PyBytes>,
        buffers: Buffers<'_>,
        contained: Refs<'_>,
        needs: Refs<'_>,
    ) -> PyResult<ObjectRef> {
        let function = Some(self.id_of(function)?);
        let task = self.send_call(py, options, None, true, function, (&data, &buffers), &contained, &needs)?;
        Ok(ObjectRef::counted(task.result(0), &self.0))
    }

    #[expect(clippy::too_many_arguments, reason = "Python's method has them")]
    fn call(
        &self,
        py: Python<'_>,
        actor: &ObjectRef,
        options: &CallOptions,
        method: String,
        data: Bound<'_, PyBytes>,
        buffers: Buffers<'_>,
        contained: Refs<'_>,
        needs: Refs<'_>,
    ) -> PyResult<Vec<Py<ObjectRef>>> {
        let actor = Some((self.id_of(actor)?, method));
        let task = self.send_call(py, options, actor, false, None, (&data, &buffers), &contained, &needs)?;
        self.refs(py, task, options.returns())
    }

    #[pyo3(signature = (refs, timeout))]
    fn get<'py>(&self, py: Python<'py>, refs: Refs<'py>, timeout: Option<f64>) -> PyResult<Option<Bound<'py, PyList>>> {
        let objects = self.ids(&refs)?;
        let had: Vec<Option<Value>> = objects.iter().map(|object| self.0.cached(*object)).collect();
        let missing: Vec<ObjectId> =
            objects.iter().zip(&had).filter(|(_, value)| value.is_none()).map(|(object, _)| *object).collect();
        let mut replies = Vec::new();
        if !missing.is_empty() {
            let batch = self.0.ask(&missing, Wish::Value, true).runtime(py)?;
            if !wait(py, &self.0, &batch, missing.len(), timeout)? {
                return Ok(None);
            }
            replies = batch.take();
        }
        let mut replies = replies.into_iter().flatten();
        let values = PyList::empty(py);
        for had in had {
            let reply = had.map(Reply::Value).or_else(|| replies.next()).unwrap_or(Reply::Ended);
            values.append(reply_to_python(py, reply)?)?;
        }
        Ok(Some(values))
    }

    /// Which are there when so many are; `streams` are the places of those that stand for all results of their task, of
    /// which any will do.
    #[pyo3(signature = (refs, count, timeout, fetch_local=true, streams=Vec::new()))]
    fn wait(
        &self,
        py: Python<'_>,
        refs: Refs<'_>,
        count: usize,
        timeout: Option<f64>,
        fetch_local: bool,
        streams: Vec<usize>,
    ) -> PyResult<Vec<bool>> {
        let objects = self.ids(&refs)?;
        let mut ready: Vec<bool> = objects.iter().map(|object| self.0.is_known_ready(*object)).collect();
        let known = ready.iter().filter(|is_ready| **is_ready).count();
        if known < count {
            let asked: Vec<ObjectId> =
                objects.iter().zip(&ready).filter(|(_, known)| !**known).map(|(object, _)| *object).collect();
            let wish = if fetch_local { Wish::Here } else { Wish::Anywhere };
            let batch = self.0.ask(&asked, wish, true).runtime(py)?;
            for stream in streams.into_iter().filter_map(|place| objects.get(place)) {
                if let Some(index) = asked.iter().position(|object| object == stream) {
                    self.0.watch_items(stream.task, &batch, index);
                }
            }
            wait(py, &self.0, &batch, count.saturating_sub(known).min(asked.len()), timeout)?;
            let mut answered = batch.ready().into_iter();
            for is_ready in ready.iter_mut().filter(|is_ready| !**is_ready) {
                *is_ready = answered.next().unwrap_or(false);
            }
        }
        Ok(ready)
    }

    fn when_ready(&self, py: Python<'_>, r#ref: Py<ObjectRef>, callback: Py<PyAny>) -> PyResult<()> {
        let object = self.id_of(r#ref.get())?;
        let then = move |reply| {
            Python::attach(|py| {
                let called = reply_to_python(py, reply).and_then(|value| callback.call1(py, (value,)));
                if let Err(error) = called {
                    error.write_unraisable(py, None);
                }
                drop(r#ref);
            });
        };
        self.0.when_ready(object, then).runtime(py)
    }

    fn cancel(&self, py: Python<'_>, r#ref: &ObjectRef, force: bool, recursive: bool) -> PyResult<()> {
        self.0.cancel(self.id_of(r#ref)?, force, recursive).runtime(py)
    }

    fn kill_actor(&self, py: Python<'_>, actor: &ObjectRef, no_restart: bool) -> PyResult<()> {
        self.0.kill(self.id_of(actor)?, no_restart).runtime(py)
    }

    fn claim_name<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        namespace: &str,
        actor: &ObjectRef,
        meta: &[u8],
        detached: bool,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let name = format!("{namespace}{SEPARATOR}{name}");
        let taken = py.detach(|| self.0.claim_name(&name, actor.id(), meta, detached)).runtime(py)?;
        Ok(taken.map(|(_, meta)| PyBytes::new(py, &meta)))
    }

    fn look_up<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        namespace: &str,
    ) -> PyResult<Option<(ObjectRef, Bound<'py, PyBytes>)>> {
        let name = format!("{namespace}{SEPARATOR}{name}");
        match py.detach(|| self.0.look_up(&name)).runtime(py)? {
            Some((actor, meta)) => Ok(Some((ObjectRef::new(py, actor, &self.0)?, PyBytes::new(py, &meta)))),
            None => Ok(None),
        }
    }

    #[pyo3(signature = (namespace))]
    fn names(&self, py: Python<'_>, namespace: Option<&str>) -> PyResult<Vec<(String, String)>> {
        let prefix = namespace.map_or_else(String::new, |namespace| format!("{namespace}{SEPARATOR}"));
        let names = py.detach(|| self.0.names(&prefix)).runtime(py)?;
        let split =
            |name: &String| name.split_once(SEPARATOR).map(|(space, name)| (space.to_string(), name.to_string()));
        Ok(names.iter().filter_map(split).collect())
    }

    /// Lines that were printed for this driver, waiting for the first one; `None` when there will be no more.
    fn next_output(&self, py: Python<'_>) -> Option<Vec<Printed>> {
        py.detach(|| self.0.output(PATIENCE)).map(printed)
    }

    /// Ends the conversation: what this process held is freed.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    #[pyo3(signature = (name, bundles, strategy, lives_with))]
    fn create_group(
        &self,
        py: Python<'_>,
        name: &str,
        bundles: Vec<Amounts>,
        strategy: &str,
        lives_with: Option<(String, u64)>,
    ) -> PyResult<String> {
        let (spreading, lives_with) = (groups::spreading(strategy)?, lives_with.map(groups::process).transpose()?);
        py.detach(|| self.0.create_group(name, bundles, spreading, lives_with)).runtime(py).map(groups::hex)
    }

    fn remove_group(&self, py: Python<'_>, group: &str) -> PyResult<()> {
        let group = groups::group_of(group)?;
        py.detach(|| self.0.remove_group(group)).runtime(py)
    }

    fn groups(&self, py: Python<'_>) -> PyResult<Vec<groups::Told>> {
        let all = py.detach(|| self.0.groups()).runtime(py)?;
        Ok(all.into_iter().map(groups::told).collect())
    }

    /// Of each node its name, where it is reached, what it has, what of that is free, and its labels.
    #[expect(clippy::type_complexity, reason = "a list of tuples is what Python gets")]
    fn nodes(
        &self,
        py: Python<'_>,
    ) -> PyResult<Vec<(String, String, BTreeMap<String, f64>, BTreeMap<String, f64>, BTreeMap<String, String>)>> {
        let nodes = py.detach(|| self.0.nodes()).runtime(py)?;
        let told = nodes
            .into_iter()
            .map(|node| (format!("{:016x}", node.id.0), node.address, node.total, node.free, node.labels));
        Ok(told.collect())
    }

    /// Asks for room for this on the cluster, in place of what was asked for before.
    fn keep_room(&self, py: Python<'_>, room: Vec<Amounts>) -> PyResult<()> {
        let resources = |amounts: &Amounts| Resources::new(amounts.iter().map(|(name, amount)| (&**name, *amount)));
        let room = room.iter().map(resources).collect::<Result<Vec<_>, _>>().runtime(py)?;
        py.detach(|| self.0.keep_room(room)).runtime(py)
    }

    /// Of each why it is not ready, whether its task is a call of an actor, and what no node has room for: the task
    /// (`False`), its actor (`True`).
    fn about(&self, py: Python<'_>, refs: Refs<'_>) -> PyResult<Vec<(String, bool, Option<bool>)>> {
        let objects = self.ids(&refs)?;
        py.detach(|| self.0.about(&objects)).runtime(py)
    }

    /// What happened to metrics: name, description, tags, and a counter's growth, a gauge's value, or a histogram's
    /// bounds, counts and sum.
    fn report_metrics(&self, py: Python<'_>, updates: Vec<MetricUpdate>) -> PyResult<()> {
        let updates = updates.into_iter().map(|(name, description, tags, kind, values, counts)| {
            let value = values.last().copied().unwrap_or_default();
            let change = match kind.as_str() {
                "counter" => Change::Count(value),
                "gauge" => Change::Set(value),
                _ => Change::Observe { bounds: values[..values.len().saturating_sub(1)].to_vec(), counts, sum: value },
            };
            Update { name, description, tags, change }
        });
        let updates = updates.collect();
        py.detach(|| self.0.report_metrics(updates)).runtime(py)
    }

    fn metrics_text(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.metrics_text()).runtime(py)
    }

    fn pending_calls(&self, py: Python<'_>, actor: &ObjectRef) -> PyResult<u64> {
        py.detach(|| self.0.pending_calls(actor.id())).runtime(py)
    }

    fn objects(&self, py: Python<'_>) -> PyResult<Vec<(String, u64, &'static str, u32)>> {
        let objects = py.detach(|| self.0.objects()).runtime(py)?;
        let place = |is_spilled| if is_spilled { "spilled" } else { "memory" };
        let told = objects
            .into_iter()
            .map(|object| (hex(&bytes_of(object.id)), object.size, place(object.is_spilled), object.readers));
        Ok(told.collect())
    }

    /// The connection of a worker, through a socket that it was started with.
    #[staticmethod]
    #[expect(unsafe_code, reason = "the descriptor is handed over as a number")]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<Self> {
        // SAFETY: whoever calls gives the descriptor away.
        let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
        Self::over(py, socket, true)
    }

    fn next_call(&self, py: Python<'_>) -> PyResult<Option<PyCall>> {
        loop {
            match py.detach(|| self.0.next_call(SLICE)).runtime(py)? {
                Next::Call(call) => return Ok(Some(PyCall::new(py, *call, &self.0)?)),
                Next::Nothing => py.check_signals()?,
                Next::End => return Ok(None),
            }
        }
    }

    /// A result of a call that streams; the first one is 0.
    fn yield_item(
        &self,
        py: Python<'_>,
        call: &PyCall,
        index: u32,
        data: Bound<'_, PyBytes>,
        buffers: Buffers<'_>,
        contained: Refs<'_>,
    ) -> PyResult<()> {
        let parts = Parts::new(&data, &buffers)?;
        let contained = self.ids(&contained)?;
        // The call's own result stands before them.
        py.detach(|| self.0.yield_item(call.attempt, index + 1, &parts.slices(), contained)).runtime(py)
    }

    /// The results of a task that streams, as they come. `first` is its own result.
    fn stream(&self, py: Python<'_>, first: Py<ObjectRef>) -> PyResult<ItemStream> {
        let task = self.id_of(first.get())?.task;
        py.detach(|| self.0.watch_stream(task)).runtime(py)?;
        Ok(ItemStream { client: Arc::clone(&self.0), first, task })
    }

    fn finish(
        &self,
        py: Python<'_>,
        call: &PyCall,
        returns: Vec<(Bound<'_, PyBytes>, Buffers<'_>, Refs<'_>)>,
    ) -> PyResult<()> {
        let mut values = Vec::with_capacity(returns.len());
        for (data, buffers, contained) in &returns {
            values.push((Parts::new(data, buffers)?, self.ids(contained)?));
        }
        py.detach(|| {
            let results: Vec<_> = values.iter().map(|(parts, contained)| (parts.slices(), contained.clone())).collect();
            self.0.finish(call.attempt, &results)
        })
        .runtime(py)
    }

    fn fail(&self, py: Python<'_>, call: &PyCall, error: Vec<u8>, contained: Refs<'_>, retry: bool) -> PyResult<()> {
        let contains = self.ids(&contained)?;
        py.detach(|| self.0.fail(call.attempt, error, contains, retry)).runtime(py)
    }

    fn exit_actor(&self, py: Python<'_>) -> PyResult<()> {
        self.0.exit_actor().runtime(py)?;
        // The node ends this process.
        loop {
            py.detach(|| std::thread::sleep(SLICE));
            py.check_signals()?;
        }
    }
}
