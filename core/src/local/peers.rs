//! The other nodes: what goes to them, what comes from them, and objects on their way.

use tokio::sync::oneshot::Sender;

use super::inlet::{Fetched, Reading, Room};
use super::shell::Shell;
use super::values::Recipient;
use crate::ids::{ClientId, NodeId, ObjectId};
use crate::network::{Parcel, Peer};
use crate::schedule::{Event, HeadEvent, Packet};
use crate::wire::{Line, ToClient};

/// Stands for the other nodes where the store asks who reads: no client has this number.
pub(super) const PEERS: ClientId = ClientId(0);

impl Shell {
    /// Sends a parcel, if there is a network.
    pub(super) fn send_parcel(&mut self, to: Peer, parcel: Parcel) {
        if let Some(network) = &mut self.network {
            network.send(to, parcel);
        }
    }

    /// Hands a packet of the head's on.
    pub(super) fn deliver_packet(&mut self, to: NodeId, packet: Packet) {
        if to == self.node.id() {
            self.post(Event::Arrived(packet));
        } else {
            self.send_parcel(Peer::Node(to), Parcel::ToNode(packet));
        }
    }

    pub(super) fn hear_parcel(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::ToHead(from, report) => self.step_head(HeadEvent::Arrived(from, report)),
            Parcel::ToNode(packet) => self.post(Event::Arrived(packet)),
            Parcel::Lines(client, lines) => self.send(client, &ToClient::Lines(lines), Vec::new()),
        }
    }

    /// Hands on what was printed for a driver.
    pub(super) fn tell_driver(&mut self, driver: Option<(NodeId, ClientId)>, mut lines: Vec<Line>) {
        match driver {
            _ if lines.is_empty() => {}
            Some((node, client)) if node == self.node.id() => self.send(client, &ToClient::Lines(lines), Vec::new()),
            Some((node, client)) => {
                for line in &mut lines {
                    line.place.clone_from(&self.place);
                }
                self.send_parcel(Peer::Node(node), Parcel::Lines(client, lines));
            }
            None => lines.into_iter().for_each(|line| self.lines.push(line)),
        }
    }

    /// The network wants room for an object.
    pub(super) fn keep_room(&mut self, bytes: u64, answer: Sender<Result<Room, String>>) {
        let (question, now) = (self.next_question(), self.now());
        self.rooms.insert(question, answer);
        self.store.reserve(now, PEERS, question, bytes);
        self.settle_store();
    }

    /// The store answered.
    pub(super) fn room_answered(&mut self, question: u64, room: Result<Room, String>) {
        let Some(answer) = self.rooms.remove(&question) else { return };
        if let Err(Ok(Room(unwanted))) = answer.send(room) {
            let now = self.now();
            self.store.unreserve(now, PEERS, unwanted);
            self.settle_store();
        }
    }

    /// A fetch ended.
    pub(super) fn fetch_ended(&mut self, object: ObjectId, from: NodeId, what: Fetched) {
        let now = self.now();
        match what {
            Fetched::Here(Room(question), content) => {
                self.store.insert(now, PEERS, question, object, content);
                self.settle_store();
                self.post(Event::Fetched(object));
            }
            Fetched::Failed(why) => {
                log::info!("{object} could not be fetched from {from}: {why}");
                self.post(Event::FetchFailed(object, from));
            }
            Fetched::Refused(why) => self.post(Event::FetchRefused(object, why.into())),
        }
    }

    /// Another node wants to read an object.
    pub(super) fn open_for_peer(&mut self, object: ObjectId, answer: Sender<Result<Reading, String>>) {
        let question = self.next_question();
        self.readers.insert(question, answer);
        self.deliver(Recipient::Peer(question), vec![object]);
    }

    /// Another node read an object to its end, or was cut off.
    pub(super) fn close_for_peer(&mut self, object: ObjectId, edition: u64) {
        let now = self.now();
        self.store.release(now, PEERS, (object, edition), false);
        self.settle_store();
    }

    fn next_question(&mut self) -> u64 {
        self.next_question = self.next_question.wrapping_add(1);
        self.next_question
    }
}
