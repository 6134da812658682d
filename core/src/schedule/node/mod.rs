//! `Node`: the state machine of one node. It owns the tasks and objects of its clients, and runs what it lends to.
//!
//! One topic in each file: `actors` have their calls, `references` counts, `objects` are those this node owns,
//! `fetches` bring values here, `tasks` are those this node owns, `streams` their results that come one by one,
//! `leases` are what they run on and `turns` the order of those that wait, `stragglers` get a second attempt, `runs`
//! are the attempts that run here, `deaths` is what the end of another node means, `drain` how one leaves, `names` are
//! those of actors, `groups` has placement groups, `talk` is that with the head, `explain` says why something waits,
//! `questions` are of those who ask that, and `listing` says what there is, for people.

mod actors;
mod deaths;
mod drain;
mod explain;
mod fetches;
mod groups;
mod leases;
mod listing;
mod names;
mod objects;
mod questions;
mod references;
mod runs;
mod stragglers;
mod streams;
mod talk;
mod tasks;
mod turns;
mod unread;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::message::{
    About, Failure, Found, FromHead, GroupAnswer, GroupRequest, GroupSpec, HeadAnswer, HeadRequest, Member,
    NodeMessage, Outcome, Packet, Report, Returned, Stop, ToHead,
};
use super::spec::{Shape, TaskSpec};
use crate::env::Moment;
use crate::flaw::{Flaw, planted};
use crate::ids::{Attempt, BundleId, ClientId, HeadLife, LeaseId, NodeId, ObjectId, TaskId};
use crate::link::{Frame, Link};
use crate::parts::Place;
use crate::resources::{Ledger, Resources};

use actors::{Actor, Calls, Resident};
pub use drain::Leaving;
use fetches::Wanted;
use leases::{Backlog, Lease, Lent, why_not_wait};
pub use listing::{ActorRow, References, TaskRow};
use objects::Owned;
use questions::Asker;
use references::Interest;
use runs::Run;
use stragglers::{Alike, Siblings};
use tasks::{Task, Unconfirmed};

/// Bytes of tasks that are kept to make lost results again, unless it is told otherwise: the oldest go first.
const LINEAGE_BYTES: usize = 64 << 20;
/// How often a node tells the head that it lives, in milliseconds.
const BEAT_EVERY: u64 = 500;
/// How often it tells what is free at the most, in milliseconds.
const NEWS_EVERY: u64 = 10;

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum Event {
    /// Something came over the network.
    Arrived(Packet),
    /// Time passed.
    Tick,
    /// A client submits a task; it holds a reference to each result.
    Submit(ClientId, Arc<TaskSpec>),
    /// A client puts a value, to which it holds a reference; one that is `Stored` lies in this node's store already.
    Put(ClientId, ObjectId, Returned),
    /// A client holds one reference more.
    AddRef(ClientId, ObjectId),
    /// A client holds one reference less.
    DropRef(ClientId, ObjectId),
    /// A client waits for an object's value; the answer has the number of the question.
    Get(ClientId, u64, ObjectId),
    /// A client waits for an object to have a value, on whatever node; the answer has the number of the question.
    See(ClientId, u64, ObjectId),
    /// It waits no more.
    Forget(ClientId, u64, ObjectId),
    /// A client is gone, and with it all that it held and asked for.
    ClientGone(ClientId),
    /// A client wants a task stopped.
    Cancel(TaskId, Stop),
    /// A client asks the head; the answer has the number of the question.
    AskHead(ClientId, u64, HeadRequest),
    /// A client asks which nodes there are; the answer has the number of the question.
    Members(ClientId, u64),
    /// A client asks about placement groups; the answer has the number of the question.
    Group(ClientId, u64, GroupRequest),
    /// A client asks why an object is not ready, whoever owns it; the answer has the number of the question.
    Explain(ClientId, u64, ObjectId),
    /// An actor of this node's lives until it is ended, whoever holds it.
    Detach(ObjectId),
    /// A client wants an actor ended: for good, or (`true`) to begin anew if it may.
    Kill(ObjectId, bool),
    /// The worker of an actor is gone.
    ActorGone(ObjectId, Failure),
    /// An attempt waits for objects: it needs no CPU until it goes on.
    Blocked(Attempt),
    /// It goes on.
    Unblocked(Attempt),
    /// An attempt that streams made the next of its results; one that is `Stored` lies in this node's store already.
    Yielded(Attempt, u32, Returned),
    /// A worker is done with an attempt; results that are `Stored` lie in this node's store already.
    Ended(Attempt, Outcome),
    /// The value of an object came into this node's store.
    Fetched(ObjectId),
    /// It could not be had from that node.
    FetchFailed(ObjectId, NodeId),
    /// This node's store has no room for it, and why.
    FetchRefused(ObjectId, Arc<str>),
    /// This node's store has an object no more.
    Evicted(ObjectId),
    /// So many drivers belong to this node; it is told while it leaves.
    Drivers(usize),
    /// The process of this node is to end: the head need not find that out by itself.
    End,
}

/// What a node wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this to the head.
    ToHead(Report),
    /// Send this to that node.
    ToNode(NodeId, Frame<NodeMessage>),
    /// Run an attempt; the values of what it needs are given, or (`None`) in the store.
    Start(Attempt, Arc<TaskSpec>, Vec<(ObjectId, Option<Bytes>)>),
    /// Run a part of a plan, in this process: with the values of what it needs, and where that is of which it reads
    /// parts.
    StartFragment(Attempt, Arc<TaskSpec>, Vec<(ObjectId, Option<Bytes>)>, Vec<(ObjectId, Place)>),
    /// Stop an attempt; it ends with [`Event::Ended`] if the node is still told of it.
    Kill(Attempt, Stop),
    /// End the worker of an actor, in that of its lives.
    KillActor(ObjectId, u32),
    /// Bring an object into the store.
    Fetch(ObjectId, NodeId),
    /// Take it out of the store.
    Drop(ObjectId),
    /// Answer a client.
    Answer(ClientId, u64, Result<Found, Failure>),
    /// Answer a client's question to the head.
    HeadAnswered(ClientId, u64, HeadAnswer),
    /// Answer a client's question about nodes.
    Members(ClientId, u64, Vec<Member>, Vec<(Resources, u64)>),
    /// That node is reached there.
    Meet(NodeId, Arc<str>),
    /// That node is dead.
    Part(NodeId),
    /// Answer a client's question about placement groups.
    Grouped(ClientId, u64, GroupAnswer),
    /// Answer a client's question why something is not ready.
    Explained(ClientId, u64, About),
    /// Tell the client that submitted a task of a result that came while it runs, to which it holds a reference.
    Item(ClientId, ObjectId),
    /// A task ended.
    Done(TaskId),
    /// A task that ended runs again, for a result was lost.
    Again(TaskId),
    /// Tell the clients that no node can run this, and what is missing.
    Warn(Arc<Shape>, Resources),
    /// Tell the clients that no nodes could hold this placement group, and why.
    WarnOfGroup(Arc<GroupSpec>, Arc<str>),
    /// This node was declared dead, or belongs to another cluster than its head: end everything and start anew. Why is
    /// for people.
    Reset(Arc<str>),
    /// This node was drained: it ends.
    Leave,
    /// The head knows that this node ends.
    End,
}

/// The state machine of a node.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    now: Moment,
    actions: Vec<Action>,
    /// Messages of this node to itself.
    inbox: VecDeque<NodeMessage>,
    /// Objects of this node's whose counts changed.
    unsettled: Vec<ObjectId>,
    /// Actors of whose calls the next one may be sent.
    unsent: Vec<ObjectId>,
    head: Link<ToHead, FromHead>,
    /// The life of the head that was heard last.
    head_life: Option<HeadLife>,
    head_heard_at: Moment,
    /// The number of the talk with it.
    talk: u64,
    labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Where other nodes reach this one, if they have to.
    address: Option<Arc<str>>,
    /// Clients that went last: a next life of the head has to be told.
    gone_clients: VecDeque<ClientId>,
    links: BTreeMap<NodeId, Link<NodeMessage, NodeMessage>>,
    dead: BTreeSet<NodeId>,
    /// Those whose holds still count, in the order of their deaths.
    graves: VecDeque<(Moment, NodeId)>,
    beat_at: Moment,
    told: Option<(Resources, BTreeMap<BundleId, Resources>, u64)>,
    told_at: Moment,
    grants: u64,
    ledger: Ledger,
    interests: BTreeMap<ObjectId, Interest>,
    /// The borrowed objects within which a reference is known to be.
    containers: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    owned: BTreeMap<ObjectId, Owned>,
    wanted: BTreeMap<ObjectId, Wanted>,
    stored: BTreeSet<ObjectId>,
    tasks: BTreeMap<TaskId, Task>,
    /// Fragments that do alike work, as long as one of them is not over.
    siblings: BTreeMap<Alike, Siblings>,
    backlogs: BTreeMap<Arc<Shape>, Backlog>,
    leases: BTreeMap<LeaseId, Lease>,
    lent: BTreeMap<LeaseId, Lent>,
    runs: BTreeMap<Attempt, Run>,
    actors: BTreeMap<ObjectId, Actor>,
    calls: BTreeMap<ObjectId, Calls>,
    residents: BTreeMap<ObjectId, Resident>,
    names: names::Names,
    groups: groups::Groups,
    drains: drain::Drains,
    /// The head was told that this node's process ends.
    ends: bool,
    questions: questions::Questions,
    /// What of shapes no node has.
    unplaceable: BTreeMap<Arc<Shape>, Resources>,
    /// Tasks so far.
    submitted: u64,
    /// Attempts of this node's tasks that others took the place of, where they ran, and what they were handed.
    abandoned: BTreeMap<Attempt, (NodeId, Vec<ObjectId>)>,
    /// Attempts whose ends were taken from a node.
    unconfirmed: Vec<Unconfirmed>,
    next_lease: u64,
    /// Tasks that ended and are kept, the oldest first, and their bytes.
    lineage: VecDeque<TaskId>,
    lineage_bytes: usize,
    lineage_limit: usize,
}

impl Node {
    /// A node with these resources, which registers with the head at the first step.
    #[must_use]
    pub fn new(id: NodeId, total: Resources, labels: BTreeMap<Arc<str>, Arc<str>>) -> Self {
        let mut head = Link::default();
        head.send(ToHead::Register(total.clone(), labels.clone()));
        Self {
            id,
            now: Moment::default(),
            actions: Vec::new(),
            inbox: VecDeque::new(),
            unsettled: Vec::new(),
            unsent: Vec::new(),
            head,
            head_life: None,
            head_heard_at: Moment::default(),
            talk: 0,
            labels,
            address: None,
            gone_clients: VecDeque::new(),
            links: BTreeMap::new(),
            dead: BTreeSet::new(),
            graves: VecDeque::new(),
            beat_at: Moment::default(),
            told: None,
            told_at: Moment::default(),
            grants: 0,
            ledger: Ledger::new(total),
            interests: BTreeMap::new(),
            containers: BTreeMap::new(),
            owned: BTreeMap::new(),
            wanted: BTreeMap::new(),
            stored: BTreeSet::new(),
            tasks: BTreeMap::new(),
            siblings: BTreeMap::new(),
            backlogs: BTreeMap::new(),
            leases: BTreeMap::new(),
            lent: BTreeMap::new(),
            runs: BTreeMap::new(),
            actors: BTreeMap::new(),
            calls: BTreeMap::new(),
            residents: BTreeMap::new(),
            names: names::Names::default(),
            groups: groups::Groups::default(),
            drains: drain::Drains::default(),
            ends: false,
            questions: questions::Questions::default(),
            unplaceable: BTreeMap::new(),
            submitted: 0,
            abandoned: BTreeMap::new(),
            unconfirmed: Vec::new(),
            next_lease: 0,
            lineage: VecDeque::new(),
            lineage_bytes: 0,
            lineage_limit: LINEAGE_BYTES,
        }
    }

    /// Keeps at most so many bytes of tasks that ended, to make lost results again.
    #[must_use]
    pub fn with_lineage_limit(mut self, bytes: usize) -> Self {
        self.lineage_limit = bytes;
        self
    }

    /// Tells the others by the head where this node is reached.
    #[must_use]
    pub fn reached_at(mut self, address: &str) -> Self {
        self.head.send(ToHead::At(Arc::from(address)));
        self.address = Some(Arc::from(address));
        self
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// What of its resources is free.
    #[must_use]
    pub fn free(&self) -> &Resources {
        self.ledger.free()
    }

    /// Takes an event in, and says what is to be done about it.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Action> {
        self.now = now;
        self.take_in(event);
        self.settle_all();
        self.hear_self();
        if self.is_leaving() {
            self.go_on_leaving();
            self.hear_self();
        }
        self.beat();
        self.flush();
        std::mem::take(&mut self.actions)
    }

    fn hear_self(&mut self) {
        while let Some(message) = self.inbox.pop_front() {
            self.hear(self.id, message);
            self.settle_all();
        }
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Arrived(Packet::Head(life, talk, frame)) => self.hear_of_head(life, talk, frame),
            Event::Arrived(Packet::Anew(life)) => self.meet_head(life),
            Event::Arrived(Packet::Node(from, frame)) => {
                // A dead node's words are not heard, however late they come.
                if self.dead.contains(&from) && !planted(Flaw::StaleNode) {
                    return;
                }
                for message in self.links.entry(from).or_default().receive(frame, self.now) {
                    self.hear(from, message);
                    self.settle_all();
                }
            }
            Event::Arrived(Packet::Left) => self.let_go(),
            Event::Arrived(Packet::Fenced) if self.ends => self.actions.push(Action::End),
            Event::Arrived(Packet::Fenced) => {
                let why = format!("the head had not heard of {} for too long and declared it dead", self.id);
                self.actions.push(Action::Reset(why.into()));
            }
            Event::Tick => {
                self.talk_to_the_silent();
                self.give_up_on_the_silent();
                self.help_stragglers();
                self.ask_again();
                self.let_go_of_the_dead();
                self.give_up_on_answers();
            }
            Event::Submit(client, spec) => self.submit(client, spec),
            Event::Put(client, object, value) => self.put(client, object, value),
            Event::AddRef(client, object) => self.add_ref(client, object),
            Event::DropRef(client, object) => self.drop_ref(client, object),
            Event::Get(client, question, object) => self.get(client, question, object),
            Event::See(client, question, object) => self.see(client, question, object),
            Event::ClientGone(client) => {
                self.client_gone(client);
                self.tell_of_gone(client);
            }
            Event::Forget(client, question, object) => self.forget_question(client, question, object),
            Event::Cancel(task, stop) => self.send(task.owner, NodeMessage::CancelTask(task, stop)),
            Event::AskHead(client, question, request) => self.ask_for_name(client, question, request),
            Event::Members(client, question) => self.ask_for_members(client, question),
            Event::Group(client, question, request) => self.ask_of_groups(client, question, request),
            Event::Explain(client, question, object) => self.explain(Asker::Client(client, question), object),
            Event::Detach(actor) => self.detach(actor),
            Event::Kill(actor, may_restart) => self.send(actor.owner(), NodeMessage::KillActor(actor, may_restart)),
            Event::ActorGone(actor, why) => self.actor_gone(actor, &why),
            Event::Blocked(attempt) => self.blocked(attempt, true),
            Event::Unblocked(attempt) => self.blocked(attempt, false),
            Event::Yielded(attempt, index, item) => self.yielded(attempt, index, item),
            Event::Ended(attempt, outcome) => self.ended(attempt, outcome),
            Event::Fetched(object) => self.fetched(object),
            Event::FetchFailed(object, from) => self.fetch_failed(object, from),
            Event::FetchRefused(object, why) => self.fetch_refused(object, why),
            Event::Evicted(object) => self.evicted(object),
            Event::Drivers(count) => self.wait_for_drivers(count),
            Event::End => {
                self.ends = true;
                self.head.send(ToHead::Ends);
            }
        }
    }

    fn hear_head(&mut self, message: FromHead) {
        match message {
            FromHead::Grant(lease, shape, owner, bundle) => {
                self.grants += 1;
                self.granted(lease, shape, owner, bundle);
            }
            FromHead::Reserve(bundle, round, resources) => {
                self.grants += 1;
                self.reserve(bundle, round, resources);
            }
            FromHead::Open(bundle) => self.open_bundle(bundle),
            FromHead::Release(bundle) => self.release_bundle(bundle),
            FromHead::GroupGone(group) => self.group_gone(group),
            FromHead::Grouped(question, answer) => self.group_answered(question, answer),
            FromHead::GroupUnplaceable(group, why) => self.actions.push(Action::WarnOfGroup(group, why)),
            FromHead::At(node, address) => self.actions.push(Action::Meet(node, address)),
            FromHead::NodeDead(node) => {
                self.node_dead(node);
                self.actions.push(Action::Part(node));
            }
            FromHead::Drain(millis) => self.drain(millis),
            FromHead::Draining(node) => self.draining(node),
            FromHead::Members(question, members, more) => self.members_told(question, members, more),
            FromHead::GroupExplained(question, text, never) => self.group_explained(question, text, never),
            FromHead::Answer(question, answer) => self.name_answered(question, answer),
            FromHead::Unplaceable(shape, missing) => {
                if let Some(why) = why_not_wait(&shape, &missing) {
                    return self.fail_queued(&shape, &why);
                }
                self.unplaceable.insert(Arc::clone(&shape), missing.clone());
                self.actions.push(Action::Warn(shape, missing));
            }
        }
    }

    fn hear(&mut self, from: NodeId, message: NodeMessage) {
        match message {
            NodeMessage::Leased(lease, shape) => self.leased(from, lease, &shape),
            NodeMessage::ReturnLease(lease) => self.lease_returned(lease),
            NodeMessage::Execute(lease, attempt, spec, known) => self.execute(lease, attempt, spec, known),
            NodeMessage::Cancel(attempt, stop) => self.cancel_run(attempt, stop),
            NodeMessage::Yielded(attempt, index, item) => self.item(from, attempt, index, item),
            NodeMessage::Finished(attempt, outcome) => self.finished(from, attempt, outcome),
            NodeMessage::Committed(attempt, kept) => self.forget_run(attempt, kept),
            NodeMessage::Borrow(object, hold) => self.borrow_by(from, object, hold),
            NodeMessage::Borrowed(object) => self.borrowed(object),
            NodeMessage::Locate(object) => self.locate(from, object),
            NodeMessage::Located(object, known) => self.located(object, &known),
            NodeMessage::Copied(object) => self.copied(from, object),
            NodeMessage::CopyLost(object, node) => self.copy_lost(object, node),
            NodeMessage::Free(object) => self.free_copy(object),
            NodeMessage::WhereIs(actor) => self.where_is(from, actor),
            NodeMessage::ActorAt(actor, place) => self.actor_at(actor, place),
            NodeMessage::Call(life, attempt, spec, known) => self.called(life, attempt, spec, known),
            NodeMessage::ActorEnded(actor, life, why) => self.actor_ended(actor, life, &why),
            NodeMessage::EndActor(actor, life) => self.end_actor(actor, life),
            NodeMessage::KillActor(actor, may_restart) => self.kill_actor(actor, may_restart),
            NodeMessage::Kept(object, is_safe) => self.kept(object, is_safe),
            NodeMessage::CancelTask(task, stop) => self.cancel(task, stop),
            NodeMessage::Explain(question, object) => self.explain(Asker::Node(from, question), object),
            NodeMessage::Explained(question, about) => self.explained(question, &about),
        }
    }

    /// Sends a message; one to this node is heard before the step ends, one to a dead node never.
    fn send(&mut self, to: NodeId, message: NodeMessage) {
        if to == self.id {
            self.inbox.push_back(message);
        } else if !self.dead.contains(&to) {
            self.links.entry(to).or_default().send(message);
        }
    }

    /// Tells the head what is free when that changed, and that this node lives.
    fn beat(&mut self) {
        let says = (self.ledger.free().clone(), self.groups.free(), self.grants);
        let has_news = self.told.as_ref() != Some(&says);
        if has_news {
            self.beat_at = self.beat_at.min(self.told_at + NEWS_EVERY);
        }
        if self.now >= self.beat_at {
            self.head.send(ToHead::Beat(says.0.clone(), says.1.clone(), says.2));
            (self.told, self.told_at, self.beat_at) = (Some(says), self.now, self.now + BEAT_EVERY);
        }
    }

    fn flush(&mut self) {
        if let Some(report) = self.report_to_head() {
            self.actions.push(Action::ToHead(report));
        }
        for (node, link) in &mut self.links {
            if let Some(frame) = link.flush(self.now) {
                self.actions.push(Action::ToNode(*node, frame));
            }
        }
    }

    /// When this node wants an [`Event::Tick`] at the latest.
    #[must_use]
    pub fn wakes_at(&self) -> Moment {
        let links = self.links.values().filter_map(Link::wakes_at).chain(self.head.wakes_at());
        links.fold(self.beat_at, Moment::min)
    }
}

#[cfg(test)]
impl Node {
    /// Whether it owns an object: its value is there, or on its way, or is made again when it is asked for.
    pub(in crate::schedule) fn knows(&self, object: ObjectId) -> bool {
        self.owned.contains_key(&object)
    }

    /// Whether it keeps no more of what ended than it may.
    pub(in crate::schedule) fn is_within_its_lineage(&self) -> bool {
        self.lineage_bytes <= self.lineage_limit
    }

    /// All that it knows of an object.
    pub(in crate::schedule) fn tell(&self, object: ObjectId) -> String {
        let (owned, interest) = (self.owned.get(&object), self.interests.get(&object));
        format!("{owned:?}, {interest:?}, {:?}", self.tasks.get(&object.task))
    }

    /// Whether it has not heard that a node died.
    pub(in crate::schedule) fn believes_in(&self, node: NodeId) -> bool {
        !self.dead.contains(&node)
    }

    /// What is there when all programs are over and nothing should be.
    pub(in crate::schedule) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mut tell = |what: &str, count: usize, example: String| {
            if count > 0 {
                left.push(format!("{count} {what}, such as {example}"));
            }
        };
        tell("objects", self.owned.len(), format!("{:?}", self.owned.first_key_value()));
        tell("references", self.interests.len(), format!("{:?}", self.interests.first_key_value()));
        tell("contents", self.containers.len(), format!("{:?}", self.containers.first_key_value()));
        tell("tasks", self.tasks.len(), format!("{:?}", self.tasks.first_key_value()));
        tell("siblings", self.siblings.len(), format!("{:?}", self.siblings.first_key_value()));
        tell("runs", self.runs.len(), format!("{:?}", self.runs.first_key_value()));
        tell("actors", self.actors.len(), format!("{:?}", self.actors.first_key_value()));
        tell("calls", self.calls.len(), format!("{:?}", self.calls.first_key_value()));
        tell("residents", self.residents.len(), format!("{:?}", self.residents.first_key_value()));
        tell("abandoned attempts", self.abandoned.len(), format!("{:?}", self.abandoned.first_key_value()));
        tell("leases", self.leases.len(), format!("{:?}", self.leases.first_key_value()));
        tell("lent leases", self.lent.len(), format!("{:?}", self.lent.first_key_value()));
        tell("wanted objects", self.wanted.len(), format!("{:?}", self.wanted.first_key_value()));
        tell("stored objects", self.stored.len(), format!("{:?}", self.stored.first()));
        tell("names", self.names.len(), format!("{:?}", self.names));
        tell("bundles and questions about groups", self.count_of_groups(), format!("{:?}", self.groups));
        tell("questions why something waits", self.questions.len(), format!("{:?}", self.questions));
        tell("results to commit", self.unconfirmed.len(), format!("{:?}", self.unconfirmed.first()));
        tell("backlogs", self.backlogs.len(), format!("{:?}", self.backlogs.first_key_value()));
        for (node, link) in &self.links {
            if link.stalled_since().is_some_and(|since| self.now.since(since) > 5_000) {
                left.push(format!("messages to {node}"));
            }
        }
        if self.lineage_bytes > 0 {
            left.push(format!("{} bytes of lineage", self.lineage_bytes));
        }
        if self.ledger.free() != self.ledger.total() {
            left.push(format!("of {:?} only {:?} free", self.ledger.total(), self.ledger.free()));
        }
        left
    }
}
