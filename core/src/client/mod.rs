//! What a driver or worker process has of the runtime: it submits, puts, gets and waits, and a worker is given calls.
//!
//! [`Client`] is shared by all threads of a process. A thread of its own reads what the node says. In a process that
//! was forked from a driver or worker every method fails: the socket is the parent's.

mod answers;
mod cache;
mod calls;
mod forks;
mod fragments;
mod groups;
mod lines;
mod made;
mod packing;
mod questions;
mod streams;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_bytes::ByteBuf;

use crate::fragment::Executor;
use crate::ids::{Attempt, ClientId, NodeId, ObjectId, TaskId};
use crate::metrics::Update;
use crate::wire::{
    Answer, Arguments, CallOptions, FragmentSubmission, INLINE_BYTES, Inbox, Kept, Line, MadeHere, Outbox, Share,
    Submission, ToClient, ToNode, Wish,
};
use crate::{Error, ErrorKind, Result, env};

use answers::{Answers, Shared};
pub use answers::{Batch, Reply, Value};
use cache::Cache;
use calls::Calls;
pub use calls::{Call, Next};
use fragments::Fragments;
pub use groups::Amounts;
pub(crate) use lines::Lines;
use made::Memory;
use packing::Layout;
pub use packing::parts_of;
pub use streams::Item;
use streams::Streams;

/// Questions that the node answers at once are answered by then.
const AT_ONCE: Duration = Duration::from_secs(60);
/// How long the node may take to say who it is.
const WELCOME: Duration = Duration::from_secs(10);
/// Room for the tasks of one client among the numbers of its node.
const NUMBER_BITS: u32 = 40;

/// The client that submitted a task: it is in the task's number.
#[must_use]
pub fn submitter(task: TaskId) -> ClientId {
    ClientId(task.number >> NUMBER_BITS)
}

/// What a process does when its node is gone, or stops one of its calls.
pub trait Host: Send + Sync + 'static {
    /// The node is gone.
    fn node_is_gone(&self);
    /// A call that runs is to stop: of a function, or of an actor's method.
    fn stop(&self, call: Attempt, is_function: bool);
    /// What runs parts of plans in this process, if it is a worker that runs any.
    ///
    /// # Errors
    /// When it cannot be started.
    fn executor(&self, share: &Share) -> Result<Option<Arc<dyn Executor>>> {
        let _ = share;
        Ok(None)
    }
}

struct Writer {
    /// `None` when the node is gone.
    socket: Option<UnixStream>,
    outbox: Outbox,
}

/// A process' part of the runtime.
pub struct Client {
    node: NodeId,
    id: ClientId,
    process: u32,
    writer: Mutex<Writer>,
    answers: Arc<Answers>,
    calls: Arc<Calls>,
    streams: Arc<Streams>,
    lines: Arc<Lines>,
    cache: Mutex<Cache>,
    memory: Memory,
    fragments: Arc<Fragments>,
    next_question: AtomicU64,
    next_number: AtomicU64,
    next_options: AtomicU32,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.id, self.node)
    }
}

impl Client {
    /// Speaks through a socket that a runtime gave, and listens until the node is gone.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when nobody answers.
    pub fn new(socket: UnixStream, host: impl Host) -> Result<Arc<Self>> {
        let failed = |error: std::io::Error| Error::new(ErrorKind::Io, format!("cannot speak to the node: {error}"));
        socket.set_nonblocking(false).and_then(|()| socket.set_read_timeout(Some(WELCOME))).map_err(failed)?;
        let reader = socket.try_clone().map_err(failed)?;
        let mut inbox = Inbox::default();
        let (node, id) = loop {
            match inbox.message::<ToClient>().map_err(failed)? {
                Some(ToClient::Welcome(node, id)) => break (node, id),
                Some(_) => return Err(Error::internal("the node did not say who it is")),
                None if inbox.read(&reader).map_err(failed)? => {}
                None => return Err(Error::new(ErrorKind::Io, "the node does not answer")),
            }
        };
        socket.set_read_timeout(None).map_err(failed)?;
        let client = Arc::new(Self {
            node,
            id,
            process: std::process::id(),
            writer: Mutex::new(Writer { socket: Some(socket), outbox: Outbox::default() }),
            answers: Arc::default(),
            calls: Arc::default(),
            streams: Arc::default(),
            lines: Arc::default(),
            cache: Mutex::default(),
            memory: Memory::default(),
            fragments: Arc::default(),
            next_question: AtomicU64::new(1),
            next_number: AtomicU64::new(1),
            next_options: AtomicU32::new(1),
        });
        let (listening, host) = (Arc::downgrade(&client), Arc::new(host));
        let ways = Ways {
            answers: Arc::clone(&client.answers),
            calls: Arc::clone(&client.calls),
            streams: Arc::clone(&client.streams),
            lines: Arc::clone(&client.lines),
            fragments: Arc::clone(&client.fragments),
        };
        env::thread("sheaf-client", move || {
            // What came with the welcome is heard before more is read.
            let mut listen = || -> std::io::Result<()> {
                loop {
                    while let Some(message) = inbox.message::<ToClient>()? {
                        hear(message, &mut inbox, &listening, &ways, &host)?;
                    }
                    inbox.read(&reader)?;
                }
            };
            // It ends when the socket does, or when what is said makes no sense.
            let _ = listen();
            ways.end();
            if let Some(client) = listening.upgrade() {
                client.close();
            }
            host.node_is_gone();
        })?;
        Ok(client)
    }

    /// The node that it belongs to.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Its number there.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Whether this process is the one that connected, and not one that was forked from it.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    pub(crate) fn send(&self, message: &ToNode, files: Vec<OwnedFd>) -> Result<()> {
        if !self.is_here() {
            return Err(Error::new(ErrorKind::Unsupported, "the runtime cannot be used in a forked process")
                .with_hint("use it in the process that started it, or start processes with the method \"spawn\""));
        }
        let mut writer = self.writer.lock();
        let Writer { socket: Some(socket), outbox } = &mut *writer else { return Err(has_ended()) };
        outbox
            .push(message, files)
            .and_then(|()| outbox.write(socket))
            .map_err(|error| has_ended().with_source(error))?;
        Ok(())
    }

    /// Ends the conversation: what this client held is freed.
    pub fn close(&self) {
        if self.is_here() {
            let socket = self.writer.lock().socket.take();
            self.memory.end();
            let gone = self.cache.lock().end();
            drop(gone);
            // The thread that listens has a descriptor of its own.
            let _ = socket.map(|socket| socket.shutdown(std::net::Shutdown::Both));
        }
    }

    fn new_task(&self) -> TaskId {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        TaskId { owner: self.node, number: self.id.0 << NUMBER_BITS | number }
    }

    pub(crate) fn questions(&self, count: u64) -> u64 {
        self.next_question.fetch_add(count, Ordering::Relaxed)
    }

    /// Tells the node what calls are to ask for; they name it by the number.
    ///
    /// # Errors
    /// As every method.
    pub fn define(&self, options: CallOptions) -> Result<u32> {
        let number = self.next_options.fetch_add(1, Ordering::Relaxed);
        self.send(&ToNode::Define(number, options), Vec::new())?;
        Ok(number)
    }

    /// Submits a call, with arguments that are given in parts. This process holds a reference to each result.
    ///
    /// # Errors
    /// [`ErrorKind::MemoryLimit`] or [`ErrorKind::DiskFull`] when large arguments find no room in the store.
    pub fn submit(&self, call: NewCall<'_>) -> Result<TaskId> {
        let task = self.new_task();
        let NewCall { options, actor, makes_actor, streams, function, mut needs, mut refs, parts } = call;
        if streams {
            self.streams.open(task);
        }
        let layout = Layout::of(parts);
        let mut put = None;
        let arguments = if layout.size <= INLINE_BYTES {
            Arguments::Inline(ByteBuf::from(layout.pack(parts)))
        } else {
            let object = self.put(parts, std::mem::take(&mut refs))?;
            needs.push(object);
            put = Some(object);
            Arguments::Stored
        };
        let call = Submission { task, options, actor, makes_actor, function, needs, refs, arguments };
        self.send(&ToNode::Submit(call), Vec::new())?;
        if let Some(object) = put {
            // The task holds it from now on.
            self.send(&ToNode::DropRef(object), Vec::new())?;
        }
        Ok(task)
    }

    /// Submits a part of a plan. This process holds a reference to its one result.
    ///
    /// # Errors
    /// As every method.
    pub fn submit_fragment(&self, fragment: NewFragment) -> Result<ObjectId> {
        let task = self.new_task();
        let NewFragment { options, needs, reads, is_repeatable, in_worker, siblings, begins_early, payload } = fragment;
        let payload = ByteBuf::from(payload);
        let part = FragmentSubmission {
            task,
            options,
            needs,
            reads,
            is_repeatable,
            in_worker,
            siblings,
            begins_early,
            payload,
        };
        self.send(&ToNode::SubmitFragment(part), Vec::new())?;
        Ok(task.result(0))
    }

    /// Keeps a value, given in parts, and the references within it. This process holds a reference to it.
    ///
    /// # Errors
    /// [`ErrorKind::MemoryLimit`] or [`ErrorKind::DiskFull`] when the store has no room for it.
    pub fn put(&self, parts: &[&[u8]], contains: Vec<ObjectId>) -> Result<ObjectId> {
        let object = self.new_task().result(0);
        let (made, files) = self.make(parts)?;
        if let MadeHere::Inline(bytes) = &made {
            self.remember(object, &Value::Inline(Arc::new(bytes.to_vec())));
        }
        self.cache.lock().set_ready(object);
        self.send(&ToNode::Put(object, made, contains), files)?;
        Ok(object)
    }

    fn inquire(&self, question: u64, message: &ToNode) -> Result<Answer> {
        let batch = self.answers.open(question, 1);
        self.send(message, Vec::new())?;
        let _ = batch.wait(1, AT_ONCE);
        match batch.take().pop().flatten() {
            Some(Reply::Other(answer)) => Ok(answer),
            Some(Reply::Ended) => Err(has_ended()),
            _ => Err(Error::new(ErrorKind::Io, "the node does not answer")),
        }
    }

    /// Lines that workers printed for this driver, on whichever node, waiting for the first one; `None` when the node
    /// is gone and all are read. An embedded node keeps them itself.
    #[must_use]
    pub fn output(&self, patience: Duration) -> Option<Vec<Line>> {
        self.lines.take(patience)
    }

    /// Says something of its own among the lines of [`Client::output`].
    pub fn tell(&self, text: String) {
        self.lines.say(text);
    }

    /// One reference more is held here.
    ///
    /// # Errors
    /// As every method.
    pub fn add_ref(&self, object: ObjectId) -> Result<()> {
        self.send(&ToNode::AddRef(object), Vec::new())
    }

    /// One reference less is held here.
    pub fn drop_ref(&self, object: ObjectId) {
        if self.is_here() {
            let gone = self.cache.lock().forget(object);
            drop(gone);
            // A node that is gone holds nothing.
            let _ = self.send(&ToNode::DropRef(object), Vec::new());
        }
    }

    /// Asks for objects. `blocks`: this process' work stands still until they are there.
    ///
    /// # Errors
    /// As every method.
    pub fn ask(self: &Arc<Self>, objects: &[ObjectId], wish: Wish, blocks: bool) -> Result<Batch> {
        let count = objects.len() as u64;
        let first = self.questions(count);
        let shared = self.answers.open_for(Arc::clone(self), first, objects);
        self.send(&ToNode::Get { first, objects: objects.to_vec(), wish, blocks }, Vec::new())?;
        Ok(shared)
    }

    /// Asks for an object's value, and calls `then` with it from another thread.
    ///
    /// # Errors
    /// As every method.
    pub fn when_ready(&self, object: ObjectId, then: impl FnOnce(Reply) + Send + 'static) -> Result<()> {
        self.call_back(object, Wish::Value, then)
    }

    /// Asks where an object is when it is there, and calls `then` with that from another thread: small values come
    /// themselves, of others [`Answer::At`] tells the nodes.
    ///
    /// # Errors
    /// As every method.
    pub fn when_placed(&self, object: ObjectId, then: impl FnOnce(Reply) + Send + 'static) -> Result<()> {
        self.call_back(object, Wish::Place, then)
    }

    /// Asks for word that an object is there, wherever, and calls `then` with that from another thread.
    ///
    /// # Errors
    /// As every method.
    pub fn when_there(&self, object: ObjectId, then: impl FnOnce(Reply) + Send + 'static) -> Result<()> {
        self.call_back(object, Wish::Anywhere, then)
    }

    fn call_back(&self, object: ObjectId, wish: Wish, then: impl FnOnce(Reply) + Send + 'static) -> Result<()> {
        let first = self.questions(1);
        self.answers.call_back(first, object, Box::new(then))?;
        self.send(&ToNode::Get { first, objects: vec![object], wish, blocks: false }, Vec::new())
    }

    /// The value of an object that this process has had and still has: objects never change.
    #[must_use]
    pub fn cached(&self, object: ObjectId) -> Option<Value> {
        self.cache.lock().get(object)
    }

    /// Whether an object is known to be there, or to have failed.
    #[must_use]
    pub fn is_known_ready(&self, object: ObjectId) -> bool {
        self.cache.lock().is_ready(object)
    }

    /// Keeps a value for the next one who asks: a large one until the node wants its memory.
    pub fn remember(&self, object: ObjectId, value: &Value) {
        let gone = {
            let mut cache = self.cache.lock();
            cache.insert(object, value);
            cache.keep(object, value)
        };
        drop(gone);
    }

    fn let_go(&self, kept: Kept) {
        match kept {
            Kept::Made(number) => self.memory.let_go(number),
            Kept::Read(object) => {
                let gone = self.cache.lock().let_go(object);
                drop(gone);
            }
        }
    }

    /// Stops the task that makes an object: `force` with its worker, `recursive` with the tasks it submitted.
    ///
    /// # Errors
    /// As every method.
    pub fn cancel(&self, object: ObjectId, force: bool, recursive: bool) -> Result<()> {
        self.send(&ToNode::Cancel(object.task, force, recursive), Vec::new())
    }

    /// Ends an actor; for good, or to begin anew if it may.
    ///
    /// # Errors
    /// As every method.
    pub fn kill(&self, actor: ObjectId, for_good: bool) -> Result<()> {
        self.send(&ToNode::Kill(actor, for_good), Vec::new())
    }

    /// Tells what happened to metrics of the user's.
    ///
    /// # Errors
    /// As every method.
    pub fn report_metrics(&self, updates: Vec<Update>) -> Result<()> {
        self.send(&ToNode::Metrics(updates), Vec::new())
    }
}

/// A call to submit.
#[derive(Debug)]
pub struct NewCall<'a> {
    /// What it asks for, as [`Client::define`] numbered it.
    pub options: u32,
    /// The actor that it calls, and the method.
    pub actor: Option<(ObjectId, String)>,
    /// Whether it makes an actor, whose handle is its one result.
    pub makes_actor: bool,
    /// Whether its results come one by one: [`Client::next_item`] has them.
    pub streams: bool,
    /// The function or class.
    pub function: Option<ObjectId>,
    /// Objects whose values are arguments.
    pub needs: Vec<ObjectId>,
    /// Objects that are within the arguments as references.
    pub refs: Vec<ObjectId>,
    /// The arguments.
    pub parts: &'a [&'a [u8]],
}

/// A part of a plan to submit.
#[derive(Debug)]
pub struct NewFragment {
    /// What it asks for, as [`Client::define`] numbered it.
    pub options: u32,
    /// Objects whose values it is begun with.
    pub needs: Vec<ObjectId>,
    /// Objects of which it reads parts: it begins when all are somewhere, or early.
    pub reads: Vec<ObjectId>,
    /// Whether another attempt makes the same.
    pub is_repeatable: bool,
    /// Whether a worker process runs it, as what has the user's functions in it needs.
    pub in_worker: bool,
    /// The same number for all that do alike work with the same first need: one that takes far longer than the others
    /// runs a second time beside itself. `None` where two attempts must not run at once.
    pub siblings: Option<u32>,
    /// Whether it begins at once and reads each object as soon as that is somewhere, if it runs in a worker and its options
    /// ask for no resources: those who make what it reads may need them.
    pub begins_early: bool,
    /// What is its own; small, for it is kept with the task.
    pub payload: Vec<u8>,
}

/// What is on its way to those who wait in this process.
struct Ways {
    answers: Arc<Answers>,
    calls: Arc<Calls>,
    streams: Arc<Streams>,
    lines: Arc<Lines>,
    fragments: Arc<Fragments>,
}

impl Ways {
    /// Nothing more comes.
    fn end(&self) {
        self.answers.end();
        self.calls.end();
        self.streams.end();
        self.lines.end();
    }
}

/// Takes in what the node says; `Err` when it does not keep to the protocol.
fn hear(
    message: ToClient,
    inbox: &mut Inbox,
    client: &std::sync::Weak<Client>,
    Ways { answers, calls, streams, lines, fragments }: &Ways,
    host: &Arc<impl Host>,
) -> std::io::Result<()> {
    match message {
        ToClient::Answer(question, answer) => {
            let file = match &answer {
                Answer::Stored { .. } => Some(inbox.take_file()?),
                _ => None,
            };
            answers.arrived(client, question, answer, file);
        }
        ToClient::Item(object) => {
            // One for which nobody waits any more is let go of.
            if let (false, Some(client)) = (streams.arrived(object), client.upgrade()) {
                client.drop_ref(object);
            }
        }
        ToClient::Run(mut run) => {
            let terms = run.fragment.take();
            match (calls::take(*run, inbox, client, calls)?, terms, client.upgrade()) {
                (Some(call), Some(terms), Some(client)) => fragments.start(&client, call, terms, host),
                (Some(call), None, _) => calls.push(call),
                _ => {}
            }
        }
        ToClient::Stop(attempt) => {
            if !fragments.stop(attempt)
                && let Some(is_function) = calls.stop(attempt)
            {
                host.stop(attempt, is_function);
            }
        }
        ToClient::Lines(printed) => printed.into_iter().for_each(|line| lines.push(line)),
        ToClient::LetGo(kept) => {
            if let Some(client) = client.upgrade() {
                client.let_go(kept);
            }
        }
        ToClient::Exit => calls.end(),
        ToClient::Welcome(_, _) => {}
    }
    Ok(())
}

fn has_ended() -> Error {
    Error::new(ErrorKind::Cancelled, "the runtime has ended: this process has no node any more")
        .with_hint("call init again")
}

/// What keeps an object's memory, and tells the node when nothing does any more.
#[derive(Debug)]
pub(crate) struct Reading {
    client: std::sync::Weak<Client>,
    object: ObjectId,
    edition: u64,
    /// How often this process had been forked when it began.
    forks: u64,
}

impl Reading {
    fn new(client: &std::sync::Weak<Client>, (object, edition): (ObjectId, u64)) -> Self {
        Self { client: std::sync::Weak::clone(client), object, edition, forks: forks::count() }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(client) = self.client.upgrade().filter(|client| client.is_here()) {
            let Self { object, edition, forks, .. } = *self;
            let unseen = forks != forks::count();
            let _ = client.send(&ToNode::Release { object, edition, unseen }, Vec::new());
        }
    }
}

impl Shared {
    /// Says that nobody waits any more for what is not answered.
    fn forget(&self) {
        if let Some((client, objects)) = &self.asked {
            for (first, count) in self.unanswered(objects.len()) {
                let _ = client.send(&ToNode::Forget { first, count }, Vec::new());
            }
        }
    }
}
