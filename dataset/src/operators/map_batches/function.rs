//! The seam to user functions: what the operator calls, and what it is told.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use sheaf_core::{Error, ErrorKind, Result};

use super::counts::Counts;
use crate::encoding::no_bytes;

/// What functions over batches are called where they are written down.
pub(crate) const BATCHES: &str = "batches";

/// A function of the user's over record batches.
///
/// It is called from several threads at once, one for each partition.
pub trait BatchFunction: Send + Sync + 'static {
    /// The name that plans, errors and progress print.
    fn name(&self) -> &str;

    /// One call, for the rows `at.row..` of its partition. Unless calls run [elsewhere](Self::elsewhere) it may block.
    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs;

    /// Where calls run that are no work for the engine's threads (in other processes, on an event loop): how many of
    /// them a partition has under way at once. Their results keep the order of the calls.
    fn elsewhere(&self) -> Option<usize> {
        None
    }

    /// The worker processes that a run has at the most, where calls run in such.
    fn processes(&self) -> Option<usize> {
        None
    }

    /// Whether those hold CPUs for as long as they run.
    fn holds_cpus(&self) -> bool {
        false
    }

    /// What is called in one run of a plan instead of this, where a run has something of its own, such as processes.
    /// It goes when the run is over, however that ends.
    ///
    /// # Errors
    /// Where that cannot be had.
    fn begin(&self, _run: RunStart) -> Result<Option<Arc<dyn BatchFunction>>> {
        Ok(None)
    }

    /// What an error of a call is, for who decides whether to try again, and for who reads of it later.
    fn failure(&self, error: &Error) -> Failure {
        let kind = if error.kind() == ErrorKind::UserFunction {
            FailureKind::Raised { retry: false }
        } else {
            FailureKind::Fatal
        };
        Failure { kind, error: error.to_string(), traceback: None }
    }

    /// What is the same for the same function in another process, and differs for another one; `None` when that is not
    /// known, and the function is then the same as itself alone.
    fn fingerprint(&self) -> Option<Vec<u8>> {
        None
    }

    /// The function as bytes for another process, of which a `FunctionDecoder` makes it again.
    ///
    /// # Errors
    /// For a function that cannot leave its process, as those of Rust unless they say otherwise.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        Err(no_bytes(self.name()))
    }

    /// Nobody waits any more for the call that runs at this position: the run failed elsewhere, had rows enough, or
    /// was given up. The call goes on by itself; a function that can be interrupted may do so.
    fn abandoned(&self, _at: BatchPosition) {}
}

/// A function as plans hold it: the same as another where it is the same object.
#[derive(Clone)]
pub(crate) struct SharedFunction(pub(crate) Arc<dyn BatchFunction>);

impl PartialEq for SharedFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedFunction {}

impl Hash for SharedFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}

impl fmt::Debug for SharedFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedFunction").field(&self.0.name()).finish()
    }
}

/// A run that begins.
#[derive(Debug, Clone)]
pub struct RunStart {
    /// Partitions that the function is called for.
    pub partitions: usize,
    /// Whether this is one call, to see what the function returns.
    pub is_look: bool,
    /// The part of the rows that the run has.
    pub task: TaskOf,
    /// Where the run counts what happens to its calls.
    pub counts: Arc<Counts>,
}

/// Which of the tasks of a stage it is: each of them has a part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskOf {
    /// From 0.
    pub number: usize,
    /// How many there are.
    pub tasks: usize,
}

impl Default for TaskOf {
    /// The only one.
    fn default() -> Self {
        Self { number: 0, tasks: 1 }
    }
}

impl TaskOf {
    /// What this task has of so many: as much as every other one, or one more.
    #[must_use]
    pub fn share_of(self, count: usize) -> usize {
        let Self { number, tasks } = self;
        count / tasks.max(1) + usize::from(number < count % tasks.max(1))
    }
}

/// The results of one call, in order.
pub enum Outputs {
    /// Made as they are asked for; asking may block.
    Here(Box<dyn Iterator<Item = Result<RecordBatch>> + Send>),
    /// Made elsewhere, whether anybody asks or not.
    Elsewhere(BoxStream<'static, Result<RecordBatch>>),
}

impl Outputs {
    /// The one result that there is.
    #[must_use]
    pub fn one(result: Result<RecordBatch>) -> Self {
        Self::Here(Box::new(iter::once(result)))
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Elsewhere(_) => "Elsewhere",
        })
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it was, which decides what is done about it.
    pub kind: FailureKind,
    /// It in words.
    pub error: String,
    /// Where in the user's code it was, where that is known.
    pub traceback: Option<String>,
}

/// The ways in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The function raised; `retry` where the user says that this may be worth another try.
    Raised {
        /// Whether it may be.
        retry: bool,
    },
    /// The process in which it ran ended.
    Crashed,
    /// It took longer than it may.
    TimedOut,
    /// Its process took more memory than it may.
    OutOfMemory,
    /// Nothing that other rows or another try could change.
    Fatal,
}

/// Where a batch stands in its dataset, for errors and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPosition {
    /// The partition, from 0.
    pub partition: usize,
    /// The batch in the partition, from 0.
    pub batch: usize,
    /// The batch's first row in the partition, from 0.
    pub row: usize,
}

impl fmt::Display for BatchPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, batch {}, row {}", self.partition, self.batch, self.row)
    }
}
