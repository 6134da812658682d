//! The order of rows in an epoch: as the plan gives them, or shuffled window by window.
//!
//! A window is permuted by a key of the epoch and its own number, and by nothing else, so that the order from any
//! position on is known without what came before it. A buffer out of which rows are drawn, as other loaders have it,
//! would have to be stored with the position, or drawn anew from the epoch's begin.

use std::ops::Range;

use crate::operators::sample::SplitMix;

/// Shuffles rows within windows of this many, by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalShuffle {
    key: u64,
    rows: u64,
}

/// The stream of chance that says where windows begin: no window has its number.
const BORDERS: u64 = u64::MAX;

impl LocalShuffle {
    /// Windows of `rows` rows (at least one), shuffled by the seed of an epoch.
    #[must_use]
    pub fn new(seed: u64, epoch: u64, rows: usize) -> Self {
        Self { key: seed.wrapping_add(epoch), rows: (rows as u64).max(1) }
    }

    /// How long the first window is: rows at the borders of one epoch lie within windows of the next.
    fn first(&self) -> u64 {
        1 + SplitMix::new(self.key, BORDERS).below(self.rows)
    }

    /// The window that this position lies in: its number and its positions, if the rows do not end before.
    #[must_use]
    pub fn window(&self, position: u64) -> (u64, Range<u64>) {
        let first = self.first();
        if position < first {
            return (0, 0..first);
        }
        let number = (position - first) / self.rows;
        let start = first + number * self.rows;
        (number + 1, start..start + self.rows)
    }

    /// The order of a window with so many rows: which of them comes first, second, and so on.
    #[must_use]
    pub fn permutation(&self, window: u64, rows: usize) -> Vec<usize> {
        let mut chance = SplitMix::new(self.key, window);
        let mut order: Vec<usize> = (0..rows).collect();
        for last in (1..rows).rev() {
            let other = chance.below(last as u64 + 1) as usize;
            order.swap(last, other);
        }
        order
    }
}
