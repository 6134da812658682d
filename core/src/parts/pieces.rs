//! The pieces of a part: each with its length and checksum before it, so that nothing is used that is not what was
//! written, and no more than one piece has to be there to know that.

use std::io::{self, ErrorKind};

use bytes::{Buf, Bytes, BytesMut};

/// A longer piece is written as several.
const LONGEST: usize = 64 << 20;
/// The length and the checksum of a piece, each of four bytes.
const HEADER: usize = 8;

/// The pieces that stand for these bytes, each after its header.
pub(super) fn framed(mut bytes: Bytes) -> impl Iterator<Item = [Bytes; 2]> {
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(LONGEST));
        let (length, checksum) = (piece.len() as u32, crc32fast::hash(&piece));
        let header = [length.to_le_bytes(), checksum.to_le_bytes()].concat();
        (length > 0).then(|| [Bytes::from(header), piece])
    })
}

/// Puts the pieces of a part together from its bytes, which come in chunks of any length.
#[derive(Debug, Default)]
pub struct Pieces {
    /// What has come of the next one, its header too.
    partial: BytesMut,
}

impl Pieces {
    /// The pieces that are whole with this chunk, and right.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] for one with another checksum.
    pub fn take(&mut self, mut chunk: Bytes) -> io::Result<Vec<Bytes>> {
        let mut whole = Vec::new();
        if !self.partial.is_empty() {
            // Only as much is copied as the piece lacks that is not whole.
            while !chunk.is_empty() {
                let lacking = self.length()?.map_or(HEADER, |length| HEADER + length) - self.partial.len();
                let more = chunk.split_to(lacking.min(chunk.len()));
                self.partial.extend_from_slice(&more);
                if self.length()?.is_some_and(|length| self.partial.len() == HEADER + length) {
                    whole.push(right(&mut std::mem::take(&mut self.partial).freeze())?);
                    break;
                }
            }
        }
        while length_of(&chunk)?.is_some_and(|length| chunk.len() >= HEADER + length) {
            whole.push(right(&mut chunk)?);
        }
        self.partial.extend_from_slice(&chunk);
        Ok(whole)
    }

    fn length(&self) -> io::Result<Option<usize>> {
        length_of(&self.partial)
    }

    /// The part has ended.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] within a piece.
    pub fn end(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.partial).is_empty() {
            true => Ok(()),
            false => Err(io::Error::new(ErrorKind::UnexpectedEof, "a part is cut off")),
        }
    }
}

/// The length of the piece that begins here, if its header is there.
fn length_of(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(length) = bytes.get(..HEADER).and_then(|header| header.first_chunk::<4>()) else { return Ok(None) };
    match u32::from_le_bytes(*length) as usize {
        length if length <= LONGEST => Ok(Some(length)),
        _ => Err(broken()),
    }
}

/// Takes the piece that begins here, and all of which is there.
fn right(bytes: &mut Bytes) -> io::Result<Bytes> {
    let (length, checksum) = (bytes.get_u32_le() as usize, bytes.get_u32_le());
    let piece = bytes.split_to(length);
    if crc32fast::hash(&piece) == checksum { Ok(piece) } else { Err(broken()) }
}

fn broken() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a part has another checksum than what was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Vec<u8> {
        let pieces = [&b"first"[..], b"", &[7; 1_000], b"x"];
        pieces.iter().flat_map(|piece| framed(Bytes::copy_from_slice(piece))).flatten().flatten().collect()
    }

    /// What is read of a part that comes in chunks of so many bytes.
    fn read(part: &[u8], chunk: usize) -> io::Result<Vec<Bytes>> {
        let (mut pieces, mut whole) = (Pieces::default(), Vec::new());
        for chunk in part.chunks(chunk) {
            whole.extend(pieces.take(Bytes::copy_from_slice(chunk))?);
        }
        pieces.end().map(|()| whole)
    }

    #[test]
    fn pieces_come_back_from_chunks_of_any_length() {
        for chunk in [1, 3, 8, 13, 14, 100, 5_000] {
            let whole = read(&part(), chunk).unwrap();
            assert_eq!(whole, [&b"first"[..], &[7; 1_000], b"x"], "chunks of {chunk}");
        }
        let large = Bytes::from(vec![1; LONGEST + 5]);
        assert_eq!(framed(large).map(|[_, piece]| piece.len()).collect::<Vec<_>>(), [LONGEST, 5]);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found_before_its_piece_is_used() {
        let part = part();
        for place in 0..part.len() {
            for chunk in [1, 100, 5_000] {
                let mut flipped = part.clone();
                flipped[place] ^= 1 << (place % 8);
                let (mut pieces, mut whole) = (Pieces::default(), Vec::new());
                let mut read = || -> io::Result<()> {
                    for chunk in flipped.chunks(chunk) {
                        whole.extend(pieces.take(Bytes::copy_from_slice(chunk))?);
                    }
                    pieces.end()
                };
                assert!(read().is_err(), "byte {place} in chunks of {chunk}");
                assert!(whole.iter().all(|piece| [&b"first"[..], &[7; 1_000], b"x"].contains(&&piece[..])));
            }
        }
        assert!(read(&part[..part.len() - 1], 64).is_err(), "it is cut off");
    }
}
