//! A head of 1,000 nodes with 16 CPUs each, and a node with a million queued tasks: decisions a second, and bytes and
//! seconds for each task. `cargo bench -p sheaf-core`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sheaf_core::env::Moment;
use sheaf_core::ids::{ClientId, NodeId, TaskId};
use sheaf_core::link::Link;
use sheaf_core::placement::Strategy;
use sheaf_core::resources::Resources;
use sheaf_core::schedule::{
    Event, FromHead, Head, HeadAction, HeadEvent, HeadLimits, Kind, Node, Packet, Shape, TaskSpec, ToHead,
};

const NODES: u64 = 1_000;
const OWNERS: u64 = 50;
const TASKS: u64 = 1_000_000;

fn main() {
    decisions(&Strategy::Default);
    decisions(&Strategy::Spread);
    queued();
}

/// Fills the cluster: 50 owners want leases of one CPU until all 16,000 are lent.
fn decisions(strategy: &Strategy) {
    let mut head = Head::new(HeadLimits::default());
    let mut links: BTreeMap<NodeId, Link<ToHead, FromHead>> = BTreeMap::new();
    let total = Resources::new([("CPU", 16.0)]).unwrap();
    let now = Moment(1);
    let mut send = |head: &mut Head, node: NodeId, messages: Vec<ToHead>| {
        let link = links.entry(node).or_default();
        messages.into_iter().for_each(|message| link.send(message));
        let frame = link.flush(now).unwrap();
        let mut grants = 0;
        for action in head.step(now, HeadEvent::Arrived(node, frame.into())) {
            if let HeadAction::Send(to, Packet::Head(_, _, frame)) = action {
                grants += links.entry(to).or_default().receive(frame, now).len();
            }
        }
        grants
    };
    for node in 0..NODES {
        send(
            &mut head,
            NodeId(node),
            vec![ToHead::Register(total.clone(), BTreeMap::new()), ToHead::Beat(total.clone(), BTreeMap::new(), 0)],
        );
    }
    let shape = Arc::new(Shape {
        demand: Resources::new([("CPU", 1.0)]).unwrap(),
        strategy: strategy.clone(),
        ..Shape::default()
    });
    let (started, mut granted) = (Instant::now(), 0);
    'full: loop {
        for owner in 0..OWNERS {
            let more = send(&mut head, NodeId(owner), vec![ToHead::Want(Arc::clone(&shape), 64, BTreeMap::new())]);
            if more == 0 {
                break 'full;
            }
            granted += more;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{strategy:?}: {granted} leases of {NODES} nodes, {:.0} decisions a second", granted as f64 / seconds);
}

/// Queues a million tasks on a node that has no room for one.
fn queued() {
    let mut node = Node::new(NodeId(1), Resources::default(), BTreeMap::new());
    let shape = Arc::new(Shape { demand: Resources::new([("CPU", 1.0)]).unwrap(), ..Shape::default() });
    let (before, started) = (resident(), Instant::now());
    for number in 0..TASKS {
        let spec = TaskSpec {
            id: TaskId { owner: NodeId(1), number },
            kind: Kind::Function,
            shape: Arc::clone(&shape),
            needs: Vec::new(),
            refs: Vec::new(),
            returns: 1,
            streams: false,
            max_retries: 3,
            common: Bytes::new(),
            payload: Bytes::from(vec![0; 100]),
        };
        node.step(Moment(number / 1_000), Event::Submit(ClientId(1), Arc::new(spec)));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{TASKS} queued tasks with 100 bytes each: {:.0} a second, {} bytes each",
        TASKS as f64 / seconds,
        (resident() - before) / TASKS
    );
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}
