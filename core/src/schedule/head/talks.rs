//! Talks with nodes: who may be heard, which link is the last one, and what a node says first.

use std::collections::BTreeSet;

use super::{Head, HeadAction, Member};
use crate::flaw::{Flaw, planted};
use crate::ids::{NodeId, ObjectId};
use crate::link::Link;
use crate::schedule::message::{FromHead, Packet, Report};

impl Head {
    /// Something came from a node.
    pub(super) fn arrived(&mut self, from: NodeId, report: Report) {
        let is_known = self.members.contains_key(&from);
        let is_for_another = report.head.is_some_and(|head| head != self.life);
        let is_of_this_cluster = report.head.is_none_or(|head| head.cluster == self.life.cluster);
        // One that a head of this cluster has met is known as long as it lives.
        let is_dead = self.dead.contains(&from) || (report.head.is_some() && is_of_this_cluster && !is_known);
        if is_dead && !planted(Flaw::StaleNode) {
            // It was declared dead and lives: others have taken its work over, so it has to start anew.
            let packet = if self.left.contains(&from) { Packet::Left } else { Packet::Fenced };
            self.actions.push(HeadAction::Send(from, packet));
            return;
        }
        let now = self.now;
        if is_for_another {
            if let Some(member) = self.members.get_mut(&from) {
                member.heard_at = now;
            }
            self.actions.push(HeadAction::Send(from, Packet::Anew(self.life)));
            return;
        }
        let talk = self.members.get(&from).map(|member| member.talk);
        match talk {
            Some(Some(talk)) if talk > report.talk => return,
            Some(Some(talk)) if talk == report.talk => {}
            _ => self.begin_talk(from, report.talk),
        }
        let Some(member) = self.members.get_mut(&from) else { return };
        member.heard_at = now;
        self.addressed.insert(from);
        for message in member.link.receive(report.frame, now) {
            // A node that says that it has left says nothing after that.
            if !self.members.contains_key(&from) {
                break;
            }
            self.hear(from, message);
        }
    }

    /// A node will say all anew: what it said before, and what it was sent and may not have heard, is void.
    fn begin_talk(&mut self, node: NodeId, talk: u64) {
        let now = self.now;
        let member = self.members.entry(node).or_insert_with(|| Member::awaited(now));
        member.talk = Some(talk);
        member.link = Link::default();
        (member.is_ready, member.grants) = (false, 0);
        member.bundles.clear();
        if member.is_leaving {
            // It may not have heard of that.
            member.link.send(FromHead::Drain(member.leaves_by.since(now)));
        }
        let sent = std::mem::take(&mut member.sent);
        self.wants.retain(|(_, owner), _| *owner != node);
        self.end_rounds_with(node);
        sent.into_iter().filter_map(|(_, sent)| sent.lease).for_each(|lease| self.want_again(lease));
    }

    /// A node says which of its actors have names; those of the others are free.
    pub(super) fn names_told(&mut self, node: NodeId, named: &BTreeSet<ObjectId>) {
        self.free_names(|actor| actor.owner() == node && !named.contains(&actor));
    }

    /// Nobody is found by the names of these actors any more.
    pub(super) fn free_names(&mut self, is_over: impl Fn(ObjectId) -> bool) {
        let changes = &mut self.changes;
        self.names.retain(|name, (actor, _)| {
            let stays = !is_over(*actor);
            if !stays {
                changes.name_is_free(name);
            }
            stays
        });
    }
}
