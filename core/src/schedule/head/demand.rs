//! What waits for nodes, and the nodes that are there or can come for it.

use std::sync::Arc;

use super::{Head, Member};
use crate::autoscale::{ClusterView, Demand, NodeView, Prospect, TYPE_LABEL, Wanted};
use crate::ids::NodeId;
use crate::placement::{Candidate, Strategy};
use crate::resources::Resources;
use crate::schedule::message::{self, FromHead};
use crate::schedule::spec::Shape;

/// What whoever starts nodes has said, and what was asked of them.
#[derive(Debug, Default)]
pub(super) struct Hopes {
    /// Types of node of which there can be more.
    pub(super) prospects: Vec<Prospect>,
    /// What there is to be room for.
    pub(super) floor: Vec<Resources>,
}

/// A node of that type, before it is there.
fn as_candidate(prospect: &Prospect) -> Candidate<'_> {
    let Prospect { total, labels, .. } = prospect;
    Candidate { id: NodeId(u64::MAX), bundle: None, total, free: total, labels }
}

impl Head {
    /// The nodes and what waits for them, for whoever starts and ends nodes.
    #[must_use]
    pub fn view(&self) -> ClusterView {
        let nodes = self.members.iter().filter(|(_, member)| member.is_ready).map(|(id, member)| NodeView {
            id: *id,
            address: Arc::clone(&member.address),
            total: member.total.clone(),
            free: member.free.clone(),
            labels: member.labels.clone(),
            grants: member.grants,
            is_leaving: member.is_leaving,
            is_heard: self.is_heard(member),
        });
        let tasks = self.wants.iter().filter_map(|((shape, _), want)| {
            // A soft wish for a node that is there is one for it alone.
            let labels = match &*self.strategy_now(shape) {
                // A bundle or a node is what it waits for, and no room elsewhere.
                Strategy::Group { .. } | Strategy::Node { soft: false, .. } => return None,
                Strategy::Labels { hard, .. } => Arc::clone(hard),
                Strategy::Default | Strategy::Spread | Strategy::Node { .. } => Arc::new([]),
            };
            Some(Wanted { demand: shape.demand.clone(), labels, count: want.count })
        });
        let floor = self.hopes.floor.clone();
        let demand = Demand { tasks: tasks.collect(), groups: self.unplaced_bundles().collect(), floor };
        ClusterView { nodes: nodes.collect(), demand }
    }

    /// The types of node of which there can be more, as was told last.
    #[must_use]
    pub fn prospects(&self) -> &[Prospect] {
        &self.hopes.prospects
    }

    /// Whether a node can come that could run this: those that are there may leave or die, and another one comes then.
    fn could_come(&self, shape: &Shape) -> bool {
        match shape.strategy {
            Strategy::Group { .. } | Strategy::Node { soft: false, .. } => false,
            _ => {
                self.hopes.prospects.iter().any(|prospect| as_candidate(prospect).could(&shape.demand, &shape.strategy))
            }
        }
    }

    /// The nodes that can still come, so many of each type at the most, under names that no node has.
    pub(super) fn to_come(&self, most: usize) -> impl Iterator<Item = Candidate<'_>> {
        let each = self.hopes.prospects.iter();
        let all = each.flat_map(move |prospect| std::iter::repeat_n(prospect, most.min(self.more_of(prospect))));
        all.enumerate().map(|(at, prospect)| Candidate { id: NodeId(u64::MAX - at as u64), ..as_candidate(prospect) })
    }

    /// How many more nodes of a type may come; those that leave make room for others.
    fn more_of(&self, prospect: &Prospect) -> usize {
        let is_its = |member: &&Member| {
            !member.is_leaving && member.labels.get(TYPE_LABEL).is_some_and(|name| *name == prospect.name)
        };
        (prospect.max as usize).saturating_sub(self.members.values().filter(is_its).count())
    }

    /// Tells an owner that no node could ever run what it wants, if that is so.
    pub(super) fn warn(&mut self, key: &(Arc<Shape>, NodeId)) {
        if self.wants.get(key).is_none_or(|want| want.warned) {
            return;
        }
        let (shape, owner) = key;
        let staying = || self.members.iter().filter(|(_, member)| !member.is_leaving);
        let nodes = || staying().map(|(id, member)| member.as_candidate(*id));
        let could = match shape.strategy.group() {
            // Of a group that waits it is told what it waits for: only who does not want to wait is told again.
            Some(group) => !shape.fail_if_unschedulable || !self.explain_group(group).1,
            None => nodes().any(|node| node.could(&shape.demand, &shape.strategy)),
        };
        // Who has not said what it has may be the one.
        if could || self.could_come(shape) || self.members.values().any(|member| !member.is_ready) {
            return;
        }
        let missing = nodes().map(|node| node.total.lacks(&shape.demand)).min().unwrap_or_default();
        if let Some(want) = self.wants.get_mut(key) {
            want.warned = true;
        }
        self.send(*owner, FromHead::Unplaceable(Arc::clone(shape), missing));
    }

    /// What the nodes have and what of it is free, as far as they have said, and their labels.
    pub fn members(&self) -> impl Iterator<Item = message::Member> {
        let there = self.members.iter().filter(|(_, member)| member.is_ready);
        there.map(|(id, member)| message::Member {
            id: *id,
            address: Arc::clone(&member.address),
            total: member.total.clone(),
            free: member.free.clone(),
            labels: member.labels.clone(),
        })
    }

    /// Answers those who ask which nodes there are, once all have said what they have: after the end of a head the next
    /// one waits for those that it has heard of, as long as they may come.
    pub(super) fn tell_members(&mut self) {
        if self.asked.is_empty() || self.members.values().any(|member| !member.is_ready) {
            return;
        }
        for (node, question) in std::mem::take(&mut self.asked) {
            let members = self.members().collect();
            let more = |prospect: &Prospect| (prospect.total.clone(), self.more_of(prospect) as u64);
            let more = self.hopes.prospects.iter().map(more).collect();
            self.send(node, FromHead::Members(question, members, more));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::env::Moment;
    use crate::link::Link;
    use crate::placement::Label;
    use crate::schedule::message::{HeadRequest, Packet, ToHead};
    use crate::schedule::{HeadAction, HeadEvent, HeadLimits};

    /// A head and a node of it with 2 CPUs, which says what it is told to.
    struct One {
        head: Head,
        link: Link<ToHead, FromHead>,
        now: u64,
    }

    impl One {
        fn new() -> Self {
            let mut one = Self { head: Head::new(HeadLimits::default()), link: Link::default(), now: 0 };
            one.say(ToHead::Register(cpus(2.0), BTreeMap::new()));
            one.say(ToHead::Beat(cpus(2.0), BTreeMap::new(), 0));
            one
        }

        /// What the head says to it.
        fn say(&mut self, message: ToHead) -> Vec<FromHead> {
            self.now += 1;
            self.link.send(message);
            let frame = self.link.flush(Moment(self.now)).unwrap();
            let actions = self.head.step(Moment(self.now), HeadEvent::Arrived(NodeId(1), frame.into()));
            let frames = actions.into_iter().filter_map(|action| match action {
                HeadAction::Send(_, Packet::Head(_, _, frame)) => Some(frame),
                _ => None,
            });
            let frames: Vec<_> = frames.collect();
            frames.into_iter().flat_map(|frame| self.link.receive(frame, Moment(self.now))).collect()
        }

        fn want(&mut self, demand: Resources, strategy: Strategy) -> bool {
            let shape = Arc::new(Shape { demand, strategy, fail_if_unschedulable: true });
            let said = self.say(ToHead::Want(Arc::clone(&shape), 3, BTreeMap::new()));
            said.iter().any(|message| matches!(message, FromHead::Unplaceable(..)))
        }
    }

    fn cpus(amount: f64) -> Resources {
        Resources::new([("CPU", amount)]).unwrap()
    }

    fn prospect(max: u32) -> Prospect {
        let labels = BTreeMap::from([(Arc::from("zone"), Arc::from("b"))]);
        Prospect { name: Arc::from("large"), total: cpus(8.0), labels, max, trouble: None }
    }

    #[test]
    fn what_a_node_that_can_come_could_run_is_waited_for() {
        let zone = |value: &str| Strategy::Labels {
            hard: Arc::new([Label {
                name: Arc::from("zone"),
                values: BTreeSet::from([Arc::from(value)]),
                is_not: false,
            }]),
            soft: Arc::new([]),
        };
        for (demand, strategy, is_refused) in [
            (4.0, Strategy::Default, false),
            (9.0, Strategy::Spread, true),
            (4.0, zone("b"), false),
            (4.0, zone("c"), true),
            (4.0, Strategy::Node { node: NodeId(1), soft: false }, true),
        ] {
            let mut one = One::new();
            one.head.step(Moment(1), HeadEvent::Prospects(vec![prospect(1)]));
            assert_eq!(one.want(cpus(demand), strategy.clone()), is_refused, "{demand} {strategy:?}");
        }
        assert!(One::new().want(cpus(4.0), Strategy::Default), "nobody can come");
    }

    #[test]
    fn what_waits_and_what_was_asked_for_is_told() {
        let mut one = One::new();
        one.head.step(Moment(1), HeadEvent::Prospects(vec![prospect(2)]));
        one.say(ToHead::Ask(1, HeadRequest::KeepRoom(vec![cpus(1.0)])));
        one.want(cpus(4.0), Strategy::Spread);
        // Another node is no help to who waits for this one, also who would do with another if this one were not there.
        for soft in [false, true] {
            one.want(cpus(2.0), Strategy::Node { node: NodeId(1), soft });
        }
        let view = one.head.view();
        let wanted = Wanted { demand: cpus(4.0), labels: Arc::new([]), count: 3 };
        assert_eq!(view.demand, Demand { tasks: vec![wanted], groups: Vec::new(), floor: vec![cpus(1.0)] });
        let node = &view.nodes[0];
        assert_eq!((node.id, &node.total, node.is_leaving, node.is_heard), (NodeId(1), &cpus(2.0), false, true));
    }
}
