//! Who on this node holds which object, and what its owner was told of that.
//!
//! A reference that lives is always covered: by its owner's own count, by a hold that the owner knows of, or by
//! someone who is covered and does not let go before the owner knows of the next. The table is in
//! `docs/runtime-protocol.md`.

use std::collections::BTreeMap;

use super::{Node, References};
use crate::flaw::{Flaw, planted};
use crate::ids::{ClientId, NodeId, ObjectId};
use crate::schedule::message::{Hold, NodeMessage};

/// This node's interest in an object, its own or another's.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// References that clients hold.
    clients: BTreeMap<ClientId, u32>,
    /// Tasks of this node that are handed it, objects of this node and results under way that contain it, and
    /// questions for its value.
    uses: u32,
    /// Tasks of this node that would need it to run again.
    lineage: u32,
    /// Attempts that run here and were handed it: the owner of each covers it.
    covers: u32,
    /// What the owner was told last.
    sent: Hold,
    /// How often the owner was told of a new hold and has not said that it knows.
    pub(super) unconfirmed: u32,
    /// The objects out of which a reference was taken, held until the owner knows of it.
    guards: Vec<ObjectId>,
    /// The references that are known to be within it, when another node owns it.
    inside: Vec<ObjectId>,
}

impl Interest {
    fn level(&self) -> Hold {
        if !self.clients.is_empty() || self.uses > 0 {
            Hold::Value
        } else if self.lineage > 0 {
            Hold::Lineage
        } else {
            Hold::None
        }
    }

    /// What is counted, for people.
    pub(super) fn counts(&self) -> References {
        References {
            clients: self.clients.iter().map(|(client, count)| (*client, *count)).collect(),
            uses: self.uses,
            lineage: self.lineage,
            runs: self.covers,
            borrowers: Vec::new(),
        }
    }

    fn is_over(&self) -> bool {
        self.level() == Hold::None && self.covers == 0 && self.unconfirmed == 0 && self.sent == Hold::None
    }
}

/// What is counted besides the references of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Use,
    Lineage,
    Cover,
}

impl Node {
    pub(super) fn add_ref(&mut self, client: ClientId, object: ObjectId) {
        *self.interests.entry(object).or_default().clients.entry(client).or_default() += 1;
        self.settle(object);
    }

    pub(super) fn drop_ref(&mut self, client: ClientId, object: ObjectId) {
        let Some(interest) = self.interests.get_mut(&object) else { return };
        if let Some(count) = interest.clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                interest.clients.remove(&client);
                self.settle(object);
            }
        }
    }

    /// Counts one more.
    pub(super) fn hold(&mut self, object: ObjectId, count: Count) {
        let interest = self.interests.entry(object).or_default();
        match count {
            Count::Use => interest.uses += 1,
            Count::Lineage => interest.lineage += 1,
            Count::Cover => interest.covers += 1,
        }
        self.settle(object);
    }

    /// Counts one less.
    pub(super) fn release(&mut self, object: ObjectId, count: Count) {
        let Some(interest) = self.interests.get_mut(&object) else { return };
        let counted = match count {
            Count::Use => &mut interest.uses,
            Count::Lineage => &mut interest.lineage,
            Count::Cover => &mut interest.covers,
        };
        *counted = counted.saturating_sub(1);
        self.settle(object);
    }

    /// Whether a client holds a reference to it.
    pub(super) fn is_held_by(&self, object: ObjectId, client: ClientId) -> bool {
        self.interests.get(&object).is_some_and(|interest| interest.clients.contains_key(&client))
    }

    /// What this node wants of an object.
    pub(super) fn level(&self, object: ObjectId) -> Hold {
        self.interests.get(&object).map_or(Hold::None, Interest::level)
    }

    pub(super) fn is_unconfirmed(&self, object: ObjectId) -> bool {
        self.interests.get(&object).is_some_and(|interest| interest.unconfirmed > 0) && !planted(Flaw::EarlyFree)
    }

    /// Does what follows from changed counts: tells the owner, or, as the owner, frees.
    pub(super) fn settle(&mut self, object: ObjectId) {
        let owner = object.owner();
        if owner == self.id {
            // What that frees may free more, and so on: by a list, for chains of objects may be long.
            self.unsettled.push(object);
        } else if !self.dead.contains(&owner) {
            self.tell_owner(object, owner);
        }
        if self.interests.get(&object).is_some_and(Interest::is_over) {
            self.forget_calls(object);
            let inside = self.interests.remove(&object).map_or_else(Vec::new, |interest| interest.inside);
            for inner in inside {
                self.forget_container(inner, object);
            }
        }
    }

    fn tell_owner(&mut self, object: ObjectId, owner: NodeId) {
        let Some(interest) = self.interests.get_mut(&object) else { return };
        let (level, sent) = (interest.level(), interest.sent);
        if level == sent {
            return;
        }
        interest.sent = level;
        if sent == Hold::None {
            interest.unconfirmed += 1;
            let containers: Vec<ObjectId> = self.containers.get(&object).into_iter().flatten().copied().collect();
            if !planted(Flaw::EarlyFree) {
                for container in containers {
                    if let Some(interest) = self.interests.get_mut(&object) {
                        interest.guards.push(container);
                    }
                    self.hold(container, Count::Use);
                }
            }
        }
        self.send(owner, NodeMessage::Borrow(object, level));
    }

    /// The owner knows of a hold that this node told it of.
    pub(super) fn borrowed(&mut self, object: ObjectId) {
        let Some(interest) = self.interests.get_mut(&object) else { return };
        interest.unconfirmed = interest.unconfirmed.saturating_sub(1);
        if interest.unconfirmed == 0 {
            self.confirmed(object);
        }
    }

    /// What waited for an object's owner to know of the hold goes on.
    pub(super) fn confirmed(&mut self, object: ObjectId) {
        let guards = self.interests.get_mut(&object).map(|interest| std::mem::take(&mut interest.guards));
        for container in guards.unwrap_or_default() {
            self.release(container, Count::Use);
        }
        self.commit_confirmed(object);
        self.report_confirmed(object);
        self.settle(object);
    }

    /// The owner of an object died: there is nobody to tell, and nobody who will answer.
    pub(super) fn orphaned(&mut self, object: ObjectId) {
        if let Some(interest) = self.interests.get_mut(&object) {
            interest.sent = Hold::None;
            interest.unconfirmed = 0;
        }
        self.confirmed(object);
    }

    pub(super) fn forget_client(&mut self, client: ClientId) {
        let held = self.interests.iter_mut().filter_map(|(object, interest)| {
            interest.clients.remove(&client)?;
            Some(*object)
        });
        for object in held.collect::<Vec<_>>() {
            self.settle(object);
        }
    }

    /// Remembers which references are within a borrowed object, for whoever takes one out.
    pub(super) fn know_contents(&mut self, object: ObjectId, contains: &[ObjectId]) {
        let Some(interest) = self.interests.get_mut(&object) else { return };
        if object.owner() != self.id && interest.inside != contains {
            let before = std::mem::replace(&mut interest.inside, contains.to_vec());
            before.into_iter().for_each(|inner| self.forget_container(inner, object));
            for inner in contains {
                self.containers.entry(*inner).or_default().insert(object);
            }
        }
    }

    fn forget_container(&mut self, inner: ObjectId, container: ObjectId) {
        if let Some(containers) = self.containers.get_mut(&inner) {
            containers.remove(&container);
            if containers.is_empty() {
                self.containers.remove(&inner);
            }
        }
    }
}
