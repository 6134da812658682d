//! `Session` as Python holds it: settings, sources and the catalog.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use pyo3_arrow::input::AnyRecordBatch;
use sheaf::connectors::objects::without_objects;
use sheaf::dataset::engines::Cluster;
use sheaf::{Error, Options, Session, SessionSql};

use crate::convert::{gather, with_schema};
use crate::dataset::PyDataset;
use crate::errors::IntoPyResult;
use crate::expr::PyUserFunction;
use crate::filesystem;
use crate::parts::from_parts;
use crate::read::ReadArgs;
use crate::runtime::access;
use crate::sql::bindings;
use crate::wait::wait;

/// Removes the spill folders of all sessions: for the exit of a process that has not let go of them.
#[pyfunction]
pub(crate) fn remove_spill_folders(py: Python<'_>) {
    py.detach(sheaf::dataset::remove_spill_folders);
}

/// Whether the CPU has the instructions that this build uses.
#[pyfunction]
pub(crate) fn is_built_for_this_cpu() -> bool {
    sheaf::core::host::check_cpu().is_ok()
}

/// One user of the engine.
#[pyclass(name = "Session", frozen, module = "sheaf._sheaf")]
pub(crate) struct PySession {
    // `None` once it is closed.
    inner: Mutex<Option<Session>>,
}

impl PySession {
    /// The session, unless it is closed.
    pub(crate) fn open(&self, py: Python<'_>) -> PyResult<Session> {
        let open = self.inner.lock().clone();
        open.ok_or_else(|| Error::invalid("the session is closed").with_hint("make a new sheaf.Session")).py(py)
    }
}

#[pymethods]
impl PySession {
    /// Settings come as text, by key: the engine reads and checks them. With an address, queries run on the cluster
    /// whose head is there.
    #[new]
    #[pyo3(signature = (settings, address, token_file, tls))]
    fn new(
        py: Python<'_>,
        settings: Vec<(String, String)>,
        address: Option<String>,
        token_file: Option<PathBuf>,
        tls: Option<(PathBuf, PathBuf, PathBuf)>,
    ) -> PyResult<Self> {
        let mut options = Options::default();
        for (key, value) in &settings {
            options.set(key, value).py(py)?;
        }
        let session = py.detach(|| {
            let session = Session::new(options)?;
            let Some(address) = address else { return Ok(session) };
            let cluster = Cluster::connect(&address, access(token_file.as_deref(), tls.as_ref())?)?;
            Ok(session.on(&cluster))
        });
        let session = session.py(py)?;
        filesystem::open_hdfs(&session);
        Ok(Self { inner: Mutex::new(Some(session)) })
    }

    /// Lets go of the session: it ends when the last dataset made from it goes.
    fn close(&self, py: Python<'_>) {
        let closed = self.inner.lock().take();
        py.detach(|| drop(closed));
    }

    fn settings(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
        Ok(self.open(py)?.settings().to_map().into_iter().collect())
    }

    /// Bytes: reserved by operators, the limit, on disk.
    fn memory(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        let memory = self.open(py)?.memory();
        Ok((memory.reserved, memory.limit, memory.on_disk))
    }

    fn spill_folder(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.open(py)?.spill_folder().display().to_string())
    }

    /// Whether columns that say that they are Python objects are to be taken for such.
    fn from_arrow(&self, py: Python<'_>, data: AnyRecordBatch, objects: bool) -> PyResult<PyDataset> {
        let session = self.open(py)?;
        let (mut schema, mut batches) = gather(py, data)?;
        if !objects {
            schema = without_objects(&schema);
            let plain = batches.into_iter().map(|batch| with_schema(batch, &schema));
            batches = plain.collect::<Result<_, _>>().map_err(|error| Error::internal(error.to_string())).py(py)?;
        }
        session.from_batches(schema, batches).map(PyDataset::from).py(py)
    }

    /// A dataset of parts that are loaded when they are read, each by a call without arguments.
    fn from_parts(&self, py: Python<'_>, schema: PySchema, parts: Vec<Py<PyAny>>) -> PyResult<PyDataset> {
        let session = self.open(py)?;
        from_parts(&session, &schema.into_inner(), parts).map(PyDataset::from).py(py)
    }

    /// Whether the dataset was made by this session, with whose threads, memory and stores alone it can run.
    fn owns(&self, py: Python<'_>, dataset: &PyDataset) -> PyResult<bool> {
        Ok(Arc::ptr_eq(self.open(py)?.threads(), dataset.inner.session().threads()))
    }

    fn range(&self, py: Python<'_>, start: i64, end: i64) -> PyResult<PyDataset> {
        self.open(py)?.range(start, end).map(PyDataset::from).py(py)
    }

    fn register(&self, py: Python<'_>, name: &str, dataset: &PyDataset) -> PyResult<()> {
        self.open(py)?.register(name, &dataset.inner).py(py)
    }

    fn register_function(&self, py: Python<'_>, name: &str, function: &PyUserFunction) -> PyResult<()> {
        self.open(py)?.register_function(name, &function.function).py(py)
    }

    fn deregister(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        self.open(py)?.deregister(name).py(py)
    }

    fn table(&self, py: Python<'_>, name: String) -> PyResult<PyDataset> {
        let session = self.open(py)?;
        let named = session.clone();
        wait(py, &session, async move { named.table(&name).await }).map(PyDataset::from)
    }

    /// Gives a file system to the session; the URL that stands before its paths.
    fn add_filesystem(
        &self,
        py: Python<'_>,
        files: Py<PyAny>,
        identity: usize,
        root: &str,
        seconds: f64,
    ) -> PyResult<String> {
        filesystem::add(py, &self.open(py)?, files, identity, root, seconds)
    }

    fn read(&self, py: Python<'_>, paths: Vec<String>, options: ReadArgs) -> PyResult<PyDataset> {
        let session = self.open(py)?;
        let (reader, options) = (session.clone(), options.options().py(py)?);
        wait(py, &session, async move { reader.read(&paths, &options).await }).map(PyDataset::from)
    }

    fn sql(
        &self,
        py: Python<'_>,
        text: String,
        params: Option<Bound<'_, PyAny>>,
        datasets: BTreeMap<String, PyRef<'_, PyDataset>>,
    ) -> PyResult<PyDataset> {
        let session = self.open(py)?;
        let bindings = bindings(py, params.as_ref(), datasets)?;
        let asked = session.clone();
        wait(py, &session, async move { asked.sql_with(&text, bindings).await }).map(PyDataset::from)
    }
}
