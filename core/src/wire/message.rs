//! What a node and its clients say to each other.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::ids::{Attempt, ClientId, GroupId, NodeId, ObjectId, TaskId};
use crate::metrics::Update;
use crate::parts::Place;
use crate::placement::Label;
use crate::placement::groups::Spreading;
use crate::resources::Resources;

/// What a call asks for; a client says it once and then names it by a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOptions {
    /// Amounts of resources that are held while it runs.
    pub resources: BTreeMap<String, f64>,
    /// Where it may run.
    pub place: Where,
    /// Whether it fails where no node could ever run it, and does not wait for one.
    pub fail_if_unschedulable: bool,
    /// How many results it has.
    pub returns: u32,
    /// Whether more results come one by one while it runs.
    pub streams: bool,
    /// How often it may run again when a process or machine dies, or it raises what is to be tried again.
    pub max_retries: u32,
    /// For actors: what they hold as long as they live.
    pub held: BTreeMap<String, f64>,
    /// For actors: calls that run at once.
    pub concurrency: u32,
    /// What the worker has to know.
    pub work: Work,
}

/// Where a call may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Where {
    /// Wherever it suits best.
    Anywhere,
    /// Where there is most room.
    Spread,
    /// On a node; if `true`, elsewhere when that cannot be.
    Node(NodeId, bool),
    /// On nodes of whose labels all of the first is true; rather on those of which the second is true as well.
    Labels(Vec<Label>, Vec<Label>),
    /// In a bundle of a placement group: that one, or any.
    Group(GroupId, Option<u32>),
}

/// A placement group that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewGroup {
    /// What it is called between processes.
    pub id: GroupId,
    /// What people call it; empty for nothing.
    pub name: String,
    /// What each bundle has.
    pub bundles: Vec<BTreeMap<String, f64>>,
    /// How they lie on nodes.
    pub spreading: Spreading,
    /// The client with whose end it ends, if it ends with one.
    pub lives_with: Option<(NodeId, ClientId)>,
}

/// A placement group that is there, or was removed not long ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// What it is called between processes.
    pub id: GroupId,
    /// What people call it; empty for nothing.
    pub name: String,
    /// What each bundle has.
    pub bundles: Vec<BTreeMap<String, f64>>,
    /// How they lie on nodes, by Ray's name.
    pub strategy: String,
    /// How far it is, by Ray's name.
    pub state: String,
    /// Where each bundle is, if it is anywhere.
    pub nodes: Vec<Option<NodeId>>,
}

/// The part of a call that its worker needs, whichever its arguments are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Work {
    /// Shown to people.
    pub name: String,
    /// Only workers that were made for this environment run it.
    pub env: String,
    /// The driver for which it is done, which its node fills in.
    pub driver: Option<(NodeId, ClientId)>,
    /// A worker ends after so many calls; 0 for never.
    pub max_calls: u32,
    /// For the language of the worker.
    pub extra: ByteBuf,
}

/// A call's arguments as the client wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arguments {
    /// They are small.
    Inline(ByteBuf),
    /// They were put, and are the last of the objects that the call needs.
    Stored,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Its name.
    pub task: TaskId,
    /// What it asks for.
    pub options: u32,
    /// The actor that it calls, and the method.
    pub actor: Option<(ObjectId, String)>,
    /// Whether it makes an actor.
    pub makes_actor: bool,
    /// The function, as it was put.
    pub function: Option<ObjectId>,
    /// Objects whose values are arguments.
    pub needs: Vec<ObjectId>,
    /// Objects that are within the arguments as references.
    pub refs: Vec<ObjectId>,
    /// The other arguments.
    pub arguments: Arguments,
}

/// A part of a plan; it has one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentSubmission {
    /// Its name.
    pub task: TaskId,
    /// What it asks for.
    pub options: u32,
    /// Objects whose values it is begun with.
    pub needs: Vec<ObjectId>,
    /// Objects of which it reads parts.
    pub reads: Vec<ObjectId>,
    /// Whether another attempt makes the same.
    pub is_repeatable: bool,
    /// Whether a worker process runs it, and not the node itself.
    pub in_worker: bool,
    /// The number of those that do alike work, if two attempts may run at once.
    pub siblings: Option<u32>,
    /// Whether it begins before what it reads is there.
    pub begins_early: bool,
    /// What is its own.
    pub payload: ByteBuf,
}

/// A value that a client made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MadeHere {
    /// A small one.
    Inline(ByteBuf),
    /// A large one, in shared memory.
    Stored {
        /// Its bytes.
        size: u64,
        /// The number of the question that reserved room for it.
        room: u64,
        /// In which memory.
        lies: Lies,
    },
    /// A large one, in a file without a name; it comes along.
    File {
        /// Its bytes.
        size: u64,
    },
}

/// What a process has mapped beyond what it reads, and is asked to let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// Memory in which it made an object, by the number it gave that.
    Made(u64),
    /// An object that it has read: it may still do so.
    Read(ObjectId),
}

/// In which memory a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lies {
    /// The file comes along.
    New,
    /// The file comes along, and whoever made it could write it again: it is named by the number of the question.
    Kept,
    /// Where the answer to the question said.
    Again,
}

/// How a worker's call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// With these results and the references within each.
    Values(Vec<(MadeHere, Vec<ObjectId>)>),
    /// With an error, whether another try may help, and the references within the error.
    Raised(ByteBuf, bool, Vec<ObjectId>),
    /// It was asked to stop, and did.
    Cancelled,
    /// It could not be begun, and why.
    NotBegun(String),
    /// A part of a plan could not read that object from that node, and why.
    Unread(ObjectId, NodeId, String),
}

/// What is wanted of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Its value.
    Value,
    /// That its value is on this node.
    Here,
    /// That there is a value, wherever it is.
    Anywhere,
    /// Where its value is, if it is not small.
    Place,
}

/// From a client to its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToNode {
    /// The number stands for these options from now on.
    Define(u32, CallOptions),
    /// Run this; the client holds a reference to each result.
    Submit(Submission),
    /// Run this part of a plan; the client holds a reference to its result.
    SubmitFragment(FragmentSubmission),
    /// Keep this; the client holds a reference to it. Room for it was reserved.
    Put(ObjectId, MadeHere, Vec<ObjectId>),
    /// The client holds one reference more.
    AddRef(ObjectId),
    /// One less.
    DropRef(ObjectId),
    /// Questions for these objects, numbered from the first.
    Get {
        /// The number of the first question.
        first: u64,
        /// One question for each.
        objects: Vec<ObjectId>,
        /// What is wanted of them.
        wish: Wish,
        /// Whether the client's work stands still meanwhile.
        blocks: bool,
    },
    /// The answers to these questions are not waited for any more.
    Forget {
        /// The number of the first question.
        first: u64,
        /// How many there are.
        count: u64,
    },
    /// A question: keep so much room in the store. The answer says where.
    Reserve(u64, u64),
    /// Reserved room that is not needed after all.
    Unreserve(u64),
    /// The client does not read that object any more.
    Release {
        /// Which one.
        object: ObjectId,
        /// Which of its contents.
        edition: u64,
        /// Processes may read it yet that were forked from the client.
        unseen: bool,
    },
    /// Stop a task: with its worker, and with the tasks it submitted.
    Cancel(TaskId, bool, bool),
    /// End an actor; if `true`, for good.
    Kill(ObjectId, bool),
    /// A call of this worker's made the result of that index, and the references within it.
    Yielded(Attempt, u32, MadeHere, Vec<ObjectId>),
    /// A call of this worker's ended.
    Ended(Attempt, Ending),
    /// A question: let this be the actor's name, with what others need to call it; if `true`, it needs no handle to
    /// live.
    ClaimName(u64, String, ObjectId, ByteBuf, bool),
    /// A question: who has this name?
    LookUp(u64, String),
    /// A question: which names begin so?
    Names(u64, String),
    /// A question that is answered after all that was asked before and could be answered at once.
    Ping(u64),
    /// A question: which nodes are there?
    Nodes(u64),
    /// There is to be room for this on the cluster, whether anything uses it or not; in place of what was asked for.
    KeepRoom(u64, Vec<Resources>),
    /// A question: what is in the store?
    Objects(u64),
    /// What happened to metrics of the user's in this process.
    Metrics(Vec<Update>),
    /// A question: the metrics of this node as text.
    MetricsText(u64),
    /// A question: why is that object not ready, and what is known of the task that makes it?
    About(u64, ObjectId),
    /// A question: how many calls of this client to that actor have not ended?
    PendingCalls(u64, ObjectId),
    /// Send these parts of an object, as [`crate::fragment::send`] does, to the socket that comes along. A worker reads so
    /// for the part of a plan that it runs.
    ReadParts(ObjectId, Place, Range<u32>),
    /// The actor of this worker ends for good.
    ExitActor,
    /// A question: make this placement group as soon as there is room for it.
    CreateGroup(u64, NewGroup),
    /// A question: end that placement group, with all that runs in it.
    RemoveGroup(u64, GroupId),
    /// A question: which placement groups are there?
    Groups(u64),
}

/// Why an object has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The user's code raised; as the worker wrote it.
    Raised(ByteBuf),
    /// The worker or its node died.
    Crashed(String),
    /// The actor died.
    ActorDied(String),
    /// It died under the call, and may be made anew.
    ActorUnavailable(String),
    /// The environment of its worker could not be set up.
    Setup(String),
    /// The store has no room for its arguments.
    NoRoom(String),
    /// No node could ever run it, and it is not to wait for one, or may run on one node alone; `true` for an actor.
    Unschedulable(bool, String),
    /// The actor was never made: what its constructor needs has failed so.
    NotMade(Box<Self>),
    /// It was cancelled.
    Cancelled,
    /// The placement group that it was to run in was removed.
    GroupRemoved(String),
    /// The value was there and is not any more.
    Lost(String),
}

/// Nodes that can still come: what one of them has, and how many there may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coming {
    /// All that one has.
    pub total: BTreeMap<String, f64>,
    /// How many may come, at the most.
    pub more: u64,
}

impl From<(Resources, u64)> for Coming {
    fn from((total, more): (Resources, u64)) -> Self {
        Self { total: total.amounts().map(|(name, amount)| (name.to_string(), amount)).collect(), more }
    }
}

/// A node, as the head knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub id: NodeId,
    /// Where it is reached; empty for one that is alone.
    pub address: String,
    /// All it has.
    pub total: BTreeMap<String, f64>,
    /// What of it is free.
    pub free: BTreeMap<String, f64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An object in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its name.
    pub id: ObjectId,
    /// Its bytes.
    pub size: u64,
    /// Whether it lies on disk.
    pub is_spilled: bool,
    /// Processes that read it.
    pub readers: u32,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Yes; it is done.
    Ready,
    /// There is room: in new memory, or in that which is kept by this number.
    Room(Option<u64>),
    /// The object is there.
    There(ObjectId),
    /// A small value.
    Inline(ByteBuf),
    /// An object is in the stores of these nodes.
    At(Vec<NodeId>),
    /// An object in shared memory; the file comes along. The client says when it does not read it any more.
    Stored {
        /// Which one.
        object: ObjectId,
        /// Its bytes.
        size: u64,
        /// Which of its contents.
        edition: u64,
    },
    /// There is no value.
    Failed(Reason),
    /// It cannot be done, and why; `true` when a disk is full.
    Refused(String, bool),
    /// The actor that has a name, and what is needed to call it.
    Named(ObjectId, ByteBuf),
    /// Nobody has the name.
    Nobody,
    /// Words.
    Texts(Vec<String>),
    /// Nodes.
    Nodes(Vec<NodeInfo>, Vec<Coming>),
    /// Objects.
    Objects(Vec<ObjectInfo>),
    /// Why an object is not ready, whether its task is a call of an actor, and whether no node has what that, or
    /// (`Some(true)`) its actor, waits for.
    About(String, bool, Option<bool>),
    /// A number.
    Count(u64),
    /// Placement groups.
    Groups(Vec<GroupInfo>),
}

/// The value of an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// A small one.
    Inline(ByteBuf),
    /// A large one, in shared memory; the file comes along.
    Stored {
        /// Its bytes.
        size: u64,
        /// Which of the object's contents.
        edition: u64,
    },
    /// The worker was given it before.
    Known,
}

/// A call for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Which attempt it is.
    pub attempt: Attempt,
    /// What the worker has to know.
    pub work: Work,
    /// The actor that is called, and the method.
    pub actor: Option<(ObjectId, String)>,
    /// Whether it makes an actor, and how many calls that runs at once.
    pub makes_actor: Option<u32>,
    /// The function.
    pub function: Option<(ObjectId, Given)>,
    /// The values of its arguments.
    pub needs: Vec<(ObjectId, Given)>,
    /// The other arguments.
    pub arguments: Arguments,
    /// How many results are asked for.
    pub returns: u32,
    /// Whether more are to be told one by one.
    pub streams: bool,
    /// The GPUs that are its own, or its actor's.
    pub gpus: Vec<u32>,
    /// Of a part of a plan.
    pub fragment: Option<Terms>,
}

/// What a worker has to know of a part of a plan besides its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Where that is of which it reads parts.
    pub reads: Vec<(ObjectId, Place)>,
    /// What it has of its node.
    pub share: Share,
}

/// What the parts of plans that a worker runs have of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The node, for people.
    pub node: String,
    /// Threads to run it with.
    pub cpus: u32,
    /// Bytes that operators may hold.
    pub memory: u64,
    /// The folder for what is larger.
    pub folder: String,
    /// The environment that the worker was made for.
    pub env: String,
}

/// A line that a worker printed, or words of the runtime's own (`pid` 0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What ran.
    pub name: String,
    /// The process.
    pub pid: u32,
    /// The node, where that is not the driver's own.
    pub place: String,
    /// Whether it went to the standard error.
    pub is_error: bool,
    /// Without the end of the line.
    pub text: String,
}

/// From a node to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// Its name, and that of its node.
    Welcome(NodeId, ClientId),
    /// The answer to a question.
    Answer(u64, Answer),
    /// A result that a task made while it runs; the client holds a reference to it.
    Item(ObjectId),
    /// Run this.
    Run(Box<Run>),
    /// Stop that.
    Stop(Attempt),
    /// What the workers of this driver printed.
    Lines(Vec<Line>),
    /// Let go of memory that is kept, and not used.
    LetGo(Kept),
    /// End, when nothing runs.
    Exit,
}
