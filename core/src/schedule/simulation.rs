//! Whole clusters in one thread: a head, nodes, their stores and workers, and a network that loses, repeats and
//! reorders; programs that submit, get and drop; machines that die, freeze and lose what they store. A seed decides
//! all of it.

mod checks;
mod drains;
mod faults;
mod fragments;
mod groups;
mod heads;
mod programs;
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use bytes::Bytes;

use super::message::{
    About, Failure, Found, GroupAnswer, GroupRequest, GroupSpec, HeadAnswer, HeadRequest, Lost, Made, Outcome, Packet,
    Raised, Report, Returned, Stop,
};
use super::spec::{Kind, Shape, TaskSpec};
use super::{Action, Event, Head, HeadAction, HeadEvent, HeadLimits, Node, Outbox};
use crate::env::{Moment, Random};
use crate::ids::{Attempt, BundleId, ClientId, GroupId, NodeId, ObjectId, TaskId};
use crate::parts::Place;
use crate::resources::{CPU, Resources};
use crate::state::{Batch, MemoryStore};

use fragments::Fragments;
use groups::Groups;
use programs::Client;

/// The faults stop then, and programs begin nothing more, once they have begun so many tasks.
const CALM_AT: Moment = Moment(8_000);
const TASKS: usize = 250;
/// All must be over by then.
const END_AT: Moment = Moment(200_000);

/// Something that will happen.
#[derive(Debug, Clone)]
enum Coming {
    AtHead(NodeId, Report),
    AtNode(NodeId, Packet),
    /// An event that only this life of a node sees.
    Local(NodeId, Event),
    HeadWakes,
    /// What the head of that epoch wanted saved is on its disk.
    Saved(u64, Batch),
    /// The process of the head is killed.
    HeadDies,
    /// The head begins again.
    HeadStarts,
    NodeWakes(NodeId),
    /// A client takes a reference out of what it was given.
    TakeRef(NodeId, ClientId, ObjectId),
    /// A client drops what it has got out of.
    DropRef(NodeId, ClientId, ObjectId),
    /// A client of a node does the next thing.
    Client(NodeId, ClientId),
    /// Somebody removes a placement group.
    RemoveGroup(GroupId),
    /// An attempt's worker is done.
    Worker(NodeId, Attempt),
    /// Each of eight kinds comes at least once.
    Fault(u64),
    /// The process of a node that was told to end has waited for the head.
    Ends(NodeId),
}

/// One life of a machine.
struct Host {
    node: Node,
    store: BTreeSet<ObjectId>,
    clients: BTreeMap<ClientId, Client>,
    workers: BTreeMap<Attempt, (Arc<TaskSpec>, ClientId)>,
    /// Actors that live there.
    actors: BTreeMap<ObjectId, u32>,
    /// Nothing goes in or out until then.
    frozen_until: Moment,
    next_number: u64,
    wakes_at: Moment,
    /// How far its clock has jumped ahead.
    ahead: u64,
}

/// What a run of a seed came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Of all that happened, in order.
    fingerprint: u64,
    tasks: usize,
    /// Placement groups that were made.
    groups: usize,
    /// Nodes that left in time.
    left: usize,
    /// Attempts of fragments that could not read something.
    unread: usize,
    /// What attempts of fragments that began early waited for.
    early: usize,
    /// Attempts of fragments that began beside another one, which ran on a node that was well.
    beside: usize,
    faults: BTreeMap<&'static str, usize>,
    /// What was broken, first things first.
    broken: Vec<String>,
}

struct World {
    random: Random,
    now: Moment,
    /// Of a head that was killed, what is left is not used.
    head: Head,
    head_is_up: bool,
    /// The machine of the head, which is a node too and ends with it.
    heads_host: NodeId,
    outbox: Outbox,
    disk: MemoryStore,
    hosts: BTreeMap<NodeId, Host>,
    coming: BinaryHeap<Reverse<(Moment, u64)>>,
    what: BTreeMap<u64, Coming>,
    order: u64,
    /// Pairs of machines between which nothing gets through, and until when.
    cuts: BTreeMap<(NodeId, NodeId), Moment>,
    next_node: u64,
    /// Tasks that have not ended, or run again.
    running: BTreeSet<TaskId>,
    /// The handles of all actors.
    handles: BTreeSet<ObjectId>,
    /// Questions about names that are not answered.
    asked_names: BTreeSet<(NodeId, ClientId, u64)>,
    /// Questions why something waits that are not answered.
    asked_why: BTreeSet<(NodeId, ClientId, u64)>,
    groups: Groups,
    fragments: Fragments,
    /// The number of the next result of each attempt that streams.
    items: BTreeMap<(NodeId, Attempt), u32>,
    /// Tasks that asked for another try.
    raised: BTreeSet<TaskId>,
    /// How often calls of actors began.
    begun: BTreeMap<TaskId, u32>,
    /// The last call of a client that each life of an actor began.
    last_call: BTreeMap<(ObjectId, u64, NodeId, ClientId), u64>,
    /// The life of an actor that a node saw last, by a number of its own.
    lives: BTreeMap<(NodeId, ObjectId), u64>,
    told: Told,
    head_wakes_at: Moment,
    head_ahead: u64,
    /// Objects that stores have lost.
    evicted: BTreeSet<ObjectId>,
    /// What nodes were told that nobody has.
    warnings: Vec<(NodeId, Resources)>,
}

fn cpus(amount: f64) -> Resources {
    Resources::new([(CPU, amount)]).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random::new(seed),
            now: Moment::default(),
            head: Head::new(HeadLimits::default()),
            head_is_up: false,
            heads_host: NodeId(0),
            outbox: Outbox::default(),
            disk: MemoryStore::default(),
            hosts: BTreeMap::new(),
            coming: BinaryHeap::new(),
            what: BTreeMap::new(),
            order: 0,
            cuts: BTreeMap::new(),
            next_node: 0,
            running: BTreeSet::new(),
            handles: BTreeSet::new(),
            asked_names: BTreeSet::new(),
            asked_why: BTreeSet::new(),
            groups: Groups::default(),
            fragments: Fragments::default(),
            items: BTreeMap::new(),
            raised: BTreeSet::new(),
            begun: BTreeMap::new(),
            last_call: BTreeMap::new(),
            lives: BTreeMap::new(),
            told: Told::default(),
            head_wakes_at: END_AT,
            head_ahead: 0,
            evicted: BTreeSet::new(),
            warnings: Vec::new(),
        };
        world.start_head();
        for _ in 0..2 + world.random.below(2) {
            world.start_node();
        }
        let first = world.random.draw();
        for index in 0..10 {
            let at = Moment(1_000 + world.random.below(CALM_AT.0 - 2_000));
            world.later(at, Coming::Fault(first.wrapping_add(index) % 8));
        }
        world
    }

    fn later(&mut self, at: Moment, what: Coming) {
        self.order += 1;
        self.coming.push(Reverse((at, self.order)));
        self.what.insert(self.order, what);
    }

    fn soon(&mut self, within: u64, what: Coming) {
        let at = self.now + self.random.below(within) + 1;
        self.later(at, what);
    }

    fn start_node(&mut self) -> NodeId {
        self.next_node += 1;
        let id = NodeId(self.next_node);
        let total = Resources::new([(CPU, 1.0 + self.random.below(3) as f64), ("slot", 1_000.0)]).unwrap();
        let host = Host {
            // Few of them keep all of their lineage.
            node: Node::new(id, total, BTreeMap::new()).with_lineage_limit(self.random.below(100_000) as usize),
            store: BTreeSet::new(),
            clients: BTreeMap::new(),
            workers: BTreeMap::new(),
            actors: BTreeMap::new(),
            frozen_until: Moment::default(),
            next_number: 0,
            wakes_at: END_AT,
            ahead: 0,
        };
        self.hosts.insert(id, host);
        self.later(self.now, Coming::NodeWakes(id));
        if self.now < CALM_AT || self.told.tasks < TASKS {
            self.start_client(id, Client::default());
        }
        id
    }

    fn start_client(&mut self, node: NodeId, client: Client) -> ClientId {
        let id = ClientId(self.number(node));
        if let Some(host) = self.hosts.get_mut(&node) {
            host.clients.insert(id, client);
            self.soon(50, Coming::Client(node, id));
        }
        id
    }

    fn number(&mut self, node: NodeId) -> u64 {
        let Some(host) = self.hosts.get_mut(&node) else { return 0 };
        host.next_number += 1;
        host.next_number
    }

    fn broken(&mut self, what: &str) {
        self.told.broken.push(format!("at {}: {what}", self.now.0));
    }

    /// Runs until nothing more comes, or something is broken.
    fn run(mut self) -> Told {
        let mut events = 0_u64;
        while let Some(Reverse((at, order))) = self.coming.pop() {
            let Some(what) = self.what.remove(&order) else { continue };
            self.now = self.now.max(at);
            if self.now >= END_AT {
                break;
            }
            self.happen(what);
            events += 1;
            if events.is_multiple_of(64) {
                self.check_references();
            }
            if !self.told.broken.is_empty() {
                return self.told;
            }
        }
        self.check_end();
        self.told.groups = self.groups.created();
        self.told.unread = self.fragments.failed;
        self.told.beside = self.fragments.beside;
        self.told.early = self.fragments.early;
        self.told
    }

    fn happen(&mut self, what: Coming) {
        let text = format!("{:?} {what:?}", self.now);
        for byte in text.bytes() {
            self.told.fingerprint = (self.told.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        match what {
            Coming::AtHead(from, report) => self.step_head(HeadEvent::Arrived(from, report)),
            Coming::Saved(epoch, batch) => self.saved(epoch, &batch),
            Coming::HeadDies => self.kill_head(),
            Coming::HeadStarts => self.start_head(),
            Coming::HeadWakes => {
                self.head_wakes_at = END_AT;
                self.step_head(HeadEvent::Tick);
            }
            Coming::AtNode(to, packet) => self.step_node(to, Event::Arrived(packet)),
            Coming::Local(node, event) => self.local(node, event),
            Coming::NodeWakes(node) => {
                if let Some(host) = self.hosts.get_mut(&node) {
                    host.wakes_at = END_AT;
                    self.step_node(node, Event::Tick);
                }
            }
            Coming::TakeRef(node, client, object) => match self.frozen_until(node) {
                Some(until) => self.later(until, Coming::TakeRef(node, client, object)),
                None => self.take_ref(node, client, object),
            },
            Coming::DropRef(node, client, object) => match self.frozen_until(node) {
                Some(until) => self.later(until, Coming::DropRef(node, client, object)),
                None => self.drop_ref(node, client, object),
            },
            Coming::Client(node, client) => self.client_acts(node, client),
            Coming::RemoveGroup(group) => self.remove_group(group),
            Coming::Worker(node, attempt) => self.worker_ends(node, attempt),
            Coming::Fault(kind) => self.fault(kind),
            Coming::Ends(node) => self.end_node(node),
        }
    }

    fn frozen_until(&self, node: NodeId) -> Option<Moment> {
        self.hosts.get(&node).map(|host| host.frozen_until).filter(|until| *until > self.now)
    }

    /// An event within a machine; a frozen one sees it when it goes on.
    fn local(&mut self, node: NodeId, event: Event) {
        let Some(host) = self.hosts.get_mut(&node) else { return };
        if host.frozen_until > self.now {
            let at = host.frozen_until;
            return self.later(at, Coming::Local(node, event));
        }
        if let Event::Fetched(object) = &event {
            self.stores(node, *object);
        }
        self.step_node(node, event);
    }

    fn step_head(&mut self, event: HeadEvent) {
        if !self.head_is_up {
            return;
        }
        let actions = self.head.step(self.now + self.head_ahead, event);
        let actions = self.outbox.take(actions);
        self.do_for_head(actions);
        self.check_groups();
        let at = Moment(self.head.wakes_at().since(Moment(self.head_ahead)));
        if at < self.head_wakes_at {
            self.head_wakes_at = at;
            self.later(at, Coming::HeadWakes);
        }
    }

    fn step_node(&mut self, id: NodeId, event: Event) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.frozen_until > self.now {
            if !matches!(event, Event::Arrived(_)) {
                let at = host.frozen_until;
                self.later(at, Coming::Local(id, event));
            }
            return;
        }
        if let Event::ClientGone(client) = &event {
            self.groups.client_gone(id, *client, self.now);
            self.asked_why.retain(|(node, asker, _)| (node, asker) != (&id, client));
        }
        for action in host.node.step(self.now + host.ahead, event) {
            self.act(id, action);
        }
        self.check_bundles(id);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let at = Moment(host.node.wakes_at().since(Moment(host.ahead)));
        if at < host.wakes_at {
            host.wakes_at = at;
            self.later(at, Coming::NodeWakes(id));
        }
    }

    /// Sends over the network: mostly once, sometimes never, sometimes twice, and at any time.
    fn transmit(&mut self, from: NodeId, to: NodeId, what: &Coming) {
        let pair = (from.min(to), from.max(to));
        if self.cuts.get(&pair).is_some_and(|until| *until > self.now) {
            return;
        }
        let times = match self.random.below(20) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..times {
            let delay = if self.random.below(5) == 0 { 400 } else { 20 };
            self.soon(delay, what.clone());
        }
    }

    fn act(&mut self, id: NodeId, action: Action) {
        match action {
            Action::ToHead(report) => self.transmit(id, NodeId(0), &Coming::AtHead(id, report)),
            Action::ToNode(to, frame) => self.transmit(id, to, &Coming::AtNode(to, Packet::Node(id, frame))),
            Action::Start(attempt, spec, values) => _ = self.start_worker(id, attempt, spec, &values),
            Action::StartFragment(attempt, spec, values, places) => {
                self.start_fragment(id, attempt, spec, &values, places);
            }
            Action::Kill(attempt, _) => self.kill_worker(id, attempt),
            Action::KillActor(actor, life) => self.kill_actor(id, actor, life),
            Action::Fetch(object, from) => {
                let there = self.hosts.get(&from).is_some_and(|host| host.store.contains(&object));
                let pair = (id.min(from), id.max(from));
                let cut = self.cuts.get(&pair).is_some_and(|until| *until > self.now);
                let event = if there && !cut { Event::Fetched(object) } else { Event::FetchFailed(object, from) };
                self.soon(if cut { 2_000 } else { 100 }, Coming::Local(id, event));
            }
            Action::Drop(object) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.store.remove(&object);
                }
            }
            Action::Answer(client, question, answer) => self.answered(id, client, question, answer),
            Action::Members(..) | Action::Meet(_, _) | Action::Part(_) => {}
            Action::HeadAnswered(client, question, answer) => self.named(id, client, question, &answer),
            Action::Grouped(client, question, answer) => self.grouped(id, client, question, &answer),
            Action::Explained(client, question, about) => self.explained(id, client, question, &about),
            Action::WarnOfGroup(_, _) => {}
            Action::Item(client, object) => self.item(id, client, object),
            Action::Done(task) => {
                if !self.running.remove(&task) {
                    self.broken(&format!("{task} ended twice"));
                }
                self.fragments.ended(task);
            }
            Action::Again(task) => {
                self.running.insert(task);
                self.check_again(task);
            }
            Action::Warn(_, missing) => self.warnings.push((id, missing)),
            Action::Leave => self.leave(id),
            Action::Reset(_) | Action::End => self.end_node(id),
        }
    }

    /// The end of a machine's life, with all that was on it.
    fn end_host(&mut self, id: NodeId) {
        self.hosts.remove(&id);
        self.running.retain(|task| task.owner != id);
        self.asked_names.retain(|(node, _, _)| *node != id);
        self.asked_why.retain(|(node, _, _)| *node != id);
        self.groups.without(id);
    }
}
