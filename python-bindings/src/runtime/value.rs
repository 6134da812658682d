//! Values between Python and the runtime: a pickle and its buffers, without a copy where they lie in shared memory.

use std::ffi::c_int;
use std::ops::Range;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use sheaf::core::client::{Reply, Value, parts_of};
use sheaf::core::wire::Reason;

/// What stands before a value that Python is given, and says what it is.
mod status {
    pub(super) const VALUE: u8 = 0;
    pub(super) const RAISED: u8 = 1;
    pub(super) const CRASHED: u8 = 2;
    pub(super) const ACTOR_DIED: u8 = 3;
    pub(super) const CANCELLED: u8 = 4;
    pub(super) const LOST: u8 = 5;
    pub(super) const STORE_FULL: u8 = 6;
    pub(super) const DISK_FULL: u8 = 7;
    pub(super) const ENDED: u8 = 8;
    pub(super) const SETUP: u8 = 9;
    pub(super) const TASK_UNSCHEDULABLE: u8 = 10;
    pub(super) const ACTOR_UNSCHEDULABLE: u8 = 11;
    pub(super) const NOT_MADE: u8 = 12;
    pub(super) const GROUP_REMOVED: u8 = 13;
    pub(super) const ACTOR_UNAVAILABLE: u8 = 14;
}

/// Part of a value's memory, which nobody can write to.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct Memory {
    value: Value,
    range: Range<usize>,
}

#[pymethods]
impl Memory {
    #[expect(unsafe_code, reason = "Python's buffer protocol is unsafe")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        let memory = slf.get();
        let bytes = &memory.value.bytes()[memory.range.clone()];
        // SAFETY: the bytes live as long as the object, to which the view holds a reference, and are read only.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), bytes.as_ptr().cast_mut().cast(), bytes.len() as isize, 1, flags)
        };
        if filled == -1 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }

    fn __len__(&self) -> usize {
        self.range.len()
    }
}

/// What Python gets for a value: its status, the pickle, and the buffers.
pub(super) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyTuple>> {
    let parts = parts_of(value.bytes()).ok_or_else(|| PyValueError::new_err("an object is not whole"))?;
    let memory = |range: Range<usize>| Bound::new(py, Memory { value: value.clone(), range }).map(Bound::into_any);
    let mut parts = parts.into_iter();
    let pickle = parts.next().unwrap_or(0..0);
    let pickle = match value {
        Value::Inline(bytes) => PyBytes::new(py, &bytes[pickle]).into_any(),
        Value::Shared(_) => memory(pickle)?,
    };
    let buffers = PyList::empty(py);
    for part in parts {
        buffers.append(memory(part)?)?;
    }
    tuple(py, status::VALUE, pickle, buffers)
}

fn tuple<'py>(
    py: Python<'py>,
    status: u8,
    data: Bound<'py, PyAny>,
    buffers: Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, [status.into_pyobject(py)?.into_any(), data, buffers.into_any()])
}

/// What Python gets for an answer.
pub(super) fn reply_to_python<'py>(py: Python<'py>, reply: Reply) -> PyResult<Bound<'py, PyTuple>> {
    let text = |status: u8, text: &str| tuple(py, status, PyString::new(py, text).into_any(), PyList::empty(py));
    match reply {
        Reply::Value(value) => to_python(py, &value),
        Reply::Failed(Reason::Raised(error)) => {
            tuple(py, status::RAISED, PyBytes::new(py, &error).into_any(), PyList::empty(py))
        }
        Reply::Failed(Reason::Crashed(why)) => text(status::CRASHED, &why),
        Reply::Failed(Reason::ActorDied(why)) => text(status::ACTOR_DIED, &why),
        Reply::Failed(Reason::ActorUnavailable(why)) => text(status::ACTOR_UNAVAILABLE, &why),
        Reply::Failed(Reason::Setup(why)) => text(status::SETUP, &why),
        Reply::Failed(Reason::Unschedulable(false, why)) => text(status::TASK_UNSCHEDULABLE, &why),
        Reply::Failed(Reason::Unschedulable(true, why)) => text(status::ACTOR_UNSCHEDULABLE, &why),
        Reply::Failed(Reason::NotMade(why)) => {
            let why = reply_to_python(py, Reply::Failed(*why))?;
            tuple(py, status::NOT_MADE, why.into_any(), PyList::empty(py))
        }
        Reply::Failed(Reason::Cancelled) => text(status::CANCELLED, "the task was cancelled"),
        Reply::Failed(Reason::GroupRemoved(why)) => text(status::GROUP_REMOVED, &why),
        Reply::Failed(Reason::Lost(why)) => text(status::LOST, &format!("the object is lost: {why}")),
        Reply::Failed(Reason::NoRoom(why)) => text(status::STORE_FULL, &why),
        Reply::Refused(why, false) => text(status::STORE_FULL, &why),
        Reply::Refused(why, true) => text(status::DISK_FULL, &why),
        Reply::Ready | Reply::Other(_) | Reply::Ended => {
            text(status::ENDED, "the runtime has ended: this process has no node any more; call init again")
        }
    }
}

/// A value that Python gives: the pickle and its buffers.
pub(super) struct Parts {
    data: Vec<u8>,
    buffers: Vec<PyBuffer<u8>>,
}

impl Parts {
    pub(super) fn new(data: &Bound<'_, PyBytes>, buffers: &[Bound<'_, PyAny>]) -> PyResult<Self> {
        let mut taken = Vec::with_capacity(buffers.len());
        for buffer in buffers {
            let buffer = PyBuffer::get(buffer)?;
            if !buffer.is_c_contiguous() {
                return Err(PyBufferError::new_err("a buffer is not contiguous"));
            }
            taken.push(buffer);
        }
        Ok(Self { data: data.as_bytes().to_vec(), buffers: taken })
    }

    /// All of it, for as long as this lives.
    #[expect(unsafe_code, reason = "the memory of Python's buffers is borrowed")]
    pub(super) fn slices(&self) -> Vec<&[u8]> {
        let buffer = |buffer: &PyBuffer<u8>| match buffer.len_bytes() {
            0 => &[][..],
            // SAFETY: the buffer is held, contiguous and that long. Whoever writes to it meanwhile gets a value that
            // is partly the old one, as with every copy.
            length => unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>().cast_const(), length) },
        };
        std::iter::once(&self.data[..]).chain(self.buffers.iter().map(buffer)).collect()
    }
}
