//! A memory pool for tests: it refuses memory at random to some of those who ask.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::random::Random;

/// Refuses memory to consumers whose names begin so.
#[derive(Debug)]
pub(crate) struct Refusing {
    to: &'static str,
    /// Of 100 requests.
    refused: u64,
    dice: AtomicU64,
    reserved: AtomicUsize,
}

impl Refusing {
    pub(crate) fn new(to: &'static str, refused: u64, seed: u64) -> Self {
        Self { to, refused, dice: AtomicU64::new(seed), reserved: AtomicUsize::new(0) }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refusing")
    }
}

impl MemoryPool for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn register(&self, _: &MemoryConsumer) {}

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        self.reserved.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        self.reserved.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let seed = self.dice.fetch_add(1, Ordering::Relaxed);
        if reservation.consumer().name().starts_with(self.to) && Random(seed).below(100) < self.refused {
            return Err(DataFusionError::ResourcesExhausted("refused".into()));
        }
        self.grow(reservation, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Infinite
    }
}
