//! Objects in parts: what a fragment writes, one part for each partition of its output, and the index of that.
//!
//! The bytes of a part lie in *extents*, in the order in which they were written: [`Pieces`], each with a checksum; at
//! the end of the object stand the index, its length, its checksum and a mark. So parts can be written side by side, to
//! memory as long as they are few and to a file beyond that, and one of them can be read alone. It is the layout of
//! Spark's and Ballista's shuffle files, with the index within.

mod pieces;

use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::{Error, Result, as_bytes};
pub use pieces::Pieces;

/// What an object in parts ends with.
const MARK: [u8; 8] = *b"sheaf-p2";
/// The length of the index, its checksum, and the mark.
const TAIL: u64 = 20;
/// A longer index is none: 10,000 parts with a hundred extents each take some 10 MB.
const LONGEST_INDEX: u64 = 256 << 20;

/// Where something is of which parts are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// It is small, and this is all of it.
    Inline(#[serde(with = "as_bytes")] Bytes),
    /// In the stores of these nodes.
    At(Vec<NodeId>),
    /// It may not be made yet: who reads it asks, and waits.
    Later,
}

/// Where a part is, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where its bytes are, in their order.
    pub extents: Vec<Range<u64>>,
    /// The rows in it, as whoever wrote it counts.
    pub rows: u64,
}

impl Part {
    /// How many bytes it has, those before its pieces too.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.end - extent.start).sum()
    }
}

/// The parts of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// In their order.
    pub parts: Vec<Part>,
}

impl Index {
    /// Reads the index of an object of so many bytes, from which `read` reads that many at a place.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] for what is no object in parts; else what `read` says.
    pub fn read(size: u64, read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> io::Result<Self> {
        let broken = |why: &str| io::Error::new(ErrorKind::InvalidData, format!("an object in parts is broken: {why}"));
        let start = size.checked_sub(TAIL).ok_or_else(|| broken("it is too short"))?;
        let tail = read(start, TAIL as usize)?;
        let (length, rest) = tail.split_first_chunk().ok_or_else(|| broken("it is cut off"))?;
        let (checksum, mark) = rest.split_first_chunk().ok_or_else(|| broken("it is cut off"))?;
        if mark != MARK {
            return Err(broken("it does not end with an index"));
        }
        let length = u64::from_le_bytes(*length);
        let at = start.checked_sub(length).filter(|_| length <= LONGEST_INDEX);
        let at = at.ok_or_else(|| broken("its index is longer than it"))?;
        let bytes = read(at, length as usize)?;
        if crc32fast::hash(&bytes) != u32::from_le_bytes(*checksum) {
            return Err(broken("its index has another checksum"));
        }
        let index: Self = postcard::from_bytes(&bytes).map_err(|_| broken("its index"))?;
        let mut extents = index.parts.iter().flat_map(|part| &part.extents);
        match extents.all(|extent| extent.start <= extent.end && extent.end <= at) {
            true => Ok(index),
            false => Err(broken("a part lies outside")),
        }
    }

    fn tail(&self) -> io::Result<Vec<u8>> {
        let mut bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let (length, checksum) = (bytes.len() as u64, crc32fast::hash(&bytes));
        bytes.extend(length.to_le_bytes());
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(MARK);
        Ok(bytes)
    }
}

/// An object in parts, before the store has it.
#[derive(Debug)]
pub struct Parts {
    /// Where its parts are.
    pub index: Index,
    /// All of its bytes, the index too.
    pub size: u64,
    /// Where they are.
    pub body: Body,
}

/// Where the bytes of a new object are.
#[derive(Debug)]
pub enum Body {
    /// In these pieces, one after the other.
    Memory(Vec<Bytes>),
    /// In a file without a name.
    File(File),
}

/// Writes an object in parts.
#[derive(Debug)]
pub struct PartsWriter {
    folder: PathBuf,
    limit: u64,
    index: Index,
    /// What is in memory of each part.
    waiting: Vec<Vec<Bytes>>,
    buffered: u64,
    file: Option<(File, u64)>,
}

impl PartsWriter {
    /// One of so many parts, of which at most `limit` bytes are kept in memory; the rest goes to a file in `folder`.
    #[must_use]
    pub fn new(parts: usize, limit: u64, folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            limit,
            index: Index { parts: vec![Part::default(); parts] },
            waiting: vec![Vec::new(); parts],
            buffered: 0,
            file: None,
        }
    }

    /// Bytes that it holds in memory.
    #[must_use]
    pub fn buffered(&self) -> u64 {
        self.buffered
    }

    /// The rows and bytes of each part so far.
    #[must_use]
    pub fn sizes(&self) -> Vec<(u64, u64)> {
        let waiting = self.waiting.iter().map(|waiting| waiting.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
        self.index.parts.iter().zip(waiting).map(|(part, waiting)| (part.rows, part.bytes() + waiting)).collect()
    }

    /// Adds a piece, with so many rows, to a part: it is read whole or not at all. It may write all that is in memory to the disk.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] for a part that is not there; else as [`PartsWriter::flush`].
    pub fn write(&mut self, part: usize, bytes: Bytes, rows: u64) -> Result<()> {
        let (Some(index), Some(waiting)) = (self.index.parts.get_mut(part), self.waiting.get_mut(part)) else {
            return Err(Error::internal(format!("there is no part {part} to write to")));
        };
        index.rows += rows;
        for framed in pieces::framed(bytes) {
            self.buffered += framed.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            waiting.extend(framed);
        }
        if self.buffered > self.limit { self.flush() } else { Ok(()) }
    }

    /// Writes all that is in memory to the disk.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DiskFull`] and [`crate::ErrorKind::Io`] when the folder does not take it.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.flush_to_file();
        flushed.map_err(|error| unwritten(&self.folder, &error))
    }

    fn flush_to_file(&mut self) -> io::Result<()> {
        let (mut file, mut at) = match self.file.take() {
            Some(file) => file,
            None => (tempfile::tempfile_in(&self.folder)?, 0),
        };
        for (part, waiting) in self.index.parts.iter_mut().zip(&mut self.waiting) {
            let start = at;
            for bytes in std::mem::take(waiting) {
                file.write_all(&bytes)?;
                at += bytes.len() as u64;
            }
            if at > start {
                part.extents.push(start..at);
            }
        }
        self.buffered = 0;
        self.file = Some((file, at));
        Ok(())
    }

    /// The object that was written.
    ///
    /// # Errors
    /// As [`PartsWriter::flush`].
    pub fn finish(self) -> Result<Parts> {
        let folder = self.folder.clone();
        self.finished().map_err(|error| unwritten(&folder, &error))
    }

    fn finished(mut self) -> io::Result<Parts> {
        if self.file.is_some() {
            self.flush_to_file()?;
        }
        if let Some((mut file, at)) = self.file {
            let tail = self.index.tail()?;
            file.write_all(&tail)?;
            file.rewind()?;
            return Ok(Parts { size: at + tail.len() as u64, index: self.index, body: Body::File(file) });
        }
        let mut at = 0;
        for (part, waiting) in self.index.parts.iter_mut().zip(&self.waiting) {
            let length: u64 = waiting.iter().map(|bytes| bytes.len() as u64).sum();
            if length > 0 {
                part.extents.push(at..at + length);
            }
            at += length;
        }
        let tail = self.index.tail()?;
        let size = at + tail.len() as u64;
        let pieces = self.waiting.into_iter().flatten().chain([Bytes::from(tail)]).collect();
        Ok(Parts { index: self.index, size, body: Body::Memory(pieces) })
    }
}

/// Pieces, one after the other, in a file without a name.
pub(crate) fn unnamed(pieces: &[Bytes], folder: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(folder)?;
    pieces.iter().try_for_each(|piece| file.write_all(piece))?;
    Ok(file)
}

/// What is said of a disk that does not take what a task made.
#[must_use]
pub fn unwritten(folder: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => crate::ErrorKind::DiskFull,
        _ => crate::ErrorKind::Io,
    };
    let why = format!("what a task made cannot be written to the spill folder {}: {error}", folder.display());
    Error::new(kind, why).with_hint("make room there, or give another folder (--spill-dir)")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn all_of(parts: &Parts) -> Vec<u8> {
        match &parts.body {
            Body::Memory(pieces) => pieces.concat(),
            Body::File(file) => {
                let mut bytes = vec![0; parts.size as usize];
                file.read_exact_at(&mut bytes, 0).unwrap();
                bytes
            }
        }
    }

    fn read(bytes: &[u8]) -> io::Result<Index> {
        Index::read(bytes.len() as u64, |at, length| {
            let piece = bytes.get(at as usize..at as usize + length);
            Ok(piece.ok_or(ErrorKind::UnexpectedEof)?.to_vec())
        })
    }

    #[test]
    fn parts_come_back_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        for limit in [u64::MAX, 100, 0] {
            let mut writer = PartsWriter::new(5, limit, folder.path());
            let mut expected = vec![Vec::new(); 5];
            for number in 0..300_u32 {
                let part = (number * 7 % 4) as usize;
                let piece = Bytes::from(number.to_le_bytes().repeat((number % 3) as usize));
                expected[part].extend_from_slice(&piece);
                writer.write(part, piece, u64::from(number % 3)).unwrap();
                assert!(writer.buffered() <= limit);
            }
            let parts = writer.finish().unwrap();
            assert_eq!(matches!(parts.body, Body::File(_)), limit < u64::MAX);
            let bytes = all_of(&parts);
            assert_eq!(bytes.len() as u64, parts.size);
            let index = read(&bytes).unwrap();
            assert_eq!(index, parts.index);
            for (part, expected) in index.parts.iter().zip(&expected) {
                let extents = part.extents.iter().map(|extent| &bytes[extent.start as usize..extent.end as usize]);
                let (mut pieces, mut read) = (Pieces::default(), Vec::new());
                extents.for_each(|extent| read.extend(pieces.take(Bytes::copy_from_slice(extent)).unwrap().concat()));
                pieces.end().unwrap();
                assert_eq!((&read, part.rows * 4), (expected, expected.len() as u64));
                assert!(part.bytes() >= part.rows * 4);
            }
            assert_eq!(index.parts.len(), 5, "the last one is empty");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files have no name");
    }

    #[test]
    fn what_is_broken_is_no_index() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = PartsWriter::new(2, 1_000, folder.path());
        writer.write(1, Bytes::from_static(b"rows"), 1).unwrap();
        assert!(writer.write(2, Bytes::new(), 0).is_err(), "there is no such part");
        let bytes = all_of(&writer.finish().unwrap());
        assert!(read(&bytes).is_ok());
        assert!(read(&bytes[..bytes.len() - 1]).is_err(), "it is cut off");
        assert!(read(&bytes[5..]).is_err(), "a part lies outside");
        assert!(read(b"").is_err() && read(&[0; 64]).is_err());
        for place in 12..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            assert!(read(&flipped).is_err(), "byte {place} of the index is another one");
        }
        let mut longer = bytes.clone();
        let at = bytes.len() - TAIL as usize;
        longer[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&longer).is_err(), "its index is longer than it");
    }
}
