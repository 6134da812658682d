//! Parts of plans, which the node runs itself.

use std::sync::Arc;

use bytes::Bytes;

use super::shell::Shell;
use crate::ids::{Attempt, ObjectId};
use crate::schedule::{Event, Failure, Outcome, Place, TaskSpec};

impl Shell {
    /// Runs an attempt in this process.
    pub(super) fn start_fragment(
        &mut self,
        attempt: Attempt,
        _spec: &Arc<TaskSpec>,
        _values: Vec<(ObjectId, Option<Bytes>)>,
        _places: Vec<(ObjectId, Place)>,
    ) {
        let why = Arc::from("this node runs no parts of plans");
        self.post(Event::Ended(attempt, Outcome::Failed(Failure::Crashed(why))));
    }
}
