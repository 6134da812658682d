//! `Scaler`: decides which nodes are started and which leave. It knows no clock, process or network.

use std::collections::{BTreeMap, BTreeSet};

use super::pack::Packing;
use super::rules::{NodeType, Rules};
use super::view::{NodeView, Prospect, View};
use crate::env::Moment;
use crate::ids::NodeId;
use crate::resources::Resources;

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
    /// Why its node is not there yet.
    waits: Option<String>,
}

impl Seen {
    fn new(node_type: String, since: Moment) -> Self {
        Self { node_type, since, was_there: false, waits: None }
    }
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
    /// Nodes that have nothing to do, since when, and how often something of them had been lent by then.
    idle: BTreeMap<NodeId, (Moment, u64)>,
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
        let is_long = |since: Moment| now.since(since) >= self.rules.idle_after;
        self.idle.iter().filter(|(_, (since, _))| is_long(*since)).map(|(node, _)| *node).collect()
    }

    /// What is to be done now. `asked` are nodes of [`Self::long_idle`] that were asked, and whether nobody uses them.
    pub fn step(&mut self, now: Moment, view: &View, asked: &BTreeMap<NodeId, bool>) -> Vec<Decision> {
        let mut decisions = self.look_after(now, view);
        let removed: BTreeSet<&str> = decisions.iter().filter_map(Decision::removes).collect();
        let look = self.look(view, &removed);
        let (packing, needed) = self.pack(now, &look);
        let mut planned = packing.planned().to_vec();
        planned.truncate(LEAST_BOOTING.max(look.there.len()).saturating_sub(look.booting.len()));
        // First, for what they rest on is the oldest.
        let idle = self.idle_now(now, &look, &needed, asked);
        decisions.splice(0..0, idle);
        decisions.extend(planned.into_iter().map(|number| self.create(now, number)));
        decisions
    }

    /// An instance could not be started.
    pub fn failed(&mut self, now: Moment, name: &str, why: &str) {
        if let Some(seen) = self.seen.remove(name) {
            self.pause(now, &seen.node_type, why);
        }
    }

    /// The types of which nodes may come.
    #[must_use]
    pub fn prospects(&self) -> Vec<Prospect> {
        let prospect = |node_type: &NodeType| {
            let name = &node_type.name;
            let is_its = |seen: &&Seen| seen.node_type == *name;
            let waits = || self.seen.values().filter(is_its).find_map(|seen| seen.waits.clone());
            let trouble = self.pauses.get(name).map(|pause| pause.why.clone()).or_else(waits);
            Prospect {
                name: name.as_str().into(),
                total: node_type.resources.clone(),
                labels: node_type.labels.clone(),
                max: u32::try_from(node_type.max.min(self.rules.max_nodes)).unwrap_or(u32::MAX),
                trouble: trouble.map(Into::into),
            }
        };
        self.rules.types.iter().map(prospect).collect()
    }

    /// Takes in which instances there are; those that have ended, never came or lost their node are to go.
    fn look_after(&mut self, now: Moment, view: &View) -> Vec<Decision> {
        let nodes = view.cluster.nodes.iter().filter_map(|node| Some((node.instance()?, &node.total)));
        let nodes: BTreeMap<&str, &Resources> = nodes.collect();
        let listed: BTreeSet<&str> = view.instances.iter().map(|instance| &*instance.name).collect();
        self.seen.retain(|name, _| listed.contains(&**name));
        let mut decisions = Vec::new();
        for instance in &view.instances {
            let (name, node_type) = (instance.name.clone(), instance.node_type.clone());
            let seen = self.seen.entry(name.clone()).or_insert_with(|| Seen::new(node_type, now));
            seen.waits = instance.waits.clone();
            if let Some(total) = nodes.get(&*name) {
                seen.waits = None;
                if !std::mem::replace(&mut seen.was_there, true) {
                    self.has_come(now, &instance.node_type, total);
                }
            }
            let Some(seen) = self.seen.get(&name) else { continue };
            let (was_there, waited) = (seen.was_there, now.since(seen.since));
            let why = match &instance.ended {
                Some(why) => why.clone(),
                None if nodes.contains_key(&*name) => continue,
                None if was_there => "its node has left".to_string(),
                None if waited >= self.rules.boots_within => {
                    let waits = seen.waits.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                    format!("its node did not come within {} s{waits}", self.rules.boots_within / 1000)
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

    /// A node of a type has come: more may be started, if it has what the type says. Otherwise what waits may wait for ever,
    /// and nodes be started for it without end.
    fn has_come(&mut self, now: Moment, name: &str, total: &Resources) {
        let lacks = self.rules.type_of(name).map(|node_type| (total.lacks(&node_type.resources), node_type));
        match lacks.filter(|(lacks, _)| !lacks.is_empty()) {
            None => drop(self.pauses.remove(name)),
            Some((lacks, _)) => {
                self.pause(now, name, &format!("a node of it has not the {lacks} that its type has, but {total}"));
            }
        }
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
    fn pack<'a>(&'a self, now: Moment, look: &Look<'a>) -> (Packing<'a>, BTreeSet<NodeId>) {
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
        let at = |node: &NodeId| rooms.iter().find(|(id, _)| id == node).map(|(_, room)| *room);
        for group in &demand.groups {
            packing.lay_group(group, group.beside.iter().filter_map(at).collect());
        }
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
            let idle = self.idle.entry(id).or_insert((now, node.grants));
            // What is short runs between two looks.
            if idle.1 != node.grants || asked.get(&id) == Some(&false) {
                *idle = (now, node.grants);
            }
            let since = idle.0;
            match asked.get(&id) {
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
        self.seen.insert(name.clone(), Seen::new(node_type.clone(), now));
        Decision::Create { name, node_type }
    }

    fn pause(&mut self, now: Moment, node_type: &str, why: &str) {
        let paused = self.pauses.get(node_type);
        // Those that fail together have failed once.
        if paused.is_some_and(|pause| now < pause.until) {
            return;
        }
        let before = paused.map_or(0, |pause| pause.failures);
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
