//! Two attempts of one fragment, message by message.

use bytes::Bytes;

use super::*;
use crate::link::Link;
use crate::resources::{CPU, Resources};
use crate::schedule::message::{Made, Packet, Returned};
use crate::schedule::spec::{Kind, TaskSpec};
use crate::schedule::{Action, Event};

/// A node that owns fragments and has no CPUs, and the two on which they run.
struct Owner {
    node: Node,
    links: BTreeMap<NodeId, Link<NodeMessage, NodeMessage>>,
    now: u64,
    leases: u64,
    /// What it said to each of them, in order.
    said: Vec<(NodeId, NodeMessage)>,
}

const CLIENT: ClientId = ClientId(1);

fn task(number: u64) -> TaskId {
    TaskId { owner: NodeId(1), number }
}

fn attempt(of: u64, number: u32) -> Attempt {
    Attempt { task: task(of), number }
}

fn shape(strategy: Strategy) -> Arc<Shape> {
    let demand = Resources::new([(CPU, 1.0)]).unwrap();
    let fail_if_unschedulable = matches!(strategy, Strategy::Node { .. });
    Arc::new(Shape { demand, strategy, fail_if_unschedulable })
}

fn values() -> Outcome {
    Outcome::Values(vec![Returned { made: Made::Stored { size: 1 }, contains: Vec::new() }])
}

impl Owner {
    fn new() -> Self {
        let node = Node::new(NodeId(1), Resources::default(), BTreeMap::new());
        Self { node, links: BTreeMap::new(), now: 0, leases: 0, said: Vec::new() }
    }

    /// Takes an event in, so many milliseconds after the one before.
    fn step(&mut self, after: u64, event: Event) {
        self.now += after;
        let now = Moment(self.now);
        for action in self.node.step(now, event) {
            let Action::ToNode(to, frame) = action else { continue };
            let link = self.links.entry(to).or_default();
            self.said.extend(link.receive(frame, now).into_iter().map(|message| (to, message)));
        }
    }

    fn hear(&mut self, after: u64, from: u64, message: NodeMessage) {
        let link = self.links.entry(NodeId(from)).or_default();
        link.send(message);
        let frame = link.flush(Moment(self.now + after)).unwrap();
        self.step(after, Event::Arrived(Packet::Node(NodeId(from), frame)));
    }

    fn submit(&mut self, number: u64, reads: Vec<ObjectId>) {
        self.submit_one(number, reads, false);
    }

    fn submit_one(&mut self, number: u64, reads: Vec<ObjectId>, begins_early: bool) {
        let siblings = Some(0);
        let kind = Kind::Fragment { reads, is_repeatable: true, in_worker: false, siblings, begins_early };
        let (shape, needs, refs) = (shape(Strategy::Spread), Vec::new(), Vec::new());
        let (common, payload) = (Bytes::new(), Bytes::new());
        let (id, returns, streams, max_retries) = (task(number), 1, false, 1);
        let spec = TaskSpec { id, kind, shape, needs, refs, returns, streams, max_retries, common, payload };
        self.step(1, Event::Submit(CLIENT, Arc::new(spec)));
    }

    /// A node lends what a task of that shape asks for.
    fn lend(&mut self, node: u64, strategy: Strategy) {
        self.leases += 1;
        let lease = LeaseId { granted_by: None, number: self.leases };
        self.hear(1, node, NodeMessage::Leased(lease, shape(strategy)));
    }

    fn finish(&mut self, after: u64, node: u64, attempt: Attempt, outcome: Outcome) {
        self.hear(after, node, NodeMessage::Finished(attempt, outcome));
    }

    /// What was sent to run, and where, since this was asked last.
    fn executed(&mut self) -> Vec<(u64, Attempt)> {
        let said = std::mem::take(&mut self.said).into_iter();
        let executed = said.filter_map(|(node, message)| match message {
            NodeMessage::Execute(_, attempt, _, _) => Some((node.0, attempt)),
            _ => None,
        });
        executed.collect()
    }

    /// The first of two ran on node 3 in no time, the other one runs on node 2 for long, and a second time on node 3.
    fn with_second() -> Self {
        let mut owner = Self::new();
        owner.submit(1, Vec::new());
        owner.submit(2, Vec::new());
        owner.lend(2, Strategy::Spread);
        owner.lend(3, Strategy::Spread);
        assert_eq!(owner.executed(), [(2, attempt(1, 1)), (3, attempt(2, 1))]);
        owner.finish(100, 3, attempt(2, 1), values());
        owner.step(1_800, Event::Tick);
        owner.lend(3, Strategy::Node { node: NodeId(3), soft: false });
        assert_eq!(owner.executed(), [], "it is not slow yet");
        owner.step(300, Event::Tick);
        owner.lend(3, Strategy::Node { node: NodeId(3), soft: false });
        assert_eq!(owner.executed(), [(3, attempt(1, 2))]);
        owner.step(3_000, Event::Tick);
        assert_eq!(owner.executed(), [], "two are enough");
        owner
    }

    fn said_to(&mut self, node: u64) -> Vec<NodeMessage> {
        let said = std::mem::take(&mut self.said).into_iter();
        said.filter(|(to, _)| to.0 == node).map(|(_, message)| message).collect()
    }

    #[track_caller]
    fn result_is_on(&self, node: u64) {
        assert_eq!(self.node.copies(task(1).result(0)), [NodeId(node)]);
    }

    /// All is dropped, and nothing is left.
    fn ends_with_nothing_left(mut self) {
        for number in [1, 2] {
            self.step(1, Event::DropRef(CLIENT, task(number).result(0)));
        }
        assert_eq!(self.node.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn one_that_begins_early_waits_for_nothing_but_what_it_could_not_read() {
    for is_made in [true, false] {
        let mut owner = Owner::new();
        let read = task(1).result(0);
        owner.submit(1, Vec::new());
        owner.submit_one(2, vec![read], true);
        owner.lend(2, Strategy::Spread);
        owner.lend(3, Strategy::Spread);
        assert_eq!(owner.executed(), [(2, attempt(1, 1)), (3, attempt(2, 1))], "neither waits for the other");
        owner.finish(
            100,
            3,
            attempt(2, 1),
            Outcome::Failed(Failure::Unread(read, NodeId(2), Arc::from("it is not made"))),
        );
        owner.lend(3, Strategy::Spread);
        assert_eq!(owner.executed(), [], "what was missed is not there");
        let error = Failure::Error(crate::schedule::Raised { error: Bytes::from_static(b"why"), contains: Vec::new() });
        let outcome = if is_made { values() } else { Outcome::Failed(error.clone()) };
        owner.finish(100, 2, attempt(1, 1), outcome);
        owner.lend(3, Strategy::Spread);
        if is_made {
            assert_eq!(owner.executed(), [(3, attempt(2, 2))]);
            owner.finish(100, 3, attempt(2, 2), values());
            assert_eq!(owner.node.copies(task(2).result(0)), [NodeId(3)]);
        } else {
            assert_eq!(owner.executed(), []);
            assert_eq!(owner.node.known(task(2).result(0)), Some(Known::Failed(error)), "it fails of the same");
        }
        owner.ends_with_nothing_left();
    }
}

#[test]
fn the_first_attempt_that_ends_well_counts_and_the_other_one_is_stopped() {
    let mut owner = Owner::with_second();
    owner.finish(50, 3, attempt(1, 2), values());
    owner.result_is_on(3);
    assert_eq!(owner.said_to(2), [NodeMessage::Cancel(attempt(1, 1), Stop::default())]);
    // It had ended by then.
    owner.finish(1, 2, attempt(1, 1), values());
    assert!(owner.said_to(2).contains(&NodeMessage::Committed(attempt(1, 1), false)));
    owner.result_is_on(3);
    owner.ends_with_nothing_left();

    let mut owner = Owner::with_second();
    owner.finish(50, 2, attempt(1, 1), values());
    owner.result_is_on(2);
    assert_eq!(owner.said_to(3).first(), Some(&NodeMessage::Cancel(attempt(1, 2), Stop::default())));
    owner.finish(1, 3, attempt(1, 2), Outcome::Failed(Failure::Cancelled));
    owner.result_is_on(2);
    owner.ends_with_nothing_left();
}

#[test]
fn what_ends_one_of_two_attempts_does_not_end_the_other() {
    let crashed = || Outcome::Failed(Failure::Crashed(Arc::from("killed")));
    let mut owner = Owner::with_second();
    owner.finish(50, 3, attempt(1, 2), crashed());
    owner.finish(50, 2, attempt(1, 1), values());
    owner.result_is_on(2);
    owner.ends_with_nothing_left();

    let mut owner = Owner::with_second();
    owner.finish(50, 2, attempt(1, 1), crashed());
    assert_eq!(owner.executed(), [], "the second one runs");
    owner.finish(50, 3, attempt(1, 2), values());
    owner.result_is_on(3);
    owner.ends_with_nothing_left();
}

#[test]
fn whoever_cancels_a_task_stops_both_attempts() {
    let mut owner = Owner::with_second();
    owner.step(1, Event::Cancel(task(1), Stop::default()));
    let cancelled: Vec<NodeMessage> = owner.said.drain(..).map(|(_, message)| message).collect();
    for number in [1, 2] {
        assert!(cancelled.contains(&NodeMessage::Cancel(attempt(1, number), Stop::default())), "{cancelled:?}");
    }
    owner.finish(1, 3, attempt(1, 2), Outcome::Failed(Failure::Cancelled));
    owner.finish(1, 2, attempt(1, 1), Outcome::Failed(Failure::Cancelled));
    assert_eq!(owner.executed(), []);
    owner.ends_with_nothing_left();
}

#[test]
fn a_second_attempt_for_which_there_is_no_node_any_more_is_forgotten() {
    let mut owner = Owner::with_second();
    owner.finish(50, 3, attempt(1, 2), Outcome::NotStarted);
    owner.step(1, Event::Tick);
    let strategy = Strategy::Node { node: NodeId(3), soft: false };
    owner.node.fail_queued(&shape(strategy), "it is not there");
    owner.finish(50, 2, attempt(1, 1), values());
    owner.result_is_on(2);
    owner.ends_with_nothing_left();
}

#[test]
fn attempts_go_where_what_they_read_is() {
    let mut owner = Owner::new();
    let made: Vec<ObjectId> = [11, 12].map(|number| task(number).result(0)).to_vec();
    for (node, number) in [(2, 11), (3, 12)] {
        owner.submit(number, Vec::new());
        owner.lend(node, Strategy::Spread);
        assert_eq!(owner.executed(), [(node, attempt(number, 1))]);
        owner.finish(1, node, attempt(number, 1), values());
    }
    owner.executed();
    for number in [1, 2] {
        owner.submit(number, vec![made[number as usize - 1]]);
    }
    owner.lend(3, Strategy::Spread);
    owner.lend(2, Strategy::Spread);
    assert_eq!(owner.executed(), [(3, attempt(2, 1)), (2, attempt(1, 1))]);
}
