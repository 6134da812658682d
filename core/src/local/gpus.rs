//! Which GPUs a call may use: whole ones are its own, parts of one are shared.
//!
//! The ledger counts what is free of all of them together. Where that is spread over several, a call waits here until
//! one has enough, or as many are whole.

use std::sync::Arc;

use bytes::Bytes;

use super::shell::Shell;
use crate::ids::{Attempt, ObjectId};
use crate::resources::GPU;
use crate::schedule::{Event, Failure, Kind, Outcome, TaskSpec};

/// Parts of one GPU, so that what is given back is exact.
const PARTS: u64 = 10_000;

/// What of each GPU is free.
#[derive(Debug)]
pub(super) struct Gpus(Vec<u64>);

/// What one call or actor has.
#[derive(Debug, Default, Clone)]
pub(super) struct Taken {
    pub(super) ids: Vec<u32>,
    each: u64,
}

impl Gpus {
    pub(super) fn new(count: f64) -> Self {
        Self(vec![PARTS; count as usize])
    }

    /// Takes so many; `None` when they are not there.
    fn take(&mut self, amount: f64) -> Option<Taken> {
        let amount = (amount * PARTS as f64).round() as u64;
        let (count, each) = if amount > PARTS { ((amount / PARTS) as usize, PARTS) } else { (1, amount) };
        if amount == 0 {
            return Some(Taken::default());
        }
        // Parts go where least is left, so that whole ones stay whole.
        let mut order: Vec<usize> = (0..self.0.len()).filter(|gpu| self.0[*gpu] >= each).collect();
        order.sort_by_key(|gpu| self.0[*gpu]);
        let ids: Vec<u32> = order.into_iter().take(count).map(|gpu| gpu as u32).collect();
        if ids.len() < count {
            return None;
        }
        for gpu in &ids {
            self.0[*gpu as usize] -= each;
        }
        Some(Taken { ids, each })
    }

    fn give(&mut self, taken: &Taken) {
        for gpu in &taken.ids {
            self.0[*gpu as usize] += taken.each;
        }
    }
}

/// An attempt for which no GPU has enough.
#[derive(Debug)]
pub(super) struct Unstarted {
    attempt: Attempt,
    spec: Arc<TaskSpec>,
    values: Vec<(ObjectId, Option<Bytes>)>,
}

impl Shell {
    /// Hands an attempt to a worker, as soon as it has its GPUs.
    pub(super) fn start(&mut self, attempt: Attempt, spec: &Arc<TaskSpec>, values: Vec<(ObjectId, Option<Bytes>)>) {
        let held = if let Kind::Actor { held, .. } = &spec.kind { held.amount(GPU) } else { 0.0 };
        // A call runs on those of its actor.
        let amount = if spec.call().is_some() { 0.0 } else { spec.shape.demand.amount(GPU).max(held) };
        match self.gpus.take(amount) {
            Some(gpus) => self.start_on(attempt, spec, values, gpus),
            None => self.unstarted.push_back(Unstarted { attempt, spec: Arc::clone(spec), values }),
        }
    }

    /// GPUs are free again: those that waited for them begin, the first ones first.
    pub(super) fn give_gpus(&mut self, taken: &Taken) {
        self.gpus.give(taken);
        if !taken.ids.is_empty() {
            for Unstarted { attempt, spec, values } in std::mem::take(&mut self.unstarted) {
                self.start(attempt, &spec, values);
            }
        }
    }

    /// An attempt is not to begin after all; says whether it had not.
    pub(super) fn is_withdrawn(&mut self, attempt: Attempt) -> bool {
        let Some(place) = self.unstarted.iter().position(|waiting| waiting.attempt == attempt) else { return false };
        self.unstarted.remove(place);
        self.post(Event::Ended(attempt, Outcome::Failed(Failure::Cancelled)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_a_gpu_and_whole_ones_are_alone() {
        let mut gpus = Gpus::new(3.0);
        let (half, other) = (gpus.take(0.5).unwrap(), gpus.take(0.5).unwrap());
        assert_eq!((&half.ids, &other.ids), (&vec![0], &vec![0]));
        let two = gpus.take(2.0).unwrap();
        assert_eq!(two.ids, [1, 2]);
        gpus.give(&half);
        assert_eq!(gpus.take(0.25).unwrap().ids, [0]);
        gpus.give(&two);
        assert_eq!(gpus.take(1.0).unwrap().ids, [1]);
        assert!(gpus.take(0.0).unwrap().ids.is_empty());
    }

    #[test]
    fn what_is_free_in_pieces_is_not_one_gpu() {
        let mut gpus = Gpus::new(2.0);
        let (one, other) = (gpus.take(0.6).unwrap(), gpus.take(0.6).unwrap());
        assert_ne!(one.ids, other.ids);
        assert!(gpus.take(0.5).is_none() && gpus.take(1.0).is_none());
        gpus.give(&one);
        assert_eq!(gpus.take(1.0).unwrap().ids, one.ids);
        assert!(gpus.take(2.0).is_none());
    }
}
