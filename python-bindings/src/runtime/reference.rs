//! References to objects, counted: each that Python holds is one that the node knows of.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};
use sheaf::core::ids::{NodeId, ObjectId, TaskId};

use super::Connection;
use super::IntoRuntimeResult;
use super::client::connection;

thread_local! {
    /// References that are pickled on this thread, for whoever wants to know; recordings nest.
    static RECORDINGS: RefCell<Vec<Vec<Py<ObjectRef>>>> = const { RefCell::new(Vec::new()) };
}

/// A reference to an object that is there, or will be: ``remote`` and ``put`` return them, and ``get`` has the value.
///
/// References are counted wherever they are: in variables, in other objects, as arguments of tasks. When the last one
/// is gone the object is freed.
///
/// >>> import sheaf
/// >>> ref = sheaf.put([1, 2])
/// >>> sheaf.get(ref)
/// [1, 2]
#[pyclass(module = "sheaf", frozen, weakref, subclass, from_py_object)]
pub(crate) struct ObjectRef {
    id: ObjectId,
    /// `None` for those that have their values themselves, where tasks run inline.
    client: Option<Connection>,
}

impl Clone for ObjectRef {
    fn clone(&self) -> Self {
        // The node is told of each; where it is gone there is nothing to count.
        let _ = self.client.as_ref().map(|client| client.add_ref(self.id));
        Self { id: self.id, client: self.client.clone() }
    }
}

impl ObjectRef {
    /// A reference that the node counts already.
    pub(super) fn counted(id: ObjectId, client: &Connection) -> Self {
        Self { id, client: Some(Connection::clone(client)) }
    }

    /// One more reference.
    pub(super) fn new(py: Python<'_>, id: ObjectId, client: &Connection) -> PyResult<Self> {
        client.add_ref(id).runtime(py)?;
        Ok(Self::counted(id, client))
    }

    pub(super) fn is_of(&self, client: &Connection) -> bool {
        self.client.as_ref().is_some_and(|own| Connection::ptr_eq(own, client))
    }

    pub(super) fn shown(&self) -> String {
        format!("ObjectRef({})", hex(&bytes_of(self.id)))
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }
}

impl Drop for ObjectRef {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.drop_ref(self.id);
        }
    }
}

pub(super) fn bytes_of(id: ObjectId) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&id.task.owner.0.to_be_bytes());
    bytes[8..16].copy_from_slice(&id.task.number.to_be_bytes());
    bytes[16..].copy_from_slice(&id.index.to_be_bytes());
    bytes
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn id_of(bytes: &[u8]) -> Option<ObjectId> {
    let (owner, rest) = bytes.split_first_chunk::<8>()?;
    let (number, index) = rest.split_first_chunk::<8>()?;
    let index = u32::from_be_bytes(index.try_into().ok()?);
    let task = TaskId { owner: NodeId(u64::from_be_bytes(*owner)), number: u64::from_be_bytes(*number) };
    Some(ObjectId { task, index })
}

#[pymethods]
impl ObjectRef {
    /// Of a subclass: one that no node counts.
    #[new]
    #[classmethod]
    fn uncounted(class: &Bound<'_, PyType>, bytes: &[u8]) -> PyResult<Self> {
        if class.is(class.py().get_type::<Self>()) {
            return Err(PyTypeError::new_err("references are made by remote() and put(), and by nothing else"));
        }
        Ok(Self { id: id_from(bytes)?, client: None })
    }

    /// The object's name, as hexadecimal digits.
    ///
    /// >>> import sheaf
    /// >>> len(sheaf.put(1).hex())
    /// 40
    fn hex(&self) -> String {
        hex(&bytes_of(self.id))
    }

    /// The object's name, as bytes.
    ///
    /// >>> import sheaf
    /// >>> ref = sheaf.put(1)
    /// >>> ref.binary().hex() == ref.hex()
    /// True
    fn binary<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &bytes_of(self.id))
    }

    /// The name of the task that makes the object, as hexadecimal digits.
    ///
    /// >>> import sheaf
    /// >>> ref = sheaf.remote(pow).remote(2, 3)
    /// >>> ref.hex().startswith(ref.task_id())
    /// True
    fn task_id(&self) -> String {
        hex(&bytes_of(self.id)[..16])
    }

    /// The same as a future of ``concurrent.futures``, for code that waits on those.
    ///
    /// >>> import sheaf
    /// >>> sheaf.remote(pow).remote(2, 3).future().result(timeout=30)
    /// 8
    fn future<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import(intern!(slf.py(), "sheaf._runtime.futures"))?
            .call_method1(intern!(slf.py(), "future_of"), (slf,))
    }

    fn __await__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let waiting =
            py.import(intern!(py, "sheaf._runtime.futures"))?.call_method1(intern!(py, "awaitable"), (slf,))?;
        waiting.call_method0(intern!(py, "__await__"))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().id == self.id)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.id.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        self.shown()
    }

    fn __reduce__<'py>(slf: Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let bytes = slf.get().binary(py);
        let restore = py.get_type::<Self>().getattr(intern!(py, "_restore"))?;
        RECORDINGS.with_borrow_mut(|recordings| match recordings.last_mut() {
            Some(recording) => recording.push(slf.unbind()),
            // Pickled by the user's own hand: nobody can know how long the bytes are kept, so the object is kept as
            // long as this process has its connection.
            None => std::mem::forget(slf.get().clone()),
        });
        Ok((restore, PyTuple::new(py, [bytes])?))
    }

    /// The reference that was pickled, with the connection of this process.
    #[staticmethod]
    fn _restore(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        Self::new(py, id_from(bytes)?, &connection(py)?)
    }
}

fn id_from(bytes: &[u8]) -> PyResult<ObjectId> {
    id_of(bytes).ok_or_else(|| PyValueError::new_err("these bytes are no reference to an object"))
}

/// From now on references that are pickled on this thread are noted.
#[pyfunction]
pub(crate) fn start_recording() {
    RECORDINGS.with_borrow_mut(|recordings| recordings.push(Vec::new()));
}

/// Ends the last recording: the references that were pickled meanwhile.
#[pyfunction]
pub(crate) fn stop_recording() -> Vec<Py<ObjectRef>> {
    RECORDINGS.with_borrow_mut(|recordings| recordings.pop().unwrap_or_default())
}
