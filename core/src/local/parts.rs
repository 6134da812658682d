//! `NodeParts`: what the fragments of this node read from and write to: its own store, and those of others.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

use super::inlet::{Inlet, Room};
use super::source::RangeSource;
use crate::env::Threads;
use crate::fragment::{Chunk, Kept, PartInput, PartReader, PartStore, Unread, inline_parts};
use crate::ids::{NodeId, ObjectId};
use crate::parts::Place;
use crate::parts::{Body, Parts, Pieces, unnamed};
use crate::store::memory::Draft;
use crate::store::spill::Spilled;
use crate::wire::INLINE_BYTES;
use crate::{Error, ErrorKind, Result};

/// Bytes that are read at once.
const READ_BYTES: u64 = 1 << 20;
/// Chunks that wait for one reader.
const AHEAD: usize = 2;
/// How long an object may take to be opened.
const OPENING: Duration = Duration::from_secs(30);

/// What a fragment wrote, on its way into the store.
#[derive(Debug)]
pub(super) enum Written {
    Inline(Bytes),
    /// In the room that was kept for it.
    Memory(RoomGuard, std::os::fd::OwnedFd, u64),
    Disk(Spilled),
}

/// Room that is given back unless it is used.
#[derive(Debug)]
pub(super) struct RoomGuard(Inlet, Option<Room>);

impl RoomGuard {
    pub(super) fn into_room(mut self) -> Option<Room> {
        self.1.take()
    }
}

impl Drop for RoomGuard {
    fn drop(&mut self) {
        if let Some(room) = self.1.take() {
            self.0.without(room);
        }
    }
}

/// The parts of one life of a node.
#[derive(Debug, Clone)]
pub(super) struct NodeParts {
    pub(super) node: NodeId,
    pub(super) inlet: Inlet,
    pub(super) folder: PathBuf,
    pub(super) others: Option<Arc<dyn PartReader>>,
    pub(super) threads: Arc<Threads>,
}

impl PartInput for NodeParts {
    fn read(&self, object: ObjectId, place: &Place, parts: Range<u32>) -> Receiver<std::result::Result<Chunk, Unread>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (here, place) = (self.clone(), place.clone());
        self.threads.handle().spawn(async move {
            if let Err(unread) = here.bring(object, place, parts, &sender).await {
                // A reader that is gone needs no word.
                let _ = sender.send(Err(unread)).await;
            }
        });
        receiver
    }
}

impl PartStore for NodeParts {
    fn keep(&self, parts: Parts) -> oneshot::Receiver<Result<Kept>> {
        let (answer, receiver) = oneshot::channel();
        let here = self.clone();
        self.threads.handle().spawn(async move {
            let written = here.write(parts).await.map(|written| Kept(Box::new(written) as Box<dyn Any + Send>));
            // One that nobody waits for is gone, with its room.
            let _ = answer.send(written);
        });
        receiver
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl NodeParts {
    async fn bring(
        &self,
        object: ObjectId,
        place: Place,
        parts: Range<u32>,
        to: &Sender<std::result::Result<Chunk, Unread>>,
    ) -> std::result::Result<(), Unread> {
        let nodes = match place {
            Place::Inline(bytes) => {
                for chunk in inline_parts(&bytes, parts).map_err(|error| self.unread(&error))? {
                    if to.send(Ok(chunk)).await.is_err() {
                        break;
                    }
                }
                return Ok(());
            }
            Place::At(nodes) => nodes,
            Place::Later => Vec::new(),
        };
        let mut last = Unread { from: self.node, why: "no node has it".to_string() };
        if nodes.contains(&self.node) {
            match self.open(object).await {
                Ok(source) => return self.send(Arc::new(source), parts, to).await,
                Err(why) => last.why = why,
            }
        }
        for from in nodes.into_iter().filter(|node| *node != self.node) {
            let Some(others) = &self.others else { continue };
            let mut coming = others.read(object, from, parts.clone());
            let mut has_begun = false;
            let ended = loop {
                match coming.recv().await {
                    None => break Unread { from, why: "it was cut off".to_string() },
                    Some(Err(unread)) => break unread,
                    Some(Ok(chunk)) => {
                        has_begun = true;
                        let is_end = chunk.is_end();
                        if to.send(Ok(chunk)).await.is_err() || is_end {
                            return Ok(());
                        }
                    }
                }
            };
            if has_begun {
                // Another copy may have been made by another attempt.
                return Err(ended);
            }
            last = ended;
        }
        Err(last)
    }

    async fn open(&self, object: ObjectId) -> std::result::Result<RangeSource, String> {
        match tokio::time::timeout(OPENING, self.inlet.source(object)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err("the node ends".to_string()),
            Err(_) => Err(format!("it was not opened within {} s", OPENING.as_secs())),
        }
    }

    /// Sends parts in their order, what is right of them, for as long as somebody reads.
    async fn send(
        &self,
        source: Arc<RangeSource>,
        parts: Range<u32>,
        to: &Sender<std::result::Result<Chunk, Unread>>,
    ) -> std::result::Result<(), Unread> {
        let own = Arc::clone(&source);
        let index = off_thread(source.is_on_disk(), move || own.index()).await.map_err(|error| self.unread(&error))?;
        for part in parts {
            let missing = || Unread { from: self.node, why: format!("it has no part {part}") };
            let extents = index.parts.get(part as usize).ok_or_else(missing)?.extents.clone();
            let mut pieces = Pieces::default();
            for range in extents.into_iter().flat_map(ranges) {
                let own = Arc::clone(&source);
                let read = off_thread(source.is_on_disk(), move || own.read(range)).await;
                for bytes in read.and_then(|bytes| pieces.take(bytes)).map_err(|error| self.unread(&error))? {
                    if to.send(Ok(Chunk { part, bytes })).await.is_err() {
                        return Ok(());
                    }
                }
            }
            pieces.end().map_err(|error| self.unread(&error))?;
        }
        // A reader that is gone needs no word.
        let _ = to.send(Ok(Chunk::end())).await;
        Ok(())
    }

    fn unread(&self, error: &io::Error) -> Unread {
        Unread { from: self.node, why: error.to_string() }
    }

    async fn write(&self, parts: Parts) -> Result<Written> {
        let Parts { size, body, .. } = parts;
        let pieces = match body {
            Body::File(file) => return Ok(Written::Disk(Spilled::of_parts(file, size))),
            Body::Memory(pieces) if size <= INLINE_BYTES as u64 => {
                return Ok(Written::Inline(Bytes::from(pieces.concat())));
            }
            Body::Memory(pieces) => pieces,
        };
        let ended = |_| Error::new(ErrorKind::Cancelled, "the node ends");
        match self.inlet.room(size).await.map_err(ended)? {
            Ok(room) => {
                let room = RoomGuard(self.inlet.clone(), Some(room));
                let memory = off_thread(true, move || {
                    let draft = Draft::new(size)?;
                    let mut at = 0;
                    for piece in pieces {
                        draft.write(&piece, at)?;
                        at += piece.len() as u64;
                    }
                    draft.seal()
                });
                let failed = |error| {
                    let why = format!("{size} bytes of shared memory for what a task made cannot be had: {error}");
                    Error::new(ErrorKind::MemoryLimit, why)
                };
                Ok(Written::Memory(room, memory.await.map_err(failed)?, size))
            }
            // A store that is full of what others read leaves the disk.
            Err(_) => {
                let folder = self.folder.clone();
                let file = off_thread(true, move || unnamed(&pieces, &folder));
                let file = file.await.map_err(|error| crate::parts::unwritten(&self.folder, &error))?;
                Ok(Written::Disk(Spilled::of_parts(file, size)))
            }
        }
    }
}

/// A range in pieces that are read at once.
fn ranges(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(READ_BYTES as usize).map(move |at| at..end.min(at + READ_BYTES))
}

/// Does what may wait for a disk on a thread that may.
async fn off_thread<T: Send + 'static>(
    waits: bool,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if !waits {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
