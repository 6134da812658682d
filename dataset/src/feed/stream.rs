//! `Feed`: one epoch of a dataset as batches of one size, made ahead of whoever reads them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::ExecutionPlan;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::cut::Cut;
use super::order::LocalShuffle;
use super::rows::RowSet;
use crate::dataset::Dataset;
use crate::operators;
use crate::operators::gather::OrderedGatherExec;
use crate::operators::later_partitions::LaterPartitionsExec;
use crate::operators::stored::PersistThere;
use crate::run::Run;
use crate::session::Session;

/// What an epoch is read with.
#[derive(Debug, Clone, Default)]
pub struct FeedOptions {
    /// How rows are shuffled; `None` leaves them in the order of the plan.
    pub shuffle: Option<LocalShuffle>,
    /// Positions, in the order of the epoch, of rows that are left out.
    pub done: RowSet,
    /// How many partitions the plan is made for, by default one for each thread: the order of rows without a said one,
    /// such as those of a group or a join, depends on it.
    pub partitions: Option<usize>,
    /// Rows of each batch but the last; by default what the engine makes.
    pub batch_size: Option<usize>,
    /// Batches that are made ahead of the reader: at least one.
    pub prefetch: usize,
    /// Whether a last batch with fewer rows is left out.
    pub drop_last: bool,
    /// Whether nobody will go on in this epoch: on a cluster it runs there, where rows come from there as they are made, and
    /// may give them otherwise the next time.
    pub once: bool,
}

/// How long each side has waited for the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedTimes {
    /// The reader, for a batch.
    pub waited: Duration,
    /// The engine, for room where a batch that was made could go.
    pub full: Duration,
}

/// What is produced: a batch, or `None` at the end, so that an end is told from a task that was lost.
type Produced = Result<Option<RecordBatch>>;

/// One epoch that is being read. Dropping it ends its execution.
pub struct Feed {
    batches: mpsc::Receiver<Produced>,
    schema: SchemaRef,
    task: AbortHandle,
    plan: Arc<dyn ExecutionPlan>,
    waited: Duration,
    full: Arc<AtomicU64>,
    session: Session,
}

/// The plan of an epoch. One in which nobody will go on runs on the session's cluster, if it has one and rows come from
/// there as they are made.
async fn planned(dataset: &Dataset, options: &FeedOptions) -> Result<Arc<dyn ExecutionPlan>> {
    let is_elsewhere = dataset.session().state().config().get_extension::<PersistThere>().is_some();
    if options.once && is_elsewhere {
        match dataset.planned_as_they_come(true).await {
            // What cannot leave this process is here.
            Err(error) if [ErrorKind::Unsupported, ErrorKind::UserFunction].contains(&error.kind()) => {}
            planned => return planned,
        }
    }
    dataset.determined_plan(options.partitions).await
}

impl Feed {
    /// Starts an epoch.
    ///
    /// # Errors
    /// Everything that is wrong with the plan and could be known before it runs.
    pub async fn open(dataset: &Dataset, options: FeedOptions) -> Result<Self> {
        let session = dataset.session().clone();
        let plan = planned(dataset, &options).await?;
        let first = options.done.first_missing();
        let skip = options.shuffle.map_or(first, |shuffle| shuffle.window(first).1.start);
        let (plan, skipped) = LaterPartitionsExec::skip(plan, skip).map_err(from_datafusion)?;
        let buffer = MemoryConsumer::new("local shuffle").register(&session.context().runtime_env().memory_pool);
        let (sender, batches) = mpsc::channel(options.prefetch.max(1));
        let full = Arc::<AtomicU64>::default();
        let run = Run::start(&session, OrderedGatherExec::over(Arc::clone(&plan)));
        let schema = run.schema();
        let mut source = Source { run, position: skipped };
        let (dataset, waits) = (dataset.clone(), Arc::clone(&full));
        let produce = async move {
            let mut to = Sink { cut: Cut::new(options.batch_size), sender, full: waits };
            let produced = match options.shuffle {
                None => in_order(&mut source, &options.done, &mut to).await,
                Some(shuffle) => shuffled(&mut source, shuffle, &options.done, &buffer, &mut to).await,
            };
            if produced.is_ok() {
                dataset.keep_stats(&source.run);
            }
            // Whoever hears of the end may look at what a session leaves.
            drop((source, dataset, buffer));
            match produced {
                Ok(()) => to.finish(options.drop_last).await,
                Err(Stop::Failed(error)) => to.send(Err(error)).await.unwrap_or_default(),
                Err(Stop::Unread) => {}
            }
        };
        let task = session.threads().handle().spawn(produce).abort_handle();
        Ok(Self { batches, schema, task, plan, waited: Duration::ZERO, full, session })
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The session that this runs in.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// What went wrong in the plan; nothing follows after an error.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let asked = Instant::now();
        let mut measured = Waited { asked, total: &mut self.waited };
        let produced = self.batches.recv().await;
        measured.stop();
        produced.unwrap_or_else(|| Err(Error::internal("an operator panicked, or the feed was stopped")))
    }

    /// What ends the feed from another thread.
    #[must_use]
    pub fn stopper(&self) -> FeedStopper {
        FeedStopper { task: self.task.clone(), plan: Arc::clone(&self.plan) }
    }

    /// How long each side has waited for the other so far.
    #[must_use]
    pub fn times(&self) -> FeedTimes {
        FeedTimes { waited: self.waited, full: Duration::from_nanos(self.full.load(Ordering::Relaxed)) }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("times", &self.times()).finish_non_exhaustive()
    }
}

/// Ends a feed, whoever reads it.
#[derive(Clone, Debug)]
pub struct FeedStopper {
    task: AbortHandle,
    plan: Arc<dyn ExecutionPlan>,
}

impl FeedStopper {
    /// Ends the feed, and tells user functions that run now that nobody waits for them.
    pub fn stop(&self) {
        self.task.abort();
        operators::abandon(&self.plan);
    }
}

/// Adds the time since it was asked, also where a wait is given up in between.
struct Waited<'a> {
    asked: Instant,
    total: &'a mut Duration,
}

impl Waited<'_> {
    fn stop(&mut self) {
        *self.total += self.asked.elapsed();
        self.asked = Instant::now();
    }
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why producing ends before the rows do.
enum Stop {
    Failed(Error),
    Unread,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ArrowError> for Stop {
    fn from(error: ArrowError) -> Self {
        Self::Failed(Error::internal(format!("cannot cut a batch: {error}")))
    }
}

/// The rows of the plan with their positions.
struct Source {
    run: Run,
    position: u64,
}

impl Source {
    /// The next rows, from this position on at the earliest.
    async fn next(&mut self, from: u64) -> Result<Option<(u64, RecordBatch)>> {
        while let Some(batch) = self.run.next().await? {
            let start = self.position;
            self.position += batch.num_rows() as u64;
            if self.position > from {
                let skip = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
                return Ok(Some((start + skip as u64, batch.slice(skip, batch.num_rows() - skip))));
            }
        }
        Ok(None)
    }
}

/// Where rows go: cut to batches, and to the reader as there is room.
struct Sink {
    cut: Cut,
    sender: mpsc::Sender<Produced>,
    full: Arc<AtomicU64>,
}

impl Sink {
    async fn send(&self, produced: Produced) -> std::result::Result<(), Stop> {
        let since = Instant::now();
        let permit = self.sender.reserve().await.map_err(|_| Stop::Unread)?;
        let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.full.fetch_add(waited, Ordering::Relaxed);
        permit.send(produced);
        Ok(())
    }

    async fn push(&mut self, batch: RecordBatch) -> std::result::Result<(), Stop> {
        self.cut.push(batch);
        while let Some(batch) = self.cut.next()? {
            self.send(Ok(Some(batch))).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, drop_last: bool) {
        let rest = if drop_last { Ok(None) } else { self.cut.rest() };
        let sent = match rest {
            Ok(Some(batch)) => self.send(Ok(Some(batch))).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        let _ = match sent {
            Ok(()) => self.send(Ok(None)).await,
            Err(Stop::Failed(error)) => self.send(Err(error)).await,
            Err(Stop::Unread) => Ok(()),
        };
    }
}

/// Rows as the plan gives them, but for those that are done.
async fn in_order(source: &mut Source, done: &RowSet, to: &mut Sink) -> std::result::Result<(), Stop> {
    while let Some((start, batch)) = source.next(done.first_missing()).await? {
        for range in done.missing(start..start + batch.num_rows() as u64) {
            to.push(batch.slice((range.start - start) as usize, (range.end - range.start) as usize)).await?;
        }
    }
    Ok(())
}

/// Rows shuffled window by window, but for those that are done.
///
/// While one window is given out the next is gathered, row for row, so that the reader never waits for a whole one but
/// the first: at most two windows are held.
async fn shuffled(
    source: &mut Source,
    shuffle: LocalShuffle,
    done: &RowSet,
    buffer: &MemoryReservation,
    to: &mut Sink,
) -> std::result::Result<(), Stop> {
    let mut gathered = Gathered::default();
    let mut position = shuffle.window(done.first_missing()).1.start;
    loop {
        let (number, positions) = shuffle.window(position);
        let wanted = positions.end - positions.start;
        gathered.upto(wanted, source, position, buffer).await?;
        let window = gathered.split(wanted);
        if window.rows == 0 {
            return Ok(());
        }
        let order = window.order(&shuffle.permutation(number, window.rows as usize));
        let parts: Vec<&RecordBatch> = window.batches.iter().collect();
        for range in done.missing(position..position + window.rows) {
            for part in pieces(range, position, to.cut_size()) {
                gathered.upto(part.end as u64, source, position + window.rows, buffer).await?;
                to.push(interleave_record_batch(&parts, &order[part])?).await?;
            }
        }
        position += window.rows;
        buffer.shrink(window.memory.min(buffer.size()));
    }
}

/// A range of positions as ranges of a window that begins at `base`, each of at most `rows` rows.
fn pieces(range: Range<u64>, base: u64, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let (start, end) = ((range.start - base) as usize, (range.end - base) as usize);
    (start..end).step_by(rows).map(move |from| from..end.min(from + rows))
}

impl Sink {
    /// Rows that are put together at once: a batch, where one is asked for.
    fn cut_size(&self) -> usize {
        self.cut.rows().unwrap_or(ROWS_AT_ONCE).min(ROWS_AT_ONCE)
    }
}

/// Rows of a shuffled batch where none of its size are asked for: what the engine's batches have.
const ROWS_AT_ONCE: usize = 8192;

/// Batches that are held to be shuffled.
#[derive(Default)]
struct Gathered {
    batches: VecDeque<RecordBatch>,
    rows: u64,
    memory: usize,
    ended: bool,
}

impl Gathered {
    /// Takes batches of the source until there are so many rows, or it ends.
    async fn upto(&mut self, rows: u64, source: &mut Source, from: u64, buffer: &MemoryReservation) -> Result<()> {
        while self.rows < rows && !self.ended {
            let Some((_, batch)) = source.next(from).await? else {
                self.ended = true;
                break;
            };
            let memory = batch.get_array_memory_size();
            buffer
                .try_grow(memory)
                .map_err(from_datafusion)
                .map_err(|error| error.with_hint("a smaller local_shuffle_buffer_size holds fewer rows in memory"))?;
            self.rows += batch.num_rows() as u64;
            self.memory += memory;
            self.batches.push_back(batch);
        }
        Ok(())
    }

    /// The first rows, as many as there are up to this number, apart from those that follow.
    fn split(&mut self, rows: u64) -> Self {
        let mut first = Self::default();
        while first.rows < rows
            && let Some(batch) = self.batches.pop_front()
        {
            let memory = batch.get_array_memory_size();
            let taken = usize::try_from(rows - first.rows).unwrap_or(usize::MAX).min(batch.num_rows());
            self.rows -= taken as u64;
            first.rows += taken as u64;
            first.batches.push_back(batch.slice(0, taken));
            if taken < batch.num_rows() {
                // Its memory is counted until its last rows go.
                self.batches.push_front(batch.slice(taken, batch.num_rows() - taken));
            } else {
                self.memory -= memory.min(self.memory);
                first.memory += memory;
            }
        }
        first
    }

    /// The rows by batch and row, in this order.
    fn order(&self, permutation: &[usize]) -> Vec<(usize, usize)> {
        let rows: Vec<(usize, usize)> = (self.batches.iter().enumerate())
            .flat_map(|(at, batch)| (0..batch.num_rows()).map(move |row| (at, row)))
            .collect();
        permutation.iter().filter_map(|row| rows.get(*row).copied()).collect()
    }
}
