//! Why something waits, told to people.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Node;
use super::objects::Value;
use super::tasks::State;
use crate::ids::{ObjectId, TaskId};
use crate::resources::Resources;
use crate::schedule::message::About;
use crate::schedule::spec::{Shape, TaskSpec};

/// Objects that are named at the most.
const NAMED: usize = 5;

impl Node {
    /// What this node knows of an object of its own, and of the task that makes it, if that is there.
    pub(super) fn about(&self, object: ObjectId) -> About {
        let text = self.explain_object(object);
        let Some(task) = self.tasks.get(&object.task) else { return About { text, ..About::default() } };
        let actor = task.spec.call().map(|(actor, _)| actor);
        let waits = match actor {
            Some(actor) => self.tasks.get(&actor.task),
            None => Some(task),
        };
        let lacks =
            waits.is_some_and(|task| task.state == State::Queued && self.unplaceable.contains_key(&task.spec.shape));
        About { text, is_call: actor.is_some(), lacks_a_node: lacks.then_some(actor.is_some()) }
    }

    /// Whether an object of this node's is ready, and what it waits for if it is not.
    fn explain_object(&self, object: ObjectId) -> String {
        let Some(owned) = self.owned.get(&object) else { return format!("{object} is freed") };
        match &owned.value {
            Value::Inline(bytes) => format!("{object} is ready: {} bytes", bytes.len()),
            Value::Stored if owned.copies.is_empty() => format!("{object} is lost; it is made again when it is needed"),
            Value::Stored => format!("{object} is ready, in the store of {:?}", owned.copies),
            Value::Failed(_) => format!("{object} has an error for its value"),
            Value::Dropped => format!("nobody holds the value of {object}"),
            Value::Pending => format!("{object} is not ready: {}", self.explain_task(object.task)),
        }
    }

    /// How many of this node's tasks are in each state; of those that ended, those that are kept to run again.
    #[must_use]
    pub fn tasks_by_state(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::from(["waiting", "queued", "running", "ended"].map(|state| (state, 0)));
        for task in self.tasks.values() {
            *counts.entry(task.state.name()).or_default() += 1;
        }
        counts
    }

    /// All resources of this node.
    #[must_use]
    pub fn total(&self) -> &Resources {
        self.ledger.total()
    }

    /// How many actors live on this node.
    #[must_use]
    pub fn actors_here(&self) -> usize {
        self.residents.len()
    }

    /// Shapes for which tasks of this node wait though no node has them, and what is missing.
    pub fn unplaceable(&self) -> impl Iterator<Item = (&Arc<Shape>, &Resources)> {
        self.unplaceable.iter()
    }

    /// What of a shape no node has, if that is so.
    #[must_use]
    pub fn lacks(&self, shape: &Shape) -> Option<&Resources> {
        self.unplaceable.get(shape)
    }

    /// The tasks that wait for resources of a shape, in their order.
    pub fn waiting(&self, shape: &Shape) -> impl Iterator<Item = &TaskSpec> {
        let queue = self.backlogs.get(shape).into_iter().flat_map(|backlog| backlog.queue.iter());
        queue.filter_map(|attempt| Some(&*self.tasks.get(&attempt.task)?.spec))
    }

    /// What a task of this node's waits for, or where it is.
    #[must_use]
    pub fn explain_task(&self, id: TaskId) -> String {
        let Some(task) = self.tasks.get(&id) else { return format!("{id} is over") };
        match &task.state {
            State::Waiting(missing) => {
                let named: Vec<String> = missing.iter().take(NAMED).map(ToString::to_string).collect();
                let more = missing.len().saturating_sub(NAMED);
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{id} waits for {}{rest}", named.join(", "))
            }
            State::Queued => match task.spec.call() {
                Some((actor, _)) if self.tasks.get(&actor.task).is_some_and(|maker| maker.state != State::Done) => {
                    format!("{id} waits for its actor: {}", self.explain_task(actor.task))
                }
                Some((actor, _)) => format!("{id} waits until the actor {actor} lives, or for calls before it"),
                None => self.explain_queued(id, &task.spec.shape),
            },
            State::Running(_) => format!("{id} runs, attempt {}", task.attempt),
            State::Called => format!("{id} was sent to its actor, attempt {}", task.attempt),
            State::Done => format!("{id} ended"),
        }
    }

    fn explain_queued(&self, id: TaskId, shape: &Shape) -> String {
        let demand = &shape.demand;
        if let Some(group) = shape.strategy.group() {
            let which = shape.strategy.bundles().map(|bundles| bundles.into_inner());
            let which = match which {
                Some((first, last)) if first == last => first.to_string(),
                _ => format!("a bundle of {group}"),
            };
            return format!("{id} waits for room for {demand} in {which}");
        }
        match self.unplaceable.get(shape) {
            Some(missing) if missing.is_empty() => {
                format!("{id} waits for {demand}: its scheduling strategy allows none of the nodes that are there")
            }
            Some(missing) => format!("{id} waits for {demand}: no node has {missing}"),
            None => format!("{id} waits for {demand}; free on {} are {}", self.id, self.ledger.free()),
        }
    }
}
