//! A node that leaves: what it runs ends first or begins anew elsewhere, and what lies on it alone is copied.
//!
//! The head places nothing more there and tells all others, who give their leases back, make actors anew that leave,
//! and fetch what only that node has of their objects. When nothing is left that another node needs, or its time is
//! over, the node says so and goes. What it owns itself goes with it: nobody else could count the references.

use std::collections::BTreeSet;

use super::fetches::Waiter;
use super::references::Count;
use super::{Action, Node};
use crate::env::Moment;
use crate::flaw::{Flaw, planted};
use crate::ids::{NodeId, ObjectId};
use crate::link::Link;
use crate::schedule::message::{Failure, Hold, NodeMessage, Outcome, Stop, ToHead};

/// How often a node that leaves looks whether it may, in milliseconds: it goes through all that it stores.
const LOOK_EVERY: u64 = 20;
/// How long a node whose time is over waits for objects to be copied and leases to come back, in milliseconds.
const LAST_COPIES: u64 = 10_000;
/// How long after that it waits for the head to let it go, in milliseconds.
const LAST_WORD: u64 = 30_000;

/// Which nodes leave.
#[derive(Debug, Default)]
pub(super) struct Drains {
    /// Other nodes.
    nodes: BTreeSet<NodeId>,
    own: Option<Own>,
}

/// That this node leaves.
#[derive(Debug, Default)]
struct Own {
    until: Moment,
    /// What is over its time has been ended.
    is_overdue: bool,
    /// Objects of others' that other nodes have too, or cannot have.
    kept: BTreeSet<ObjectId>,
    lost: BTreeSet<ObjectId>,
    /// Drivers here, whose objects and tasks go with this node.
    drivers: usize,
    looked_at: Moment,
    has_told: bool,
    has_left: bool,
}

/// What a node that leaves waits for, and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leaving {
    /// How long it goes on, in milliseconds, if it leaves.
    pub time: Option<u64>,
    /// Attempts that run.
    pub running: usize,
    /// Actors that begin anew elsewhere, and those that may not.
    pub actors: (usize, usize),
    /// Objects of others' that no other node is known to have.
    pub copies: usize,
    /// Objects of others' that no other node has room for, or could fetch.
    pub lost: usize,
    /// Objects and actors of this node's own that other nodes hold: they go with it.
    pub owned: usize,
    /// Drivers that belong to it.
    pub drivers: usize,
}

// At the node that leaves.
impl Node {
    /// The head wants this node to leave, within so many milliseconds; the last word counts.
    pub(super) fn drain(&mut self, millis: u64) {
        let until = self.now + millis;
        match &mut self.drains.own {
            Some(own) => own.until = until,
            None => self.drains.own = Some(Own { until, ..Own::default() }),
        }
        // What waits here is run elsewhere.
        self.dispatch_all();
    }

    /// Tells another life of the head that this node leaves, and has nothing any more that others need, if that is so.
    pub(super) fn tell_of_leaving(&mut self) {
        let Some(own) = &self.drains.own else { return };
        self.head.send(ToHead::Leaving(own.until.since(self.now)));
        if own.has_told {
            self.head.send(ToHead::Drained);
        }
    }

    /// Whether this node leaves, and takes nothing more.
    pub(super) fn is_leaving(&self) -> bool {
        self.drains.own.is_some()
    }

    /// How many drivers this node waits for, if it leaves.
    #[must_use]
    pub fn drivers_waited_for(&self) -> Option<usize> {
        self.drains.own.as_ref().map(|own| own.drivers)
    }

    /// Whether what comes now comes too late.
    pub(super) fn is_overdue(&self) -> bool {
        self.drains.own.as_ref().is_some_and(|own| own.is_overdue)
    }

    /// How many drivers there are here: the node waits for them.
    pub(super) fn wait_for_drivers(&mut self, count: usize) {
        if let Some(own) = &mut self.drains.own {
            own.drivers = count;
        }
    }

    /// An object of another node's is safe elsewhere, or (`false`) cannot be had there.
    pub(super) fn kept(&mut self, object: ObjectId, is_safe: bool) {
        if let Some(own) = &mut self.drains.own {
            let (in_this, in_other) =
                if is_safe { (&mut own.kept, &mut own.lost) } else { (&mut own.lost, &mut own.kept) };
            in_this.insert(object);
            in_other.remove(&object);
        }
    }

    /// The head lets this node go.
    pub(super) fn let_go(&mut self) {
        if self.drains.own.as_mut().is_some_and(|own| !std::mem::replace(&mut own.has_left, true)) {
            self.actions.push(Action::Leave);
        }
    }

    /// Does what can be done towards leaving.
    pub(super) fn go_on_leaving(&mut self) {
        let now = self.now;
        let Some(own) = self.drains.own.as_mut().filter(|own| now.since(own.looked_at) >= LOOK_EVERY) else { return };
        own.looked_at = now;
        let until = own.until;
        let is_late = now >= until;
        if is_late && !own.is_overdue {
            self.end_overdue();
        }
        for (actor, life) in self.residents_to_move(is_late) {
            self.end_resident(actor, life, &Failure::Drained(true, self.id));
        }
        self.settle_all();
        let is_done = self.is_drained(is_late) || now >= until + LAST_COPIES;
        let Some(own) = &mut self.drains.own else { return };
        if is_done && !std::mem::replace(&mut own.has_told, true) {
            self.head.send(ToHead::Drained);
        }
        if now >= until + LAST_COPIES + LAST_WORD {
            self.let_go();
        }
    }

    /// Ends what still runs: it begins anew elsewhere.
    fn end_overdue(&mut self) {
        if let Some(own) = &mut self.drains.own {
            own.is_overdue = true;
        }
        let runs = self.runs.iter().filter(|(_, run)| run.lease.is_some() && !run.has_ended());
        let runs: Vec<_> = runs.map(|(attempt, run)| (*attempt, run.is_running())).collect();
        for (attempt, has_begun) in runs {
            let outcome = if has_begun {
                self.actions.push(Action::Kill(attempt, Stop { force: true, recursive: true }));
                Outcome::Failed(Failure::Drained(false, self.id))
            } else {
                Outcome::NotStarted
            };
            self.end(attempt, outcome);
        }
    }

    /// The actors here that have to go now: those that may begin anew elsewhere, between two calls; else at the end.
    fn residents_to_move(&self, is_late: bool) -> Vec<(ObjectId, u32)> {
        let moves = self.residents.iter().filter(|(actor, resident)| {
            is_late || (self.is_moving(**actor) && resident.is_idle() && !self.is_reporting(**actor, resident.life))
        });
        moves.map(|(actor, resident)| (*actor, resident.life)).collect()
    }

    /// Whether an actor here begins nothing more, for it will do so elsewhere.
    pub(super) fn is_moving(&self, actor: ObjectId) -> bool {
        self.is_leaving()
            && actor.owner() != self.id
            && self.residents.get(&actor).is_some_and(|resident| resident.may_begin_anew)
    }

    fn is_drained(&self, is_late: bool) -> bool {
        let Some(own) = &self.drains.own else { return false };
        let is_lent = self.lent.values().any(|lent| lent.owner != self.id);
        // The head's word of this node's end must not overtake what it has said before.
        let is_heard = self.links.values().all(Link::is_idle);
        let has_work = !self.runs.is_empty() || !self.residents.is_empty() || is_lent || !is_heard;
        (own.drivers == 0 || is_late) && !has_work && (self.unsafe_copies() == 0 || planted(Flaw::HastyDrain))
    }

    /// Objects of others' that lie here, of which it is not known that other nodes have them.
    fn unsafe_copies(&self) -> usize {
        let is_told = |object: &ObjectId| {
            self.drains.own.as_ref().is_some_and(|own| own.kept.contains(object) || own.lost.contains(object))
        };
        let others = |object: &&ObjectId| object.owner() != self.id && !self.dead.contains(&object.owner());
        self.stored.iter().filter(others).filter(|object| !is_told(object)).count()
    }

    /// What this node would wait for, or waits for, before it leaves; and what goes with it.
    #[must_use]
    pub fn leaving(&self) -> Leaving {
        let own = self.drains.own.as_ref();
        let is_movable = |actor: &ObjectId, anew: bool| anew && actor.owner() != self.id;
        let movable =
            self.residents.iter().filter(|(actor, resident)| is_movable(actor, resident.may_begin_anew)).count();
        let is_held = |object: &&ObjectId| {
            let (_, is_detached) = self.names.of(**object);
            is_detached
                || self.owned.get(object).is_some_and(|owned| owned.holders.values().any(|hold| *hold == Hold::Value))
        };
        Leaving {
            time: own.map(|own| own.until.since(self.now)),
            running: self.runs.values().filter(|run| run.is_running() && run.lease.is_some()).count(),
            actors: (movable, self.residents.len() - movable),
            copies: self.unsafe_copies(),
            lost: own.map_or(0, |own| own.lost.len()),
            owned: self.owned.keys().filter(is_held).count(),
            drivers: own.map_or(0, |own| own.drivers),
        }
    }
}

// At all others.
impl Node {
    /// Another node leaves: what this one has of it is given back, and what it alone has of this one's is fetched.
    pub(super) fn draining(&mut self, node: NodeId) {
        if node == self.id || self.dead.contains(&node) || !self.drains.nodes.insert(node) {
            return;
        }
        self.return_idle_of(node);
        let there = self.owned.iter().filter(|(_, owned)| owned.copies.contains(&node));
        for object in there.map(|(object, _)| *object).collect::<Vec<_>>() {
            self.secure(object);
        }
    }

    /// Whether a node leaves: this one does not use its resources any more.
    pub(super) fn leaves(&self, node: NodeId) -> bool {
        if node == self.id { self.is_leaving() } else { self.drains.nodes.contains(&node) }
    }

    /// A node that left is no more.
    pub(super) fn has_gone(&mut self, node: NodeId) {
        self.drains.nodes.remove(&node);
    }

    /// The copies of an object of this node's have changed: one that only nodes have that leave is fetched, and they
    /// are told when it is safe.
    pub(super) fn secure(&mut self, object: ObjectId) {
        if self.drains.nodes.is_empty() {
            return;
        }
        let Some(owned) = self.owned.get(&object) else { return };
        let (leaving, staying): (Vec<NodeId>, Vec<NodeId>) = owned.copies.iter().partition(|node| self.leaves(**node));
        if leaving.iter().all(|node| *node == self.id) {
            return;
        }
        if !staying.is_empty() {
            self.tell_kept(object, true);
        } else if self.is_leaving() {
            // Its owner leaves too: nobody could say where it is.
            self.tell_kept(object, false);
        } else if !self.is_wanted_by(object, Waiter::Keep) {
            self.hold(object, Count::Use);
            self.want(object, Waiter::Keep, None);
        }
    }

    /// A value is here, or will never be, that was fetched for a node that leaves.
    pub(super) fn secured(&mut self, object: ObjectId, is_here: bool) {
        if !is_here {
            self.tell_kept(object, false);
        }
        self.release(object, Count::Use);
    }

    fn tell_kept(&mut self, object: ObjectId, is_safe: bool) {
        let copies = self.owned.get(&object).map(|owned| owned.copies.clone()).unwrap_or_default();
        for node in self.drains.nodes.intersection(&copies).copied().collect::<Vec<_>>() {
            self.send(node, NodeMessage::Kept(object, is_safe));
        }
    }
}

#[cfg(test)]
impl Node {
    /// Whether this node has been told to leave, and leaves before its time.
    pub(in crate::schedule) fn leaves_in_time(&self) -> bool {
        self.drains.own.as_ref().is_some_and(|own| !own.is_overdue && own.lost.is_empty())
    }

    /// Whether an object of this node's is held and has a copy on that node and no other.
    pub(in crate::schedule) fn needs_copy_on(&self, object: ObjectId, node: NodeId) -> bool {
        let is_alone = |owned: &super::Owned| owned.copies.iter().eq([&node]);
        self.owned.get(&object).is_some_and(is_alone) && self.level(object) == Hold::Value
    }
}
