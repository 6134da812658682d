//! `Scaler`: decides which nodes are started and which leave. It knows no clock, process or network.

use std::collections::{BTreeMap, BTreeSet};

use super::pack::Packing;
use super::rules::Rules;
use super::view::{NodeView, Prospect, View};
use crate::env::Moment;
use crate::ids::NodeId;

/// Instances that may be on their way at once, where fewer nodes are there; else as many as those (Ray's
/// `upscaling_speed` of 1).
const LEAST_BOOTING: usize = 5;
/// How long no node of a type is started after one could not be, in milliseconds: twice as long each time.
const PAUSES: (u64, u64) = (2_000, 60_000);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Start an instance of a type, under this name.
    Create {
        /// The name.
        name: String,
        /// The name of the type.
        node_type: String,
    },
    /// Have a node leave that is not used.
    Drain {
        /// The node.
        node: NodeId,
        /// Its instance.
        name: String,
    },
    /// End an instance, and forget it.
    Remove {
        /// Its name.
        name: String,
        /// Why, for people.
        why: String,
        /// Whether its node never came.
        has_failed: bool,
    },
}

/// An instance as it is known here.
#[derive(Debug)]
struct Seen {
    node_type: String,
    since: Moment,
    was_there: bool,
}

/// A type of which none could be started.
#[derive(Debug)]
struct Pause {
    failures: u32,
    until: Moment,
    why: String,
}

/// The state of growing and shrinking.
#[derive(Debug)]
pub struct Scaler {
    rules: Rules,
    /// Makes names that no head before this one has given.
    life: String,
    created: u64,
    seen: BTreeMap<String, Seen>,
    /// Nodes that have nothing to do, since when.
    idle: BTreeMap<NodeId, Moment>,
    /// By type.
    pauses: BTreeMap<String, Pause>,
}

/// What comes of one look.
struct Look<'a> {
    view: &'a View,
    /// Instances whose node may yet come, by their types.
    booting: Vec<String>,
    /// Nodes on instances that there are, but for those that leave.
    there: Vec<&'a NodeView>,
    /// How many instances there are of each type, but for those whose nodes leave, and of all.
    counts: Vec<usize>,
    all: usize,
}

impl Scaler {
    /// One that has started nothing. `life` is part of the names that it gives: small letters and digits, such as no
    /// other one has.
    #[must_use]
    pub fn new(rules: Rules, life: &str) -> Self {
        let (seen, idle, pauses) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rules, life: life.to_string(), created: 0, seen, idle, pauses }
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Nodes that have had nothing to do for so long that they may leave, if nobody uses them otherwise.
    #[must_use]
    pub fn long_idle(&self, now: Moment) -> Vec<NodeId> {
        let is_long = |since: &Moment| now.since(*since) >= self.rules.idle_after;
        self.idle.iter().filter(|(_, since)| is_long(since)).map(|(node, _)| *node).collect()
    }

    /// What is to be done now. `asked` are nodes of [`Self::long_idle`] that were asked, and whether nobody uses them.
    pub fn step(&mut self, now: Moment, view: &View, asked: &BTreeMap<NodeId, bool>) -> Vec<Decision> {
        let mut decisions = self.look_after(now, view);
        let removed: BTreeSet<&str> = decisions.iter().filter_map(Decision::removes).collect();
        let look = self.look(view, &removed);
        let (packing, needed) = self.pack(now, &look);
        let mut planned = packing.planned().to_vec();
        planned.truncate(LEAST_BOOTING.max(look.there.len()).saturating_sub(look.booting.len()));
        let idle = self.idle_now(now, &look, &needed, asked);
        decisions.extend(idle);
        decisions.extend(planned.into_iter().map(|number| self.create(now, number)));
        decisions
    }

    /// An instance could not be started.
    pub fn failed(&mut self, now: Moment, name: &str, why: &str) {
        if let Some(seen) = self.seen.remove(name) {
            self.pause(now, &seen.node_type, why);
        }
    }

    /// The types of which more nodes may come.
    #[must_use]
    pub fn prospects(&self, now: Moment, view: &View) -> Vec<Prospect> {
        let there: BTreeSet<&str> = view.cluster.nodes.iter().filter_map(NodeView::instance).collect();
        let count = |name: &str| {
            self.seen.iter().filter(|(instance, seen)| seen.node_type == name && there.contains(&***instance)).count()
        };
        let all = there.len();
        let prospect = |node_type: &super::NodeType| {
            let free = node_type.max.saturating_sub(count(&node_type.name));
            let more = free.min(self.rules.max_nodes.saturating_sub(all));
            let pause = self.pauses.get(&node_type.name).filter(|pause| now < pause.until);
            Prospect {
                name: node_type.name.as_str().into(),
                total: node_type.resources.clone(),
                labels: node_type.labels.clone(),
                more: u32::try_from(more).unwrap_or(u32::MAX),
                trouble: pause.map(|pause| pause.why.as_str().into()),
            }
        };
        self.rules.types.iter().map(prospect).collect()
    }

    /// Takes in which instances there are; those that have ended, never came or lost their node are to go.
    fn look_after(&mut self, now: Moment, view: &View) -> Vec<Decision> {
        let nodes: BTreeSet<&str> = view.cluster.nodes.iter().filter_map(NodeView::instance).collect();
        let listed: BTreeSet<&str> = view.instances.iter().map(|instance| &*instance.name).collect();
        self.seen.retain(|name, _| listed.contains(&**name));
        let mut decisions = Vec::new();
        for instance in &view.instances {
            let (name, node_type) = (instance.name.clone(), instance.node_type.clone());
            let seen = self.seen.entry(name.clone()).or_insert(Seen { node_type, since: now, was_there: false });
            if nodes.contains(&*name) {
                seen.was_there = true;
                self.pauses.remove(&seen.node_type);
            }
            let (was_there, waited) = (seen.was_there, now.since(seen.since));
            let why = match &instance.ended {
                Some(why) => why.clone(),
                None if nodes.contains(&*name) => continue,
                None if was_there => "its node has left".to_string(),
                None if waited >= self.rules.boots_within => {
                    format!("its node did not come within {} s", self.rules.boots_within / 1000)
                }
                None => continue,
            };
            if !was_there {
                self.pause(now, &instance.node_type, &why);
            }
            decisions.push(Decision::Remove { name, why, has_failed: !was_there });
        }
        decisions
    }

    fn look<'a>(&self, view: &'a View, removed: &BTreeSet<&str>) -> Look<'a> {
        let staying = view.cluster.nodes.iter().filter(|node| !node.is_leaving);
        let there: Vec<&NodeView> = staying.filter(|node| node.instance().is_some()).collect();
        let with_nodes: BTreeSet<&str> = view.cluster.nodes.iter().filter_map(NodeView::instance).collect();
        let leaving = |name: &str| with_nodes.contains(name) && !there.iter().any(|node| node.instance() == Some(name));
        let kept = view.instances.iter().filter(|instance| !removed.contains(&*instance.name));
        let kept: Vec<_> = kept.filter(|instance| !leaving(&instance.name)).collect();
        let of = |name: &str| kept.iter().filter(|instance| instance.node_type == name).count();
        let booting = kept.iter().filter(|instance| !with_nodes.contains(&*instance.name));
        Look {
            view,
            booting: booting.map(|instance| instance.node_type.clone()).collect(),
            there,
            counts: self.rules.types.iter().map(|node_type| of(&node_type.name)).collect(),
            all: kept.len(),
        }
    }

    /// Lays all that waits on the nodes; which of those that are there are needed.
    fn pack<'a>(&'a self, now: Moment, look: &Look<'_>) -> (Packing<'a>, BTreeSet<NodeId>) {
        let is_paused = |name: &str| self.pauses.get(name).is_some_and(|pause| now < pause.until);
        let types = self.rules.types.iter().enumerate();
        let closed = types.clone().filter(|(_, of)| is_paused(&of.name)).map(|(number, _)| number).collect();
        let mut packing = Packing::new(&self.rules, look.counts.clone(), look.all, closed);
        let staying = look.view.cluster.nodes.iter().filter(|node| !node.is_leaving && node.is_heard);
        let rooms: Vec<(NodeId, usize)> =
            staying.map(|node| (node.id, packing.add(&node.total, &node.free, &node.labels))).collect();
        let booting = look.booting.iter().filter_map(|name| self.rules.type_of(name));
        booting.for_each(|node_type| _ = packing.add_of(node_type));
        for (number, node_type) in types {
            let missing = node_type.min.saturating_sub(look.counts[number]);
            (0..missing).for_each(|_| _ = packing.plan(number));
        }
        let demand = &look.view.cluster.demand;
        demand.groups.iter().for_each(|group| packing.lay_group(group));
        packing.lay_tasks(&demand.tasks);
        packing.empty();
        packing.lay_floor(&demand.floor);
        let needed = rooms.into_iter().filter(|(_, room)| packing.is_used(*room)).map(|(node, _)| node).collect();
        (packing, needed)
    }

    /// Notes which nodes have nothing to do, and lets those leave that nobody has used for long.
    fn idle_now(
        &mut self,
        now: Moment,
        look: &Look<'_>,
        needed: &BTreeSet<NodeId>,
        asked: &BTreeMap<NodeId, bool>,
    ) -> Vec<Decision> {
        let is_idle = |node: &NodeView| node.is_heard && node.free == node.total && !needed.contains(&node.id);
        let idle: BTreeMap<NodeId, &NodeView> =
            look.there.iter().filter(|node| is_idle(node)).map(|node| (node.id, *node)).collect();
        self.idle.retain(|node, _| idle.contains_key(node));
        let mut counts = look.counts.clone();
        let mut decisions = Vec::new();
        for (id, node) in idle {
            let since = *self.idle.entry(id).or_insert(now);
            match asked.get(&id) {
                Some(false) => _ = self.idle.insert(id, now),
                Some(true) if now.since(since) >= self.rules.idle_after => {
                    let Some(name) = node.instance().filter(|name| self.may_go(name, &mut counts)) else { continue };
                    decisions.push(Decision::Drain { node: id, name: name.to_string() });
                }
                _ => {}
            }
        }
        decisions
    }

    /// Takes one of its type off the counts, if more than the least are there. Of a type that is none any more all go.
    fn may_go(&self, name: &str, counts: &mut [usize]) -> bool {
        let Some(seen) = self.seen.get(name) else { return false };
        let number = self.rules.types.iter().position(|node_type| node_type.name == seen.node_type);
        let Some(number) = number else { return true };
        let is_more = counts[number] > self.rules.types[number].min;
        counts[number] -= usize::from(is_more);
        is_more
    }

    fn create(&mut self, now: Moment, number: usize) -> Decision {
        self.created += 1;
        let node_type = self.rules.types[number].name.clone();
        let name = format!("{node_type}-{}-{}", self.life, self.created);
        self.seen.insert(name.clone(), Seen { node_type: node_type.clone(), since: now, was_there: false });
        Decision::Create { name, node_type }
    }

    fn pause(&mut self, now: Moment, node_type: &str, why: &str) {
        let before = self.pauses.get(node_type).map_or(0, |pause| pause.failures);
        let time = PAUSES.1.min(PAUSES.0 << before.min(16));
        let pause = Pause { failures: before + 1, until: now + time, why: why.to_string() };
        self.pauses.insert(node_type.to_string(), pause);
    }
}

impl Decision {
    /// The instance that goes.
    fn removes(&self) -> Option<&str> {
        match self {
            Self::Remove { name, .. } => Some(name),
            Self::Create { .. } | Self::Drain { .. } => None,
        }
    }
}
