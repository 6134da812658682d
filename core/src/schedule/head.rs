//! `Head`: the state machine of the head: which nodes there are, and who is lent what.
//!
//! `talks` are with nodes, `groups` has the placement groups, `demand` what waits and the nodes that are to come for it,
//! `drain` nodes that leave, `tables` is what outlives the head, and `outbox` holds back what must not be said before that
//! is saved.

mod demand;
mod drain;
mod groups;
mod outbox;
mod tables;
mod talks;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::message::{FromHead, HeadAnswer, HeadRequest, Packet, Report, ToHead};
use super::spec::Shape;
use crate::autoscale::Prospect;
use crate::env::Moment;
use crate::ids::{BundleId, HeadLife, LeaseId, NodeId, ObjectId};
use crate::link::Link;
use crate::placement::{self, Candidate, Rank, Strategy};
use crate::resources::Resources;
use crate::state::Batch;

use demand::Hopes;
use groups::Groups;
use tables::Changes;

pub use outbox::Outbox;

/// The numbers of the leases of one life of a head begin with its epoch, and are no more than this lets it have.
const LEASES_OF_A_LIFE: u32 = 40;

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
    Arrived(NodeId, Report),
    /// A node is known to have died: nobody is where it was.
    Gone(NodeId),
    /// Somebody wants a node to leave, within so many milliseconds.
    Drain(NodeId, u64),
    /// There can be more nodes of these types.
    Prospects(Vec<Prospect>),
    /// Time passed.
    Tick,
}

/// What the head wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadAction {
    /// Save this before any of what follows is done.
    Save(Batch),
    /// Send this to that node.
    Send(NodeId, Packet),
}

/// A node that is not dead.
#[derive(Debug)]
struct Member {
    /// The last one; `None` if only a former life of the head has heard of it.
    talk: Option<u64>,
    link: Link<FromHead, ToHead>,
    /// It has said what is free, in this talk.
    is_ready: bool,
    heard_at: Moment,
    /// Empty when no other node has to reach it.
    address: Arc<str>,
    total: Resources,
    labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What is free: what the node said, less what it was granted since.
    free: Resources,
    /// The bundles there that may be used.
    bundles: BTreeMap<BundleId, Pool>,
    /// What was sent to it, by numbers in the order of sending, that its report does not know of.
    sent: VecDeque<(u64, Sent)>,
    grants: u64,
    /// Nothing more is placed there.
    is_leaving: bool,
    leaves_by: Moment,
}

/// What there is of a bundle, and what of it is free.
#[derive(Debug)]
struct Pool {
    total: Resources,
    free: Resources,
}

/// A grant of a lease, or (without one) a reservation: what it takes, and of which bundle.
#[derive(Debug)]
struct Sent {
    lease: Option<LeaseId>,
    bundle: Option<BundleId>,
    demand: Resources,
}

impl Member {
    /// One that has said nothing.
    fn awaited(now: Moment) -> Self {
        Self {
            talk: None,
            is_ready: false,
            link: Link::default(),
            heard_at: now,
            address: Arc::from(""),
            total: Resources::default(),
            labels: BTreeMap::new(),
            free: Resources::default(),
            bundles: BTreeMap::new(),
            sent: VecDeque::new(),
            grants: 0,
            is_leaving: false,
            leaves_by: now,
        }
    }

    fn as_candidate(&self, id: NodeId) -> Candidate<'_> {
        Candidate { id, bundle: None, total: &self.total, free: &self.free, labels: &self.labels }
    }

    fn as_bundle(&self, id: NodeId, bundle: BundleId) -> Option<Candidate<'_>> {
        let Pool { total, free } = self.bundles.get(&bundle)?;
        Some(Candidate { id, bundle: Some(bundle), total, free, labels: &self.labels })
    }

    /// What tasks with such a strategy could run on: the node, or bundles there.
    fn candidates(&self, id: NodeId, strategy: &Strategy) -> impl Iterator<Item = Candidate<'_>> {
        let node = strategy.group().is_none().then(|| self.as_candidate(id));
        let bundles = strategy.bundles().map(|bundles| self.bundles.range(bundles)).into_iter().flatten();
        node.into_iter().chain(bundles.filter_map(move |(bundle, _)| self.as_bundle(id, *bundle)))
    }

    fn free_of(&mut self, bundle: Option<BundleId>) -> Option<&mut Resources> {
        match bundle {
            None => Some(&mut self.free),
            Some(bundle) => self.bundles.get_mut(&bundle).map(|pool| &mut pool.free),
        }
    }

    /// Something is sent that takes resources of it.
    fn note_sent(&mut self, sent: Sent) {
        if let Some(free) = self.free_of(sent.bundle) {
            free.subtract(&sent.demand);
        }
        self.grants += 1;
        self.sent.push_back((self.grants, sent));
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
    life: HeadLife,
    now: Moment,
    members: BTreeMap<NodeId, Member>,
    dead: BTreeSet<NodeId>,
    /// Those of them that were drained.
    left: BTreeSet<NodeId>,
    /// By shape and owner: shapes take turns, and owners within them.
    wants: BTreeMap<(Arc<Shape>, NodeId), Want>,
    /// Grants whose node has not said what became of them: for whom they are.
    grants: BTreeMap<LeaseId, (Arc<Shape>, NodeId)>,
    /// Actors by their names, with what is needed to call them.
    names: BTreeMap<Arc<str>, (ObjectId, Bytes)>,
    groups: Groups,
    hopes: Hopes,
    /// Who asks which nodes there are, and by which number.
    asked: BTreeSet<(NodeId, u64)>,
    next_lease: u64,
    /// The want that was granted something last: the next one is next.
    last_granted: Option<(Arc<Shape>, NodeId)>,
    /// Nodes that were sent something in this step.
    addressed: BTreeSet<NodeId>,
    changes: Changes,
    actions: Vec<HeadAction>,
}

impl Head {
    /// A head that knows no node, and that none will come after.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            life: HeadLife::default(),
            now: Moment::default(),
            members: BTreeMap::new(),
            dead: BTreeSet::new(),
            left: BTreeSet::new(),
            wants: BTreeMap::new(),
            grants: BTreeMap::new(),
            names: BTreeMap::new(),
            groups: Groups::default(),
            hopes: Hopes::default(),
            asked: BTreeSet::new(),
            next_lease: 0,
            last_granted: None,
            addressed: BTreeSet::new(),
            changes: Changes::default(),
            actions: Vec::new(),
        }
    }

    /// Takes an event in, and says what is to be done about it.
    pub fn step(&mut self, now: Moment, event: HeadEvent) -> Vec<HeadAction> {
        self.wake_up(now);
        match event {
            HeadEvent::Arrived(from, report) => self.arrived(from, report),
            HeadEvent::Gone(node) => self.bury(node),
            HeadEvent::Drain(node, millis) => self.drain(node, millis),
            HeadEvent::Prospects(prospects) => self.hopes.prospects = prospects,
            HeadEvent::Tick => {
                let silent = |member: &Member| now.since(member.heard_at) >= self.limits.dead_after;
                let silent = self.members.iter().filter(|(_, member)| silent(member)).map(|(node, _)| *node);
                for node in silent.collect::<Vec<_>>() {
                    self.bury(node);
                }
                if self.looks_at().is_some_and(|at| at <= now) {
                    self.look_for_places();
                }
                self.addressed.extend(self.members.keys());
            }
        }
        for node in std::mem::take(&mut self.addressed) {
            let Some(member) = self.members.get_mut(&node) else { continue };
            if let (Some(talk), Some(frame)) = (member.talk, member.link.flush(now)) {
                self.actions.push(HeadAction::Send(node, Packet::Head(self.life, talk, frame)));
            }
        }
        let actions = std::mem::take(&mut self.actions);
        self.changes.take().map(HeadAction::Save).into_iter().chain(actions).collect()
    }

    /// While this process itself stood still it heard nobody: that counts against no node.
    fn wake_up(&mut self, now: Moment) {
        let stood_still = now.since(self.now);
        if stood_still > 2 * self.limits.suspect_after {
            self.members.values_mut().for_each(|member| member.heard_at = member.heard_at + stood_still);
        }
        self.now = now;
    }

    fn send(&mut self, to: NodeId, message: FromHead) {
        // One that has said nothing in this life of the head asks for all when it does.
        if let Some(member) = self.members.get_mut(&to).filter(|member| member.talk.is_some()) {
            member.link.send(message);
            self.addressed.insert(to);
        }
    }

    /// Which life of the head this is.
    #[must_use]
    pub fn life(&self) -> HeadLife {
        self.life
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
        dies.chain(resends).chain(self.looks_at()).fold(self.now + self.limits.suspect_after, Moment::min)
    }

    fn hear(&mut self, from: NodeId, message: ToHead) {
        match message {
            ToHead::Register(total, labels) => {
                let Some(member) = self.members.get_mut(&from) else { return };
                (member.total, member.labels) = (total, labels);
                let leaves_within = member.is_leaving.then(|| member.leaves_by.since(self.now));
                self.changes.node_is_known(from, leaves_within);
                // What it may still hear of them, it must not believe.
                for node in self.dead.iter().copied().collect::<Vec<_>>() {
                    self.send(from, FromHead::NodeDead(node));
                }
                self.tell_who_leaves(from);
            }
            ToHead::Leaving(millis) => self.drain(from, millis),
            ToHead::Drained => self.drained(from),
            ToHead::Ends => {
                self.bury(from);
                self.actions.push(HeadAction::Send(from, Packet::Fenced));
            }
            ToHead::At(address) => self.introduce(from, &address),
            ToHead::Beat(free, bundles, grants) => self.beat(from, free, bundles, grants),
            ToHead::Want(shape, count, near) => {
                let key = (shape, from);
                if count == 0 {
                    self.wants.remove(&key);
                } else if let Some(group) = key.0.strategy.group().filter(|group| !self.has_group(*group)) {
                    self.send(from, FromHead::GroupGone(group));
                } else {
                    // A wish that is told again is not complained of again.
                    let warned = self.wants.get(&key).is_some_and(|want| want.warned);
                    self.wants.insert(key.clone(), Want { count, near, warned });
                    self.grant(&key);
                }
            }
            ToHead::Refused(lease) => self.want_again(lease),
            ToHead::Ask(question, request) => {
                let answer = self.name(request);
                self.send(from, FromHead::Answer(question, answer));
            }
            ToHead::Group(question, request) => {
                let answer = self.group_asked(from, request);
                self.send(from, FromHead::Grouped(question, answer));
            }
            ToHead::ExplainGroup(question, group) => {
                let (text, never) = self.explain_group(group);
                self.send(from, FromHead::GroupExplained(question, text, never));
            }
            ToHead::Reserved(bundle, round, is_reserved) => self.reserved(from, bundle, round, is_reserved),
            ToHead::ClientGone(client) => self.client_gone(from, client),
            ToHead::Nameless(actor) => self.free_names(|named| named == actor),
            ToHead::Names(named) => self.names_told(from, &named),
            ToHead::Bundles(bundles) => self.bundles_told(from, &bundles),
            ToHead::Members(question) => {
                self.asked.insert((from, question));
                self.tell_members();
            }
        }
    }

    /// A node says where it is reached: all others are told, and it is told where they are.
    fn introduce(&mut self, node: NodeId, address: &Arc<str>) {
        let Some(member) = self.members.get_mut(&node) else { return };
        member.address = Arc::clone(address);
        let reached = |(id, other): (&NodeId, &Member)| (*id != node).then(|| (*id, Arc::clone(&other.address)));
        for (other, its_address) in self.members.iter().filter_map(reached).collect::<Vec<_>>() {
            self.send(other, FromHead::At(node, Arc::clone(address)));
            if !its_address.is_empty() {
                self.send(node, FromHead::At(other, its_address));
            }
        }
    }

    fn name(&mut self, request: HeadRequest) -> HeadAnswer {
        let taken = |(actor, meta): &(ObjectId, Bytes)| HeadAnswer::Taken(*actor, meta.clone());
        match request {
            HeadRequest::LookUp(name) => self.names.get(&name).map_or(HeadAnswer::Free, taken),
            HeadRequest::Claim(name, actor, meta) => match self.names.get(&name) {
                // It may be asked again by a node that has not heard the answer.
                Some((same, _)) if *same == actor => HeadAnswer::Done,
                Some(other) => taken(other),
                None => {
                    self.changes.named(&name, actor, &meta);
                    self.names.insert(name, (actor, meta));
                    HeadAnswer::Done
                }
            },
            HeadRequest::KeepRoom(floor) => {
                self.changes.floor(&floor);
                self.hopes.floor = floor;
                HeadAnswer::Done
            }
            HeadRequest::List(prefix) => {
                let names = self.names.range(Arc::clone(&prefix)..).map(|(name, _)| name);
                HeadAnswer::Names(names.take_while(|name| name.starts_with(&*prefix)).cloned().collect())
            }
        }
    }

    #[cfg(test)]
    pub(in crate::schedule) fn has_no_names(&self) -> bool {
        self.names.is_empty()
    }

    /// A node says what is free, and how many grants that takes account of.
    fn beat(&mut self, node: NodeId, free: Resources, bundles: BTreeMap<BundleId, Resources>, grants: u64) {
        let Some(member) = self.members.get_mut(&node) else { return };
        while let Some((number, sent)) = member.sent.front()
            && *number <= grants
        {
            sent.lease.map(|lease| self.grants.remove(&lease));
            member.sent.pop_front();
        }
        let mut told: BTreeMap<Option<BundleId>, Resources> =
            bundles.into_iter().map(|(bundle, free)| (Some(bundle), free)).collect();
        told.insert(None, free);
        for (_, sent) in &member.sent {
            told.entry(sent.bundle).and_modify(|free| _ = free.subtract(&sent.demand));
        }
        for (bundle, told) in told {
            // It may speak of a bundle that has been removed meanwhile, and not know yet that one is open.
            if let Some(free) = member.free_of(bundle) {
                *free = told;
            }
        }
        member.is_ready = true;
        self.tell_members();
        self.lend_out(node);
        self.look_for_places();
    }

    /// A grant came to nothing.
    fn want_again(&mut self, lease: LeaseId) {
        let Some(key) = self.grants.remove(&lease) else { return };
        if let Some(group) = key.0.strategy.group().filter(|group| !self.has_group(*group)) {
            self.send(key.1, FromHead::GroupGone(group));
        } else if self.members.contains_key(&key.1) {
            let none = || Want { count: 0, near: BTreeMap::new(), warned: false };
            self.wants.entry(key.clone()).or_insert_with(none).count += 1;
            self.grant(&key);
        }
    }

    /// Whether something may be placed on a node.
    fn is_trusted(&self, member: &Member) -> bool {
        !member.is_leaving && member.is_ready && self.is_heard(member)
    }

    fn is_heard(&self, member: &Member) -> bool {
        self.now.since(member.heard_at) < self.limits.suspect_after
    }

    /// Grants as much of a want as there is room for, the best node first each time.
    fn grant(&mut self, key: &(Arc<Shape>, NodeId)) {
        let Some(want) = self.wants.get(key) else { return };
        let (shape, near, count) = (Arc::clone(&key.0), want.near.clone(), want.count);
        let strategy = self.strategy_now(&shape).into_owned();
        let rank = |node: &Candidate<'_>| placement::rank(node, &shape.demand, &strategy, &near);
        let trusted = self.members.iter().filter(|(_, member)| self.is_trusted(member));
        let candidates = trusted.flat_map(|(id, member)| member.candidates(*id, &strategy));
        let mut nodes: BinaryHeap<(Rank, NodeId, Option<BundleId>)> =
            candidates.filter_map(|node| Some((rank(&node)?, node.id, node.bundle))).collect();
        for _ in 0..count {
            let Some((_, node, bundle)) = nodes.pop() else { return self.warn(key) };
            self.grant_on(node, bundle, key);
            let again = self.members.get(&node).and_then(|member| match bundle {
                Some(bundle) => rank(&member.as_bundle(node, bundle)?),
                None => rank(&member.as_candidate(node)),
            });
            nodes.extend(again.map(|rank| (rank, node, bundle)));
        }
    }

    /// A soft wish for a node is a firm one while that node is there, stays and could do it: it waits for it.
    fn strategy_now<'a>(&self, shape: &'a Shape) -> Cow<'a, Strategy> {
        let Strategy::Node { node, soft: true } = shape.strategy else { return Cow::Borrowed(&shape.strategy) };
        let firm = Strategy::Node { node, soft: false };
        let could = |member: &Member| !member.is_leaving && member.as_candidate(node).could(&shape.demand, &firm);
        match self.members.get(&node).is_some_and(could) {
            true => Cow::Owned(firm),
            false => Cow::Borrowed(&shape.strategy),
        }
    }

    /// Grants what is free on one node to those who wait, one lease each in turn.
    fn lend_out(&mut self, node: NodeId) {
        loop {
            let Some(member) = self.members.get(&node).filter(|member| self.is_trusted(member)) else { return };
            let fits = |(key, want): (&(Arc<Shape>, NodeId), &Want)| {
                let strategy = self.strategy_now(&key.0);
                let mut candidates = member.candidates(node, &strategy);
                let fits = |node: &Candidate<'_>| placement::rank(node, &key.0.demand, &strategy, &want.near).is_some();
                let found = candidates.find(fits)?;
                Some((key.clone(), found.bundle))
            };
            let after = match &self.last_granted {
                Some(last) => Bound::Excluded(last),
                None => Bound::Unbounded,
            };
            let next = self.wants.range((after, Bound::Unbounded)).find_map(fits);
            let Some((key, bundle)) = next.or_else(|| self.wants.iter().find_map(fits)) else { return };
            self.grant_on(node, bundle, &key);
            self.last_granted = Some(key);
        }
    }

    /// Grants one lease on a node, or in a bundle there, that has room for it.
    fn grant_on(&mut self, node: NodeId, bundle: Option<BundleId>, key: &(Arc<Shape>, NodeId)) {
        let (Some(want), Some(member)) = (self.wants.get_mut(key), self.members.get_mut(&node)) else { return };
        want.count -= 1;
        if want.count == 0 {
            self.wants.remove(key);
        }
        let (shape, owner) = key;
        self.next_lease += 1;
        let number = (self.life.epoch << LEASES_OF_A_LIFE) + self.next_lease;
        let lease = LeaseId { granted_by: None, number };
        member.note_sent(Sent { lease: Some(lease), bundle, demand: shape.demand.clone() });
        self.grants.insert(lease, key.clone());
        self.send(node, FromHead::Grant(lease, Arc::clone(shape), *owner, bundle));
    }

    /// Declares a node dead and tells all others.
    fn bury(&mut self, node: NodeId) {
        let Some(member) = self.members.remove(&node) else { return };
        self.dead.insert(node);
        self.changes.node_is_gone(node, self.left.contains(&node));
        self.groups_without(node);
        member.sent.iter().filter_map(|(_, sent)| sent.lease).for_each(|lease| self.want_again(lease));
        self.wants.retain(|(_, owner), _| *owner != node);
        self.free_names(|actor| actor.owner() == node);
        self.grants.retain(|_, (_, owner)| *owner != node);
        self.asked.retain(|(asker, _)| *asker != node);
        self.tell_members();
        for other in self.members.keys().copied().collect::<Vec<_>>() {
            self.send(other, FromHead::NodeDead(node));
        }
    }
}
