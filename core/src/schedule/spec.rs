//! What a task is: what it is for, what it asks for, and what it is handed.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::as_bytes;
use crate::ids::{ClientId, ObjectId, TaskId};
use crate::placement::Strategy;
use crate::resources::Resources;

/// What a task asks for: tasks of one shape take each other's places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Shape {
    /// Held while the task runs.
    pub demand: Resources,
    /// Where it may run.
    pub strategy: Strategy,
    /// It fails where no node could ever run it, and does not wait for one.
    pub fail_if_unschedulable: bool,
}

/// What a task is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// A call of a function.
    #[default]
    Function,
    /// It makes an actor, whose handle is its one result. It runs again, at most `max_retries` times, when the actor
    /// dies.
    Actor {
        /// What the actor holds for as long as it lives; what the task itself asks for is for placing it.
        held: Resources,
        /// How many calls it runs at once.
        concurrency: u32,
    },
    /// A call of an actor.
    Call {
        /// The actor's handle.
        actor: ObjectId,
        /// The client that calls: its calls run in the order in which it submitted them.
        caller: ClientId,
    },
    /// A part of a plan: the node runs it itself, or one of its workers does ([`crate::fragment`]).
    Fragment {
        /// Objects of which it reads parts, wherever they are: it waits for them, and they are not brought to it.
        reads: Vec<ObjectId>,
        /// Whether a result that was lost may be made again: another attempt makes the same of the same input. If not,
        /// it is tried again only until one attempt has ended well.
        is_repeatable: bool,
        /// Whether a worker runs it: it has functions of the user's.
        in_worker: bool,
        /// Those of a client that need the same first and have the same number do alike work: one that takes far longer
        /// than the others gets a second attempt beside its first. `None` where two must not run at once.
        siblings: Option<u32>,
        /// Whether it begins before what it reads is there, and asks for each of that when it comes to it. Such a task asks
        /// for no resources: what makes that may need them.
        begins_early: bool,
    },
}

/// A task as its owner keeps it until nothing can be asked of it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its name.
    pub id: TaskId,
    /// What it is for.
    pub kind: Kind,
    /// What it asks for; calls of actors ask for nothing.
    pub shape: Arc<Shape>,
    /// Objects whose values it is called with: it waits for them.
    pub needs: Vec<ObjectId>,
    /// Objects that it is handed as references.
    pub refs: Vec<ObjectId>,
    /// How many results it has.
    pub returns: u32,
    /// It makes more results while it runs, one after the other: they come after the first ones.
    pub streams: bool,
    /// How often it may run again after a worker or node died, or to make a lost result anew.
    pub max_retries: u32,
    /// What all calls with the same options share, for the worker.
    #[serde(with = "as_bytes")]
    pub common: Bytes,
    /// The function and its other arguments, for the worker.
    #[serde(with = "as_bytes")]
    pub payload: Bytes,
}

impl TaskSpec {
    /// All that it is handed, as a value, as a reference, or to read parts of.
    pub fn handed(&self) -> impl Iterator<Item = ObjectId> {
        self.needs.iter().chain(&self.refs).chain(self.reads()).copied()
    }

    /// All that it waits for, where it does not begin early.
    pub fn awaited(&self) -> impl Iterator<Item = ObjectId> {
        self.needs.iter().chain(self.reads()).copied()
    }

    /// The objects of which it reads parts.
    #[must_use]
    pub fn reads(&self) -> &[ObjectId] {
        match &self.kind {
            Kind::Fragment { reads, .. } => reads,
            _ => &[],
        }
    }

    /// Whether it begins before what it reads is there.
    #[must_use]
    pub fn begins_early(&self) -> bool {
        matches!(self.kind, Kind::Fragment { begins_early: true, .. })
    }

    /// Whether a result that was lost may be made again by another attempt.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        // A call changed its actor: it is not made again for a lost result.
        !matches!(self.kind, Kind::Call { .. } | Kind::Fragment { is_repeatable: false, .. })
    }

    /// The number that it has in common with those that do alike work, of which two attempts may run at once.
    #[must_use]
    pub fn siblings(&self) -> Option<u32> {
        match self.kind {
            Kind::Fragment { siblings, is_repeatable: true, begins_early: false, .. } if !self.streams => siblings,
            _ => None,
        }
    }

    /// The actor that it calls, and the client that does.
    #[must_use]
    pub fn call(&self) -> Option<(ObjectId, ClientId)> {
        match self.kind {
            Kind::Call { actor, caller } => Some((actor, caller)),
            Kind::Function | Kind::Actor { .. } | Kind::Fragment { .. } => None,
        }
    }
}
