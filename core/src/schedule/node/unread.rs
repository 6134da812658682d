//! Attempts that could not read what they read: their task begins anew once that is somewhere again.

use std::collections::BTreeSet;

use super::Node;
use super::tasks::Task;
use crate::flaw::{Flaw, planted};
use crate::ids::{ObjectId, TaskId};
use crate::schedule::message::{Failure, NodeMessage, Outcome};

/// How often a task begins anew because what it reads was lost meanwhile. Each time a copy less is there, and what has
/// none is made again at the cost of its own retries: this bounds what is left, nodes that others cannot reach.
const MOST_UNREAD: u32 = 100;

/// What the attempts of a task could not read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    times: u32,
    /// What was missed, where the next attempt would not wait for it otherwise.
    objects: BTreeSet<ObjectId>,
}

impl Task {
    /// What it begins with, or reads and does not ask for by itself. One that begins early waits only for what an attempt
    /// before could not read: if that is never made, it fails of that.
    pub(super) fn waits_for(&self) -> BTreeSet<ObjectId> {
        let needs = self.spec.needs.iter();
        if self.spec.begins_early() {
            return needs.chain(&self.unread.objects).copied().collect();
        }
        let reads = if planted(Flaw::EarlyFragment) { &[] } else { self.spec.reads() };
        needs.chain(reads).copied().collect()
    }
}

impl Node {
    /// Whether a task that could not read something may begin anew, which counts.
    pub(super) fn may_read_again(&mut self, id: TaskId, missed: ObjectId) -> bool {
        let may = |task: &&mut Task| !task.is_unwanted && task.unread.times < MOST_UNREAD;
        let Some(task) = self.tasks.get_mut(&id).filter(may) else { return false };
        task.unread.times += 1;
        if task.spec.begins_early() && task.spec.reads().contains(&missed) {
            task.unread.objects.insert(missed);
        }
        true
    }

    /// Tells the owner of what an attempt could not read.
    pub(super) fn tell_unread(&mut self, outcome: &Outcome) {
        if let Outcome::Failed(Failure::Unread(object, from, _)) = outcome
            && !planted(Flaw::UnreadCopy)
        {
            self.send(object.owner(), NodeMessage::CopyLost(*object, *from));
        }
    }
}
