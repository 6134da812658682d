//! `SharePool`: the memory of a session, shared out among operators.
//!
//! Operators that can spill get half of what is free as they come, and out of the other half each an even share
//! that nobody can take from it: a sort that starts late still finds what it needs to spill and merge. DataFusion's
//! own pools fail there: one lets early comers take all, the other counts a sort's merge among those who get what is
//! left, and gives a lone operator no more than its share of a crowd that may never come.
//!
//! The sorts together hold a quarter at the most: before one can spill what it gathered, it merges that, and with two
//! keys or more a merge writes them down row by row, which for narrow rows takes twice what the rows take.
//!
//! A hash join's build side counts twice, for the join copies it into one batch at the end, and may take half of
//! the memory: what it is refused it hands to a sort-merge join (`operators/hash_join`), which needs the other half.
//!
//! Persisted rows may take half as well, for nobody needs that half before its time: they are on loan, and the pool
//! takes them back, to disk, before it refuses anybody. Those who would spill must leave them a quarter; those who
//! would fail must not.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use parking_lot::Mutex;
use sheaf_core::memory::{Need, tell};

/// Holders of memory that an error of the limit names.
const NAMED_HOLDERS: usize = 3;

/// The names of consumers whose memory is on loan begin with this.
pub(crate) const ON_LOAN: &str = "Persisted";

/// One who holds memory on loan: what it is asked for it puts elsewhere.
pub(crate) trait Borrower: fmt::Debug + Send + Sync {
    /// Gives back `bytes` or more where it has them, and says how many: its reservation has shrunk by them.
    fn give_back(&self, bytes: usize) -> usize;
}

/// A pool of memory with a limit.
#[derive(Debug)]
pub(crate) struct SharePool {
    capacity: usize,
    state: Mutex<State>,
    borrowers: Mutex<Vec<Weak<dyn Borrower>>>,
}

#[derive(Debug, Default)]
struct State {
    /// What each consumer holds, by its number: its reservations are many, its share is one.
    holders: HashMap<usize, Holder>,
    /// The shares that are registered.
    shares: usize,
    /// Held by consumers with a share.
    shared: usize,
    /// Of that, held by sorts.
    sorted: usize,
    /// Held on loan.
    lent: usize,
    /// Held by all others.
    fixed: usize,
}

/// A consumer that is registered.
#[derive(Debug)]
struct Holder {
    name: String,
    bytes: usize,
}

/// How a consumer takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Can do with a share, by spilling, or by asking for little.
    Share,
    /// An aggregate: the same. It merges what it has spilled with as much of its share as it is given, and fills another
    /// table from that, which is small and gets what is free: without it the merge would be for nothing.
    Aggregate,
    /// A sort: as a share, within the quarter that sorts have together.
    Sort,
    /// A merge of sorted streams: has a share, and what is free beside the shares, since it fails where it is refused.
    Merge,
    /// A merge of sorted runs: the same with two shares, for the keys in row format come on top of the rows. It reads
    /// as many runs at once as it is let: the session bounds that, and an eighth of the memory is not for it, so that
    /// the merge which reads this one's output has something.
    RunMerge,
    /// A hash join's build side.
    Build,
    /// Holds what it has until somebody needs it.
    Loan,
    /// Needs what it needs.
    Fixed,
}

impl Part {
    fn of(consumer: &MemoryConsumer) -> Self {
        let name = consumer.name();
        if name.starts_with("HashJoinInput") {
            Self::Build
        } else if name.starts_with(ON_LOAN) {
            Self::Loan
        } else if name.starts_with("ExternalSorterMerge") {
            Self::RunMerge
        } else if name.starts_with("ExternalSorter") {
            Self::Sort
        } else if name.starts_with("SortPreservingMerge") {
            Self::Merge
        } else if consumer.can_spill() && name.contains("AggregateStream") {
            Self::Aggregate
        } else if consumer.can_spill() || name.starts_with("SMJStream") {
            Self::Share
        } else {
            Self::Fixed
        }
    }

    /// The shares that it has.
    fn shares(self) -> usize {
        match self {
            Self::Share | Self::Aggregate | Self::Sort | Self::Merge => 1,
            Self::RunMerge => 2,
            Self::Build | Self::Loan | Self::Fixed => 0,
        }
    }

    /// Whether it can go on when it is refused.
    fn spills(self) -> bool {
        matches!(self, Self::Share | Self::Aggregate | Self::Sort | Self::Build | Self::Loan)
    }

    /// What a reservation of `bytes` takes from the pool.
    fn cost(self, bytes: usize) -> usize {
        if self == Self::Build { bytes.saturating_mul(2) } else { bytes }
    }
}

impl SharePool {
    /// A pool of `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::new(State::default()), borrowers: Mutex::default() }
    }

    /// Asks this one from now on, for as long as it lives, to give back what it has on loan.
    pub(crate) fn lend_to(&self, borrower: &Arc<impl Borrower + 'static>) {
        let borrower: Weak<dyn Borrower> = Arc::downgrade(borrower) as _;
        let mut borrowers = self.borrowers.lock();
        borrowers.retain(|other| other.strong_count() > 0);
        borrowers.push(borrower);
    }

    /// What those who spill when they are refused must leave on loan.
    fn left_on_loan(&self, part: Part) -> usize {
        if part.spills() { self.capacity / 4 } else { 0 }
    }

    /// Takes back what is on loan, about `bytes`; whether anything came back. The oldest loans go first.
    fn take_back(&self, bytes: usize) -> bool {
        // Who gives back comes to the pool for it, so that no lock is held meanwhile.
        let borrowers: Vec<Arc<dyn Borrower>> = self.borrowers.lock().iter().filter_map(Weak::upgrade).collect();
        let mut back = 0;
        for borrower in borrowers {
            if back < bytes {
                back += borrower.give_back(bytes - back);
            }
        }
        back > 0
    }

    /// Whether a part that holds `held`, and `beside` of it for something else than what it asks for, may have `cost` more
    /// when `lent` bytes are on loan.
    fn grants(&self, state: &State, lent: usize, part: Part, (held, beside): (usize, usize), cost: usize) -> bool {
        let fits_with = |rest: usize| state.fixed + state.shared + lent + cost + rest <= self.capacity;
        let fits = fits_with(0);
        let for_shares = self.capacity.saturating_sub(state.fixed + lent);
        let half = for_shares / 2;
        let own = || held + cost <= half / state.shares.max(1) * part.shares();
        let has_share = || state.shared + cost <= half || own();
        // Who holds nothing has nothing to spill, and fails where it is refused.
        let begins = held == 0 && fits && cost <= self.capacity / 6;
        match part {
            Part::Sort | Part::RunMerge | Part::Aggregate if begins => true,
            Part::Share => has_share(),
            Part::Aggregate => has_share() || (fits && held - beside + cost < beside),
            Part::Sort => own() || (state.shared + cost <= half && state.sorted + cost <= half / 2),
            Part::Merge => fits || has_share(),
            Part::RunMerge => fits_with(self.capacity / 8) || has_share(),
            Part::Build => fits && state.fixed + cost <= self.capacity / 2,
            Part::Loan => fits && lent + cost <= self.capacity / 2,
            Part::Fixed => {
                // Those with shares keep a quarter at the least.
                fits && (state.shares == 0 || state.fixed + cost <= self.capacity / 4 * 3)
            }
        }
    }

    fn refused(&self, state: &State, consumer: &MemoryConsumer, held: usize, cost: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "the operators of this session may hold {}: {} holds {} and cannot have {} more (most is held by {})",
            human_readable_size(self.capacity),
            consumer.name(),
            human_readable_size(held),
            human_readable_size(cost),
            state.largest(),
        ))
    }
}

impl State {
    fn add(&mut self, consumer: &MemoryConsumer, part: Part, cost: usize) {
        if let Some(holder) = self.holders.get_mut(&consumer.id()) {
            holder.bytes += cost;
        }
        *self.total(part) += cost;
        self.sorted += if part == Part::Sort { cost } else { 0 };
    }

    fn take(&mut self, consumer: &MemoryConsumer, part: Part, cost: usize) {
        if let Some(holder) = self.holders.get_mut(&consumer.id()) {
            holder.bytes = holder.bytes.saturating_sub(cost);
        }
        let total = self.total(part);
        *total = total.saturating_sub(cost);
        if part == Part::Sort {
            self.sorted = self.sorted.saturating_sub(cost);
        }
    }

    fn total(&mut self, part: Part) -> &mut usize {
        match part {
            Part::Loan => &mut self.lent,
            Part::Build | Part::Fixed => &mut self.fixed,
            Part::Share | Part::Aggregate | Part::Sort | Part::Merge | Part::RunMerge => &mut self.shared,
        }
    }

    fn held_by(&self, consumer: &MemoryConsumer) -> usize {
        self.holders.get(&consumer.id()).map_or(0, |holder| holder.bytes)
    }

    /// Those who hold most, for an error.
    fn largest(&self) -> String {
        let mut holders: Vec<&Holder> = self.holders.values().filter(|holder| holder.bytes > 0).collect();
        holders.sort_by_key(|holder| Reverse(holder.bytes));
        let named = holders.iter().take(NAMED_HOLDERS);
        named
            .map(|holder| format!("{} {}", holder.name, human_readable_size(holder.bytes)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl MemoryPool for SharePool {
    fn name(&self) -> &str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut state = self.state.lock();
        state.shares += Part::of(consumer).shares();
        state.holders.insert(consumer.id(), Holder { name: consumer.name().into(), bytes: 0 });
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state.lock();
        state.holders.remove(&consumer.id());
        state.shares = state.shares.saturating_sub(Part::of(consumer).shares());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let part = Part::of(reservation.consumer());
        self.state.lock().add(reservation.consumer(), part, part.cost(additional));
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let part = Part::of(reservation.consumer());
        let mut state = self.state.lock();
        state.take(reservation.consumer(), part, part.cost(shrink));
        if state.fixed + state.shared == 0 {
            tell(Need::Enough);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        let part = Part::of(consumer);
        let cost = part.cost(additional);
        loop {
            let (lent, refused) = {
                let mut state = self.state.lock();
                let (held, lent) = (state.held_by(consumer), state.lent);
                let held = (held, held.saturating_sub(part.cost(reservation.size())));
                if self.grants(&state, lent, part, held, cost) {
                    state.add(consumer, part, cost);
                    return Ok(());
                }
                let refused = || self.refused(&state, consumer, held.0, cost);
                let least = self.left_on_loan(part);
                if part == Part::Loan || lent <= least || !self.grants(&state, least, part, held, cost) {
                    tell(Need::Short);
                    return Err(refused());
                }
                (lent - least, refused())
            };
            // Of what comes back, a share grows by the half.
            if !self.take_back(cost.saturating_mul(2).min(lent)) {
                tell(Need::Short);
                return Err(refused);
            }
        }
    }

    fn reserved(&self) -> usize {
        let state = self.state.lock();
        state.fixed + state.shared + state.lent
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.capacity)
    }
}

impl fmt::Display for SharePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(capacity: {})", self.name(), human_readable_size(self.capacity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(capacity: usize) -> Arc<dyn MemoryPool> {
        Arc::new(SharePool::new(capacity))
    }

    fn spilling(name: &str, pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(true).register(pool)
    }

    #[test]
    fn sorts_leave_room_for_the_keys_of_their_merges() {
        let pool = pool(1600);
        let sorts = [0, 1].map(|n| spilling(&format!("ExternalSorter[{n}]"), &pool));
        let merges = [0, 1].map(|n| MemoryConsumer::new(format!("ExternalSorterMerge[{n}]")).register(&pool));
        sorts[0].try_grow(300).unwrap();
        sorts[1].try_grow(100).unwrap();
        assert!(sorts[0].try_grow(1).is_err(), "a quarter for all sorts together");
        sorts[1].try_grow(33).unwrap();
        assert!(sorts[1].try_grow(1).is_err(), "and for each its share of the half");
        merges[0].try_grow(600).unwrap();
        sorts[0].shrink(300);
        sorts[0].try_grow(100).unwrap();
        merges[1].try_grow(100).unwrap();
    }

    #[test]
    fn a_late_comer_has_its_share() {
        let pool = pool(1200);
        let early = spilling("early", &pool);
        early.try_grow(600).unwrap();
        assert!(early.try_grow(1).is_err(), "the other half is shared out");
        let late = spilling("late", &pool);
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        late.try_grow(150).unwrap();
        merge.try_grow(300).unwrap();
        assert!(late.try_grow(1).is_err());
        assert!(merge.try_grow(1).is_err(), "an eighth is not for those who merge runs");
        let last = MemoryConsumer::new("SortPreservingMergeExec[0]").register(&pool);
        last.try_grow(150).unwrap();
        assert!(last.try_grow(1).is_err(), "a merge has what is free, and no more");
        assert_eq!(pool.reserved(), 1200);
    }

    #[test]
    fn who_holds_nothing_and_would_fail_has_what_is_free() {
        let pool = pool(1600);
        let sorts: Vec<_> = (0..12).map(|n| spilling(&format!("ExternalSorter[{n}]"), &pool)).collect();
        sorts[0].try_grow(400).unwrap();
        assert!(sorts[1].try_grow(300).is_err(), "that is much");
        sorts[1].try_grow(150).unwrap();
        assert!(sorts[1].try_grow(1).is_err(), "it can spill now");
        let fixed = MemoryConsumer::new("fixed").register(&pool);
        fixed.grow(950);
        sorts[2].try_grow(100).unwrap();
        assert!(sorts[3].try_grow(60).is_err(), "there is no more");
    }

    #[test]
    fn an_aggregate_that_merges_what_it_spilled_has_room_for_the_table_it_fills_from_that() {
        let pool = pool(1000);
        let (table, other) = (spilling("FinalHashAggregateStream[0]", &pool), spilling("other", &pool));
        other.try_grow(300).unwrap();
        let merge = table.new_empty();
        while merge.try_grow(50).is_ok() {}
        assert_eq!(merge.size(), 250);
        table.try_grow(50).unwrap();
        table.try_grow(100).unwrap();
        assert!(table.try_grow(100).is_err(), "it is as large as the merge");
        assert!(merge.try_grow(50).is_err(), "it has its share");
        let fixed = MemoryConsumer::new("fixed").register(&pool);
        fixed.grow(300);
        assert!(table.try_grow(1).is_err(), "there is no more");
    }

    /// Holds a loan, and gives back what it is asked for.
    #[derive(Debug)]
    struct Ready(MemoryReservation);

    impl Borrower for Ready {
        fn give_back(&self, bytes: usize) -> usize {
            let back = bytes.min(self.0.size());
            self.0.shrink(back);
            back
        }
    }

    #[test]
    fn loans_are_taken_back_before_anybody_is_refused() {
        let shared = Arc::new(SharePool::new(1000));
        let pool: Arc<dyn MemoryPool> = Arc::clone(&shared) as _;
        let loan = Arc::new(Ready(MemoryConsumer::new(ON_LOAN).register(&pool)));
        shared.lend_to(&loan);
        loan.0.try_grow(500).unwrap();
        assert!(loan.0.try_grow(1).is_err(), "half is for those who run");
        let sort = spilling("sort", &pool);
        sort.try_grow(375).unwrap();
        assert_eq!(loan.0.size(), 250, "one who can spill leaves a quarter");
        assert!(sort.try_grow(1).is_err());
        assert_eq!((loan.0.size(), pool.reserved()), (250, 625), "nothing is taken in vain");
        let cross = MemoryConsumer::new("CrossJoinExec").register(&pool);
        cross.try_grow(600).unwrap();
        assert_eq!((loan.0.size(), pool.reserved()), (0, 975), "one who would fail need leave none");
        assert!(cross.try_grow(200).is_err());
        drop(loan);
        assert!(cross.try_grow(1000).is_err(), "one who is gone is not asked");
    }

    #[test]
    fn the_reservations_of_a_consumer_have_one_share_together() {
        let pool = pool(800);
        let crowd = spilling("crowd", &pool);
        crowd.try_grow(400).unwrap();
        let merge = spilling("merge", &pool);
        let cursors: Vec<_> = (0..3).map(|_| merge.new_empty()).collect();
        assert!(cursors[0].try_grow(100).is_ok() && cursors[1].try_grow(100).is_ok());
        assert!(cursors[2].try_grow(100).is_err());
    }

    #[test]
    fn a_build_side_counts_twice_and_leaves_half() {
        let pool = pool(1000);
        let build = MemoryConsumer::new("HashJoinInput[0]").register(&pool);
        build.try_grow(250).unwrap();
        assert_eq!(pool.reserved(), 500);
        assert!(build.try_grow(1).is_err());
        build.free();
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn those_who_cannot_spill_leave_a_quarter_to_those_who_can() {
        let pool = pool(1000);
        let cross = MemoryConsumer::new("CrossJoinExec").register(&pool);
        cross.try_grow(1000).unwrap();
        cross.free();
        let sort = spilling("sort", &pool);
        assert!(cross.try_grow(751).is_err());
        cross.try_grow(750).unwrap();
        sort.try_grow(125).unwrap();
        drop((cross, sort));
        assert_eq!(pool.reserved(), 0);
    }
}
