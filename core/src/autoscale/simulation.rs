//! Clusters that grow and shrink, by seed: providers that refuse, machines that are slow or never come, nodes that die.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::env::{Moment, Random};
use crate::ids::NodeId;
use crate::placement::Label;
use crate::placement::groups::Spreading;
use crate::resources::{CPU, GPU, Resources};

const SEEDS: u64 = 500;
/// A second, as the loop has them.
const TICK: u64 = 1_000;
/// After so many ticks nothing new comes, and nothing goes wrong any more.
const BUSY_TICKS: u64 = 150;
/// Within so many more all is done, and all that is idle has left.
const QUIET_TICKS: u64 = 600;
/// For so many more it stays so.
const STILL_TICKS: u64 = 40;

fn of(amounts: &[(&str, f64)]) -> Resources {
    Resources::new(amounts.iter().copied()).unwrap()
}

fn node_type(name: &str, resources: &[(&str, f64)], min: usize, max: usize) -> NodeType {
    let labels = BTreeMap::from([(Arc::from("type"), Arc::from(name))]);
    NodeType { name: name.to_string(), resources: of(resources), labels, min, max }
}

fn rules() -> Rules {
    let types = vec![
        node_type("small", &[(CPU, 2.0)], 1, 6),
        node_type("large", &[(CPU, 16.0)], 0, 3),
        node_type("gpu", &[(CPU, 4.0), (GPU, 1.0)], 0, 2),
    ];
    Rules { types, max_nodes: 9, idle_after: 30_000, boots_within: 60_000 }.checked().unwrap()
}

/// A machine of the simulation.
#[derive(Debug)]
struct Machine {
    node: NodeId,
    node_type: String,
    /// When its node comes; `None` for never.
    comes: Option<u64>,
    leaving: bool,
    ended: bool,
}

/// Something that asks for resources for a while.
#[derive(Debug)]
struct Work {
    demand: Resources,
    labels: Arc<[Label]>,
    time: u64,
    runs: Option<(NodeId, u64)>,
}

struct World {
    random: Random,
    scaler: Scaler,
    machines: BTreeMap<String, Machine>,
    work: Vec<Work>,
    next_node: u64,
    tick: u64,
    faults: usize,
    created: usize,
    broken: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            scaler: Scaler::new(rules(), "s"),
            machines: BTreeMap::new(),
            work: Vec::new(),
            next_node: 1,
            tick: 0,
            faults: 0,
            created: 0,
            broken: Vec::new(),
        }
    }

    fn chance(&mut self, of_hundred: u64) -> bool {
        self.random.below(100) < of_hundred
    }

    fn is_busy(&self) -> bool {
        self.tick < BUSY_TICKS
    }

    /// The nodes that are there: each with what is free on it.
    fn nodes(&self) -> Vec<NodeView> {
        let there = self.machines.iter().filter(|(_, machine)| !machine.ended);
        let there = there.filter(|(_, machine)| machine.comes.is_some_and(|at| at <= self.tick));
        there.map(|(name, machine)| self.node(name, machine)).collect()
    }

    fn node(&self, name: &str, machine: &Machine) -> NodeView {
        let rules = self.scaler.rules();
        let node_type = rules.type_of(&machine.node_type).unwrap();
        let mut free = node_type.resources.clone();
        for work in self.work.iter().filter(|work| work.runs.is_some_and(|(node, _)| node == machine.node)) {
            assert!(free.subtract(&work.demand).is_empty());
        }
        let labels = labels_of(name, node_type).into_iter();
        NodeView {
            id: machine.node,
            address: Arc::from(""),
            total: node_type.resources.clone(),
            free,
            labels: labels.map(|(label, value)| (Arc::from(label), Arc::from(value))).collect(),
            grants: 0,
            is_leaving: machine.leaving,
            is_heard: true,
        }
    }

    fn view(&self) -> View {
        let waiting = self.work.iter().filter(|work| work.runs.is_none());
        let tasks =
            waiting.map(|work| Wanted { demand: work.demand.clone(), labels: Arc::clone(&work.labels), count: 1 });
        let instance = |(name, machine): (&String, &Machine)| Instance {
            name: name.clone(),
            node_type: machine.node_type.clone(),
            ended: machine.ended.then(|| "it was told to".to_string()),
            waits: None,
        };
        View {
            cluster: ClusterView {
                nodes: self.nodes(),
                demand: Demand { tasks: tasks.collect(), ..Demand::default() },
            },
            instances: self.machines.iter().map(instance).collect(),
        }
    }

    fn arrive(&mut self) {
        let demand = match self.random.below(8) {
            0 => of(&[(GPU, 1.0)]),
            1 => of(&[(CPU, 1.0), (GPU, 0.5)]),
            2 => of(&[(CPU, 8.0)]),
            3 => of(&[]),
            _ => of(&[(CPU, 1.0)]),
        };
        let wants_label = self.random.below(10) == 0 && demand.amount(GPU) == 0.0;
        let label = Label { name: Arc::from("type"), values: BTreeSet::from([Arc::from("large")]), is_not: false };
        let labels: Arc<[Label]> = if wants_label { Arc::new([label]) } else { Arc::new([]) };
        let time = 1 + self.random.below(40);
        self.work.push(Work { demand, labels, time, runs: None });
    }

    /// What waits begins where there is room, and what has run for long enough ends.
    fn run(&mut self) {
        let tick = self.tick;
        self.work.retain(|work| work.runs.is_none_or(|(_, until)| until > tick));
        let mut nodes = self.nodes();
        for work in self.work.iter_mut().filter(|work| work.runs.is_none()) {
            let fits = |node: &&mut NodeView| {
                !node.is_leaving
                    && node.free.contains(&work.demand)
                    && work.labels.iter().all(|label| label.is_true(&node.labels))
            };
            if let Some(node) = nodes.iter_mut().find(fits) {
                node.free.subtract(&work.demand);
                work.runs = Some((node.id, tick + work.time));
            }
        }
        // One that was told to leave goes once nothing runs on it.
        let running: BTreeSet<NodeId> = self.work.iter().filter_map(|work| Some(work.runs?.0)).collect();
        let left = self.machines.values_mut().filter(|machine| machine.leaving && !running.contains(&machine.node));
        left.for_each(|machine| machine.ended = true);
    }

    fn trouble(&mut self) {
        let names: Vec<String> = self.machines.keys().cloned().collect();
        for name in names {
            if !self.chance(1) {
                continue;
            }
            self.faults += 1;
            let machine = self.machines.get_mut(&name).unwrap();
            machine.ended = true;
            let node = machine.node;
            self.work
                .iter_mut()
                .filter(|work| work.runs.is_some_and(|(on, _)| on == node))
                .for_each(|work| work.runs = None);
        }
    }

    fn perform(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            match decision {
                Decision::Create { name, node_type } => self.create(&name, node_type),
                Decision::Drain { node, name } => {
                    if self.work.iter().any(|work| work.runs.is_some_and(|(on, _)| on == node)) {
                        self.broken.push(format!("tick {}: {name} is drained while something runs there", self.tick));
                    }
                    self.machines.get_mut(&name).unwrap().leaving = true;
                }
                Decision::Remove { name, .. } => {
                    let machine = self.machines.remove(&name).unwrap();
                    let is_there = machine.comes.is_some_and(|at| at <= self.tick) && !machine.ended;
                    if is_there {
                        self.broken.push(format!("tick {}: {name} is removed while its node is there", self.tick));
                    }
                }
            }
        }
    }

    fn create(&mut self, name: &str, node_type: String) {
        let refuses = self.is_busy() && self.chance(20);
        if refuses {
            self.faults += 1;
            return self.scaler.failed(Moment(self.tick * TICK), name, "it refuses");
        }
        self.created += 1;
        let never = self.is_busy() && self.chance(10);
        self.faults += usize::from(never);
        let comes = (!never).then(|| self.tick + 1 + self.random.below(20));
        let node = NodeId(self.next_node);
        self.next_node += 1;
        let machine = Machine { node, node_type, comes, leaving: false, ended: false };
        if self.machines.insert(name.to_string(), machine).is_some() {
            self.broken.push(format!("tick {}: {name} was there already", self.tick));
        }
    }

    fn check(&mut self) {
        let rules = self.scaler.rules();
        let mut broken = Vec::new();
        for node_type in &rules.types {
            let count = self
                .machines
                .values()
                .filter(|machine| machine.node_type == node_type.name && !machine.leaving && !machine.ended);
            let count = count.count();
            if count > node_type.max {
                broken.push(format!("tick {}: {count} nodes of type {}", self.tick, node_type.name));
            }
        }
        let all = self.machines.values().filter(|machine| !machine.leaving && !machine.ended).count();
        if all > rules.max_nodes {
            broken.push(format!("tick {}: {all} nodes", self.tick));
        }
        self.broken.extend(broken);
    }

    fn tick(&mut self) {
        if self.is_busy() {
            if self.chance(30) {
                (0..1 + self.random.below(6)).for_each(|_| self.arrive());
            }
            self.trouble();
        }
        self.run();
        let (now, view) = (Moment(self.tick * TICK), self.view());
        // What asks for nothing is seen by nobody else.
        let is_unused = |node| !self.work.iter().any(|work| work.runs.is_some_and(|(on, _)| on == node));
        let asked = self.scaler.long_idle(now).into_iter().map(|node| (node, is_unused(node))).collect();
        let decisions = self.scaler.step(now, &view, &asked);
        self.perform(decisions);
        self.check();
        self.tick += 1;
    }

    /// Runs to the end: what did not hold.
    fn run_all(mut self) -> (Vec<String>, usize, usize) {
        let mut still = 0;
        while self.tick < BUSY_TICKS + QUIET_TICKS && still < STILL_TICKS {
            self.tick();
            let is_over = !self.is_busy() && self.work.is_empty() && self.machines.len() == 1;
            still = if is_over { still + 1 } else { 0 };
        }
        if !self.work.is_empty() {
            self.broken.push(format!("{} are not done: {:?}", self.work.len(), self.work.first()));
        }
        let left: Vec<&str> = self.machines.values().map(|machine| &*machine.node_type).collect();
        if left != ["small"] {
            self.broken.push(format!("there are {left:?} at the end"));
        }
        (self.broken, self.faults, self.created)
    }
}

#[test]
fn all_that_waits_is_done_and_all_that_is_idle_leaves() {
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        let (wrong, faults, created) = World::new(seed).run_all();
        if !wrong.is_empty() {
            broken.push(format!("seed {seed}:\n    {}", wrong.join("\n    ")));
        } else {
            assert!(faults >= 3 && created >= 5, "seed {seed} has {faults} faults and {created} nodes");
        }
    }
    assert!(broken.is_empty(), "{} of {SEEDS} seeds:\n{}", broken.len(), broken[..broken.len().min(5)].join("\n"));
}

/// A scaler, and what its provider has; nodes come at once.
struct Still {
    scaler: Scaler,
    provider: InMemory,
    cluster: ClusterView,
    now: u64,
}

impl Still {
    fn new(rules: Rules) -> Self {
        let (provider, cluster) = (InMemory::default(), ClusterView::default());
        Self { scaler: Scaler::new(rules, "s"), provider, cluster, now: 0 }
    }

    /// A second passes; what was decided is done.
    fn step(&mut self) -> Vec<Decision> {
        self.now += TICK;
        let (now, mut provider) = (Moment(self.now), self.provider.clone());
        let view = View { cluster: self.cluster.clone(), instances: provider.list().unwrap_or_default() };
        let asked = self.scaler.long_idle(now).into_iter().map(|node| (node, true)).collect();
        let decisions = self.scaler.step(now, &view, &asked);
        for decision in &decisions {
            match decision {
                Decision::Create { name, node_type } => {
                    let node_type = self.scaler.rules().type_of(node_type).unwrap().clone();
                    if let Err(error) = provider.create(name, &node_type) {
                        self.scaler.failed(now, name, &error.to_string());
                    }
                }
                Decision::Remove { name, .. } => provider.remove(name).unwrap(),
                Decision::Drain { .. } => {}
            }
        }
        decisions
    }

    fn types(&mut self) -> Vec<String> {
        let mut types: Vec<String> =
            self.provider.list().unwrap().into_iter().map(|instance| instance.node_type).collect();
        types.sort_unstable();
        types
    }

    fn want(&mut self, demand: &[(&str, f64)], count: u32) {
        self.cluster.demand.tasks.push(Wanted { demand: of(demand), labels: Arc::new([]), count });
    }
}

fn none_at_least() -> Rules {
    let mut rules = rules();
    rules.types.iter_mut().for_each(|node_type| node_type.min = 0);
    rules
}

#[test]
fn what_waits_gets_the_nodes_that_it_uses_most_and_no_gpu_without_need() {
    for (wants, expected) in [
        (&[(CPU, 1.0)][..], vec!["small"]),
        (&[(CPU, 3.0)], vec!["large"]),
        (&[(CPU, 1.0), (GPU, 1.0)], vec!["gpu"]),
        (&[(CPU, 64.0)], vec![]),
    ] {
        let mut still = Still::new(none_at_least());
        still.want(wants, 1);
        still.step();
        assert_eq!(still.types(), expected, "{wants:?}");
        // What is on its way is for what waits.
        still.step();
        assert_eq!(still.types(), expected, "{wants:?}");
    }
    let mut still = Still::new(none_at_least());
    still.want(&[(CPU, 1.0)], 32);
    still.step();
    assert_eq!(still.types(), ["large", "large"]);
}

#[test]
fn bundles_that_lie_apart_get_a_node_each_and_those_that_do_not_fit_get_none() {
    let group =
        |count: usize, spreading| Bundles { bundles: vec![of(&[(CPU, 1.0)]); count], spreading, beside: Vec::new() };
    for (count, spreading, expected) in [
        (3, Spreading::StrictSpread, vec!["small"; 3]),
        (2, Spreading::StrictPack, vec!["small"]),
        (17, Spreading::StrictPack, vec![]),
        (12, Spreading::StrictSpread, vec![]),
        (16, Spreading::Pack, vec!["large"]),
    ] {
        let mut still = Still::new(none_at_least());
        still.cluster.demand.groups.push(group(count, spreading));
        (0..10).for_each(|_| _ = still.step());
        assert_eq!(still.types(), expected, "{count} {spreading:?}");
    }
}

#[test]
fn there_is_room_for_what_was_asked_for_as_long_as_it_is() {
    let mut still = Still::new(none_at_least());
    still.cluster.demand.floor = vec![of(&[(CPU, 1.0)]); 3];
    still.step();
    assert_eq!(still.types(), ["small", "small"]);
    let instances = still.provider.clone().list().unwrap();
    let rules = none_at_least();
    for (at, instance) in instances.iter().enumerate() {
        let node_type = rules.type_of(&instance.node_type).unwrap();
        let labels = labels_of(&instance.name, node_type).into_iter();
        still.cluster.nodes.push(NodeView {
            id: NodeId(at as u64 + 1),
            address: Arc::from(""),
            total: node_type.resources.clone(),
            free: node_type.resources.clone(),
            labels: labels.map(|(label, value)| (Arc::from(label), Arc::from(value))).collect(),
            grants: 0,
            is_leaving: false,
            is_heard: true,
        });
    }
    for _ in 0..100 {
        assert_eq!(still.step(), []);
    }
    still.cluster.demand.floor.clear();
    let decided: Vec<Decision> = (0..32).flat_map(|_| still.step()).collect();
    assert_eq!(decided.iter().filter(|decision| matches!(decision, Decision::Drain { .. })).count(), 2 * 2);
}

#[test]
fn a_type_that_cannot_be_started_waits_longer_each_time_and_others_take_its_place() {
    let mut still = Still::new(none_at_least());
    still.provider.refuse(true);
    still.want(&[(CPU, 8.0)], 1);
    let tries: Vec<usize> = (0..200).filter(|_| !still.step().is_empty()).collect();
    assert!((5..=9).contains(&tries.len()), "{tries:?}");
    let prospects = still.scaler.prospects();
    let large = prospects.iter().find(|prospect| &*prospect.name == "large").unwrap();
    assert!(large.trouble.as_ref().is_some_and(|why| why.contains("refuse")), "{large:?}");
    assert_eq!((large.max, prospects[0].max), (3, 6));
    let mut still = Still::new(none_at_least());
    still.want(&[(CPU, 1.0)], 1);
    still.scaler.failed(Moment(0), "nobody", "it is not known");
    still.provider.refuse(true);
    still.step();
    still.provider.refuse(false);
    still.step();
    assert_eq!(still.types(), ["large"], "small is not tried again at once");
}

#[test]
fn an_instance_that_ends_or_whose_node_never_comes_is_removed() {
    let mut still = Still::new(none_at_least());
    still.want(&[(CPU, 1.0)], 1);
    still.step();
    still.cluster.demand.tasks.clear();
    let name = still.provider.clone().list().unwrap()[0].name.clone();
    let decided: Vec<Decision> = (0..70).flat_map(|_| still.step()).collect();
    let why = "its node did not come within 60 s".to_string();
    assert_eq!(decided, [Decision::Remove { name, why, has_failed: true }]);
}
