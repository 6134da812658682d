//! The results of a task that come one by one while it runs.

use std::time::Duration;

use pyo3::prelude::*;
use sheaf::core::client::Item;
use sheaf::core::ids::TaskId;
use sheaf::core::wire::Wish;

use super::client::SLICE;
use super::reference::ObjectRef;
use super::{Connection, IntoRuntimeResult};

/// Results as they come; what nobody takes is let go of with it.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct ItemStream {
    pub(super) client: Connection,
    /// The task's own result, which keeps the stream going.
    pub(super) first: Py<ObjectRef>,
    pub(super) task: TaskId,
}

impl Drop for ItemStream {
    fn drop(&mut self) {
        self.client.close_stream(self.task);
    }
}

#[pymethods]
impl ItemStream {
    /// The task's own result: how many there were, or what it raised.
    #[getter]
    fn first(&self, py: Python<'_>) -> Py<ObjectRef> {
        self.first.clone_ref(py)
    }

    /// Whether there is nothing more to come.
    fn is_over(&self) -> bool {
        self.client.is_stream_over(self.task)
    }

    /// The next result, waiting for it; `None` when there are no more.
    fn next(&self, py: Python<'_>) -> PyResult<Option<ObjectRef>> {
        let taken = |object| Some(ObjectRef::counted(object, &self.client));
        match self.client.next_item(self.task, Duration::ZERO) {
            Item::Next(object) => return Ok(taken(object)),
            Item::End => return Ok(None),
            Item::Later => {}
        }
        // The node is told that the work stands still here, as in `get`.
        let _waiting = self.client.ask(&[self.task.result(0)], Wish::Here, true).runtime(py)?;
        loop {
            match py.detach(|| self.client.next_item(self.task, SLICE)) {
                Item::Next(object) => return Ok(taken(object)),
                Item::End => return Ok(None),
                Item::Later => py.check_signals()?,
            }
        }
    }
}
