//! The attempts at one batch, decided without doing any: which rows are tried next, and which are given up.
//!
//! A batch that fails is tried again while that may help. Then it is cut in halves, and those again, until the rows are
//! found at which the function fails. Halves are tried once: the doubt is about their rows.

use std::ops::Range;

use super::function::FailureKind;

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same rows are tried again.
    Again,
    /// They are tried in two halves.
    Split,
    /// They are left out: the attempts that they had.
    Lose { attempts: u32 },
    /// The batch has failed, and with it the run.
    GiveUp,
}

/// Some rows of the batch, and the attempts that were made at them.
#[derive(Debug, Clone)]
struct Piece {
    rows: Range<usize>,
    attempts: u32,
    is_half: bool,
}

/// The rows that are still to be mapped, in their order.
#[derive(Debug)]
pub(super) struct Pieces {
    // The next one is the last.
    waiting: Vec<Piece>,
    max_retries: u32,
    may_lose: bool,
}

impl Pieces {
    pub(super) fn new(rows: usize, max_retries: u32, may_lose: bool) -> Self {
        Self { waiting: vec![Piece { rows: 0..rows, attempts: 0, is_half: false }], max_retries, may_lose }
    }

    /// The rows to try now.
    pub(super) fn next(&self) -> Option<Range<usize>> {
        self.waiting.last().map(|piece| piece.rows.clone())
    }

    /// They are mapped.
    pub(super) fn succeeded(&mut self) {
        self.waiting.pop();
    }

    /// They are not.
    pub(super) fn failed(&mut self, why: FailureKind) -> Verdict {
        let Some(mut piece) = self.waiting.pop() else { return Verdict::GiveUp };
        piece.attempts += 1;
        let may_retry = match why {
            FailureKind::Fatal => return Verdict::GiveUp,
            FailureKind::Raised { retry } => retry,
            FailureKind::Crashed | FailureKind::TimedOut => true,
            // The same rows would take the same memory.
            FailureKind::OutOfMemory => false,
        };
        if may_retry && !piece.is_half && piece.attempts <= self.max_retries {
            self.waiting.push(piece);
            return Verdict::Again;
        }
        if piece.rows.len() > 1 && (self.may_lose || why == FailureKind::OutOfMemory) {
            let middle = piece.rows.start + piece.rows.len() / 2;
            for rows in [middle..piece.rows.end, piece.rows.start..middle] {
                self.waiting.push(Piece { rows, is_half: true, ..piece });
            }
            return Verdict::Split;
        }
        if self.may_lose { Verdict::Lose { attempts: piece.attempts } } else { Verdict::GiveUp }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sheaf_core::env::Random;

    use super::*;

    const RETRY: FailureKind = FailureKind::Raised { retry: true };
    const RAISED: FailureKind = FailureKind::Raised { retry: false };

    #[test]
    fn exactly_the_bad_rows_are_lost_and_the_others_mapped_once_in_order() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let rows = random.below(200) as usize + 1;
            let bad: BTreeSet<usize> = (0..random.below(6)).map(|_| random.below(rows as u64) as usize).collect();
            let kinds = [RAISED, RETRY, FailureKind::Crashed, FailureKind::TimedOut, FailureKind::OutOfMemory];
            let kind = kinds[random.below(5) as usize];
            let (mut pieces, mut mapped, mut lost, mut tries) = (Pieces::new(rows, 2, true), Vec::new(), Vec::new(), 0);
            while let Some(next) = pieces.next() {
                tries += 1;
                if bad.range(next.clone()).next().is_none() {
                    mapped.extend(next);
                    pieces.succeeded();
                } else if let Verdict::Lose { attempts } = pieces.failed(kind) {
                    assert!(attempts >= 1);
                    lost.extend(next);
                }
            }
            assert_eq!(lost, bad.iter().copied().collect::<Vec<_>>(), "seed {seed}");
            let good: Vec<_> = (0..rows).filter(|row| !bad.contains(row)).collect();
            assert_eq!(mapped, good, "seed {seed}");
            let depth = rows.ilog2() as usize + 2;
            assert!(tries <= 3 + 2 * depth * bad.len(), "seed {seed}: {tries} tries of {rows} rows");
        }
    }

    #[test]
    fn without_leave_to_lose_rows_only_memory_splits() {
        let mut pieces = Pieces::new(8, 1, false);
        assert_eq!(pieces.failed(FailureKind::Crashed), Verdict::Again);
        assert_eq!(pieces.failed(FailureKind::TimedOut), Verdict::GiveUp);
        let mut pieces = Pieces::new(8, 1, false);
        assert_eq!(pieces.failed(RAISED), Verdict::GiveUp);
        let mut pieces = Pieces::new(2, 1, false);
        assert_eq!(pieces.failed(FailureKind::OutOfMemory), Verdict::Split);
        assert_eq!(pieces.next(), Some(0..1));
        assert_eq!(pieces.failed(FailureKind::OutOfMemory), Verdict::GiveUp);
    }

    #[test]
    fn what_is_fatal_is_not_tried_again_and_nothing_is_not_split() {
        assert_eq!(Pieces::new(8, 9, true).failed(FailureKind::Fatal), Verdict::GiveUp);
        let mut pieces = Pieces::new(0, 0, true);
        assert_eq!(pieces.next(), Some(0..0));
        assert_eq!(pieces.failed(RAISED), Verdict::Lose { attempts: 1 });
        assert_eq!(pieces.next(), None);
    }
}
