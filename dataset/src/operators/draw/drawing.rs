//! A draw that is going on: the least random numbers of the rows that have passed, and the rows that they are of.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::UInt32Array;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::Mutex;
use sheaf_connectors::error::to_datafusion;
use sheaf_flight::compact::compact_sparse;

use super::Draw;
use crate::operators::partition::place;
use crate::operators::sample::{SplitMix, rows_at};

/// Rows more than are drawn that may be held before those are let go that are out: few enough to hold, and more than
/// come of a batch.
const SPARE_ROWS: usize = 1 << 14;

/// What a random number takes with the place of its row.
const NUMBER_BYTES: usize = size_of::<(u64, u64)>();

/// The draw, to which the partitions bring their rows in any order: what is drawn does not depend on it.
pub(super) struct Drawing {
    draw: Draw,
    /// The greatest number that may still be drawn, for a first look without the lock.
    limit: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// The least numbers, with the places of their rows.
    least: BinaryHeap<(u64, u64)>,
    /// Rows that may be drawn, by the place of the first one of each batch.
    held: BTreeMap<u64, Held>,
    held_rows: usize,
    reservation: MemoryReservation,
}

struct Held {
    places: Vec<u64>,
    rows: RecordBatch,
}

impl Held {
    fn bytes(&self) -> usize {
        self.rows.get_array_memory_size() + self.places.len() * size_of::<u64>()
    }

    /// The rows at these indices alone.
    fn only(&self, indices: Vec<u32>) -> Result<Self> {
        let places = indices.iter().map(|index| self.places[*index as usize]).collect();
        let rows = rows_at(&self.rows, &UInt32Array::from(indices))?;
        Ok(Self { places, rows: compact_sparse(&rows).map_err(to_datafusion)? })
    }
}

impl Drawing {
    pub(super) fn try_new(draw: Draw, reservation: MemoryReservation) -> Result<Self> {
        if draw.replace {
            // The first row alone has as many.
            reservation.try_grow(draw.rows.saturating_mul(NUMBER_BYTES))?;
        }
        let state = State { least: BinaryHeap::new(), held: BTreeMap::new(), held_rows: 0, reservation };
        Ok(Self { draw, limit: AtomicU64::new(u64::MAX), state: Mutex::new(state) })
    }

    /// Draws of a batch, whose first row has this number in its partition.
    pub(super) fn pass(&self, partition: usize, first: u64, batch: &RecordBatch) -> Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        let first = place(partition, first);
        let may_be_drawn = |row: &u32| self.numbers(first + u64::from(*row)).next().is_some_and(|least| least <= limit);
        let rows: Vec<u32> = (0..batch.num_rows() as u32).filter(may_be_drawn).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock();
        let numbers = state.least.len();
        let drawn: Vec<u32> = rows.into_iter().filter(|row| self.draw(&mut state, first + u64::from(*row))).collect();
        if state.least.len() == self.draw.rows
            && let Some((greatest, _)) = state.least.peek()
        {
            self.limit.store(*greatest, Ordering::Relaxed);
        }
        if drawn.is_empty() {
            return Ok(());
        }
        let places: Vec<u64> = (first..first + batch.num_rows() as u64).collect();
        let held = Held { places, rows: batch.clone() }.only(drawn)?;
        state.held_rows += held.places.len();
        let added = if self.draw.replace { 0 } else { state.least.len() - numbers };
        let bytes = held.bytes() + added * NUMBER_BYTES;
        state.held.insert(held.places[0], held);
        let too_many = self.draw.rows.saturating_mul(2).saturating_add(SPARE_ROWS);
        if state.held_rows > too_many || state.reservation.try_grow(bytes).is_err() {
            state.let_go()?;
        }
        Ok(())
    }

    /// Whether the row at this place is among the least now.
    fn draw(&self, state: &mut State, place: u64) -> bool {
        let mut is_drawn = false;
        for number in self.numbers(place) {
            if state.least.len() == self.draw.rows {
                if state.least.peek().is_some_and(|greatest| *greatest < (number, place)) {
                    break;
                }
                state.least.pop();
            }
            state.least.push((number, place));
            is_drawn = true;
        }
        is_drawn
    }

    /// The random numbers of a row, ascending: one, or without end.
    fn numbers(&self, place: u64) -> impl Iterator<Item = u64> {
        let number = SplitMix::at(self.draw.seed, place);
        let mut dice = SplitMix::new(number, 0);
        let mut now = 0.0;
        let once = (!self.draw.replace).then_some(number);
        // Numbers above zero are ordered as their bits are.
        let times = self.draw.replace.then(|| {
            std::iter::from_fn(move || {
                now += dice.wait();
                Some(now.to_bits())
            })
        });
        once.into_iter().chain(times.into_iter().flatten())
    }

    /// What was drawn, in the order of the input, in batches of at most so many rows.
    pub(super) fn into_batches(self, most: usize) -> Vec<Result<RecordBatch>> {
        let state = self.state.into_inner();
        let times = state.times();
        let mut batches = Vec::new();
        for held in state.held.values() {
            let rows = held.places.iter().enumerate();
            let rows = rows.flat_map(|(row, place)| {
                std::iter::repeat_n(row as u32, times.get(place).copied().unwrap_or_default())
            });
            let rows: Vec<u32> = rows.collect();
            batches.extend(rows.chunks(most).map(|rows| rows_at(&held.rows, &UInt32Array::from(rows.to_vec()))));
        }
        batches
    }
}

impl State {
    /// How often the row at each place is drawn.
    fn times(&self) -> HashMap<u64, usize> {
        let mut times = HashMap::with_capacity(self.least.len());
        self.least.iter().for_each(|(_, place)| *times.entry(*place).or_default() += 1);
        times
    }

    /// Lets go of the rows that are out.
    fn let_go(&mut self) -> Result<()> {
        let times = self.times();
        let mut kept = BTreeMap::new();
        for held in std::mem::take(&mut self.held).into_values() {
            let rows = 0..held.places.len();
            let rows: Vec<u32> =
                rows.filter(|row| times.contains_key(&held.places[*row])).map(|row| row as u32).collect();
            if !rows.is_empty() {
                let held = if rows.len() == held.places.len() { held } else { held.only(rows)? };
                kept.insert(held.places[0], held);
            }
        }
        self.held_rows = kept.values().map(|held| held.places.len()).sum();
        let numbers = self.least.len() * NUMBER_BYTES;
        self.reservation.try_resize(numbers + kept.values().map(Held::bytes).sum::<usize>())?;
        self.held = kept;
        Ok(())
    }
}
