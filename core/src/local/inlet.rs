//! `Inlet`: what a network tells the node's thread, and asks of it. Every question is answered, or its answer's end is
//! dropped with the node.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::sys::eventfd::EventFd;
use tokio::sync::oneshot::{self, Receiver};

use super::inquiry::Inquiry;
use super::shell::Input;
use super::source::RangeSource;
use crate::ids::{NodeId, ObjectId};
use crate::network::Parcel;
use crate::store::Content;

/// The way in, for other threads. Copies lead to the same node.
#[derive(Debug, Clone)]
pub struct Inlet {
    inputs: Sender<Input>,
    waker: Arc<EventFd>,
}

/// Room in the store that is kept for an object.
#[derive(Debug)]
pub struct Room(pub(super) u64);

/// What became of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// The object came, into the room that was kept for it.
    Here(Room, Content),
    /// The other node has it no more, or cannot be reached.
    Failed(String),
    /// The store here has no room for it, and why.
    Refused(String),
}

/// An object that is being read for another node; it stays in memory until this is dropped.
#[derive(Debug)]
pub struct Reading {
    /// Its bytes.
    pub content: Content,
    pub(super) object: ObjectId,
    pub(super) inlet: Inlet,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.inlet.tell(Input::Close(self.object, self.content.edition));
    }
}

impl Inlet {
    pub(super) fn new(inputs: Sender<Input>, waker: Arc<EventFd>) -> Self {
        Self { inputs, waker }
    }

    pub(super) fn tell(&self, input: Input) -> bool {
        let told = self.inputs.send(input).is_ok();
        let _ = self.waker.write(1);
        told
    }

    pub(super) fn into_inputs(self) -> Sender<Input> {
        self.inputs
    }

    fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        self.tell(input(answer));
        receiver
    }

    /// A parcel came for this node.
    pub fn arrived(&self, parcel: Parcel) {
        self.tell(Input::Parcel(parcel));
    }

    /// Asks for room for an object of so many bytes; the answer comes within the store's patience.
    #[must_use]
    pub fn room(&self, bytes: u64) -> Receiver<Result<Room, String>> {
        self.ask(|answer| Input::Room(bytes, answer))
    }

    /// Room is not needed after all.
    pub fn without(&self, Room(question): Room) {
        self.tell(Input::Unreserve(question));
    }

    /// A fetch ended.
    pub fn fetched(&self, object: ObjectId, from: NodeId, what: Fetched) {
        self.tell(Input::Fetched(object, from, what));
    }

    /// Opens an object for another node.
    #[must_use]
    pub fn open(&self, object: ObjectId) -> Receiver<Result<Reading, String>> {
        self.ask(|answer| Input::Open(object, answer))
    }

    /// Opens an object of which ranges are read.
    #[must_use]
    pub fn source(&self, object: ObjectId) -> Receiver<Result<RangeSource, String>> {
        self.ask(|answer| Input::Source(object, answer))
    }

    /// The process of another node is gone: nobody listens where it did. The head need not wait for its silence.
    pub fn gone(&self, node: NodeId) {
        self.tell(Input::Gone(node));
    }

    /// Asks what there is here, for people.
    #[must_use]
    pub fn inquire(&self, inquiry: Inquiry) -> Receiver<String> {
        self.ask(|answer| Input::Inquire(inquiry, answer))
    }
}
