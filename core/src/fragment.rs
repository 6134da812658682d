//! Parts of plans that a node runs in its own process, or a worker in its: what the runtime and an [`Executor`] say to
//! each other.
//!
//! A fragment is a task like any other: the ledger lends it resources, its owner tries it again, and its results are
//! objects with lineage. What it reads are *parts* of objects: a task writes one object with a part for each partition
//! of its output, and whoever needs a partition reads that part from the node that has it. `core` knows nothing of what
//! is in a part.

mod stream;

use std::any::Any;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::ids::{Attempt, NodeId, ObjectId};
use crate::parts::{Index, Parts, Pieces, Place};
use crate::schedule::Failure;

pub use stream::{receive, send};

/// Runs fragments. Its methods return at once.
pub trait Executor: Send + Sync + fmt::Debug {
    /// Runs an attempt, which ends with [`Fragment::end`], or with the end of the fragment itself.
    fn start(&self, fragment: Fragment);
    /// An attempt is to stop: nobody waits for it any more. It still ends.
    fn stop(&self, attempt: Attempt);
    /// How much else runs here for drivers, which a node waits for before it leaves.
    fn guests(&self) -> usize {
        0
    }
    /// A folder for what workers write that run fragments: it goes when this does, and they have ended. Without one they
    /// have that of the node.
    fn folder(&self) -> Option<PathBuf> {
        None
    }
}

/// An attempt to run a part of a plan.
#[derive(Debug)]
pub struct Fragment {
    /// Which one.
    pub attempt: Attempt,
    /// The values of what it needs, in the order in which they were given.
    pub needs: Vec<Bytes>,
    /// What is its own: which part of the plan it is.
    pub payload: Bytes,
    /// Where that is of which it reads parts, in the order in which it was given.
    pub reads: Vec<(ObjectId, Place)>,
    /// What it reads from and writes to.
    pub store: Arc<dyn PartStore>,
    end: Option<End>,
}

/// Tells the node how an attempt ended.
type EndFn = Box<dyn FnOnce(Attempt, Ended) + Send + Sync>;

struct End(EndFn);

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End")
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Ended {
    /// With its results.
    Made(Vec<Kept>),
    /// With an error, in the words of the executor, after which another try may end better.
    Raised(Bytes),
    /// Without.
    Failed(Failure),
}

impl Fragment {
    /// An attempt that says by `end` how it ended.
    #[must_use]
    pub fn new(
        attempt: Attempt,
        needs: Vec<Bytes>,
        payload: Bytes,
        reads: Vec<(ObjectId, Place)>,
        store: Arc<dyn PartStore>,
        end: impl FnOnce(Attempt, Ended) + Send + Sync + 'static,
    ) -> Self {
        Self { attempt, needs, payload, reads, store, end: Some(End(Box::new(end))) }
    }

    /// Says how it ended.
    pub fn end(mut self, ended: Ended) {
        self.say(ended);
    }

    fn say(&mut self, ended: Ended) {
        if let Some(End(end)) = self.end.take() {
            end(self.attempt, ended);
        }
    }
}

impl Drop for Fragment {
    /// One that goes without a word, as when what runs it panics, has failed.
    fn drop(&mut self) {
        self.say(Ended::Failed(Failure::Crashed(Arc::from("it ended without a result"))));
    }
}

/// A part of an object, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which part.
    pub part: u32,
    /// The next bytes of it, as they were written. They are whole when the first chunk of another part, or the end, has
    /// come.
    pub bytes: Bytes,
}

impl Chunk {
    /// The last message of a read: all parts have come. A read that ends without it was cut off.
    #[must_use]
    pub fn end() -> Self {
        Self { part: u32::MAX, bytes: Bytes::new() }
    }

    /// Whether it is that.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.part == u32::MAX
    }
}

/// Parts could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// From where.
    pub from: NodeId,
    /// Why.
    pub why: String,
}

/// A result that is kept until it is told with [`Ended::Made`]; one that is dropped before is gone. Only the store that
/// made it knows what is in it.
pub struct Kept(pub Box<dyn Any + Send>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// Reads parts of objects from other nodes.
pub trait PartReader: Send + Sync + fmt::Debug {
    /// As [`PartInput::read`], from that node. Returns at once, and ends within a bounded time after the last chunk was
    /// taken.
    fn read(&self, object: ObjectId, from: NodeId, parts: Range<u32>) -> mpsc::Receiver<Result<Chunk, Unread>>;
}

/// Objects of which parts are read, wherever they are.
pub trait PartInput: Send + Sync + fmt::Debug {
    /// Brings parts of an object, one after the other and each in order, from the first node that has them. What has
    /// come is bounded: a reader that does not read holds the sender up. The last message is [`Chunk::end`] or the first
    /// error; what came before it is right, for each piece has a checksum.
    fn read(&self, object: ObjectId, place: &Place, parts: Range<u32>) -> mpsc::Receiver<Result<Chunk, Unread>>;
}

/// The objects that fragments read parts of and write: the store of this node, and those of others behind a network.
pub trait PartStore: PartInput {
    /// Keeps what was written. Small results travel in messages, others lie in the store's memory or on disk.
    fn keep(&self, parts: Parts) -> oneshot::Receiver<crate::Result<Kept>>;

    /// The folder for what is too large for memory while it is written.
    fn folder(&self) -> &Path;
}

/// Reads parts of a small object, all of which is here: what is not right of it is said to be `from` that node.
#[must_use]
pub fn read_inline(object: &Bytes, parts: Range<u32>, from: NodeId) -> mpsc::Receiver<Result<Chunk, Unread>> {
    let chunks = match inline_parts(object, parts) {
        Ok(chunks) => chunks,
        Err(error) => return unread(Unread { from, why: error.to_string() }),
    };
    let (sender, receiver) = mpsc::channel(chunks.len().max(1));
    for chunk in chunks {
        // There is room for all.
        let _ = sender.try_send(Ok(chunk));
    }
    receiver
}

/// A read that fails at once.
#[must_use]
pub fn unread(unread: Unread) -> mpsc::Receiver<Result<Chunk, Unread>> {
    let (sender, receiver) = mpsc::channel(1);
    // There is room for it.
    let _ = sender.try_send(Err(unread));
    receiver
}

/// Parts of a small object, all of which is here, and the end.
///
/// # Errors
/// When it is not what was written.
pub fn inline_parts(object: &Bytes, parts: Range<u32>) -> io::Result<Vec<Chunk>> {
    let piece = |at: u64, length: usize| {
        let start = usize::try_from(at).map_err(io::Error::other)?;
        let piece = start.checked_add(length).and_then(|end| object.get(start..end));
        piece.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    };
    let index = Index::read(object.len() as u64, piece)?;
    let mut chunks = Vec::new();
    for part in parts {
        let missing = || io::Error::other(format!("it has no part {part}"));
        let mut pieces = Pieces::default();
        for extent in &index.parts.get(part as usize).ok_or_else(missing)?.extents {
            let bytes = object.slice(extent.start as usize..extent.end as usize);
            chunks.extend(pieces.take(bytes)?.into_iter().map(|bytes| Chunk { part, bytes }));
        }
        pieces.end()?;
    }
    chunks.push(Chunk::end());
    Ok(chunks)
}
