//! `Session` as Python holds it: settings, sources and the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use pyo3_arrow::input::AnyRecordBatch;
use sheaf::connectors::objects::without_objects;
use sheaf::{Error, Options, Result, Session, SessionSql};

use crate::convert::{gather, with_schema};
use crate::dataset::PyDataset;
use crate::errors::IntoPyResult;
use crate::expr::PyUserFunction;
use crate::filesystem;
use crate::parts::from_parts;
use crate::read::ReadArgs;
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

/// Settings as text, by key.
pub(crate) fn options_of(settings: &[(String, String)]) -> Result<Options> {
    let mut options = Options::default();
    settings.iter().try_for_each(|(key, value)| options.set(key, value))?;
    Ok(options)
}

impl PySession {
    pub(crate) fn of(session: Session) -> Self {
        filesystem::open_hdfs(&session);
        Self { inner: Mutex::new(Some(session)) }
    }

    /// The session, unless it is closed.
    pub(crate) fn open(&self, py: Python<'_>) -> PyResult<Session> {
        let open = self.inner.lock().clone();
        open.ok_or_else(|| Error::invalid("the session is closed").with_hint("make a new sheaf.Session")).py(py)
    }
}

#[pymethods]
impl PySession {
    /// Settings come as text, by key: the engine reads and checks them.
    #[new]
    fn new(py: Python<'_>, settings: Vec<(String, String)>) -> PyResult<Self> {
        let options = options_of(&settings).py(py)?;
        Ok(Self::of(py.detach(|| Session::new(options)).py(py)?))
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
