//! `Network`: what carries messages and objects between the nodes of a cluster, as the loop of a node sees it.
//!
//! A network may lose, repeat and reorder: [`crate::link`] mends that. What it must never do is wait. The one over
//! Arrow Flight is in the crate `flight`; what comes in goes through [`crate::local::Inlet`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fragment::PartReader;
use crate::ids::{ClientId, NodeId, ObjectId};
use crate::schedule::{Packet, Report};
use crate::wire::Line;
use crate::{Error, Result};

/// A parcel that is longer is sent in parts, where its messages can be parted: one connection carries those of all.
const PARCEL_BYTES: usize = 1 << 20;

/// Whom a parcel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The head, wherever it is.
    Head,
    /// A node.
    Node(NodeId),
}

/// What nodes send each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parcel {
    /// To the head, from that node.
    ToHead(NodeId, Report),
    /// To a node.
    ToNode(Packet),
    /// To the node of a driver: what its workers printed. Nobody sends it again if it is lost.
    Lines(ClientId, Vec<Line>),
}

impl Parcel {
    /// Its bytes: one piece, or several that say the same.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when it cannot be written down, which no parcel of ours is.
    pub fn encode(&self) -> Result<Vec<Vec<u8>>> {
        let bytes = postcard::to_stdvec(self).map_err(|error| Error::internal(format!("a parcel: {error}")))?;
        match (bytes.len() > PARCEL_BYTES).then(|| self.halves()).flatten() {
            None => Ok(vec![bytes]),
            Some((first, second)) => {
                let mut pieces = first.encode()?;
                pieces.append(&mut second.encode()?);
                Ok(pieces)
            }
        }
    }

    /// Reads one piece.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Parse`] for what is no parcel.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes)
            .map_err(|error| Error::new(crate::ErrorKind::Parse, format!("what came is no parcel of a node: {error}")))
    }

    fn halves(&self) -> Option<(Self, Self)> {
        match self {
            Self::ToHead(from, Report { head, talk, frame }) => {
                let (first, second) = frame.halves()?;
                let part = |frame| Self::ToHead(*from, Report { head: *head, talk: *talk, frame });
                Some((part(first), part(second)))
            }
            Self::ToNode(Packet::Head(head, talk, frame)) => {
                let (first, second) = frame.halves()?;
                let part = |frame| Self::ToNode(Packet::Head(*head, *talk, frame));
                Some((part(first), part(second)))
            }
            Self::ToNode(Packet::Node(from, frame)) => {
                let (first, second) = frame.halves()?;
                Some((Self::ToNode(Packet::Node(*from, first)), Self::ToNode(Packet::Node(*from, second))))
            }
            Self::ToNode(Packet::Fenced | Packet::Left | Packet::Anew(_)) | Self::Lines(_, _) => None,
        }
    }
}

/// Carries parcels and objects. Every method returns at once.
pub trait Network: Send {
    /// This node has that name from now on; what is under way under another one is given up.
    fn begin(&mut self, node: NodeId);
    /// Takes a parcel on. One that cannot be delivered is dropped.
    fn send(&mut self, to: Peer, parcel: Parcel);
    /// A node is reached there.
    fn meet(&mut self, node: NodeId, address: &str);
    /// Why the head of another process is not reached, where it is not and something is known.
    fn trouble(&self) -> Option<String>;
    /// A node is dead.
    fn part(&mut self, node: NodeId);
    /// Brings an object from a node; [`crate::local::Inlet::fetched`] follows within a bounded time.
    fn fetch(&mut self, object: ObjectId, from: NodeId);
    /// What reads parts of objects of other nodes.
    fn parts(&self) -> Option<Arc<dyn PartReader>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Frame;
    use crate::schedule::ToHead;

    #[test]
    fn a_long_parcel_goes_in_parts_that_say_the_same() {
        let message = |number: u64| ToHead::Members(number);
        let name = |number: u64| ToHead::At(format!("{number}").repeat(50_000).into());
        let messages: Vec<ToHead> = (0..9).map(name).chain((0..3).map(message)).collect();
        let frame = Frame { first: 7, messages, arrived: 3 };
        let pieces = Parcel::ToHead(NodeId(1), frame.into()).encode().unwrap();
        assert_eq!(pieces.len(), 1);
        let messages: Vec<ToHead> = (0..90).map(name).chain((0..3).map(message)).collect();
        let frame = Frame { first: 7, messages: messages.clone(), arrived: 3 };
        let pieces = Parcel::ToHead(NodeId(1), frame.into()).encode().unwrap();
        assert!(pieces.len() > 4 && pieces.iter().all(|piece| piece.len() <= PARCEL_BYTES));
        let (mut read, mut next) = (Vec::new(), 7);
        for piece in pieces {
            let Parcel::ToHead(NodeId(1), report) = Parcel::decode(&piece).unwrap() else { panic!("another parcel") };
            let frame = report.frame;
            assert_eq!((frame.first, frame.arrived), (next, 3));
            next += frame.messages.len() as u64;
            read.extend(frame.messages);
        }
        assert_eq!(read, messages);
        assert!(Parcel::decode(b"\xff\xff\xff").is_err());
    }
}
