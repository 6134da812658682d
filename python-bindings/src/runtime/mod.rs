//! The runtime as Python holds it: a head and node in this process, and what drivers and workers say to them.

mod blobs;
mod call;
mod client;
mod fragments;
mod groups;
mod options;
mod reference;
mod stream;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use sheaf::core::host;
use sheaf::core::jobs::{Jobs, JobsOptions};
use sheaf::core::local::{Local, LocalOptions, Role};
use sheaf::core::resources::Resources;
use sheaf::core::state::MemoryStore;
use sheaf::core::wire::Line;
use sheaf::flight::cluster::{Access, Port, join};
use sheaf::{Error, ErrorKind};

use crate::errors::{IntoPyResult, to_py};

pub(crate) use blobs::Blobs;
pub(crate) use call::PyCall;
pub(crate) use client::RuntimeClient;
pub(crate) use options::CallOptions;
pub(crate) use reference::{ObjectRef, start_recording, stop_recording};
pub(crate) use stream::ItemStream;

/// How long a wait for output may be deaf to signals.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);
/// The part of the machine's memory that objects may have, unless it is told otherwise.
const STORE_PART: f64 = 0.3;
/// The part that queries in workers may have.
const QUERY_PART: f64 = 0.35;
/// Where a machine does not say how much memory it has.
const STORE_BYTES: u64 = 1 << 30;

/// A port that is this process' own, at which nothing is served yet.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct HeadPort {
    port: Mutex<Option<Port>>,
    address: String,
}

#[pymethods]
impl HeadPort {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "as Python gives it")]
    fn new(
        py: Python<'_>,
        address: &str,
        token_file: Option<PathBuf>,
        tls: Option<(PathBuf, PathBuf, PathBuf)>,
    ) -> PyResult<Self> {
        let port = access(token_file.as_deref(), tls.as_ref()).and_then(|access| Port::bind(address, None, access));
        let port = port.py(py)?;
        Ok(Self { address: port.address().to_string(), port: Mutex::new(Some(port)) })
    }

    /// Host and port.
    #[getter]
    fn place(&self) -> &str {
        self.address.rsplit('/').next().unwrap_or_default()
    }
}

/// What is shown to a cluster.
pub(crate) fn access(token_file: Option<&Path>, tls: Option<&(PathBuf, PathBuf, PathBuf)>) -> sheaf::Result<Access> {
    let access = token_file.map_or_else(|| Ok(Access::default()), Access::with_token_file)?;
    match tls {
        Some((certificate, key, authority)) => access.with_certificates(certificate, key, authority),
        None => Ok(access),
    }
}

/// The embedded head and node of a driver, and the jobs that are submitted to it where it has a port.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct Runtime(Local, Option<Arc<Jobs>>);

#[pymethods]
impl Runtime {
    #[new]
    #[pyo3(signature = (*, resources, labels, object_store_memory, spill_dir, command, log_dir, port, launcher))]
    #[expect(clippy::too_many_arguments, reason = "Python gives them by name")]
    fn new(
        py: Python<'_>,
        resources: HashMap<String, f64>,
        labels: BTreeMap<String, String>,
        object_store_memory: Option<u64>,
        spill_dir: Option<PathBuf>,
        command: Vec<String>,
        log_dir: Option<PathBuf>,
        port: Option<&HeadPort>,
        launcher: Vec<String>,
    ) -> PyResult<Self> {
        let resources = Resources::new(resources.iter().map(|(name, amount)| (&**name, *amount))).py(py)?;
        let part = |part: f64| host::memory_bytes().map_or(STORE_BYTES, |bytes| (bytes as f64 * part) as u64);
        let options = LocalOptions {
            role: port.map_or(Role::Alone, |port| Role::Head(port.address.clone())),
            resources,
            labels,
            store_bytes: object_store_memory.unwrap_or_else(|| part(STORE_PART)),
            spill_dir: spill_dir.unwrap_or_else(std::env::temp_dir),
            command,
            state: None,
            executor: None,
            query_bytes: part(QUERY_PART),
            log_dir,
        };
        let Some(port) = port else { return Ok(Self(py.detach(|| Local::start(options)).py(py)?, None)) };
        let port = port.port.lock().take().ok_or_else(|| PyRuntimeError::new_err("the port serves another runtime"))?;
        py.detach(|| Self::serve(options, port, launcher)).py(py)
    }

    /// A connection, which becomes that of the process.
    fn connect(&self, py: Python<'_>) -> PyResult<RuntimeClient> {
        let socket = self.0.connect().py(py)?;
        RuntimeClient::over(py, socket, false)
    }

    /// Lines that were printed, waiting for the first one; `None` when there will be no more.
    fn next_output(&self, py: Python<'_>) -> Option<Vec<Printed>> {
        py.detach(|| self.0.output(PATIENCE)).map(printed)
    }

    /// Ends all processes and frees all objects.
    fn shutdown(&self, py: Python<'_>) {
        py.detach(|| {
            // They are drivers: what they have here ends with them.
            if let Some(jobs) = &self.1 {
                jobs.shutdown();
            }
            self.0.shutdown();
        });
    }
}

impl Runtime {
    /// A head that others reach, and to which jobs can be submitted.
    fn serve(options: LocalOptions, port: Port, launcher: Vec<String>) -> sheaf::Result<Self> {
        let jobs = Jobs::start(JobsOptions {
            command: launcher,
            // What a program prints is seen when it prints it.
            variables: vec![("PYTHONUNBUFFERED".to_string(), "1".to_string())],
            machine: options.resources.clone(),
            store: Arc::new(MemoryStore::default()),
            log_dir: None,
            running: JobsOptions::RUNNING,
        })?;
        let port = port.with_jobs(Arc::clone(&jobs));
        let local = Local::start_with(options, |inlet| port.open(inlet, None).map(Some))?;
        Ok(Self(local, Some(jobs)))
    }
}

/// A line: what printed it, its process, whether to the standard error, the text, and the node if it is another one.
pub(crate) type Printed = (String, u32, bool, String, String);

pub(crate) fn printed(lines: Vec<Line>) -> Vec<Printed> {
    lines.into_iter().map(|line| (line.name, line.pid, line.is_error, line.text, line.place)).collect()
}

/// A connection to the node of a cluster that is on this machine, which becomes that of the process; and what the head
/// says of all nodes, as JSON.
#[pyfunction]
#[pyo3(signature = (address, token_file, tls))]
#[expect(clippy::needless_pass_by_value, reason = "as Python gives it")]
pub(crate) fn join_cluster(
    py: Python<'_>,
    address: &str,
    token_file: Option<PathBuf>,
    tls: Option<(PathBuf, PathBuf, PathBuf)>,
) -> PyResult<(RuntimeClient, String)> {
    let found = py.detach(|| join(address, &access(token_file.as_deref(), tls.as_ref())?));
    let (socket, nodes) = found.py(py)?;
    Ok((RuntimeClient::over(py, socket, false)?, nodes))
}

/// The exception for an error of the runtime: a store without room has classes of its own.
fn runtime_error(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::MemoryLimit => "ObjectStoreFullError",
        ErrorKind::DiskFull => "OutOfDiskError",
        _ => return to_py(py, error),
    };
    let made = py.import("sheaf.exceptions").and_then(|module| module.getattr(class)?.call1((error.to_string(),)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}

trait IntoRuntimeResult<T> {
    fn runtime(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoRuntimeResult<T> for sheaf::Result<T> {
    fn runtime(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| runtime_error(py, &error))
    }
}

/// A connection that is shared by all that came from it.
type Connection = Arc<sheaf::core::client::Client>;
