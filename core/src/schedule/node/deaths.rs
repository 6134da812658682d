//! What the end of another node means for this one.

use super::{Action, Node};
use crate::ids::{Attempt, NodeId, ObjectId};

/// How long another node may be silent, in milliseconds, before its leases are given up though it is not declared
/// dead: the head may hear it while this node does not. What it still does is fenced off by the attempts' numbers.
const UNREACHABLE_AFTER: u64 = 10_000;

/// How long what a dead node held is held for it, in milliseconds. Others took references under its cover, and what
/// they say of that to the owner may still be on its way.
const HELD_FOR_THE_DEAD: u64 = 30_000;

impl Node {
    /// Lets go of what nodes held that died long enough ago.
    pub(super) fn let_go_of_the_dead(&mut self) {
        while let Some((died_at, node)) = self.graves.front().copied()
            && self.now.since(died_at) >= HELD_FOR_THE_DEAD
        {
            self.graves.pop_front();
            let held = self.owned.iter_mut().filter_map(|(object, owned)| {
                owned.holders.remove(&node)?;
                Some(*object)
            });
            held.collect::<Vec<_>>().into_iter().for_each(|object| self.settle(object));
            self.forget_abandoned_on(node);
        }
    }

    /// Gives up on what other nodes run for this one, and it for them, where nothing has come through for long.
    pub(super) fn give_up_on_the_silent(&mut self) {
        let silent = |(node, link): (&NodeId, &crate::link::Link<_, _>)| {
            link.stalled_since().is_some_and(|since| self.now.since(since) >= UNREACHABLE_AFTER).then_some(*node)
        };
        for node in self.links.iter().filter_map(silent).collect::<Vec<_>>() {
            self.leases_without(node, "is out of reach");
        }
    }

    /// The head declared a node dead: nothing it says is heard any more, and what it was to this node is over.
    pub(super) fn node_dead(&mut self, node: NodeId) {
        if node == self.id || !self.dead.insert(node) {
            return;
        }
        self.graves.push_back((self.now, node));
        self.links.remove(&node);
        self.has_gone(node);
        for owned in self.owned.values_mut() {
            owned.waiters.remove(&node);
            owned.copies.remove(&node);
        }
        self.leases_without(node, "died");
        self.calls_without(node);
        self.residents_without(node);
        let orphans: Vec<ObjectId> = self.interests.keys().filter(|object| object.owner() == node).copied().collect();
        orphans.into_iter().for_each(|object| self.orphaned(object));
        let runs: Vec<Attempt> = self.runs.keys().filter(|attempt| attempt.task.owner == node).copied().collect();
        runs.into_iter().for_each(|attempt| self.forget_run(attempt, false));
        self.unconfirmed.retain(|end| end.node != node);
        let copies: Vec<ObjectId> = self.stored.iter().filter(|object| object.owner() == node).copied().collect();
        for object in copies {
            self.stored.remove(&object);
            self.actions.push(Action::Drop(object));
        }
        self.fetches_without(node);
        self.questions_without(node);
    }
}
