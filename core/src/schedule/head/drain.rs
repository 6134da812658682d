//! Nodes that leave: nothing more is placed on them, and the others are told. The nodes themselves are `node/drain`.

use super::Head;
use crate::ids::NodeId;
use crate::schedule::HeadAction;
use crate::schedule::message::{FromHead, Packet};

impl Head {
    /// Has a node leave when what it has begun is done, or after so many milliseconds.
    pub(super) fn drain(&mut self, node: NodeId, millis: u64) {
        let until = self.now + millis;
        let Some(member) = self.members.get_mut(&node).filter(|member| member.talk.is_some()) else { return };
        let is_first = !std::mem::replace(&mut member.is_leaving, true);
        member.leaves_by = until;
        // The others will be told, also if this head ends before the node is.
        self.changes.node_is_known(node, Some(millis));
        member.bundles.clear();
        self.send(node, FromHead::Drain(millis));
        if is_first {
            for other in self.members.keys().copied().filter(|other| *other != node).collect::<Vec<_>>() {
                self.send(other, FromHead::Draining(node));
            }
            self.groups_leave(node);
        }
    }

    /// A node that registers hears which others leave.
    pub(super) fn tell_who_leaves(&mut self, to: NodeId) {
        let leaving = self.members.iter().filter(|(node, member)| member.is_leaving && **node != to);
        for node in leaving.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.send(to, FromHead::Draining(node));
        }
    }

    /// A node has nothing any more that others need: it is let go, and is no more.
    pub(super) fn drained(&mut self, node: NodeId) {
        self.left.insert(node);
        self.bury(node);
        self.actions.push(HeadAction::Send(node, Packet::Left));
    }

    /// Whether nothing of a node is lent, as far as it has said and was sent.
    #[must_use]
    pub fn is_idle(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.is_ready && member.free == member.total)
    }

    /// How a node is, as people read it.
    #[must_use]
    pub fn state_of(&self, node: NodeId) -> &'static str {
        match self.members.get(&node) {
            Some(member) if member.is_leaving => "draining",
            Some(member) if self.is_heard(member) => "alive",
            Some(_) => "silent",
            None if self.left.contains(&node) => "left",
            None => "dead",
        }
    }

    /// How many nodes died, and how many left.
    #[must_use]
    pub fn gone(&self) -> (usize, usize) {
        (self.dead.len() - self.left.len(), self.left.len())
    }
}
