//! The objects that this node owns: where their values are, who holds them, and when they are freed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::references::Count;
use super::{Action, Node};
use crate::ids::{ClientId, NodeId, ObjectId};
use crate::schedule::message::{Failure, Hold, Known, Lost, Made, NodeMessage, Returned};

/// An object of this node's.
#[derive(Debug, Default)]
pub(super) struct Owned {
    pub(super) value: Value,
    pub(super) contains: Vec<ObjectId>,
    /// Nodes that have the value in their stores.
    pub(super) copies: BTreeSet<NodeId>,
    /// Other nodes, and what they hold of it.
    pub(super) holders: BTreeMap<NodeId, Hold>,
    /// Its task has ended and is not kept, for it may not run again, and why.
    pub(super) is_final: Option<Lost>,
    /// Nodes that asked where it is.
    pub(super) waiters: BTreeSet<NodeId>,
}

/// What there is of an object's value.
#[derive(Debug, Default)]
pub(super) enum Value {
    /// Its task has not ended.
    #[default]
    Pending,
    Inline(Bytes),
    /// In the stores of `copies`; lost when there are none.
    Stored,
    Failed(Failure),
    /// Freed; the object is there for its lineage alone.
    Dropped,
}

impl Owned {
    fn is_lost(&self) -> bool {
        matches!(self.value, Value::Dropped) || (matches!(self.value, Value::Stored) && self.copies.is_empty())
    }
}

impl Node {
    pub(super) fn put(&mut self, client: ClientId, object: ObjectId, value: Returned) {
        self.owned.insert(object, Owned::default());
        if matches!(value.made, Made::Stored { .. }) {
            self.stored.insert(object);
        }
        self.add_ref(client, object);
        self.set_value(object, self.id, value);
    }

    /// Gives a pending object its value, as a task or a `put` made it on `node`.
    pub(super) fn set_value(&mut self, object: ObjectId, node: NodeId, value: Returned) {
        for inner in &value.contains {
            self.hold(*inner, Count::Use);
        }
        let Some(owned) = self.owned.get_mut(&object) else { return };
        owned.contains = value.contains;
        owned.value = match value.made {
            Made::Inline(bytes) => Value::Inline(bytes),
            Made::Stored { .. } => {
                owned.copies.insert(node);
                Value::Stored
            }
        };
        self.announce(object);
        self.secure(object);
        self.settle(object);
    }

    /// Gives an object that is pending, or lost, a failure for its value.
    pub(super) fn set_failed(&mut self, object: ObjectId, failure: Failure) {
        let contains = failure.contains().to_vec();
        let Some(owned) = self.owned.get_mut(&object) else { return };
        owned.value = Value::Failed(failure);
        let before = std::mem::replace(&mut owned.contains, contains.clone());
        contains.into_iter().for_each(|inner| self.hold(inner, Count::Use));
        before.into_iter().for_each(|inner| self.release(inner, Count::Use));
        self.announce(object);
        self.settle(object);
    }

    fn announce(&mut self, object: ObjectId) {
        let (Some(known), Some(owned)) = (self.known(object), self.owned.get_mut(&object)) else { return };
        for waiter in std::mem::take(&mut owned.waiters) {
            self.send(waiter, NodeMessage::Located(object, known.clone()));
        }
    }

    /// What there is to say of an object of this node's, if it is ready.
    pub(super) fn known(&self, object: ObjectId) -> Option<Known> {
        let Some(owned) = self.owned.get(&object) else {
            return Some(Known::Failed(Failure::Lost(Lost::Freed)));
        };
        match &owned.value {
            Value::Inline(bytes) => Some(Known::Inline(bytes.clone(), owned.contains.clone())),
            Value::Stored if !owned.copies.is_empty() => {
                Some(Known::Stored(owned.copies.iter().copied().collect(), owned.contains.clone()))
            }
            Value::Failed(failure) => Some(Known::Failed(failure.clone())),
            Value::Pending | Value::Stored | Value::Dropped => None,
        }
    }

    /// Where an object of this node's is.
    pub fn copies(&self, object: ObjectId) -> Vec<NodeId> {
        self.owned.get(&object).map(|owned| owned.copies.iter().copied().collect()).unwrap_or_default()
    }

    /// `from` asks where an object is: it is told now or when the object is ready; a lost one is made again.
    pub(super) fn locate(&mut self, from: NodeId, object: ObjectId) {
        if let Some(known) = self.known(object) {
            return self.send(from, NodeMessage::Located(object, known));
        }
        let Some(owned) = self.owned.get_mut(&object) else { return };
        owned.waiters.insert(from);
        if owned.is_lost() {
            self.rebuild(object);
        }
    }

    /// Whether an object of this node's has no value any more that someone holds.
    pub(super) fn is_missed(&self, object: ObjectId) -> bool {
        self.owned.get(&object).is_some_and(Owned::is_lost) && self.total_level(object) == Hold::Value
    }

    /// What this node and all others hold of an object of this node's.
    fn total_level(&self, object: ObjectId) -> Hold {
        let holders = self.owned.get(&object).into_iter().flat_map(|owned| owned.holders.values().copied());
        holders.fold(self.level(object), Hold::max)
    }

    pub(super) fn borrow_by(&mut self, from: NodeId, object: ObjectId, hold: Hold) {
        let Some(owned) = self.owned.get_mut(&object) else {
            return self.send(from, NodeMessage::Borrowed(object));
        };
        let before = match hold {
            Hold::None => owned.holders.remove(&from),
            hold => owned.holders.insert(from, hold),
        };
        if before.is_none() && hold != Hold::None {
            self.send(from, NodeMessage::Borrowed(object));
        }
        self.settle(object);
    }

    pub(super) fn copied(&mut self, from: NodeId, object: ObjectId) {
        match self.owned.get_mut(&object) {
            Some(owned) if matches!(owned.value, Value::Stored) => {
                owned.copies.insert(from);
                self.secure(object);
            }
            _ => self.send(from, NodeMessage::Free(object)),
        }
    }

    pub(super) fn copy_lost(&mut self, object: ObjectId, node: NodeId) {
        if let Some(owned) = self.owned.get_mut(&object)
            && owned.copies.remove(&node)
        {
            // Should it have one all the same, nobody would ever free it.
            self.send(node, NodeMessage::Free(object));
            self.secure(object);
        }
    }

    /// The owner needs this node's copy no more.
    pub(super) fn free_copy(&mut self, object: ObjectId) {
        if self.stored.remove(&object) {
            self.actions.push(Action::Drop(object));
        }
    }

    /// Frees what nobody holds any more, and what that held; and sends the calls that are next.
    pub(super) fn settle_all(&mut self) {
        loop {
            if let Some(object) = self.unsettled.pop() {
                self.settle_owned(object);
            } else if let Some(actor) = self.unsent.pop() {
                self.send_calls(actor);
            } else {
                return;
            }
        }
    }

    /// Frees what nobody holds of an object of this node's.
    fn settle_owned(&mut self, object: ObjectId) {
        let level = self.total_level(object);
        let Some(owned) = self.owned.get_mut(&object) else { return };
        if level == Hold::Value || matches!(owned.value, Value::Pending) {
            return;
        }
        let was_there = !matches!(owned.value, Value::Dropped);
        owned.value = Value::Dropped;
        let (copies, contains) = (std::mem::take(&mut owned.copies), std::mem::take(&mut owned.contains));
        if level == Hold::None {
            self.owned.remove(&object);
        }
        if was_there {
            self.actor_is_over(object);
            for copy in copies {
                self.send(copy, NodeMessage::Free(object));
            }
            for inner in contains {
                self.release(inner, Count::Use);
            }
        }
        if level == Hold::None {
            self.result_freed(object);
        }
    }

    /// Whether the task of an object of this node's has not ended.
    pub(super) fn is_pending(&self, object: ObjectId) -> bool {
        self.owned.get(&object).is_some_and(|owned| matches!(owned.value, Value::Pending))
    }

    /// Whether a result of a task may be lost some day: it lies in the store of a node.
    pub(super) fn can_be_lost(&self, object: ObjectId) -> bool {
        self.owned.get(&object).is_some_and(|owned| matches!(owned.value, Value::Stored | Value::Dropped))
    }

    /// Results of a task that may not run again, and is not kept: why, when they are lost.
    pub(super) fn set_final(&mut self, objects: impl Iterator<Item = ObjectId>, why: Lost) {
        for object in objects {
            if let Some(owned) = self.owned.get_mut(&object) {
                owned.is_final = Some(why);
            }
        }
    }

    /// Why an object that was lost cannot be made again, when its task is not known.
    pub(super) fn why_lost(&self, object: ObjectId) -> Lost {
        self.owned.get(&object).and_then(|owned| owned.is_final).unwrap_or(Lost::NoLineage)
    }

    /// Makes objects pending whose task runs again.
    pub(super) fn await_again(&mut self, object: ObjectId) {
        let Some(owned) = self.owned.get_mut(&object) else { return };
        owned.value = Value::Pending;
        for inner in std::mem::take(&mut owned.contains) {
            self.release(inner, Count::Use);
        }
    }
}
