//! A value as it lies in memory: a list of parts, each at a place that suits vector instructions.
//!
//! Four bytes say how many parts there are, eight each how long they are; then the parts, each at a multiple of 64.

use std::ops::Range;

/// Where parts begin: a cache line, and what Arrow and NumPy like.
const ALIGNMENT: usize = 64;

/// Where parts of these lengths go, and what goes before them.
pub(super) struct Layout {
    pub(super) header: Vec<u8>,
    pub(super) places: Vec<usize>,
    pub(super) size: usize,
}

impl Layout {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut header = (parts.len() as u32).to_le_bytes().to_vec();
        parts.iter().for_each(|part| header.extend_from_slice(&(part.len() as u64).to_le_bytes()));
        let mut size = header.len();
        let places = parts.iter().map(|part| {
            let place = size.next_multiple_of(ALIGNMENT);
            size = place + part.len();
            place
        });
        let places = places.collect();
        Self { header, places, size }
    }

    /// What goes where: the header, then each part.
    pub(super) fn placed<'a>(&'a self, parts: &'a [&'a [u8]]) -> impl Iterator<Item = (&'a [u8], usize)> {
        std::iter::once((&self.header[..], 0)).chain(parts.iter().copied().zip(self.places.iter().copied()))
    }

    pub(super) fn pack(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.size);
        packed.extend_from_slice(&self.header);
        for (part, place) in parts.iter().zip(&self.places) {
            packed.resize(*place, 0);
            packed.extend_from_slice(part);
        }
        packed
    }
}

/// Where the parts of a packed value are; `None` for what is no packed value.
#[must_use]
pub fn parts_of(packed: &[u8]) -> Option<Vec<Range<usize>>> {
    let (count, mut rest) = packed.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let mut end = 4 + count.checked_mul(8)?;
    let mut parts = Vec::with_capacity(count.min(packed.len()));
    for _ in 0..count {
        let (length, others) = rest.split_first_chunk::<8>()?;
        rest = others;
        let place = end.checked_next_multiple_of(ALIGNMENT)?;
        end = place.checked_add(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        parts.push(place..end);
    }
    (end <= packed.len() || parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_out_as_they_went_in() {
        let all: [&[&[u8]]; 4] = [&[], &[b"one"], &[b"", b"two", b""], &[&[7; 200], b"x", &[9; 64]]];
        for parts in all {
            let layout = Layout::of(parts);
            let packed = layout.pack(parts);
            assert_eq!(packed.len(), layout.size);
            let places = parts_of(&packed).unwrap();
            assert!(places.iter().all(|place| place.start % ALIGNMENT == 0));
            let back: Vec<&[u8]> = places.into_iter().map(|place| &packed[place]).collect();
            assert_eq!(back, parts);
        }
    }

    #[test]
    fn what_is_cut_off_is_no_value() {
        let parts: [&[u8]; 2] = [b"pickle", &[1; 100]];
        let packed = Layout::of(&parts).pack(&parts);
        for length in 0..packed.len() {
            assert!(parts_of(&packed[..length]).is_none(), "{length}");
        }
        assert!(parts_of(&[0xff; 64]).is_none());
    }
}
