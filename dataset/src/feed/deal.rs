//! `Deal`: which rows of an epoch go to which trainer, and which were taken when each has taken so many.

use std::ops::Range;

use sheaf_core::{Error, Result};

use super::rows::RowSet;

/// Rows dealt to trainers in turn, a block to each: a round.
///
/// Who gets a row depends on its position among the rows that are dealt, and on nothing else. The last round may be
/// short: then blocks are filled in turn as before, or with `equal` each trainer gets as many rows as the others, and
/// the fewer rows than trainers that are left get nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deal {
    trainers: u64,
    block: u64,
    equal: bool,
}

impl Deal {
    /// Rows for so many trainers, in blocks of so many.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] where there are no trainers, or no rows in a block.
    pub fn new(trainers: usize, block: usize, equal: bool) -> Result<Self> {
        if trainers == 0 || block == 0 {
            return Err(Error::invalid(format!("blocks of {block} rows cannot be dealt to {trainers} trainers"))
                .with_hint("there is at least one trainer, and at least one row in a block"));
        }
        Ok(Self { trainers: trainers as u64, block: block as u64, equal })
    }

    /// Rows of a whole round.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.trainers * self.block
    }

    /// Each trainer's rows of a round that has `rows` rows: less than a whole one is the last.
    #[must_use]
    pub fn shares(&self, rows: u64) -> Vec<Range<u64>> {
        let each = if self.equal { self.block.min(rows / self.trainers) } else { self.block };
        (0..self.trainers).map(|trainer| (trainer * each).min(rows)..((trainer + 1) * each).min(rows)).collect()
    }

    /// All rows that are done when each trainer has taken so many. `total` is known once all rows are dealt; then the
    /// rows that nobody gets are done too.
    #[must_use]
    pub fn done(&self, taken: &[u64], total: Option<u64>) -> RowSet {
        let whole = total.map_or(u64::MAX, |total| total / self.round());
        let rounds = self.rounds(taken).min(whole);
        let mut done: Vec<Range<u64>> = std::iter::once(0..rounds * self.round()).collect();
        for (trainer, taken) in taken.iter().enumerate() {
            done.extend(self.taken(trainer as u64, *taken, rounds..whole, total));
        }
        if let Some(total) = total.filter(|_| self.equal) {
            done.push(total - total % self.round() % self.trainers..total);
        }
        done.into_iter().collect()
    }

    /// The rows that a trainer has when it has taken `taken`, from the first of these rounds on; the last whole one
    /// ends before the second.
    fn taken(&self, trainer: u64, taken: u64, rounds: Range<u64>, total: Option<u64>) -> Vec<Range<u64>> {
        let last = (taken / self.block).min(rounds.end);
        let block = |round: u64| {
            let start = round * self.round() + trainer * self.block;
            start..start + self.block
        };
        let mut ranges: Vec<Range<u64>> = (rounds.start..last).map(block).collect();
        let short = total.filter(|_| last == rounds.end).map_or(self.round(), |total| total % self.round());
        let share = self.shares(short)[trainer as usize].clone();
        let left = (taken - last * self.block).min(share.end - share.start);
        let start = last * self.round() + share.start;
        ranges.push(start..start + left);
        ranges
    }

    /// Rounds that all trainers have taken whole: where dealing goes on.
    #[must_use]
    pub fn rounds(&self, taken: &[u64]) -> u64 {
        taken.iter().min().map_or(0, |least| least / self.block)
    }
}
