//! `Turns`: attempts of one shape that wait for a lease. Those of one client, and of one query, have their order; clients
//! and queries take turns, so that what was submitted first does not keep the others waiting to its end.

use std::collections::{BTreeMap, VecDeque};

use super::Task;
use crate::ids::{Attempt, ClientId, ObjectId};

/// Attempts among which one may be chosen that is not the first.
const LOOK_AHEAD: usize = 32;
/// How many may go before the first one for that.
const MOST_PASSED: usize = 64;

/// Who takes turns: clients, and of one client its queries, each by its plan.
pub(super) type Party = (ClientId, Option<ObjectId>);

impl Task {
    /// Among whom it takes turns with others: the tasks of its query, or of its client.
    pub(super) fn party(&self) -> Party {
        (self.order.0, self.spec.needs.first().copied().filter(|_| self.is_fragment()))
    }
}

/// Attempts that wait; some may be cancelled.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeMap<Party, Waiting>,
    /// Those who have any, the next one first.
    line: VecDeque<Party>,
    len: usize,
}

/// What waits of one of them.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Attempt>,
    /// How many went before the first one.
    passed: usize,
}

impl Turns {
    /// An attempt more, behind the others of its party.
    pub(super) fn push(&mut self, party: Party, attempt: Attempt) {
        let waiting = self.waiting.entry(party).or_default();
        if waiting.queue.is_empty() {
            self.line.push_back(party);
        }
        waiting.queue.push_back(attempt);
        self.len += 1;
    }

    /// The first attempt of whose turn it is; what does not wait any more goes.
    pub(super) fn next(&mut self, waits: impl Fn(Attempt) -> bool) -> Option<Attempt> {
        loop {
            let party = *self.line.front()?;
            let first = self.waiting.get(&party).and_then(|waiting| waiting.queue.front().copied());
            match first {
                Some(attempt) if waits(attempt) => return Some(attempt),
                _ => self.drop_first(),
            }
        }
    }

    /// Those of whose turn it is that may go now, the first one first.
    pub(super) fn ahead(&self) -> impl Iterator<Item = Attempt> {
        let waiting = self.line.front().and_then(|party| self.waiting.get(party));
        waiting.into_iter().flat_map(|waiting| {
            let many = if waiting.passed < MOST_PASSED { LOOK_AHEAD } else { 1 };
            waiting.queue.iter().take(many).copied()
        })
    }

    /// Takes that one of [`Self::ahead`] out; then it is another one's turn.
    pub(super) fn take(&mut self, place: usize) -> Option<Attempt> {
        let party = self.line.pop_front()?;
        let waiting = self.waiting.get_mut(&party)?;
        waiting.passed = if place == 0 { 0 } else { waiting.passed + 1 };
        let taken = waiting.queue.remove(place);
        self.len -= usize::from(taken.is_some());
        if waiting.queue.is_empty() {
            self.waiting.remove(&party);
        } else {
            self.line.push_back(party);
        }
        taken
    }

    /// Drops the first one; the turn stays.
    pub(super) fn drop_first(&mut self) {
        let Some(party) = self.line.front() else { return };
        let dropped = self.waiting.get_mut(party).and_then(|waiting| waiting.queue.pop_front());
        self.len -= usize::from(dropped.is_some());
        if self.waiting.get(party).is_none_or(|waiting| waiting.queue.is_empty()) {
            self.waiting.remove(party);
            self.line.pop_front();
        }
    }

    /// Keeps those that wait.
    pub(super) fn retain(&mut self, waits: impl Fn(Attempt) -> bool) {
        self.waiting.values_mut().for_each(|waiting| waiting.queue.retain(|attempt| waits(*attempt)));
        self.waiting.retain(|_, waiting| !waiting.queue.is_empty());
        self.line.retain(|party| self.waiting.contains_key(party));
        self.len = self.waiting.values().map(|waiting| waiting.queue.len()).sum();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, those of whose turn it is first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.line.iter().filter_map(|party| self.waiting.get(party)).flat_map(|waiting| &waiting.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, TaskId};

    fn attempt(number: u64) -> Attempt {
        Attempt { task: TaskId { owner: NodeId(1), number }, number: 1 }
    }

    fn party(client: u64, query: Option<u64>) -> Party {
        (ClientId(client), query.map(|number| attempt(number).task.result(0)))
    }

    fn taken(turns: &mut Turns) -> Vec<u64> {
        std::iter::from_fn(|| turns.take(0)).map(|attempt| attempt.task.number).collect()
    }

    #[test]
    fn clients_and_queries_take_turns_and_keep_their_own_order() {
        let mut turns = Turns::default();
        (0..6).for_each(|number| turns.push(party(1, Some(100)), attempt(number)));
        (10..12).for_each(|number| turns.push(party(1, Some(200)), attempt(number)));
        (20..23).for_each(|number| turns.push(party(2, None), attempt(number)));
        assert_eq!((turns.len(), turns.iter().count()), (11, 11));
        assert_eq!(taken(&mut turns), [0, 10, 20, 1, 11, 21, 2, 22, 3, 4, 5]);
        assert_eq!((turns.len(), turns.line.len(), turns.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn what_does_not_wait_any_more_costs_no_turn() {
        let mut turns = Turns::default();
        (0..3).for_each(|number| turns.push(party(1, None), attempt(number)));
        (10..12).for_each(|number| turns.push(party(2, None), attempt(number)));
        let waits = |attempt: Attempt| !matches!(attempt.task.number, 0 | 1 | 10 | 11);
        assert_eq!(turns.next(waits), Some(attempt(2)));
        assert_eq!(turns.take(0), Some(attempt(2)));
        assert_eq!((turns.next(waits), turns.len()), (None, 0));
    }

    #[test]
    fn what_was_cancelled_is_counted_no_more() {
        let mut turns = Turns::default();
        (0..3).for_each(|number| turns.push(party(1, None), attempt(number)));
        turns.push(party(2, None), attempt(10));
        turns.retain(|attempt| matches!(attempt.task.number, 0 | 2));
        assert_eq!(turns.len(), 2);
        assert_eq!(taken(&mut turns), [0, 2]);
    }

    #[test]
    fn none_is_passed_over_for_ever() {
        let mut turns = Turns::default();
        (0..200).for_each(|number| turns.push(party(1, None), attempt(number)));
        let mut before = 0;
        while turns.ahead().count() > 1 {
            assert!(turns.ahead().count() <= LOOK_AHEAD);
            assert_ne!(turns.take(1), Some(attempt(0)));
            before += 1;
        }
        assert_eq!((before, turns.take(0)), (MOST_PASSED, Some(attempt(0))));
        assert_eq!(turns.ahead().count(), LOOK_AHEAD);
    }
}
