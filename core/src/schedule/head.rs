//! `Head`: the state machine of the head: which nodes there are, and who is lent what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::message::{FromHead, Packet, Shape, ToHead};
use crate::env::Moment;
use crate::flaw::{Flaw, planted};
use crate::ids::{LeaseId, NodeId};
use crate::link::{Frame, Link};
use crate::placement::{self, Candidate};
use crate::resources::Resources;

/// When the head gives up on a node, in milliseconds since it last heard of it.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Nothing more is placed on it.
    pub suspect_after: u64,
    /// It is declared dead, for good.
    pub dead_after: u64,
}

impl Default for HeadLimits {
    /// Six and twenty beats: a node that is busy or swaps is not dead.
    fn default() -> Self {
        Self { suspect_after: 3_000, dead_after: 10_000 }
    }
}

/// What happens to the head.
#[derive(Debug, Clone)]
pub enum HeadEvent {
    /// Something came from a node.
    Arrived(NodeId, Frame<ToHead>),
    /// The process of a node is known to be gone.
    Gone(NodeId),
    /// Time passed.
    Tick,
}

/// What the head wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadAction {
    /// Send this to that node.
    Send(NodeId, Packet),
}

/// A node that is not dead.
#[derive(Debug)]
struct Member {
    link: Link<FromHead, ToHead>,
    heard_at: Moment,
    total: Resources,
    labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What the node said is free.
    reported: Resources,
    /// Grants that were sent to it, by their numbers in the order of sending, that its report does not know of.
    granted: VecDeque<(u64, LeaseId, Resources)>,
    grants: u64,
}

impl Member {
    /// What is free when the grants that are under way have arrived.
    fn free(&self) -> Resources {
        let mut free = crate::resources::Ledger::new(self.reported.clone());
        let all_fit = self.granted.iter().all(|(_, _, demand)| free.take(demand));
        if all_fit { free.free().clone() } else { Resources::default() }
    }
}

/// Leases that a node wants.
#[derive(Debug)]
struct Want {
    count: u32,
    near: BTreeMap<NodeId, u64>,
    warned: bool,
}

/// The state machine of the head.
#[derive(Debug)]
pub struct Head {
    limits: HeadLimits,
    now: Moment,
    members: BTreeMap<NodeId, Member>,
    dead: BTreeSet<NodeId>,
    /// By shape and owner: shapes take turns, and owners within them.
    wants: BTreeMap<(Arc<Shape>, NodeId), Want>,
    /// Grants whose node has not said what became of them: for whom they are.
    grants: BTreeMap<LeaseId, (Arc<Shape>, NodeId)>,
    next_lease: u64,
    actions: Vec<HeadAction>,
}

impl Head {
    /// A head that knows no node.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            now: Moment::default(),
            members: BTreeMap::new(),
            dead: BTreeSet::new(),
            wants: BTreeMap::new(),
            grants: BTreeMap::new(),
            next_lease: 0,
            actions: Vec::new(),
        }
    }

    /// Takes an event in, and says what is to be done about it.
    pub fn step(&mut self, now: Moment, event: HeadEvent) -> Vec<HeadAction> {
        self.now = now;
        match event {
            HeadEvent::Arrived(from, frame) => self.arrived(from, frame),
            HeadEvent::Gone(node) => self.bury(node),
            HeadEvent::Tick => {}
        }
        let silent = self.members.iter().filter(|(_, member)| now.since(member.heard_at) >= self.limits.dead_after);
        for node in silent.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.bury(node);
        }
        self.place();
        for (node, member) in &mut self.members {
            if let Some(frame) = member.link.flush(now) {
                self.actions.push(HeadAction::Send(*node, Packet::Head(frame)));
            }
        }
        std::mem::take(&mut self.actions)
    }

    /// The nodes that are not dead.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.members.keys().copied()
    }

    /// Leases that nodes want and that could not be granted.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.wants.values().map(|want| u64::from(want.count)).sum()
    }

    /// When the head wants a [`HeadEvent::Tick`] at the latest.
    #[must_use]
    pub fn wakes_at(&self) -> Moment {
        let members = self.members.values();
        let dies = members.map(|member| member.heard_at + self.limits.dead_after);
        let resends = self.members.values().filter_map(|member| member.link.wakes_at());
        dies.chain(resends).fold(self.now + self.limits.suspect_after, Moment::min)
    }

    fn arrived(&mut self, from: NodeId, frame: Frame<ToHead>) {
        if self.dead.contains(&from) && !planted(Flaw::StaleNode) {
            // It was declared dead and lives: others have taken its work over, so it has to start anew.
            self.actions.push(HeadAction::Send(from, Packet::Fenced));
            return;
        }
        let now = self.now;
        let member = self.members.entry(from).or_insert_with(|| Member {
            link: Link::default(),
            heard_at: now,
            total: Resources::default(),
            labels: BTreeMap::new(),
            reported: Resources::default(),
            granted: VecDeque::new(),
            grants: 0,
        });
        member.heard_at = now;
        for message in member.link.receive(frame, now) {
            self.hear(from, message);
        }
    }

    fn hear(&mut self, from: NodeId, message: ToHead) {
        match message {
            ToHead::Register(total, labels) => {
                let dead: Vec<NodeId> = self.dead.iter().copied().collect();
                let Some(member) = self.members.get_mut(&from) else { return };
                (member.total, member.labels) = (total, labels);
                // What it may still hear of them, it must not believe.
                dead.into_iter().for_each(|node| member.link.send(FromHead::NodeDead(node)));
            }
            ToHead::Beat(free, grants) => {
                let Some(member) = self.members.get_mut(&from) else { return };
                member.reported = free;
                while let Some((number, lease, _)) = member.granted.front()
                    && *number <= grants
                {
                    self.grants.remove(lease);
                    member.granted.pop_front();
                }
            }
            ToHead::Want(shape, count, near) => {
                if count == 0 {
                    self.wants.remove(&(shape, from));
                } else {
                    self.wants.insert((shape, from), Want { count, near, warned: false });
                }
            }
            ToHead::Refused(lease) => {
                self.want_again(lease);
            }
        }
    }

    /// A grant came to nothing.
    fn want_again(&mut self, lease: LeaseId) {
        let Some((shape, owner)) = self.grants.remove(&lease) else { return };
        if self.members.contains_key(&owner) {
            let none = || Want { count: 0, near: BTreeMap::new(), warned: false };
            self.wants.entry((shape, owner)).or_insert_with(none).count += 1;
        }
    }

    /// Grants what can be granted, one lease for each want in turn.
    fn place(&mut self) {
        let mut wants: Vec<_> = self.wants.keys().cloned().collect();
        while !wants.is_empty() {
            wants.retain(|key| self.grant_one(key));
        }
    }

    /// Whether the want may be granted one more.
    fn grant_one(&mut self, key: &(Arc<Shape>, NodeId)) -> bool {
        let Some(want) = self.wants.get_mut(key) else { return false };
        let (shape, owner) = key;
        let alive = |member: &Member| self.now.since(member.heard_at) < self.limits.suspect_after;
        let free: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| alive(member))
            .map(|(id, member)| (*id, member, member.free()))
            .collect();
        let candidates = free.iter().map(|(id, member, free)| Candidate {
            id: *id,
            total: &member.total,
            free,
            labels: &member.labels,
        });
        let Some(node) = placement::choose(candidates.clone(), &shape.demand, &shape.strategy, &want.near) else {
            let could = candidates.clone().any(|node| node.could(&shape.demand, &shape.strategy));
            let told = std::mem::replace(&mut want.warned, true);
            if !could && !told {
                let missing = candidates.map(|node| node.total.lacks(&shape.demand)).min().unwrap_or_default();
                if let Some(member) = self.members.get_mut(owner) {
                    member.link.send(FromHead::Unplaceable(Arc::clone(shape), missing));
                }
            }
            return false;
        };
        want.count -= 1;
        let is_more = want.count > 0;
        if !is_more {
            self.wants.remove(key);
        }
        self.next_lease += 1;
        let lease = LeaseId { granted_by: None, number: self.next_lease };
        self.grants.insert(lease, (Arc::clone(shape), *owner));
        if let Some(member) = self.members.get_mut(&node) {
            member.grants += 1;
            member.granted.push_back((member.grants, lease, shape.demand.clone()));
            member.link.send(FromHead::Grant(lease, Arc::clone(shape), *owner));
        }
        is_more
    }

    /// Declares a node dead and tells all others.
    fn bury(&mut self, node: NodeId) {
        let Some(member) = self.members.remove(&node) else { return };
        self.dead.insert(node);
        member.granted.iter().for_each(|(_, lease, _)| self.want_again(*lease));
        self.wants.retain(|(_, owner), _| *owner != node);
        self.grants.retain(|_, (_, owner)| *owner != node);
        for member in self.members.values_mut() {
            member.link.send(FromHead::NodeDead(node));
        }
    }
}
