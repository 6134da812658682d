//! `RowSet`: which rows of an epoch are done, as ranges of their positions.

use std::ops::Range;

/// Positions of rows: ranges in order that neither overlap nor touch, so that equal sets are equal values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowSet(Vec<Range<u64>>);

impl RowSet {
    /// All rows before this position.
    #[must_use]
    pub fn before(end: u64) -> Self {
        std::iter::once(0..end).collect()
    }

    /// The ranges, in order.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first position that is not in the set.
    #[must_use]
    pub fn first_missing(&self) -> u64 {
        self.0.first().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    /// The rows of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).cloned().collect()
    }

    /// The parts of a range that are not in the set, in order.
    #[must_use]
    pub fn missing(&self, within: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut from = within.start;
        let first = self.0.partition_point(|range| range.end <= within.start);
        for range in self.0[first..].iter().take_while(|range| range.start < within.end) {
            if from < range.start {
                gaps.push(from..range.start);
            }
            from = range.end;
        }
        if from < within.end {
            gaps.push(from..within.end);
        }
        gaps
    }

    /// Where rows are whose positions were counted among the rows that this set lacks.
    #[must_use]
    pub fn place(&self, among_missing: &Self) -> Self {
        let mut placed = Vec::new();
        let mut ranges = self.0.iter().peekable();
        // How many rows of this set lie before the position that is looked at.
        let mut done = 0;
        for range in &among_missing.0 {
            let mut start = range.start;
            while start < range.end {
                while let Some(next) = ranges.next_if(|next| next.start <= start + done) {
                    done += next.end - next.start;
                }
                let end = ranges.peek().map_or(range.end, |next| range.end.min(next.start - done));
                placed.push(start + done..end + done);
                start = end;
            }
        }
        placed.into_iter().collect()
    }
}

impl FromIterator<Range<u64>> for RowSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut sorted: Vec<Range<u64>> = ranges.into_iter().filter(|range| range.start < range.end).collect();
        sorted.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }
}
