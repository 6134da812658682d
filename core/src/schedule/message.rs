//! What head and nodes say to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::as_bytes;
use crate::ids::{Attempt, BundleId, ClientId, GroupId, HeadLife, LeaseId, NodeId, ObjectId, TaskId};
use crate::link::Frame;
use crate::parts::Place;
use crate::placement::groups::Spreading;
use crate::resources::Resources;

use super::spec::{Shape, TaskSpec};

/// What user code raised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Raised {
    /// As its worker wrote it.
    #[serde(with = "as_bytes")]
    pub error: Bytes,
    /// The references within it.
    pub contains: Vec<ObjectId>,
}

/// Why an object has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The task raised.
    Error(Raised),
    /// The worker or its node died, and there are no retries left.
    Crashed(Arc<str>),
    /// The actor died, and will not live again.
    ActorDied(Arc<str>),
    /// Its process died under the call, which may have run or not; the actor may be made anew.
    ActorUnavailable(Arc<str>),
    /// The environment that its worker needs could not be set up: it is not tried again.
    Setup(Arc<str>),
    /// The store has no room for its arguments: it is not tried again.
    NoRoom(Arc<str>),
    /// No node could ever run it, and it is not to wait for one, or may run on one node alone; `true` for an actor.
    Unschedulable(bool, Arc<str>),
    /// The actor was never made, for an object that its constructor needs has failed so.
    NotMade(Arc<Self>),
    /// The task was cancelled.
    Cancelled,
    /// The placement group that it was to run in was removed.
    GroupRemoved(GroupId),
    /// Its node was drained before it ended, and it may not begin again; `true` for an actor.
    Drained(bool, NodeId),
    /// The value was there and is not any more.
    Lost(Lost),
    /// Parts of an object could not be read from that node, and why: it is read from another copy, or made again.
    Unread(ObjectId, NodeId, Arc<str>),
}

impl Failure {
    /// The references within it.
    #[must_use]
    pub fn contains(&self) -> &[ObjectId] {
        match self {
            Self::Error(raised) => &raised.contains,
            Self::NotMade(why) => why.contains(),
            _ => &[],
        }
    }

    /// The same for those who are not told of the references within it.
    pub(super) fn without_refs(&self) -> Self {
        match self {
            Self::Error(raised) => Self::Error(Raised { error: raised.error.clone(), contains: Vec::new() }),
            Self::NotMade(why) => Self::NotMade(Arc::new(why.without_refs())),
            other => other.clone(),
        }
    }

    /// Whether a process or machine died: another try may end better.
    pub(super) fn is_death(&self) -> bool {
        matches!(self, Self::Crashed(_) | Self::ActorDied(_) | Self::ActorUnavailable(_) | Self::Drained(_, _))
    }
}

/// How a task is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stop {
    /// Its worker is ended with it.
    pub force: bool,
    /// The tasks that it submitted are stopped too.
    pub recursive: bool,
}

/// What is asked of the head for a program, and again of its next life where this one has not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeadRequest {
    /// Let this be the name of an actor, with what others need to call it; the name goes with the actor.
    Claim(Arc<str>, ObjectId, #[serde(with = "as_bytes")] Bytes),
    /// Who has this name?
    LookUp(Arc<str>),
    /// Which names begin so?
    List(Arc<str>),
    /// There is to be room for this on the cluster, in place of what was asked for.
    KeepRoom(Vec<Resources>),
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeadAnswer {
    /// The name is the actor's now, or the room is noted.
    Done,
    /// This one has it.
    Taken(ObjectId, #[serde(with = "as_bytes")] Bytes),
    /// Nobody has it.
    Free,
    /// These are there.
    Names(Vec<Arc<str>>),
}

/// Resources that are reserved together: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Its name in the protocol.
    pub id: GroupId,
    /// The one by which people find it; empty for none.
    pub name: Arc<str>,
    /// What each of its bundles has.
    pub bundles: Vec<Resources>,
    /// How they lie on nodes.
    pub spreading: Spreading,
    /// The client with whose end it ends; `None` for nobody's.
    pub lives_with: Option<(NodeId, ClientId)>,
}

/// How far a placement group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupState {
    /// Not all of its bundles are reserved, and it is not used.
    Pending,
    /// All are.
    Created,
    /// Some were on a node that died, and are reserved anew; the others are used.
    Rescheduling,
    /// It is no more.
    Removed,
}

impl GroupState {
    /// Its name, as users read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Created => "CREATED",
            Self::Rescheduling => "RESCHEDULING",
            Self::Removed => "REMOVED",
        }
    }
}

/// What the head says of a placement group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// What was asked for.
    pub spec: Arc<GroupSpec>,
    /// How far it is.
    pub state: GroupState,
    /// The nodes of those of its bundles that are reserved for good.
    pub nodes: Vec<Option<NodeId>>,
}

/// What is asked of the head's table of placement groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRequest {
    /// Make it, as soon as there is room.
    Create(Arc<GroupSpec>),
    /// Remove it, with all that runs in it.
    Remove(GroupId),
    /// Which are there?
    List,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupAnswer {
    /// It is done, or will be as soon as that can be.
    Done,
    /// Another group has the name.
    NameTaken,
    /// These are there, and those that were removed last.
    Groups(Vec<GroupStatus>),
}

/// Why an object is not ready, as far as it is known, and what is known of the task that makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// For people.
    pub text: String,
    /// Whether the task is a call of an actor.
    pub is_call: bool,
    /// Whether no node has what it waits for: it, or (`Some(true)`) the actor that it calls.
    pub lacks_a_node: Option<bool>,
}

/// Why a value that was there cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lost {
    /// The node that owned the object died.
    OwnerDied,
    /// No task made the object, or the task is not kept any more.
    NoLineage,
    /// The task that made it may not run again.
    RetriesUsedUp,
    /// Another attempt would make something else.
    NotRepeatable,
    /// Nobody held the object any more.
    Freed,
}

/// How an object's value is handed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Made {
    /// A small value itself.
    Inline(#[serde(with = "as_bytes")] Bytes),
    /// It lies in the store of the node where it was made.
    Stored {
        /// Its bytes.
        size: u64,
    },
}

/// One result of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Its value.
    pub made: Made,
    /// The references within it.
    pub contains: Vec<ObjectId>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With its results.
    Values(Vec<Returned>),
    /// Without.
    Failed(Failure),
    /// With an error of the user's that asks for another try.
    Raised(Raised),
    /// It never began: its actor died before.
    NotStarted,
}

impl Outcome {
    /// The references within it.
    pub(super) fn contains(&self) -> Vec<ObjectId> {
        match self {
            Self::Values(values) => values.iter().flat_map(|value| value.contains.iter().copied()).collect(),
            Self::Failed(failure) => failure.contains().to_vec(),
            Self::Raised(raised) => raised.contains.clone(),
            Self::NotStarted => Vec::new(),
        }
    }
}

/// What an owner says of an object that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// The value itself, and the references within it.
    Inline(#[serde(with = "as_bytes")] Bytes, Vec<ObjectId>),
    /// The nodes that have it, and the references within it.
    Stored(Vec<NodeId>, Vec<ObjectId>),
    /// It has none.
    Failed(Failure),
}

impl Known {
    /// The references within it.
    pub(super) fn contains(&self) -> &[ObjectId] {
        match self {
            Self::Inline(_, contains) | Self::Stored(_, contains) => contains,
            Self::Failed(failure) => failure.contains(),
        }
    }
}

/// An object that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is, or which stores had it when its owner was asked: this node's too, if the client asked for the value.
    pub place: Place,
    /// The references within it.
    pub contains: Vec<ObjectId>,
}

impl Found {
    pub(super) fn new(place: Place, contains: &[ObjectId]) -> Self {
        Self { place, contains: contains.to_vec() }
    }
}

/// Where something is of which parts are read, as its owner told.
pub(super) fn place_of(known: Option<&Known>) -> Place {
    match known {
        Some(Known::Inline(bytes, _)) => Place::Inline(bytes.clone()),
        Some(Known::Stored(nodes, _)) => Place::At(nodes.clone()),
        Some(Known::Failed(_)) | None => Place::At(Vec::new()),
    }
}

/// What a node wants of an object that another one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Hold {
    /// Nothing.
    #[default]
    None,
    /// That it can be made again, for it may be needed to make something else again.
    Lineage,
    /// Its value.
    Value,
}

/// From node to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeMessage {
    /// To an owner that asked the head: these resources of mine are yours.
    Leased(LeaseId, Arc<Shape>),
    /// To the node that lent them: they are not needed any more.
    ReturnLease(LeaseId),
    /// To the node that lent: run this, and what is known of the objects it needs.
    Execute(LeaseId, Attempt, Arc<TaskSpec>, Vec<(ObjectId, Known)>),
    /// To the node that runs it: stop.
    Cancel(Attempt, Stop),
    /// To the owner: an attempt that streams made a result of that index.
    Yielded(Attempt, u32, Returned),
    /// To the owner: an attempt ended.
    Finished(Attempt, Outcome),
    /// To the node that ran it: the owner has the references within the results, and keeps the results or does not.
    Committed(Attempt, bool),
    /// To the owner: what this node holds of an object from now on.
    Borrow(ObjectId, Hold),
    /// To the borrower: the owner knows that it holds what it did not hold before.
    Borrowed(ObjectId),
    /// To the owner: say where it is, once it is ready.
    Locate(ObjectId),
    /// The answer.
    Located(ObjectId, Known),
    /// To the owner: this node has a copy too.
    Copied(ObjectId),
    /// To the owner: that node has no copy.
    CopyLost(ObjectId, NodeId),
    /// To a node with a copy: it is not needed any more.
    Free(ObjectId),
    /// To the owner of an actor: say where it is, now and whenever that changes.
    WhereIs(ObjectId),
    /// The answer: where it is, and which of its lives; or `None` while it has none.
    ActorAt(ObjectId, Result<Option<(NodeId, u32)>, Failure>),
    /// To the node of an actor, in one of its lives: run this after all that this node sent before.
    Call(u32, Attempt, Arc<TaskSpec>, Vec<(ObjectId, Known)>),
    /// To the owner of an actor: a life of it ended.
    ActorEnded(ObjectId, u32, Failure),
    /// To the node of an actor: end that life of it.
    EndActor(ObjectId, u32),
    /// To the owner of an actor: end it, for good or to begin anew.
    KillActor(ObjectId, bool),
    /// To a node that is drained: another one has the value too; or (`false`) none can have it.
    Kept(ObjectId, bool),
    /// To the owner, a question by its number: why is it not ready?
    Explain(u64, ObjectId),
    /// The answer.
    Explained(u64, About),
    /// To the owner of a task: somebody wants it stopped.
    CancelTask(TaskId, Stop),
}

/// What a node sends the head: a part of a talk.
///
/// A node begins a talk, and with it a link, when it starts, when it meets another life of the head, and when the head
/// was out of reach for long. In the first frames of a talk it says all that the head has to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The life of the head that it is for; `None` from a node that has heard of none.
    pub head: Option<HeadLife>,
    /// The number of the talk: of two the greater one counts.
    pub talk: u64,
    /// What is said.
    pub frame: Frame<ToHead>,
}

impl From<Frame<ToHead>> for Report {
    /// Of the first talk of a node, which has heard of no head.
    fn from(frame: Frame<ToHead>) -> Self {
        Self { head: None, talk: 0, frame }
    }
}

/// From a node to the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHead {
    /// What the node has; its first message.
    Register(Resources, BTreeMap<Arc<str>, Arc<str>>),
    /// Where other nodes reach it.
    At(Arc<str>),
    /// What of it is free, with the grants and reservations that came so far taken off; and of the bundles in use.
    Beat(Resources, BTreeMap<BundleId, Resources>, u64),
    /// How many more leases of a shape the node wants, in place of what it wanted; and the bytes of arguments by node.
    Want(Arc<Shape>, u32, BTreeMap<NodeId, u64>),
    /// A granted lease that there is no room for.
    Refused(LeaseId),
    /// A question, by its number.
    Ask(u64, HeadRequest),
    /// An actor is over, and has no name any more.
    Nameless(ObjectId),
    /// A question by its number: which nodes are there?
    Members(u64),
    /// A question about placement groups, by its number.
    Group(u64, GroupRequest),
    /// Whether the resources for a bundle were reserved, in that round.
    Reserved(BundleId, u32, bool),
    /// A client of this node's is gone, and with it the groups that live with it.
    ClientGone(ClientId),
    /// The node is drained: it has nothing any more that others need.
    Drained,
    /// The process of the node ends, and with it all that it has: its last message.
    Ends,
    /// At the begin of a talk: the node leaves, within so many milliseconds.
    Leaving(u64),
    /// At the begin of a talk: the bundles that are reserved here, and which of them may be used.
    Bundles(BTreeMap<BundleId, bool>),
    /// At the begin of a talk: of this node's actors these alone have names, or have asked for one.
    Names(BTreeSet<ObjectId>),
    /// A question by its number: what do those wait for that are to run in that group?
    ExplainGroup(u64, GroupId),
}

/// A node, as the head knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Where it is reached; empty when no other node has to.
    pub address: Arc<str>,
    /// All it has.
    pub total: Resources,
    /// What of it is free, as far as it has said.
    pub free: Resources,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// From the head to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHead {
    /// Lend this to that node: of the node's own, or of a bundle.
    Grant(LeaseId, Arc<Shape>, NodeId, Option<BundleId>),
    /// Where that node is reached.
    At(NodeId, Arc<str>),
    /// That node is no more: nothing it says may be heard.
    NodeDead(NodeId),
    /// The answer to a question.
    Answer(u64, HeadAnswer),
    /// The nodes that are there.
    Members(u64, Vec<Member>, Vec<(Resources, u64)>),
    /// No node that is there could ever run this: what of the demand none has.
    Unplaceable(Arc<Shape>, Resources),
    /// The answer to a question about placement groups.
    Grouped(u64, GroupAnswer),
    /// Keep these resources for a bundle, in that round, and do not use them yet.
    Reserve(BundleId, u32, Resources),
    /// All bundles of its group are reserved: it may be used.
    Open(BundleId),
    /// They are not: it is not needed.
    Release(BundleId),
    /// That group is no more, nor what runs in it.
    GroupGone(GroupId),
    /// No nodes that are there could ever hold that group, and why.
    GroupUnplaceable(Arc<GroupSpec>, Arc<str>),
    /// To a node: it is to leave, once all is done that it has begun, or after so many milliseconds.
    Drain(u64),
    /// To the others: that node takes nothing more, and leaves.
    Draining(NodeId),
    /// The answer to a question, for people; and whether no nodes that are there could ever hold the group.
    GroupExplained(u64, String, bool),
}

/// What arrives at a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
    /// From the head, in that life of it and talk with it.
    Head(HeadLife, u64, Frame<FromHead>),
    /// From the head, to a node that takes it for another one: this is who it is, and a talk has to begin.
    Anew(HeadLife),
    /// From another node.
    Node(NodeId, Frame<NodeMessage>),
    /// From the head: this node was declared dead, and has to start as another one.
    Fenced,
    /// From the head: this node was drained, and may go.
    Left,
}
