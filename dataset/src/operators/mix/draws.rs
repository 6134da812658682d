//! `Draws`: which input the next row of a mix comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::operators::sample::SplitMix;

/// When a mix ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash, Serialize, Deserialize)]
pub enum MixStop {
    /// When a row is drawn from an input that has no more.
    Shortest,
    /// When all inputs have ended: those that end before are drawn no more.
    Longest,
    /// When all inputs have ended once: those that end before begin again.
    Repeat,
}

impl fmt::Display for MixStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shortest => "shortest",
            Self::Longest => "longest",
            Self::Repeat => "repeat",
        })
    }
}

/// What follows from the end of an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The mix ends.
    End,
    /// Another input is drawn.
    Draw,
    /// The input begins again, and the row is its first.
    Again,
}

/// Draws inputs by weight: the same ones for the same seed and inputs.
#[derive(Debug)]
pub(super) struct Draws {
    chance: SplitMix,
    weights: Vec<f64>,
    total: f64,
    stop: MixStop,
    // Inputs that have not ended yet, not even once.
    whole: Vec<bool>,
}

impl Draws {
    pub(super) fn new(seed: u64, weights: &[f64], stop: MixStop) -> Self {
        let mut draws = Self {
            chance: SplitMix::new(seed, 0),
            weights: weights.to_vec(),
            total: 0.0,
            stop,
            whole: vec![true; weights.len()],
        };
        draws.total = draws.weights.iter().sum();
        draws
    }

    /// The input of the next row; `None` where all have ended.
    pub(super) fn next(&mut self) -> Option<usize> {
        let mut left = self.chance.unit() * self.total;
        for (input, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            left -= weight;
            if left < 0.0 {
                return Some(input);
            }
        }
        // Sums of fractions may be a little less than their total.
        self.weights.iter().rposition(|weight| *weight > 0.0)
    }

    /// What follows when the input that was drawn has no more rows; `empty` where it never had any.
    pub(super) fn ended(&mut self, input: usize, empty: bool) -> Next {
        self.whole[input] = false;
        match self.stop {
            MixStop::Shortest => Next::End,
            MixStop::Repeat if !self.whole.contains(&true) => Next::End,
            MixStop::Repeat if !empty => Next::Again,
            MixStop::Repeat | MixStop::Longest => {
                self.weights[input] = 0.0;
                self.total = self.weights.iter().sum();
                if self.total > 0.0 { Next::Draw } else { Next::End }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mixes inputs of so many rows: the input of each row of the mix.
    fn mixed(seed: u64, rows: &[usize], weights: &[f64], stop: MixStop) -> Vec<usize> {
        let mut draws = Draws::new(seed, weights, stop);
        let mut left = rows.to_vec();
        let mut mixed = Vec::new();
        while let Some(input) = draws.next() {
            if left[input] == 0 {
                match draws.ended(input, rows[input] == 0) {
                    Next::End => break,
                    Next::Draw => continue,
                    Next::Again => left[input] = rows[input],
                }
            }
            left[input] -= 1;
            mixed.push(input);
        }
        mixed
    }

    fn count(mixed: &[usize], input: usize) -> usize {
        mixed.iter().filter(|drawn| **drawn == input).count()
    }

    #[test]
    fn rows_are_drawn_by_weight() {
        let mixed = mixed(1, &[1_000_000, 1_000_000], &[3.0, 1.0], MixStop::Shortest);
        let share = count(&mixed[..100_000], 0) as f64 / 100_000.0;
        assert!((share - 0.75).abs() < 0.01, "{share}");
    }

    #[test]
    fn each_rule_ends_where_it_says() {
        for seed in 0..200 {
            let (rows, weights) = ([50, 200, 0], [1.0, 1.0, 0.1]);
            let longest = mixed(seed, &rows, &weights, MixStop::Longest);
            assert_eq!([0, 1, 2].map(|input| count(&longest, input)), rows, "seed {seed}");
            let repeat = mixed(seed, &rows, &weights, MixStop::Repeat);
            assert!(count(&repeat, 0) > 50 && count(&repeat, 1) == 200, "seed {seed}: {}", repeat.len());
            let shortest = mixed(seed, &rows[..2], &weights[..2], MixStop::Shortest);
            assert!(count(&shortest, 0) == 50 && count(&shortest, 1) < 200, "seed {seed}");
            assert_eq!(mixed(seed, &rows, &weights, MixStop::Longest), longest, "seed {seed}");
        }
        assert_eq!(mixed(0, &[0, 0], &[1.0, 1.0], MixStop::Repeat), Vec::<usize>::new());
        assert_ne!(
            mixed(1, &[100, 100], &[1.0, 1.0], MixStop::Longest),
            mixed(2, &[100, 100], &[1.0, 1.0], MixStop::Longest)
        );
    }
}
