//! Nodes and a head that ask each other why something waits, some of which are silent or die.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::ids::TaskId;
use crate::placement::Strategy;
use crate::placement::groups::Spreading;
use crate::resources::Resources;
use crate::schedule::message::{GroupRequest, GroupSpec, Packet};
use crate::schedule::spec::{Kind, Shape, TaskSpec};
use crate::schedule::{Event, Head, HeadAction, HeadEvent, HeadLimits};

const CLIENT: ClientId = ClientId(7);

/// A head and nodes with 2 CPUs each, between which all arrives at once, but to and from those that are silent.
struct Cluster {
    now: u64,
    head: Head,
    nodes: BTreeMap<NodeId, Node>,
    silent: BTreeSet<NodeId>,
    head_is_silent: bool,
    told: Vec<About>,
}

impl Cluster {
    fn new(count: u64) -> Self {
        let node = |number| (NodeId(number), Node::new(NodeId(number), cpus(2.0), BTreeMap::new()));
        let (head, nodes) = (Head::new(HeadLimits::default()), (1..=count).map(node).collect());
        let (silent, told) = (BTreeSet::new(), Vec::new());
        let mut cluster = Self { now: 0, head, nodes, silent, head_is_silent: false, told };
        cluster.pass(100);
        cluster
    }

    fn step(&mut self, id: u64, event: Event) {
        let id = NodeId(id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        for action in node.step(Moment(self.now), event) {
            match action {
                Action::ToNode(to, frame) if !self.silent.contains(&id) && !self.silent.contains(&to) => {
                    self.step(to.0, Event::Arrived(Packet::Node(id, frame)));
                }
                Action::ToHead(report) if !self.head_is_silent => self.step_head(HeadEvent::Arrived(id, report)),
                Action::Explained(_, _, about) => self.told.push(about),
                _ => {}
            }
        }
    }

    fn step_head(&mut self, event: HeadEvent) {
        for action in self.head.step(Moment(self.now), event) {
            if let HeadAction::Send(to, packet) = action {
                self.step(to.0, Event::Arrived(packet));
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.now < until {
            self.now += 50;
            self.nodes.keys().copied().collect::<Vec<_>>().into_iter().for_each(|node| self.step(node.0, Event::Tick));
            self.step_head(HeadEvent::Tick);
        }
    }

    /// Submits a task on a node; its result.
    fn submit(&mut self, node: u64, number: u64, kind: Kind, shape: Shape) -> ObjectId {
        let id = TaskId { owner: NodeId(node), number };
        let (needs, refs, shape) = (vec![], vec![], Arc::new(shape));
        let (common, payload) = (Bytes::new(), Bytes::new());
        let spec =
            TaskSpec { id, kind, shape, needs, refs, returns: 1, streams: false, max_retries: 0, common, payload };
        self.step(node, Event::Submit(CLIENT, Arc::new(spec)));
        self.pass(100);
        id.result(0)
    }

    fn create_group(&mut self, bundles: Vec<Resources>) -> Strategy {
        let id = GroupId { asked_on: NodeId(1), number: 99 };
        let spec = GroupSpec { id, name: Arc::from(""), bundles, spreading: Spreading::Pack, lives_with: None };
        self.step(1, Event::Group(CLIENT, 1, GroupRequest::Create(Arc::new(spec))));
        self.pass(100);
        Strategy::Group { group: id, index: None }
    }

    /// What a client of a node is told of an object within so many milliseconds.
    fn ask(&mut self, node: u64, object: ObjectId, within: u64) -> About {
        self.step(node, Event::Explain(CLIENT, 5, object));
        self.pass(within);
        let told = self.told.pop().unwrap_or_else(|| panic!("nothing is told within {within} ms"));
        assert_eq!(self.left(), 0);
        told
    }

    fn left(&self) -> usize {
        self.nodes.values().map(|node| node.questions.len()).sum()
    }
}

fn cpus(amount: f64) -> Resources {
    Resources::new([("CPU", amount)]).unwrap()
}

fn large() -> Shape {
    Shape { demand: cpus(64.0), ..Shape::default() }
}

#[test]
fn what_another_node_owns_it_explains_itself() {
    let mut cluster = Cluster::new(3);
    let task = cluster.submit(1, 1, Kind::Function, large());
    let told = cluster.ask(2, task, 100);
    assert!(told.text.contains("no node has CPU 64"), "{told:?}");
    assert_eq!((told.is_call, told.lacks_a_node), (false, Some(false)));
    // A call, submitted by a second node, of an actor that a third one owns.
    let held = Resources::default();
    let actor = cluster.submit(1, 2, Kind::Actor { held, concurrency: 1 }, large());
    let call = cluster.submit(2, 1, Kind::Call { actor, caller: CLIENT }, Shape::default());
    for asker in 1..=3 {
        let told = cluster.ask(asker, call, 100);
        assert!(told.text.contains("no node has CPU 64"), "node {asker}: {told:?}");
        assert_eq!((told.is_call, told.lacks_a_node), (true, Some(true)), "node {asker}");
    }
}

#[test]
fn an_owner_that_is_silent_or_dead_is_waited_for_no_longer_than_a_few_seconds() {
    let mut cluster = Cluster::new(2);
    let task = cluster.submit(1, 1, Kind::Function, large());
    cluster.silent.insert(NodeId(1));
    let told = cluster.ask(2, task, 4_000);
    assert!(told.text.contains("belongs to node-1, which does not answer"), "{told:?}");
    cluster.step(2, Event::Explain(CLIENT, 6, task));
    cluster.nodes.remove(&NodeId(1));
    cluster.step_head(HeadEvent::Gone(NodeId(1)));
    assert!(cluster.told.pop().unwrap().text.ends_with("belongs to node-1, which died"), "at once");
    assert!(cluster.ask(2, task, 50).text.ends_with("belongs to node-1, which died"), "which is known");
}

#[test]
fn nothing_is_left_of_who_asks_and_dies() {
    let mut cluster = Cluster::new(2);
    let strategy = cluster.create_group(vec![cpus(64.0)]);
    let shape = Shape { demand: cpus(1.0), strategy, ..Shape::default() };
    let task = cluster.submit(1, 1, Kind::Function, shape);
    cluster.head_is_silent = true;
    // The first node waits for the head, and the second one for the first.
    cluster.step(2, Event::Explain(CLIENT, 5, task));
    assert_eq!(cluster.left(), 2);
    cluster.step(2, Event::ClientGone(CLIENT));
    assert_eq!(cluster.left(), 1, "nobody asks there any more");
    cluster.nodes.remove(&NodeId(2));
    cluster.step_head(HeadEvent::Gone(NodeId(2)));
    assert_eq!(cluster.left(), 0);
    assert_eq!(cluster.told, []);
}

#[test]
fn the_head_says_what_a_placement_group_waits_for() {
    let mut cluster = Cluster::new(2);
    let strategy = cluster.create_group(vec![cpus(1.0), cpus(64.0)]);
    let inside = Shape { demand: cpus(1.0), strategy, ..Shape::default() };
    let task = cluster.submit(1, 1, Kind::Function, inside.clone());
    let actor = cluster.submit(1, 2, Kind::Actor { held: cpus(1.0), concurrency: 1 }, inside);
    let call = cluster.submit(2, 1, Kind::Call { actor, caller: CLIENT }, Shape::default());
    for (object, lacks) in [(task, Some(false)), (call, Some(true))] {
        let told = cluster.ask(2, object, 100);
        assert!(told.text.contains("no node has CPU 64"), "{told:?}");
        assert_eq!(told.lacks_a_node, lacks);
    }
    cluster.head_is_silent = true;
    let told = cluster.ask(1, task, 4_000);
    assert!(told.text.contains("the head") && told.text.contains("does not answer"), "{told:?}");
}

#[test]
fn the_head_says_that_a_placement_group_waits_for_room_and_what_is_free() {
    let mut cluster = Cluster::new(1);
    let running = cluster.submit(1, 1, Kind::Function, Shape { demand: cpus(1.5), ..Shape::default() });
    let strategy = cluster.create_group(vec![cpus(1.0), cpus(1.0)]);
    let waiting = cluster.submit(1, 2, Kind::Function, Shape { demand: cpus(1.0), strategy, ..Shape::default() });
    let told = cluster.ask(1, waiting, 100);
    assert!(told.text.contains("no room now"), "{told:?}");
    assert!(told.text.contains("CPU 0.5 on node-1"), "{told:?}");
    assert_eq!(told.lacks_a_node, None);
    assert!(cluster.ask(1, running, 100).text.contains("runs"));
}

#[test]
fn what_is_not_to_wait_fails_in_a_group_that_no_nodes_could_hold() {
    let mut cluster = Cluster::new(1);
    let strategy = cluster.create_group(vec![cpus(64.0)]);
    let shape = Shape { demand: cpus(1.0), strategy, fail_if_unschedulable: true };
    let task = cluster.submit(1, 1, Kind::Function, shape.clone());
    assert!(cluster.ask(1, task, 100).text.contains("has an error"));
    let large = Node::new(NodeId(2), cpus(64.0), BTreeMap::new());
    cluster.nodes.insert(NodeId(2), large);
    cluster.pass(3_000);
    let task = cluster.submit(1, 2, Kind::Function, shape);
    assert!(cluster.ask(1, task, 100).text.contains("runs"));
}
