//! The one door to time, randomness and threads, so that a simulation can stand behind it.

use std::future::Future;
use std::ops::Add;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Error, ErrorKind, Result};

/// Stack of an engine thread: deep plans and expressions recurse, and a debug build's frames are large.
const ENGINE_STACK_BYTES: usize = 8 << 20;

/// A point in time: milliseconds since the process started. What decides is given it, and never asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

impl Add<u64> for Moment {
    type Output = Self;

    fn add(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl Moment {
    /// The time that has passed since `start`.
    #[must_use]
    pub fn after(start: Instant) -> Self {
        Self(start.elapsed().as_millis() as u64)
    }

    /// Milliseconds since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Random numbers, the same for the same seed (`SplitMix64`: Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers that `seed` decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }
}

/// A number that no other process, and no other call, has drawn.
#[must_use]
pub fn unique() -> u64 {
    // The standard library seeds its hash tables from the system's random numbers, once for each thread, and counts.
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
}

/// Starts a thread of the runtime's own, which ends by itself.
///
/// # Errors
/// [`ErrorKind::Io`] when the system refuses.
pub fn thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let refused = |error| Error::new(ErrorKind::Io, format!("cannot start the thread {name}: {error}"));
    std::thread::Builder::new().name(name.to_string()).spawn(work).map_err(refused)
}

/// A clock that a test can hold still.
pub trait Clock: Send + Sync + 'static {
    /// A monotonic reading.
    fn now(&self) -> Instant;
    /// Milliseconds since 1970-01-01 UTC.
    fn unix_millis(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_millis(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64)
    }
}

/// The threads that an engine runs on: owned by one session, gone when it is dropped.
#[derive(Debug)]
pub struct Threads {
    // `None` only while dropping: a runtime must not be dropped from inside another one's task.
    runtime: Option<Runtime>,
    count: usize,
}

impl Threads {
    /// How long dropped threads may go on before they are left to end by themselves.
    const SHUTDOWN: Duration = Duration::from_millis(100);

    /// Starts `count` engine threads (at least one).
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses to start a thread.
    pub fn start(count: usize) -> Result<Arc<Self>> {
        let count = count.max(1);
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("sheaf-engine")
            .thread_stack_size(ENGINE_STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start {count} engine threads: {error}")))?;
        Ok(Arc::new(Self { runtime: Some(runtime), count }))
    }

    /// How many threads there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs a future on these threads and waits for it; call it from a thread of the user's, never from a task.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle().block_on(future)
    }

    /// The handle that spawns on these threads.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the runtime is taken in drop only")]
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("threads outlive their handle").handle()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            if Handle::try_current().is_ok() {
                runtime.shutdown_background();
            } else {
                runtime.shutdown_timeout(Self::SHUTDOWN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_run_futures_and_may_be_dropped_inside_another_runtime() {
        let outer = Threads::start(1).unwrap();
        let inner = Threads::start(0).unwrap();
        assert_eq!(inner.count(), 1);
        assert_eq!(inner.block_on(async { 6 * 7 }), 42);
        outer.block_on(async move { drop(inner) });
    }

    #[test]
    fn random_numbers_are_those_of_the_seed() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.draw(), random.draw(), random.below(10)]
        };
        assert_eq!(numbers(0)[..2], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4], "the published sequence");
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn the_clock_goes_on() {
        let clock = SystemClock;
        let (a, b) = (clock.now(), clock.now());
        assert!(b >= a);
        assert!(clock.unix_millis() > 1_700_000_000_000);
    }
}
