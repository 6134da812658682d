//! One run of the operator: what its partitions share, from the first one's begin to the last one's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sheaf_core::Result;

use super::dead_letters::DeadLetters;
use super::function::BatchFunction;

/// What the partitions of one run share. It stays until all of them have ended or are dropped.
pub(super) struct Running {
    pub(super) function: Arc<dyn BatchFunction>,
    dead_letters: Option<Arc<DeadLetters>>,
    /// Partitions that have not ended, and those that have not ended well.
    left: AtomicUsize,
    incomplete: AtomicUsize,
}

/// Where an operator keeps its run.
pub(super) type Slot = Arc<Mutex<Option<Arc<Running>>>>;

impl Running {
    pub(super) fn new(
        function: Arc<dyn BatchFunction>,
        dead_letters: Option<Arc<DeadLetters>>,
        partitions: usize,
    ) -> Self {
        Self { function, dead_letters, left: AtomicUsize::new(partitions), incomplete: AtomicUsize::new(partitions) }
    }
}

/// The part that one partition has in the run.
pub(crate) struct Partition {
    run: Arc<Running>,
    slot: Slot,
}

impl Partition {
    pub(super) fn of(run: &Arc<Running>, slot: &Slot) -> Self {
        Self { run: Arc::clone(run), slot: Arc::clone(slot) }
    }

    /// All rows of the partition are mapped. With the last partition the rows that were lost are written.
    pub(super) async fn complete(&self) -> Result<()> {
        let is_last = self.run.incomplete.fetch_sub(1, Ordering::AcqRel) == 1;
        match &self.run.dead_letters {
            Some(letters) if is_last => letters.finish().await,
            _ => Ok(()),
        }
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if self.run.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.slot.lock().take();
        }
    }
}
