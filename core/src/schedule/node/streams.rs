//! Tasks whose results come one by one while they run.
//!
//! A result belongs to the task as the others do, and is held by the client that submitted it, as long as that holds
//! the first one: it stands for the stream.

use std::collections::BTreeSet;

use super::references::Count;
use super::tasks::State;
use super::{Action, Node};
use crate::ids::{Attempt, NodeId, ObjectId, TaskId};
use crate::schedule::message::{Failure, Lost, Made, NodeMessage, Returned};

// Where it runs.
impl Node {
    /// A worker made the next result of what it runs.
    pub(super) fn yielded(&mut self, attempt: Attempt, index: u32, item: Returned) {
        let object = attempt.task.result(index);
        let is_stored = matches!(item.made, Made::Stored { .. });
        let Some(run) = self.runs.get_mut(&attempt).filter(|run| run.is_running()) else {
            if is_stored && !self.stored.contains(&object) {
                self.actions.push(Action::Drop(object));
            }
            return;
        };
        run.contains.extend(&item.contains);
        if is_stored && self.stored.insert(object) {
            run.made.push(object);
        }
        item.contains.iter().for_each(|inner| self.hold(*inner, Count::Use));
        self.send(attempt.task.owner, NodeMessage::Yielded(attempt, index, item));
    }
}

// At the owner.
impl Node {
    /// A result came from `node`.
    pub(super) fn item(&mut self, node: NodeId, attempt: Attempt, index: u32, item: Returned) {
        let object = attempt.task.result(index);
        let Some(task) = self.tasks.get_mut(&attempt.task) else { return };
        let is_wanted = task.attempt == attempt.number && matches!(task.state, State::Running(_) | State::Called);
        if !is_wanted || index < task.spec.returns {
            // Its node hears that the attempt is not kept, and drops what it made.
            return;
        }
        let client = task.order.0;
        let is_new = index >= task.spec.returns + task.items;
        if is_new {
            task.items = index + 1 - task.spec.returns;
        }
        if is_new && self.is_held_by(attempt.task.result(0), client) {
            if let Some(task) = self.tasks.get_mut(&attempt.task) {
                task.results += 1;
                task.within_items.extend(&item.contains);
            }
            self.owned.insert(object, super::Owned::default());
            self.add_ref(client, object);
            self.set_value(object, node, item);
            self.actions.push(Action::Item(client, object));
        } else if self.is_pending(object) {
            if let Some(task) = self.tasks.get_mut(&attempt.task) {
                task.within_items.extend(&item.contains);
            }
            self.set_value(object, node, item);
        } else if matches!(item.made, Made::Stored { .. }) {
            // One more copy, or nobody wants it.
            self.copied(node, object);
        }
    }

    /// The references in results that came, as far as their owners may not know of them.
    pub(super) fn within_items(&mut self, id: TaskId) -> BTreeSet<ObjectId> {
        self.tasks
            .get_mut(&id)
            .map(|task| std::mem::take(&mut task.within_items))
            .unwrap_or_default()
            .into_iter()
            .collect()
    }

    /// Results that came once and did not come again, though the task has ended once more.
    pub(super) fn fail_missing_items(&mut self, id: TaskId) {
        let results = self.tasks.get(&id).filter(|task| task.items > 0).map(super::Task::all_results);
        for object in results.into_iter().flatten() {
            if self.is_pending(object) {
                self.set_failed(object, Failure::Lost(Lost::NoLineage));
            }
        }
    }
}
