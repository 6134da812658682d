//! Which node is to run a task: a pure order of those that are there.

pub mod groups;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{BundleId, GroupId, NodeId};
use crate::resources::{GPU, Resources};

/// Below this use a node is filled before the next one is begun, so that few nodes are busy and large demands still
/// find an empty one; above it tasks go where there is most room. (The threshold of Ray's hybrid policy.)
const PACK_UNTIL: f64 = 0.5;

/// Where the user wants a task to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Strategy {
    /// Near its arguments, then on nodes in use up to their half, then wherever there is most room.
    #[default]
    Default,
    /// Wherever there is most room.
    Spread,
    /// On one node; if `soft`, elsewhere when that node is gone or has not what is asked for.
    Node {
        /// The node.
        node: NodeId,
        /// Whether another one will do.
        soft: bool,
    },
    /// On nodes with labels of which all of `hard` is true; rather on those of which `soft` is true as well.
    Labels {
        /// What has to be.
        hard: Arc<[Label]>,
        /// What is better.
        soft: Arc<[Label]>,
    },
    /// In a bundle of a placement group: that one, or any of them.
    Group {
        /// The group.
        group: GroupId,
        /// Which of its bundles; `None` for any.
        index: Option<u32>,
    },
}

/// What is asked of one label of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Label {
    /// Which one.
    pub name: Arc<str>,
    /// The values of which it has to have one; none for any.
    pub values: BTreeSet<Arc<str>>,
    /// Whether the contrary is asked for.
    pub is_not: bool,
}

impl Label {
    /// Whether it is so for a node with these labels.
    #[must_use]
    pub fn is_true(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        let found = labels.get(&self.name).is_some_and(|value| self.values.is_empty() || self.values.contains(value));
        found != self.is_not
    }

    /// Whether all of them are.
    #[must_use]
    pub fn all_true(asked: &[Self], labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        asked.iter().all(|label| label.is_true(labels))
    }
}

impl Strategy {
    /// The placement group, if it is one.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Self::Group { group, .. } => Some(*group),
            _ => None,
        }
    }

    /// The bundles that will do, if it is a placement group: from the first to the last.
    #[must_use]
    pub fn bundles(&self) -> Option<std::ops::RangeInclusive<BundleId>> {
        let Self::Group { group, index } = self else { return None };
        let bundle = |index| BundleId { group: *group, index };
        Some(bundle(index.unwrap_or(0))..=bundle(index.unwrap_or(u32::MAX)))
    }
}

/// A node as placement sees it, or a bundle on one.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name.
    pub id: NodeId,
    /// The bundle, if what it has and what is free is that of one.
    pub bundle: Option<BundleId>,
    /// All it has.
    pub total: &'a Resources,
    /// What of it is free, as far as is known.
    pub free: &'a Resources,
    /// Its labels.
    pub labels: &'a BTreeMap<Arc<str>, Arc<str>>,
}

impl Candidate<'_> {
    fn may(&self, strategy: &Strategy) -> bool {
        if let Some(bundle) = self.bundle {
            return strategy.bundles().is_some_and(|bundles| bundles.contains(&bundle));
        }
        match strategy {
            Strategy::Group { .. } => false,
            Strategy::Default | Strategy::Spread | Strategy::Node { soft: true, .. } => true,
            Strategy::Node { node, soft: false } => self.id == *node,
            Strategy::Labels { hard, .. } => Label::all_true(hard, self.labels),
        }
    }

    /// Whether the node could run it once all else is done.
    #[must_use]
    pub fn could(&self, demand: &Resources, strategy: &Strategy) -> bool {
        self.may(strategy) && self.total.contains(demand)
    }
}

/// How well a node suits a task: the greatest is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    is_wanted: bool,
    /// Whether no GPU lies idle beside what asks for none.
    spares_gpus: bool,
    near: u64,
    room: u64,
    id: Reverse<NodeId>,
}

/// How well `node` suits a task with this demand, if it has room for it now: `near` are the bytes of the task's
/// arguments by node.
#[must_use]
pub fn rank(
    node: &Candidate<'_>,
    demand: &Resources,
    strategy: &Strategy,
    near: &BTreeMap<NodeId, u64>,
) -> Option<Rank> {
    if !node.may(strategy) || !node.free.contains(demand) {
        return None;
    }
    let busy = node.total.use_when_free(node.free);
    // In thousandths: a float has no total order.
    let room = 1000 - (busy * 1000.0) as u64;
    Some(Rank {
        is_wanted: match strategy {
            Strategy::Node { node: wanted, .. } => *wanted == node.id,
            Strategy::Labels { soft, .. } => soft.iter().all(|label| label.is_true(node.labels)),
            _ => false,
        },
        spares_gpus: node.total.amount(GPU) == 0.0 || demand.amount(GPU) > 0.0,
        near: near.get(&node.id).copied().unwrap_or(0),
        room: if *strategy != Strategy::Spread && busy < PACK_UNTIL { 2000 - room } else { room },
        id: Reverse(node.id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(amount: f64) -> Resources {
        Resources::new([("CPU", amount)]).unwrap()
    }

    /// Nodes of four CPUs, so many of them free; node 3 has the label `zone=b`.
    fn place(free: &[f64], strategy: &Strategy, near: &[(u64, u64)]) -> Option<u64> {
        let total = cpus(4.0);
        let free: Vec<_> = free.iter().map(|amount| cpus(*amount)).collect();
        let labels = [BTreeMap::new(), BTreeMap::from([(Arc::from("zone"), Arc::from("b"))])];
        let near = near.iter().map(|(node, bytes)| (NodeId(*node), *bytes)).collect();
        let candidate = |(index, free)| {
            let id = NodeId(index as u64);
            Candidate { id, bundle: None, total: &total, free, labels: &labels[usize::from(index == 3)] }
        };
        let ranks = free.iter().enumerate().map(candidate).filter_map(|node| rank(&node, &cpus(1.0), strategy, &near));
        ranks.max().map(|best| best.id.0.0)
    }

    #[test]
    fn tasks_fill_a_node_to_its_half_and_then_go_where_there_is_room() {
        assert_eq!(place(&[4.0, 3.0, 4.0], &Strategy::Default, &[]), Some(1));
        assert_eq!(place(&[4.0, 2.0, 4.0], &Strategy::Default, &[]), Some(0));
        assert_eq!(place(&[1.0, 0.0, 2.0], &Strategy::Default, &[]), Some(2));
        assert_eq!(place(&[0.5, 0.0], &Strategy::Default, &[]), None);
        assert_eq!(place(&[3.0, 4.0], &Strategy::Spread, &[]), Some(1));
    }

    #[test]
    fn tasks_go_to_their_arguments() {
        assert_eq!(place(&[4.0, 3.0, 1.0], &Strategy::Default, &[(2, 100), (1, 99)]), Some(2));
        assert_eq!(place(&[4.0, 3.0, 0.0], &Strategy::Default, &[(2, 100)]), Some(1));
    }

    #[test]
    fn what_asks_for_no_gpu_leaves_those_to_others() {
        let (plain, with_gpu) = (cpus(4.0), Resources::new([("CPU", 4.0), ("GPU", 1.0)]).unwrap());
        let labels = BTreeMap::new();
        let of = |id, total, free| Candidate { id: NodeId(id), bundle: None, total, free, labels: &labels };
        let (demand, near) = (cpus(1.0), BTreeMap::from([(NodeId(1), 100)]));
        let best = |nodes: &[Candidate<'_>], demand: &Resources| {
            let ranks = nodes.iter().filter_map(|node| rank(node, demand, &Strategy::Default, &near));
            ranks.max().map(|best| best.id.0.0)
        };
        let nodes = [of(1, &with_gpu, &with_gpu), of(2, &plain, &plain)];
        assert_eq!(best(&nodes, &demand), Some(2), "its arguments are with the GPU");
        assert_eq!(best(&nodes[..1], &demand), Some(1), "there is no other node");
        assert_eq!(best(&nodes, &Resources::new([("GPU", 0.5)]).unwrap()), Some(1));
    }

    #[test]
    fn a_node_or_its_labels_can_be_asked_for() {
        let hard = Strategy::Node { node: NodeId(1), soft: false };
        let soft = Strategy::Node { node: NodeId(1), soft: true };
        assert_eq!(place(&[4.0, 1.0], &hard, &[(0, 10)]), Some(1));
        assert_eq!(place(&[4.0, 0.0], &hard, &[]), None);
        assert_eq!(place(&[4.0, 0.0], &soft, &[]), Some(0));
    }

    #[test]
    fn labels_are_compared_as_it_was_asked() {
        let zone = |values: &[&str], is_not| Label {
            name: Arc::from("zone"),
            values: values.iter().map(|value| Arc::from(*value)).collect(),
            is_not,
        };
        let hard = |label| Strategy::Labels { hard: Arc::new([label]), soft: Arc::new([]) };
        let all = [4.0, 4.0, 4.0, 1.0];
        for there in [zone(&["b"], false), zone(&["a", "b"], false), zone(&[], false)] {
            assert_eq!(place(&all, &hard(there.clone()), &[]), Some(3));
            assert_eq!(place(&all[..3], &hard(there), &[]), None);
        }
        for absent in [zone(&["b"], true), zone(&[], true)] {
            assert_eq!(place(&[0.0, 0.0, 0.0, 4.0], &hard(absent.clone()), &[]), None);
            assert_eq!(place(&all, &hard(absent), &[]), Some(0));
        }
        assert_eq!(place(&all, &hard(zone(&["c"], true)), &[(3, 10)]), Some(3), "another value than that");
        let soft = Strategy::Labels { hard: Arc::new([]), soft: Arc::new([zone(&["b"], false)]) };
        assert_eq!(place(&all, &soft, &[]), Some(3));
        assert_eq!(place(&[4.0, 4.0, 4.0, 0.0], &soft, &[]), Some(0));
    }
}
