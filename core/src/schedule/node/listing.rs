//! The tasks, actors and references that a node knows, as people ask for them. Nothing here changes anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Node;
use super::tasks::State;
use crate::ids::{Attempt, ClientId, NodeId, ObjectId, TaskId};
use crate::schedule::message::{Failure, Hold};
use crate::schedule::spec::TaskSpec;

/// A task of this node's, for people.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// What was asked for.
    pub spec: Arc<TaskSpec>,
    /// Where it is on its way, as [`Node::tasks_by_state`] names that.
    pub state: &'static str,
    /// The number of its last attempt.
    pub attempt: u32,
    /// Where that runs.
    pub node: Option<NodeId>,
}

/// An actor of this node's, for people.
#[derive(Debug, Clone)]
pub struct ActorRow {
    /// Its handle.
    pub id: ObjectId,
    /// The task that makes it, unless the actor is over.
    pub spec: Option<Arc<TaskSpec>>,
    /// Its name in the head's table, if it has one.
    pub name: Option<Arc<str>>,
    /// Whether it lives without a handle.
    pub is_detached: bool,
    /// `alive`, `pending`, `restarting` or `dead`.
    pub state: &'static str,
    /// Where it lives.
    pub node: Option<NodeId>,
    /// How often it was begun.
    pub lives: u32,
    /// Why it is over.
    pub failure: Option<Failure>,
}

/// What keeps an object, as far as a node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// References of this node's clients.
    pub clients: Vec<(ClientId, u32)>,
    /// Tasks of this node that wait with it, and objects that contain it.
    pub uses: u32,
    /// Tasks that ended and would need it to run again.
    pub lineage: u32,
    /// Attempts here that were handed it.
    pub runs: u32,
    /// Other nodes that hold it, if this one owns it.
    pub borrowers: Vec<(NodeId, Hold)>,
}

impl State {
    /// Its name, as users read it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Queued => "queued",
            Self::Running(_) | Self::Called => "running",
            Self::Done => "ended",
        }
    }
}

impl Node {
    /// How many of this node's tasks are wanted, and the first of them, at most so many: what runs comes first, then
    /// what is nearest to it.
    pub fn list_tasks(&self, most: usize, mut is_wanted: impl FnMut(&TaskSpec, &str) -> bool) -> (usize, Vec<TaskRow>) {
        const ORDER: [&str; 4] = ["running", "queued", "waiting", "ended"];
        let (mut total, mut found) = (0, BTreeMap::<usize, Vec<TaskId>>::new());
        for (id, task) in &self.tasks {
            let state = task.state.name();
            if is_wanted(&task.spec, state) {
                total += 1;
                let place = ORDER.iter().position(|name| *name == state).unwrap_or(ORDER.len());
                let ids = found.entry(place).or_default();
                if ids.len() < most {
                    ids.push(*id);
                }
            }
        }
        let rows = found.into_values().flatten().take(most).filter_map(|id| self.task_row(id)).collect();
        (total, rows)
    }

    fn task_row(&self, id: TaskId) -> Option<TaskRow> {
        let task = self.tasks.get(&id)?;
        let node = match &task.state {
            State::Running(lease) => self.leases.get(lease).map(|lease| lease.node),
            State::Called => task.spec.call().and_then(|(actor, _)| self.called_on(actor, id)),
            _ => None,
        };
        Some(TaskRow { spec: Arc::clone(&task.spec), state: task.state.name(), attempt: task.attempt, node })
    }

    /// The actors of this node's, those that are over and still have handles too.
    pub fn list_actors(&self) -> impl Iterator<Item = ActorRow> {
        self.actors.iter().map(|(id, actor)| {
            let task = self.tasks.get(&id.task);
            let lives = task.map_or(0, |task| task.attempt);
            let (state, node, failure) = match &actor.place {
                Ok(Some((node, _))) => ("alive", Some(*node), None),
                Ok(None) if lives > 1 => ("restarting", None, None),
                Ok(None) => ("pending", None, None),
                Err(failure) => ("dead", None, Some(failure.clone())),
            };
            let (name, is_detached) = self.names.of(*id);
            ActorRow {
                id: *id,
                spec: task.map(|task| Arc::clone(&task.spec)),
                name,
                is_detached,
                state,
                node,
                lives,
                failure,
            }
        })
    }

    /// The calls of this node to each actor that have not ended.
    pub fn open_calls(&self) -> impl Iterator<Item = (ObjectId, usize)> {
        self.calls.iter().map(|(actor, calls)| (*actor, calls.open())).filter(|(_, count)| *count > 0)
    }

    /// What keeps an object, as far as this node knows.
    #[must_use]
    pub fn references_to(&self, object: ObjectId) -> References {
        let held = self.interests.get(&object).map(super::Interest::counts).unwrap_or_default();
        let owned = self.owned.get(&object);
        let borrowers = owned.into_iter().flat_map(|owned| owned.holders.iter().map(|(node, hold)| (*node, *hold)));
        References { borrowers: borrowers.collect(), ..held }
    }

    /// What is to be run by an attempt that runs here.
    #[must_use]
    pub fn spec_of_run(&self, attempt: Attempt) -> Option<&TaskSpec> {
        self.runs.get(&attempt).map(super::Run::spec)
    }
}
