//! Placement groups: the head chooses nodes for their bundles, has all of them reserved, and only then lets them be
//! used.
//!
//! One round of a group asks the nodes that were chosen to reserve its bundles. When all have, the bundles are opened;
//! when one refuses or dies, what was reserved is released and a later round begins anew. A bundle whose node dies is
//! chosen a node for in a round of its own, while the others are used. What groups there are and where they are open is
//! kept for the next life of the head; rounds that it was in the midst of come to nothing.
//!
//! `explain` says what groups wait for.

mod explain;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Head, Pool, Sent};
use crate::autoscale::Bundles;
use crate::env::Moment;
use crate::flaw::{Flaw, planted};
use crate::ids::{BundleId, ClientId, GroupId, NodeId};
use crate::placement::groups::choose;
use crate::resources::Resources;
use crate::schedule::message::{FromHead, GroupAnswer, GroupRequest, GroupSpec, GroupState, GroupStatus};
use crate::schedule::spec::Shape;

/// How often nodes are looked for at the most, in milliseconds: nodes tell what is free far more often.
const LOOK_EVERY: u64 = 10;
/// Groups that were removed and can still be asked for.
const REMEMBERED: usize = 1_000;
/// Clients of a node that went last and are known to have gone: a task may ask for a group after its driver has ended,
/// but not long after.
const GONE_CLIENTS: usize = 1_000;

/// What the head knows of placement groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    alive: BTreeMap<GroupId, Group>,
    /// With their numbers: each is greater than the one before.
    removed: VecDeque<(u64, GroupStatus)>,
    /// Clients that are gone, by node.
    gone: BTreeMap<NodeId, VecDeque<ClientId>>,
    /// Those whose bundles are not all placed, in the order in which they came.
    waiting: BTreeMap<u64, GroupId>,
    created: u64,
    /// When nodes may be looked for again, if something has changed since they were.
    look_at: Option<Moment>,
    looked_at: Option<Moment>,
}

#[derive(Debug)]
struct Group {
    spec: Arc<GroupSpec>,
    /// Who is told why it waits.
    asker: NodeId,
    /// Its place among those that wait.
    order: u64,
    places: Vec<Place>,
    round: u32,
    was_created: bool,
    is_warned: bool,
}

/// A group as it is kept for the next life of the head.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    spec: Arc<GroupSpec>,
    asker: NodeId,
    order: u64,
    was_created: bool,
    /// Where its bundles are open.
    open: Vec<Option<NodeId>>,
}

/// Where a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// In this round the node was asked to reserve it.
    Asked(NodeId),
    /// And has.
    Reserved(NodeId),
    /// It may be used.
    Open(NodeId),
}

impl Place {
    fn open(self) -> Option<NodeId> {
        match self {
            Self::Open(node) => Some(node),
            _ => None,
        }
    }

    /// The node where this round wants it.
    fn of_this_round(self) -> Option<NodeId> {
        match self {
            Self::Asked(node) | Self::Reserved(node) => Some(node),
            Self::Nowhere | Self::Open(_) => None,
        }
    }
}

impl Group {
    fn state(&self) -> GroupState {
        match (self.places.iter().all(|place| place.open().is_some()), self.was_created) {
            (true, _) => GroupState::Created,
            (false, true) => GroupState::Rescheduling,
            (false, false) => GroupState::Pending,
        }
    }

    fn status(&self) -> GroupStatus {
        let nodes = self.places.iter().map(|place| place.open()).collect();
        GroupStatus { spec: Arc::clone(&self.spec), state: self.state(), nodes }
    }

    fn kept(&self) -> Kept {
        Kept {
            spec: Arc::clone(&self.spec),
            asker: self.asker,
            order: self.order,
            was_created: self.was_created,
            open: self.places.iter().map(|place| place.open()).collect(),
        }
    }

    fn bundle(&self, index: usize) -> BundleId {
        BundleId { group: self.spec.id, index: index as u32 }
    }

    /// Whether a round has begun and not ended.
    fn is_under_way(&self) -> bool {
        self.places.iter().any(|place| place.of_this_round().is_some())
    }
}

impl Head {
    pub(super) fn group_asked(&mut self, from: NodeId, request: GroupRequest) -> GroupAnswer {
        match request {
            GroupRequest::Create(spec) => return self.create_group(from, spec),
            GroupRequest::Remove(group) => self.remove_group(group),
            GroupRequest::List => {
                let alive = self.groups.alive.values().map(Group::status);
                let removed = self.groups.removed.iter().map(|(_, status)| status.clone());
                return GroupAnswer::Groups(alive.chain(removed).collect());
            }
        }
        GroupAnswer::Done
    }

    fn create_group(&mut self, asker: NodeId, spec: Arc<GroupSpec>) -> GroupAnswer {
        // It may be asked for again by a node that has not heard the answer.
        let was_removed = self.groups.removed.iter().any(|(_, removed)| removed.spec.id == spec.id);
        if was_removed || self.groups.alive.contains_key(&spec.id) {
            return GroupAnswer::Done;
        }
        let has_name = |group: &Group| !spec.name.is_empty() && group.spec.name == spec.name;
        if self.groups.alive.values().any(has_name) {
            return GroupAnswer::NameTaken;
        }
        let (id, lives_with) = (spec.id, spec.lives_with);
        self.groups.created += 1;
        let order = self.groups.created;
        let places = vec![Place::Nowhere; spec.bundles.len()];
        let group = Group { spec, asker, order, places, round: 0, was_created: false, is_warned: false };
        self.changes.group(id, &group.kept());
        self.groups.alive.insert(id, group);
        self.groups.waiting.insert(order, id);
        let is_gone = |(node, client): (NodeId, ClientId)| {
            self.dead.contains(&node) || self.groups.gone.get(&node).is_some_and(|gone| gone.contains(&client))
        };
        match lives_with.is_some_and(is_gone) {
            true => self.remove_group(id),
            false => self.look_for_places(),
        }
        GroupAnswer::Done
    }

    /// Ends a group, with all that runs in it.
    fn remove_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.alive.remove(&id) else { return };
        self.groups.waiting.remove(&group.order);
        let nodes = vec![None; group.places.len()];
        let status = GroupStatus { state: GroupState::Removed, nodes, ..group.status() };
        let number = self.groups.removed.back().map_or(1, |(number, _)| number + 1);
        let is_full = self.groups.removed.len() >= REMEMBERED;
        let forgotten = is_full.then(|| self.groups.removed.pop_front()).flatten().map(|(number, _)| number);
        self.changes.group_removed(number, &status, forgotten);
        self.groups.removed.push_back((number, status));
        self.wants.retain(|(shape, _), _| shape.strategy.group() != Some(id));
        for node in self.members.keys().copied().collect::<Vec<_>>() {
            if let Some(member) = self.members.get_mut(&node) {
                member.bundles.retain(|bundle, _| bundle.group != id);
            }
            self.send(node, FromHead::GroupGone(id));
        }
    }

    /// A client of a node is gone.
    pub(super) fn client_gone(&mut self, node: NodeId, client: ClientId) {
        let gone = self.groups.gone.entry(node).or_default();
        gone.push_back(client);
        if gone.len() > GONE_CLIENTS {
            gone.pop_front();
        }
        self.remove_groups_of(|owner| owner == (node, client));
    }

    fn remove_groups_of(&mut self, is_gone: impl Fn((NodeId, ClientId)) -> bool) {
        let over = self.groups.alive.values().filter(|group| group.spec.lives_with.is_some_and(&is_gone));
        for id in over.map(|group| group.spec.id).collect::<Vec<_>>() {
            self.remove_group(id);
        }
    }

    /// A node died, with the clients and the bundles that were there.
    pub(super) fn groups_without(&mut self, node: NodeId) {
        self.groups.gone.remove(&node);
        self.remove_groups_of(|(owner, _)| owner == node);
        self.groups_leave(node);
    }

    /// Bundles are to be elsewhere than on a node. What runs in one that is there goes on until the node is gone.
    pub(super) fn groups_leave(&mut self, node: NodeId) {
        for id in self.groups.alive.keys().copied().collect::<Vec<_>>() {
            let Some(group) = self.groups.alive.get_mut(&id) else { continue };
            let mut is_hit = false;
            for place in &mut group.places {
                if place.open() == Some(node) {
                    (*place, is_hit) = (Place::Nowhere, true);
                    self.groups.waiting.insert(group.order, id);
                }
            }
            if is_hit {
                self.changes.group(id, &group.kept());
            }
        }
        self.end_rounds_with(node);
        self.look_for_places();
    }

    /// What a node was asked to reserve in rounds that have not ended comes to nothing.
    pub(super) fn end_rounds_with(&mut self, node: NodeId) {
        let takes_part = |group: &Group| group.places.iter().any(|place| place.of_this_round() == Some(node));
        let hit = self.groups.alive.iter().filter(|(_, group)| takes_part(group)).map(|(id, _)| *id);
        hit.collect::<Vec<_>>().into_iter().for_each(|id| self.end_round(id));
    }

    /// A node says at the begin of a talk which bundles are reserved there, and which are open.
    pub(super) fn bundles_told(&mut self, node: NodeId, told: &BTreeMap<BundleId, bool>) {
        for (bundle, is_open) in told {
            let group = self.groups.alive.get(&bundle.group);
            let place = group.and_then(|group| Some((group.spec.bundles.get(bundle.index as usize)?, group)));
            let is_ours = place.filter(|(_, group)| group.places[bundle.index as usize] == Place::Open(node));
            if let Some((total, _)) = is_ours {
                let pool = Pool { total: total.clone(), free: Resources::default() };
                self.members.get_mut(&node).map(|member| member.bundles.insert(*bundle, pool));
            }
            match (is_ours.is_some(), *is_open) {
                (true, true) => {}
                (true, false) => self.send(node, FromHead::Open(*bundle)),
                // Of a round that came to nothing.
                (false, false) => self.send(node, FromHead::Release(*bundle)),
                (false, true) if group.is_none() => self.send(node, FromHead::GroupGone(bundle.group)),
                // The node leaves: what has begun there ends there.
                (false, true) => {}
            }
        }
        for id in self.groups.alive.keys().copied().collect::<Vec<_>>() {
            let Some(group) = self.groups.alive.get_mut(&id) else { continue };
            let mut is_hit = false;
            for (index, place) in (0..).zip(&mut group.places) {
                if *place == Place::Open(node) && !told.contains_key(&BundleId { group: id, index }) {
                    (*place, is_hit) = (Place::Nowhere, true);
                }
            }
            if is_hit {
                self.groups.waiting.insert(group.order, id);
                self.changes.group(id, &group.kept());
            }
        }
    }

    /// A group that the life before kept.
    pub(super) fn restore_group(&mut self, kept: Kept) {
        let Kept { spec, asker, order, was_created, open } = kept;
        let places: Vec<Place> = open.into_iter().map(|node| node.map_or(Place::Nowhere, Place::Open)).collect();
        if places.contains(&Place::Nowhere) {
            self.groups.waiting.insert(order, spec.id);
        }
        self.groups.created = self.groups.created.max(order);
        let (id, round) = (spec.id, 0);
        self.groups.alive.insert(id, Group { spec, asker, order, places, round, was_created, is_warned: false });
    }

    /// A group that was removed in the life before, after those that were removed earlier.
    pub(super) fn restore_removed(&mut self, number: u64, status: GroupStatus) {
        self.groups.removed.push_back((number, status));
    }

    /// Whether tasks may still come to run in a group.
    pub(super) fn has_group(&self, id: GroupId) -> bool {
        self.groups.alive.contains_key(&id)
    }

    /// When nodes are to be looked for.
    pub(super) fn looks_at(&self) -> Option<Moment> {
        self.groups.look_at
    }

    /// Something changed: what waits may find its nodes, now or in a moment.
    pub(super) fn look_for_places(&mut self) {
        if self.groups.waiting.is_empty() {
            self.groups.look_at = None;
            return;
        }
        let at = self.groups.looked_at.map_or(self.now, |looked_at| looked_at + LOOK_EVERY);
        if at > self.now {
            self.groups.look_at = Some(at);
            return;
        }
        (self.groups.look_at, self.groups.looked_at) = (None, Some(self.now));
        for id in self.groups.waiting.values().copied().collect::<Vec<_>>() {
            self.begin_round(id);
        }
    }

    /// Has the bundles of a group reserved that are nowhere, if there is room for all of them.
    fn begin_round(&mut self, id: GroupId) {
        let Some(group) = self.groups.alive.get(&id).filter(|group| !group.is_under_way()) else { return };
        let spec = Arc::clone(&group.spec);
        let missing: Vec<usize> =
            (0..group.places.len()).filter(|index| group.places[*index] == Place::Nowhere).collect();
        let placed: Vec<NodeId> = group.places.iter().filter_map(|place| place.open()).collect();
        let trusted = self.members.iter().filter(|(_, member)| self.is_trusted(member));
        let nodes: Vec<_> = trusted.map(|(id, member)| member.as_candidate(*id)).collect();
        let bundles: Vec<Resources> = missing.iter().map(|index| spec.bundles[*index].clone()).collect();
        let Some(chosen) = choose(&nodes, &bundles, &placed, spec.spreading) else { return self.warn_of_group(id) };
        let Some(group) = self.groups.alive.get_mut(&id) else { return };
        group.round += 1;
        let round = group.round;
        for ((index, node), bundle) in missing.into_iter().zip(chosen).zip(bundles) {
            let Some(group) = self.groups.alive.get_mut(&id) else { return };
            group.places[index] = Place::Asked(node);
            let name = group.bundle(index);
            if let Some(member) = self.members.get_mut(&node) {
                member.note_sent(Sent { lease: None, bundle: None, demand: bundle.clone() });
            }
            self.send(node, FromHead::Reserve(name, round, bundle));
        }
    }

    /// A node reserved the resources of a bundle, or had them no more.
    pub(super) fn reserved(&mut self, node: NodeId, bundle: BundleId, round: u32, is_reserved: bool) {
        let Some(group) = self.groups.alive.get_mut(&bundle.group).filter(|group| group.round == round) else { return };
        let Some(place) = group.places.get_mut(bundle.index as usize).filter(|place| **place == Place::Asked(node))
        else {
            return;
        };
        if !is_reserved {
            return self.end_round(bundle.group);
        }
        *place = Place::Reserved(node);
        let asked = |place: &Place| matches!(place, Place::Asked(_));
        if !group.places.iter().any(asked) || planted(Flaw::HalfGroup) {
            self.open_group(bundle.group);
        }
    }

    /// All bundles are reserved: they may be used.
    fn open_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.alive.get_mut(&id) else { return };
        (group.was_created, group.is_warned) = (true, false);
        self.groups.waiting.remove(&group.order);
        let mut opened = Vec::new();
        for (index, place) in group.places.iter_mut().enumerate() {
            if let Place::Reserved(node) = *place {
                *place = Place::Open(node);
                let total = group.spec.bundles[index].clone();
                opened.push((node, BundleId { group: id, index: index as u32 }, total));
            }
        }
        self.changes.group(id, &group.kept());
        for (node, bundle, total) in opened {
            if let Some(member) = self.members.get_mut(&node) {
                member.bundles.insert(bundle, Pool { free: total.clone(), total });
            }
            self.send(node, FromHead::Open(bundle));
        }
        let wants = self.wants.keys().filter(|(shape, _)| shape.strategy.group() == Some(id));
        for key in wants.cloned().collect::<Vec<(Arc<Shape>, NodeId)>>() {
            self.grant(&key);
        }
    }

    /// A round came to nothing: what was reserved in it is given back. Nodes that refused will say what they have.
    fn end_round(&mut self, id: GroupId) {
        let Some(group) = self.groups.alive.get_mut(&id) else { return };
        group.round += 1;
        let mut released = Vec::new();
        for (index, place) in group.places.iter_mut().enumerate() {
            if let Some(node) = place.of_this_round() {
                *place = Place::Nowhere;
                released.push((node, BundleId { group: id, index: index as u32 }));
            }
        }
        for (node, bundle) in released {
            self.send(node, FromHead::Release(bundle));
        }
        self.look_for_places();
    }
}

impl Head {
    /// Of each group that waits for nodes, the bundles that are nowhere, how they are to lie, and where others are.
    pub(super) fn unplaced_bundles(&self) -> impl Iterator<Item = Bundles> {
        let waiting = self.groups.waiting.values().filter_map(|id| self.groups.alive.get(id));
        let unplaced = waiting.map(|group| {
            let bundles = group.places.iter().zip(&group.spec.bundles).filter(|(place, _)| **place == Place::Nowhere);
            Bundles {
                bundles: bundles.map(|(_, bundle)| bundle.clone()).collect(),
                spreading: group.spec.spreading,
                beside: group.places.iter().filter_map(|place| place.open()).collect(),
            }
        });
        unplaced.filter(|group| !group.bundles.is_empty())
    }
}

#[cfg(test)]
impl Head {
    /// The groups that are there, in the order of their names.
    pub(in crate::schedule) fn groups(&self) -> impl Iterator<Item = GroupStatus> {
        self.groups.alive.values().map(Group::status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use crate::placement::groups::Spreading;
    use crate::schedule::message::{Packet, ToHead};
    use crate::schedule::{HeadAction, HeadEvent, HeadLimits};

    /// A head, and nodes with 2 CPUs each that say what they are told to.
    struct Cluster {
        head: Head,
        links: BTreeMap<NodeId, Link<ToHead, FromHead>>,
        now: u64,
    }

    impl Cluster {
        fn new(nodes: u64) -> Self {
            let mut cluster = Self { head: Head::new(HeadLimits::default()), links: BTreeMap::new(), now: 0 };
            for node in 1..=nodes {
                cluster.say(node, ToHead::Register(cpus(2.0), BTreeMap::new()));
                cluster.beat(node);
            }
            cluster
        }

        /// What nodes hear when one of them says something.
        fn say(&mut self, node: u64, message: ToHead) -> Vec<(u64, FromHead)> {
            let link = self.links.entry(NodeId(node)).or_default();
            link.send(message);
            let frame = link.flush(Moment(self.now)).unwrap();
            self.step(HeadEvent::Arrived(NodeId(node), frame.into()))
        }

        /// A node has nothing to do, and has heard of all that it was sent.
        fn beat(&mut self, node: u64) -> Vec<(u64, FromHead)> {
            self.say(node, ToHead::Beat(cpus(2.0), BTreeMap::new(), 100))
        }

        fn step(&mut self, event: HeadEvent) -> Vec<(u64, FromHead)> {
            self.now += LOOK_EVERY;
            let mut heard = Vec::new();
            for action in self.head.step(Moment(self.now), event) {
                let HeadAction::Send(to, packet) = action else { continue };
                let frame = match packet {
                    Packet::Head(_, _, frame) => frame,
                    Packet::Fenced => continue,
                    other => panic!("{other:?}"),
                };
                let messages = self.links.entry(to).or_default().receive(frame, Moment(self.now));
                heard.extend(messages.into_iter().map(|message| (to.0, message)));
            }
            heard
        }

        fn create(&mut self, spreading: Spreading) -> Vec<u64> {
            let id = GroupId { asked_on: NodeId(1), number: 1 };
            let bundles = vec![cpus(1.0); 2];
            let spec = GroupSpec { id, name: Arc::from(""), bundles, spreading, lives_with: None };
            reserves(&self.say(1, ToHead::Group(1, GroupRequest::Create(Arc::new(spec)))))
        }

        /// Nodes answer for the bundles with these indexes.
        fn answer(&mut self, node: u64, index: u32, round: u32, is_reserved: bool) -> Vec<(u64, FromHead)> {
            let group = GroupId { asked_on: NodeId(1), number: 1 };
            self.say(node, ToHead::Reserved(BundleId { group, index }, round, is_reserved))
        }

        fn state(&self) -> GroupState {
            self.head.groups().next().unwrap().state
        }
    }

    fn cpus(amount: f64) -> Resources {
        Resources::new([("CPU", amount)]).unwrap()
    }

    fn reserves(heard: &[(u64, FromHead)]) -> Vec<u64> {
        heard.iter().filter(|(_, message)| matches!(message, FromHead::Reserve(..))).map(|(node, _)| *node).collect()
    }

    fn opened(heard: &[(u64, FromHead)]) -> Vec<u64> {
        heard.iter().filter(|(_, message)| matches!(message, FromHead::Open(_))).map(|(node, _)| *node).collect()
    }

    #[test]
    fn bundles_of_a_dead_node_are_reserved_anew() {
        let mut cluster = Cluster::new(3);
        assert_eq!(cluster.create(Spreading::StrictSpread), [1, 2]);
        assert!(opened(&cluster.answer(1, 0, 1, true)).is_empty(), "one of two");
        assert_eq!(opened(&cluster.answer(2, 1, 1, true)), [1, 2]);
        assert_eq!(cluster.state(), GroupState::Created);
        assert_eq!(reserves(&cluster.say(2, ToHead::Ends)), [3]);
        assert_eq!(cluster.state(), GroupState::Rescheduling);
        assert_eq!(opened(&cluster.answer(3, 1, 2, true)), [3]);
        assert_eq!(cluster.state(), GroupState::Created);
        assert!(reserves(&cluster.say(1, ToHead::Ends)).is_empty(), "the other two are one");
        assert_eq!(cluster.state(), GroupState::Rescheduling);
    }

    #[test]
    fn a_round_with_a_refusal_gives_all_back_and_another_one_begins() {
        let mut cluster = Cluster::new(2);
        assert_eq!(cluster.create(Spreading::Spread), [1, 2]);
        cluster.answer(1, 0, 1, true);
        let heard = cluster.answer(2, 1, 1, false);
        let released = heard.iter().filter(|(_, message)| matches!(message, FromHead::Release(_)));
        assert_eq!(released.map(|(node, _)| *node).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(cluster.state(), GroupState::Pending);
        // The nodes still have room, as far as the head knows.
        let round = if reserves(&heard).is_empty() { cluster.beat(2) } else { heard };
        assert_eq!(reserves(&round), [1, 2]);
        assert!(opened(&cluster.answer(1, 0, 1, true)).is_empty(), "an answer of the round before");
        assert_eq!(cluster.state(), GroupState::Pending);
    }

    #[test]
    fn a_group_that_is_asked_for_when_its_client_is_gone_does_not_begin() {
        let mut cluster = Cluster::new(1);
        cluster.say(1, ToHead::ClientGone(ClientId(7)));
        let id = GroupId { asked_on: NodeId(1), number: 1 };
        let lives_with = Some((NodeId(1), ClientId(7)));
        let (name, bundles, spreading) = (Arc::from(""), vec![cpus(1.0)], Spreading::Pack);
        let spec = GroupSpec { id, name, bundles, spreading, lives_with };
        assert!(reserves(&cluster.say(1, ToHead::Group(1, GroupRequest::Create(Arc::new(spec))))).is_empty());
        assert_eq!(cluster.head.groups().count(), 0);
    }
}
