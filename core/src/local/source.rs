//! `RangeSource`: an object of this node's of which ranges are read, here or for another node.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::inlet::Reading;
use crate::ids::ObjectId;
use crate::parts::Index;
use crate::store::memory::Mapping;
use crate::store::spill::Spilled;

/// Indexes that are kept for the next reader of the same object.
const INDEXES: usize = 64;

/// An object in an edition, and its index.
type Known = ((ObjectId, u64), Arc<Index>);

/// The indexes of objects that were read last.
#[derive(Debug, Default)]
pub(super) struct Indexes(Mutex<VecDeque<Known>>);

/// An object that is read by ranges; in memory it stays there, and on disk it stays there, until this is dropped.
#[derive(Debug)]
pub struct RangeSource {
    object: ObjectId,
    bytes: Held,
    size: u64,
    edition: u64,
    indexes: Arc<Indexes>,
}

#[derive(Debug)]
enum Held {
    Memory(Bytes),
    Disk(Arc<Spilled>),
}

/// What keeps mapped memory.
struct Mapped {
    mapping: Mapping,
    _reading: Reading,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.mapping
    }
}

/// The bytes of an object in shared memory, which stays there for as long as they do.
pub(super) fn mapped(reading: Reading) -> io::Result<Bytes> {
    let mapping = Mapping::new(&reading.content.memory, reading.content.size)?;
    Ok(Bytes::from_owner(Mapped { mapping, _reading: reading }))
}

impl RangeSource {
    pub(super) fn in_memory(reading: Reading, indexes: Arc<Indexes>) -> io::Result<Self> {
        let (object, size, edition) = (reading.object, reading.content.size, reading.content.edition);
        Ok(Self { object, bytes: Held::Memory(mapped(reading)?), size, edition, indexes })
    }

    pub(super) fn on_disk(object: ObjectId, spilled: Arc<Spilled>, edition: u64, indexes: Arc<Indexes>) -> Self {
        Self { object, size: spilled.size(), bytes: Held::Disk(spilled), edition, indexes }
    }

    /// Which of its contents: copies that have the same number have the same bytes.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// Whether reading waits for a disk.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        matches!(self.bytes, Held::Disk(_))
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] for bytes that are not there; else what the disk says.
    pub fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.start > range.end || range.end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.bytes {
            Held::Memory(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            Held::Disk(spilled) => spilled.read_at(range.start, (range.end - range.start) as usize).map(Bytes::from),
        }
    }

    /// What parts it has.
    ///
    /// # Errors
    /// As [`Index::read`].
    pub fn index(&self) -> io::Result<Arc<Index>> {
        let key = (self.object, self.edition);
        if let Some((_, index)) = self.indexes.0.lock().iter().find(|(other, _)| *other == key) {
            return Ok(Arc::clone(index));
        }
        let read = |at: u64, length: usize| self.read(at..at + length as u64).map(|bytes| bytes.to_vec());
        let index = Arc::new(Index::read(self.size, read)?);
        let mut indexes = self.indexes.0.lock();
        indexes.truncate(INDEXES - 1);
        indexes.push_front((key, Arc::clone(&index)));
        Ok(index)
    }
}
