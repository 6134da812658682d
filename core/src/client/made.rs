//! Values that this process makes: small ones within messages, large ones in shared memory that it may write again.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_bytes::ByteBuf;

use super::Client;
use super::packing::Layout;
use crate::store::memory::{Again, Draft};
use crate::wire::{Answer, INLINE_BYTES, Lies, MadeHere, ToNode};
use crate::{Error, ErrorKind, Result};

/// How many pieces of memory are kept mapped: the kernel allows a process some ten thousand mappings.
const MOST: usize = 4_096;

/// The memory of objects that this process made, by its numbers. The node says which can be written again, and which
/// are to be let go of.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<u64, Arc<Again>>>);

impl Memory {
    /// Keeps what is being written, if there is not too much already.
    fn keep(&self, number: u64, draft: &Draft) -> Lies {
        let mut kept = self.0.lock();
        if kept.len() < MOST
            && let Ok(again) = draft.again()
        {
            kept.insert(number, Arc::new(again));
            return Lies::Kept;
        }
        Lies::New
    }

    pub(super) fn let_go(&self, number: u64) {
        let gone = self.0.lock().remove(&number);
        // Unmapping takes time, in which others need not wait.
        drop(gone);
    }

    /// Lets go of all.
    pub(super) fn end(&self) {
        let gone = std::mem::take(&mut *self.0.lock());
        drop(gone);
    }
}

impl Client {
    /// A value for the node: a small one within the message, a large one in shared memory.
    pub(crate) fn make(&self, parts: &[&[u8]]) -> Result<(MadeHere, Vec<OwnedFd>)> {
        let layout = Layout::of(parts);
        if layout.size <= INLINE_BYTES {
            return Ok((MadeHere::Inline(ByteBuf::from(layout.pack(parts))), Vec::new()));
        }
        self.place(layout.size as u64, || layout.placed(parts))
    }

    /// A large value in shared memory, of what is written to each place of it.
    pub(super) fn place<'a, P: Iterator<Item = (&'a [u8], usize)>>(
        &self,
        size: u64,
        placed: impl Fn() -> P,
    ) -> Result<(MadeHere, Vec<OwnedFd>)> {
        let (room, again) = self.reserve(size)?;
        let write = || match again {
            Some(number) => {
                let memory = self.memory.0.lock().get(&number).map(Arc::clone);
                let memory = memory.ok_or_else(|| std::io::Error::other("it was let go of"))?;
                memory.write(placed())?;
                Ok((Lies::Again, Vec::new()))
            }
            None => {
                let draft = Draft::new(size)?;
                for (part, place) in placed() {
                    draft.write(part, place as u64)?;
                }
                let lies = self.memory.keep(room, &draft);
                let sealed = draft.seal().inspect_err(|_| self.memory.let_go(room))?;
                Ok((lies, vec![sealed]))
            }
        };
        let (lies, files) = write().map_err(|error: std::io::Error| {
            let _ = self.send(&ToNode::Unreserve(room), Vec::new());
            Error::new(ErrorKind::MemoryLimit, format!("{size} bytes of shared memory cannot be had: {error}"))
        })?;
        Ok((MadeHere::Stored { size, room, lies }, files))
    }

    /// A value that was made is not handed over.
    pub(super) fn unmake(&self, made: &MadeHere) {
        if let MadeHere::Stored { room, lies, .. } = made {
            if *lies == Lies::Kept {
                self.memory.let_go(*room);
            }
            let _ = self.send(&ToNode::Unreserve(*room), Vec::new());
        }
    }

    /// Room for so many bytes, and which memory that is where it is not new.
    fn reserve(&self, size: u64) -> Result<(u64, Option<u64>)> {
        let room = self.questions(1);
        let asked = self.inquire(room, &ToNode::Reserve(room, size)).inspect_err(|_| {
            let _ = self.send(&ToNode::Unreserve(room), Vec::new());
        });
        match asked? {
            Answer::Room(again) => Ok((room, again)),
            Answer::Refused(why, is_disk) => {
                Err(Error::new(if is_disk { ErrorKind::DiskFull } else { ErrorKind::MemoryLimit }, why))
            }
            _ => Err(Error::internal("the node gave room and did not say so")),
        }
    }
}
