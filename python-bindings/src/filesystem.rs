//! File systems of Python, as `sheaf._filesystem` calls them, behind the engine's stores.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::{Error as StoreError, ObjectStore, Result as StoreResult};
use pyo3::exceptions::{PyFileExistsError, PyFileNotFoundError, PyNotImplementedError, PyPermissionError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use sheaf::connectors::filesystem::{FileInfo, FileWriter, Filesystem, FilesystemStore};
use sheaf::connectors::location::Scheme;
use sheaf::connectors::stores::Opener;
use sheaf::{Error, ErrorKind, Session};

/// A `sheaf._filesystem.Filesystem`.
#[derive(Debug)]
struct PyFilesystem {
    files: Py<PyAny>,
    name: String,
}

/// A `sheaf._filesystem.Writer`.
#[derive(Debug)]
struct PyWriter {
    file: Py<PyAny>,
    name: String,
    path: String,
}

/// Calls of file systems that run now, in all sessions.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How long the end of the program waits for them: the rest of a call over a network, but not for one that hangs.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Waits, at the end of the program, for calls that run: Python ends a thread that comes back to it later, and the
/// program with it. Tells whether all came back.
#[pyfunction]
pub(crate) fn await_file_calls(py: Python<'_>) -> bool {
    const STEP: Duration = Duration::from_millis(10);
    py.detach(|| {
        let mut waited = Duration::ZERO;
        while RUNNING.load(Ordering::Acquire) > 0 && waited < LAST_CALLS {
            std::thread::sleep(STEP);
            waited += STEP;
        }
        RUNNING.load(Ordering::Acquire) == 0
    })
}

/// Runs a call of Python's, counted for as long as the thread is Python's.
fn counted<T>(call: impl for<'py> FnOnce(Python<'py>) -> T) -> T {
    RUNNING.fetch_add(1, Ordering::AcqRel);
    let done = Python::attach(call);
    RUNNING.fetch_sub(1, Ordering::AcqRel);
    done
}

/// A file's path, bytes, time and tag.
type Told = (String, u64, Option<i64>, Option<String>);

/// Gives a file system to a session; the URL that stands before its paths. The same identity and root are given once.
///
/// # Errors
/// What is no `sheaf._filesystem.Filesystem`.
pub(crate) fn add(
    py: Python<'_>,
    session: &Session,
    files: Py<PyAny>,
    identity: usize,
    root: &str,
    seconds: f64,
) -> PyResult<String> {
    let name: String = files.getattr(py, "name")?.extract(py)?;
    let given = name.clone();
    let store = move || store_of(files, name, seconds);
    Ok(py.detach(|| session.stores().give(&given, format!("{identity} {root}"), store)))
}

/// Lets a session open `hdfs://` URLs, when one comes, by what fsspec and PyArrow have.
pub(crate) fn open_hdfs(session: &Session) {
    let open: Opener = Arc::new(|base, options| {
        let user = Some(base.username()).filter(|user| !user.is_empty());
        let opened = Python::attach(|py| {
            let module = py.import("sheaf._filesystem")?;
            let place = (base.host_str().unwrap_or_default(), base.port(), user, options.clone());
            let files = module.getattr("open_hdfs")?.call1(place)?;
            let name: String = files.getattr("name")?.extract()?;
            Ok(store_of(files.unbind(), name, module.getattr("CALL_SECONDS")?.extract()?))
        });
        opened.map_err(|raised: PyErr| {
            let (text, hint) = Python::attach(|py| {
                let value = raised.value(py);
                let hint = value.getattr("hint").and_then(|hint| hint.extract::<Option<String>>());
                (value.to_string(), hint.ok().flatten())
            });
            let error = Error::new(ErrorKind::Unsupported, text).with_source(raised);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    });
    session.stores().open_with(Scheme::Hdfs, open);
}

fn store_of(files: Py<PyAny>, name: String, seconds: f64) -> Arc<dyn ObjectStore> {
    let files = Arc::new(PyFilesystem { files, name });
    Arc::new(FilesystemStore::new(files, Duration::from_secs_f64(seconds)))
}

impl PyFilesystem {
    fn call<T>(
        &self,
        what: &str,
        path: &str,
        call: impl for<'py> FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
    ) -> StoreResult<T> {
        counted(|py| call(self.files.bind(py)).map_err(|raised| told(py, raised, &self.name, what, path)))
    }
}

impl Filesystem for PyFilesystem {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, path: &str) -> StoreResult<FileInfo> {
        self.call("looking at", path, |files| Ok(file(files.call_method1("info", (path,))?.extract()?)))
    }

    fn read(&self, path: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.call("reading", path, |files| {
            let bytes: PyBackedBytes = files.call_method1("read", (path, range.start, range.end))?.extract()?;
            // Not copied: the engine holds Python's object.
            Ok(Bytes::from_owner(bytes))
        })
    }

    fn list(&self, folder: &str) -> StoreResult<Vec<FileInfo>> {
        self.call("listing", folder, |files| {
            let found: Vec<Told> = files.call_method1("files", (folder,))?.extract()?;
            Ok(found.into_iter().map(file).collect())
        })
    }

    fn list_folder(&self, folder: &str) -> StoreResult<(Vec<String>, Vec<FileInfo>)> {
        self.call("listing", folder, |files| {
            let (folders, found): (_, Vec<Told>) = files.call_method1("inside", (folder,))?.extract()?;
            Ok((folders, found.into_iter().map(file).collect()))
        })
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StoreResult<()> {
        self.call("creating", path, |files| {
            files.call_method1("create", (path, PyBytes::new(files.py(), bytes)))?;
            Ok(())
        })
    }

    fn begin(&self, path: &str) -> StoreResult<Box<dyn FileWriter>> {
        let file = self.call("writing", path, |files| Ok(files.call_method1("begin", (path,))?.unbind()))?;
        Ok(Box::new(PyWriter { file, name: self.name.clone(), path: path.to_string() }))
    }

    fn delete(&self, path: &str) -> StoreResult<()> {
        self.call("deleting", path, |files| files.call_method1("delete", (path,)).map(|_| ()))
    }

    fn copy(&self, from: &str, to: &str) -> StoreResult<()> {
        self.call("copying", from, |files| files.call_method1("copy", (from, to)).map(|_| ()))
    }
}

impl PyWriter {
    fn call(&self, what: &str, method: &str, bytes: Option<&[u8]>) -> StoreResult<()> {
        counted(|py| {
            let file = self.file.bind(py);
            let called = match bytes {
                Some(bytes) => file.call_method1(method, (PyBytes::new(py, bytes),)),
                None => file.call_method0(method),
            };
            called.map(|_| ()).map_err(|raised| told(py, raised, &self.name, what, &self.path))
        })
    }
}

impl FileWriter for PyWriter {
    fn write(&mut self, bytes: &[u8]) -> StoreResult<()> {
        self.call("writing", "write", Some(bytes))
    }

    fn commit(&mut self) -> StoreResult<()> {
        self.call("finishing", "commit", None)
    }

    fn abort(&mut self) -> StoreResult<()> {
        self.call("taking back", "abort", None)
    }
}

fn file((path, size, modified, e_tag): Told) -> FileInfo {
    FileInfo { path, size, modified, e_tag }
}

/// What a file system raised, and at what.
#[derive(Debug)]
struct Raised {
    text: String,
    exception: PyErr,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Raised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.exception)
    }
}

/// An exception as a store's error of the kind that it is.
fn told(py: Python<'_>, exception: PyErr, name: &str, what: &str, path: &str) -> StoreError {
    let text = format!("{name}: {what} {path}: {exception}");
    let path = path.to_string();
    let kinds = [
        exception.is_instance_of::<PyFileNotFoundError>(py),
        exception.is_instance_of::<PyFileExistsError>(py),
        exception.is_instance_of::<PyPermissionError>(py),
        exception.is_instance_of::<PyNotImplementedError>(py),
    ];
    let source: Box<dyn std::error::Error + Send + Sync> = Box::new(Raised { text, exception });
    match kinds {
        [true, ..] => StoreError::NotFound { path, source },
        [_, true, ..] => StoreError::AlreadyExists { path, source },
        [_, _, true, _] => StoreError::PermissionDenied { path, source },
        [.., true] => StoreError::NotSupported { source },
        _ => StoreError::Generic { store: "filesystem", source },
    }
}
