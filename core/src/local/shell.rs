//! The loop: waits for sockets, pipes and time, takes in what came, and does what the state machines want done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use tokio::sync::oneshot;

use super::LocalOptions;
use super::clients::Client;
use super::disk::Disk;
use super::door;
use super::fragments::Running;
use super::gpus::{Gpus, Unstarted};
use super::inlet::{Fetched, Inlet, Reading, Room};
use super::inquiry::Inquiry;
use super::keeper::Keeper;
use super::logs::Logs;
use super::parts::NodeParts;
use super::peers::PEERS;
use super::source::{Indexes, RangeSource};
use super::values::Delivery;
use super::warnings::Warned;
use super::workers::{Pool, Worker};
use super::zygote::Zygote;
use crate::client::Lines;
use crate::env::Moment;
use crate::fragment::Ended;
use crate::ids::{Attempt, ClientId, NodeId, ObjectId};
use crate::metrics::Metrics;
use crate::network::{Network, Parcel};
use crate::resources::{CPU, GPU};
use crate::schedule::{Event, Head, HeadEvent, HeadLimits, Node, Outbox};
use crate::state::MemoryStore;
use crate::store::Store;
use crate::store::spill::Spilled;
use crate::{Error, ErrorKind, Result, host};

/// How often things are looked after that have no time of their own, in milliseconds.
const LOOK_EVERY: u64 = 500;
/// How long a head may be silent, in milliseconds, before people are told.
const HEAD_IS_LOST_AFTER: u64 = 5_000;
/// How long a node that ends waits for the head to know, in milliseconds.
const FAREWELL: u64 = 1_000;
/// What is ready at once.
const EVENTS: usize = 128;

/// The open files that objects may take: half of what this process may have, which is raised as far as it may be.
fn files_for_objects() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    // Where it may not be raised it stays as it is.
    let limit = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard);
    usize::try_from(limit / 2).unwrap_or(usize::MAX)
}

/// What comes from other threads of this process.
#[derive(Debug)]
pub(super) enum Input {
    Connect(UnixStream),
    Spilled((ObjectId, u64), std::io::Result<Spilled>),
    Returned(ObjectId, std::io::Result<OwnedFd>),
    Parcel(Parcel),
    Room(u64, oneshot::Sender<std::result::Result<Room, String>>),
    Unreserve(u64),
    Fetched(ObjectId, NodeId, Fetched),
    Open(ObjectId, oneshot::Sender<std::result::Result<Reading, String>>),
    Source(ObjectId, oneshot::Sender<std::result::Result<RangeSource, String>>),
    /// An attempt to run a fragment ended, in that life of the node.
    Ended(NodeId, Attempt, Ended),
    Close(ObjectId, u64),
    Inquire(Inquiry, oneshot::Sender<String>),
    /// The process of a node is gone.
    Gone(NodeId),
    /// A batch of the head of that epoch is on disk, and whether that could not be done for a while.
    Saved {
        epoch: u64,
        has_failed: bool,
    },
    /// It cannot be written, and why.
    Unsaved(String),
    Shutdown,
}

/// What the loop waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Waker,
    Zygote,
    Door,
    Client(ClientId),
    Output(ClientId),
    Errors(ClientId),
}

impl Source {
    fn token(self) -> u64 {
        let (kind, number) = match self {
            Self::Waker => (0, 0),
            Self::Zygote => (1, 0),
            Self::Client(id) => (2, id.0),
            Self::Output(id) => (3, id.0),
            Self::Errors(id) => (4, id.0),
            Self::Door => (5, 0),
        };
        kind << 56 | number
    }

    fn of(token: u64) -> Self {
        let id = ClientId(token & ((1 << 56) - 1));
        match token >> 56 {
            0 => Self::Waker,
            1 => Self::Zygote,
            2 => Self::Client(id),
            3 => Self::Output(id),
            4 => Self::Errors(id),
            _ => Self::Door,
        }
    }
}

/// All that the runtime's thread has.
pub(super) struct Shell {
    pub(super) options: LocalOptions,
    started: Instant,
    inputs: Receiver<Input>,
    waker: Arc<EventFd>,
    pub(super) poll: Epoll,
    pub(super) node: Node,
    /// `None` where the head is another node.
    pub(super) head: Option<Head>,
    pub(super) outbox: Outbox,
    /// `None` where nothing of the head is kept.
    pub(super) keeper: Option<Keeper>,
    /// Since when the head of another process has been silent for too long.
    head_lost_at: Option<Moment>,
    /// `None` where there are no other nodes.
    pub(super) network: Option<Box<dyn Network>>,
    pub(super) inlet: Inlet,
    door: Option<UnixListener>,
    /// This node, as the drivers of others are told of it.
    pub(super) place: String,
    /// Requests of the network for room, by the numbers of their questions to the store.
    pub(super) rooms: BTreeMap<u64, oneshot::Sender<std::result::Result<Room, String>>>,
    /// Nodes that wait to read objects.
    pub(super) readers: BTreeMap<u64, oneshot::Sender<std::result::Result<Reading, String>>>,
    pub(super) next_question: u64,
    editions: u64,
    pub(super) store: Store,
    pub(super) disk: Disk,
    pub(super) gpus: Gpus,
    /// What waits for those.
    pub(super) unstarted: VecDeque<Unstarted>,
    /// `None` when it is gone, or not wanted yet.
    pub(super) zygote: Option<Zygote>,
    pub(super) wants_zygote: bool,
    /// As the kernel counted when a worker was killed last.
    pub(super) ended_for_memory: u64,
    /// When it may be started again.
    pub(super) zygote_starts_at: Moment,
    pub(super) lines: Arc<Lines>,
    pub(super) logs: Option<Logs>,
    pub(super) metrics: Metrics,
    pub(super) warned: Warned,
    pub(super) clients: BTreeMap<ClientId, Client>,
    pub(super) workers: BTreeMap<ClientId, Worker>,
    pub(super) next_client: u64,
    /// Which worker runs what.
    pub(super) running: BTreeMap<Attempt, ClientId>,
    /// Parts of plans that run in this process.
    pub(super) fragments: BTreeMap<Attempt, Running>,
    /// What they read from and write to, those of workers too; `None` before the first of them.
    pub(super) parts: Option<Arc<NodeParts>>,
    pub(super) indexes: Arc<Indexes>,
    /// Which worker is which actor.
    pub(super) actors: BTreeMap<ObjectId, ClientId>,
    /// Workers that have nothing to do, by whom they work for.
    pub(super) idle: BTreeMap<Pool, Vec<ClientId>>,
    /// What waits for objects that are on disk.
    pub(super) deliveries: Vec<Delivery>,
    /// Clients to which something is to be written.
    pub(super) unwritten: BTreeSet<ClientId>,
    events: VecDeque<Event>,
    looked_at: Moment,
    pub(super) is_over: bool,
    /// It was told to end, and waits until then for the head to know.
    ends_by: Option<Moment>,
    begins_anew: bool,
    has_left: Arc<AtomicBool>,
}

/// What outlives a life of a node.
pub(super) struct Outside {
    pub(super) inputs: Receiver<Input>,
    pub(super) results: Sender<Input>,
    pub(super) waker: Arc<EventFd>,
    pub(super) lines: Arc<Lines>,
    /// Set when the node leaves its cluster.
    pub(super) has_left: Arc<AtomicBool>,
    pub(super) network: Option<Box<dyn Network>>,
}

impl Shell {
    pub(super) fn new(options: LocalOptions, outside: Outside) -> Result<Self> {
        let Outside { inputs, results, waker, lines, has_left, mut network } = outside;
        let failed = |error: Errno| Error::new(ErrorKind::Io, format!("cannot wait for sockets: {error}"));
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        // Without CPUs there may never be a worker: then it starts with the first one.
        let zygote = (options.resources.amount(CPU) > 0.0).then(|| Zygote::start(&options.command)).transpose()?;
        let watch = |token: u64| EpollEvent::new(EpollFlags::EPOLLIN, token);
        poll.add(&*waker, watch(Source::Waker.token())).map_err(failed)?;
        if let Some(zygote) = &zygote {
            poll.add(&zygote.socket, watch(Source::Zygote.token())).map_err(failed)?;
        }
        let id = NodeId::draw();
        let mut node = Node::new(id, options.resources.clone(), labels(&options));
        let mut door = None;
        if let (Some(network), Some(address)) = (&mut network, options.role.address()) {
            network.begin(id);
            node = node.reached_at(address);
            let opened = door::open(id).map_err(|error| {
                Error::new(ErrorKind::Io, format!("cannot open the socket for drivers of this machine: {error}"))
            })?;
            poll.add(&opened, watch(Source::Door.token())).map_err(failed)?;
            door = Some(opened);
        }
        let inlet = Inlet::new(results.clone(), Arc::clone(&waker));
        let (head, keeper) = begin_head(&options, id, &results, &waker)?;
        Ok(Self {
            started: Instant::now(),
            inputs,
            poll,
            node,
            head,
            outbox: Outbox::default(),
            keeper,
            head_lost_at: None,
            network,
            inlet,
            door,
            place: options.role.address().map(place).unwrap_or_default(),
            rooms: BTreeMap::new(),
            readers: BTreeMap::new(),
            // Numbers of another life mean nothing in this one.
            next_question: id.0,
            editions: id.0,
            store: Store::new(options.store_bytes).with_most(files_for_objects()),
            disk: Disk::start(options.spill_dir.clone(), results, Arc::clone(&waker))?,
            gpus: Gpus::new(options.resources.amount(GPU)),
            unstarted: VecDeque::new(),
            wants_zygote: zygote.is_some(),
            ended_for_memory: host::ended_for_memory(),
            zygote,
            zygote_starts_at: Moment::default(),
            waker,
            logs: options.log_dir.as_ref().map(|root| Logs::start(root, Arc::clone(&lines))).transpose()?,
            lines,
            metrics: Metrics::default(),
            warned: Warned::default(),
            clients: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_client: 0,
            running: BTreeMap::new(),
            fragments: BTreeMap::new(),
            parts: None,
            indexes: Arc::default(),
            actors: BTreeMap::new(),
            idle: BTreeMap::new(),
            deliveries: Vec::new(),
            unwritten: BTreeSet::new(),
            events: VecDeque::new(),
            looked_at: Moment::default(),
            is_over: false,
            ends_by: None,
            begins_anew: false,
            has_left,
            options,
        })
    }

    pub(super) fn now(&self) -> Moment {
        Moment::after(self.started)
    }

    /// Runs until it is told to end, or has to begin anew: then with what it leaves.
    pub(super) fn run(mut self) -> Option<(LocalOptions, Outside)> {
        self.prepare_workers();
        // A head knows its own node before anybody asks.
        self.look();
        let mut ready = [EpollEvent::empty(); EVENTS];
        while !self.is_over {
            let patience = self.wakes_at().since(self.now()).min(LOOK_EVERY) as u16;
            let count = match self.poll.wait(&mut ready, EpollTimeout::from(patience)) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => {
                    self.lines.say(format!("the runtime ends: it cannot wait for sockets: {error}"));
                    break;
                }
            };
            for event in &ready[..count] {
                self.take_in(Source::of(event.data()), event.events());
            }
            self.look();
            self.write_all();
        }
        self.end()
    }

    fn wakes_at(&self) -> Moment {
        let head = self.head.as_ref().map(Head::wakes_at);
        let wakes = [Some(self.node.wakes_at()), head, self.store.wakes_at(), self.ends_by];
        wakes.into_iter().flatten().fold(self.looked_at + LOOK_EVERY, Moment::min)
    }

    fn take_in(&mut self, source: Source, events: EpollFlags) {
        match source {
            Source::Waker => {
                let _ = self.waker.read();
                while let Ok(input) = self.inputs.try_recv() {
                    self.hear(input);
                }
            }
            Source::Zygote => self.hear_zygote(),
            Source::Door => self.answer_door(),
            Source::Client(id) => {
                if events.contains(EpollFlags::EPOLLOUT) {
                    self.unwritten.insert(id);
                }
                if events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
                    self.read_client(id);
                }
            }
            Source::Output(id) => self.read_output(id, false),
            Source::Errors(id) => self.read_output(id, true),
        }
    }

    fn hear(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Connect(socket) => {
                let id = self.next_client();
                self.add_client(id, socket);
            }
            Input::Spilled(object, outcome) => {
                self.store.spilled(now, object, outcome);
                self.settle_store();
            }
            Input::Returned(object, outcome) => {
                self.store.returned(now, object, outcome);
                self.settle_store();
            }
            Input::Parcel(parcel) => self.hear_parcel(parcel),
            Input::Room(bytes, answer) => self.keep_room(bytes, answer),
            Input::Unreserve(question) => {
                self.store.unreserve(now, PEERS, question);
                self.settle_store();
            }
            Input::Fetched(object, from, what) => self.fetch_ended(object, from, what),
            Input::Open(object, answer) => self.open_for_peer(object, answer),
            Input::Source(object, answer) => self.open_source(object, answer),
            Input::Ended(life, attempt, ended) => self.fragment_ended(life, attempt, ended),
            Input::Close(object, edition) => self.close_for_peer(object, edition),
            Input::Inquire(inquiry, answer) => self.inquired(inquiry, answer),
            Input::Gone(node) if node != self.node.id() => self.step_head(HeadEvent::Gone(node)),
            Input::Gone(_) => {}
            Input::Saved { epoch, has_failed } => self.head_is_saved(epoch, has_failed),
            Input::Unsaved(why) => self.head_is_not_saved(&why),
            Input::Shutdown => self.begin_to_end(),
        }
        self.pump();
    }

    fn answer_door(&mut self) {
        loop {
            match self.door.as_ref().map(door::let_in) {
                Some(Ok(Some(socket))) => {
                    let id = self.next_client();
                    self.add_client(id, socket);
                }
                Some(Err(error)) => return self.lines.say(format!("a driver is not let in: {error}")),
                None | Some(Ok(None)) => return,
            }
        }
    }

    /// This node was declared dead, or has no place in the cluster any more: what it was is over.
    pub(super) fn begin_anew(&mut self, why: &str) {
        self.lines.say(format!("{why}: it ends its workers, drops its objects and starts under another name"));
        (self.is_over, self.begins_anew) = (true, true);
    }

    /// This node is to end. The head of another process is told, for it would find out only by long silence.
    fn begin_to_end(&mut self) {
        if self.head.is_some() {
            self.is_over = true;
        } else if self.ends_by.is_none() {
            self.ends_by = Some(self.now() + FAREWELL);
            self.post(Event::End);
        }
    }

    /// This node has left its cluster: nothing comes after it.
    pub(super) fn end_for_good(&mut self) {
        self.has_left.store(true, Ordering::Release);
        self.is_over = true;
    }

    /// Where files with what workers print are, if anywhere.
    pub(super) fn log_folder(&self) -> Option<PathBuf> {
        self.logs.as_ref().map(|logs| logs.folder().to_path_buf())
    }

    /// A number that no other content in the cluster has.
    pub(super) fn next_edition(&mut self) -> u64 {
        self.editions = self.editions.wrapping_add(1);
        self.editions
    }

    /// Lets the state machines see that time passes.
    fn look(&mut self) {
        let now = self.now();
        if now >= self.node.wakes_at() {
            self.post(Event::Tick);
        }
        if self.head.as_ref().is_some_and(|head| now >= head.wakes_at()) {
            self.step_head(HeadEvent::Tick);
        }
        if self.store.wakes_at().is_some_and(|at| now >= at) {
            self.store.tick(now);
            self.settle_store();
        }
        self.is_over |= self.ends_by.is_some_and(|by| now >= by);
        if now.since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            self.look_for_head();
            self.look_after_workers();
            self.warn_of_shapes();
            self.look_at_drivers();
        }
        self.pump();
    }

    /// Says when the head of another process has gone silent, and when it is back.
    fn look_for_head(&mut self) {
        let (now, heard_at) = (self.now(), self.node.head_heard_at());
        let is_lost = self.head.is_none() && now.since(heard_at) >= HEAD_IS_LOST_AFTER;
        match (is_lost, self.head_lost_at) {
            (true, None) => {
                self.head_lost_at = Some(heard_at);
                let why = self.network.as_ref().and_then(|network| network.trouble());
                self.lines.say(format!(
                    "the head has been silent for {} s{}: this node goes on with what it has, and looks for the head \
                     until it is back",
                    now.since(heard_at) / 1_000,
                    why.map(|why| format!(" ({why})")).unwrap_or_default()
                ));
            }
            (false, Some(since)) => {
                self.head_lost_at = None;
                self.lines.say(format!("the head is back, after {} s", now.since(since) / 1_000));
            }
            _ => {}
        }
    }

    /// Something happens to the node, after all that has happened before.
    pub(super) fn post(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Lets the node see what happened, and does what it wants done, until there is nothing more.
    pub(super) fn pump(&mut self) {
        while let Some(event) = self.events.pop_front() {
            let now = self.now();
            for action in self.node.step(now, event) {
                self.act(action);
            }
        }
    }

    pub(super) fn next_client(&mut self) -> ClientId {
        self.next_client += 1;
        ClientId(self.next_client)
    }

    fn end(mut self) -> Option<(LocalOptions, Outside)> {
        self.clients.clear();
        self.stop_fragments();
        // A next life of the head must not read while the last one still writes.
        self.keeper = None;
        self.zygote = None;
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            self.read_output(id, false);
            self.read_output(id, true);
        }
        self.workers.clear();
        if let Some(logs) = self.logs.take() {
            logs.end();
        }
        if !self.begins_anew {
            self.lines.end();
            return None;
        }
        let Self { options, inputs, inlet, waker, lines, has_left, network, .. } = self;
        Some((options, Outside { inputs, results: inlet.into_inputs(), waker, lines, has_left, network }))
    }
}

/// The head of this process, if it has one, and what saves for it.
fn begin_head(
    options: &LocalOptions,
    own: NodeId,
    results: &Sender<Input>,
    waker: &Arc<EventFd>,
) -> Result<(Option<Head>, Option<Keeper>)> {
    if !options.role.has_head() {
        return Ok((None, None));
    }
    let (now, limits) = (Moment::default(), HeadLimits::default());
    let Some(state) = &options.state else {
        return Ok((Some(Head::restore(now, limits, own, &MemoryStore::default())?), None));
    };
    let head = Head::restore(now, limits, own, &**state)?;
    let keeper = Keeper::start(Arc::clone(state), head.life().epoch, results.clone(), Arc::clone(waker))?;
    Ok((Some(head), Some(keeper)))
}

fn labels(options: &LocalOptions) -> BTreeMap<Arc<str>, Arc<str>> {
    options.labels.iter().map(|(name, value)| (Arc::from(&**name), Arc::from(&**value))).collect()
}

/// The part of an address that people know a machine by.
fn place(address: &str) -> String {
    address.rsplit("://").next().unwrap_or(address).to_string()
}

impl Shell {
    /// Watches a socket or pipe.
    pub(super) fn watch(&self, file: impl std::os::fd::AsFd, source: Source) -> std::io::Result<()> {
        Ok(self.poll.add(file, EpollEvent::new(EpollFlags::EPOLLIN, source.token()))?)
    }

    /// Watches for room to write, or not any more.
    pub(super) fn watch_room(&self, file: impl std::os::fd::AsFd, source: Source, wants_room: bool) {
        let flags = if wants_room { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        // A socket that cannot be watched any more is found to be closed when it is read.
        let _ = self.poll.modify(file, &mut EpollEvent::new(flags, source.token()));
    }
}
