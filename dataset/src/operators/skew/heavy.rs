//! `Agreement`: which keys are heavy, found in the first rows of the probe side, for both sides of a join.
//!
//! The rows that are looked at are kept for the probe side, and count as memory. All its partitions are read at once,
//! each by a task of its own, and none is waited for when the others have shown enough: one that has no rows would else
//! have all rows of the others wait in the exchanges below. Nothing here waits for the build side, so that the build
//! side may wait for it.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::hash_utils::create_hashes;
use datafusion::common::internal_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::repartition::REPARTITION_RANDOM_STATE;
use futures::future::{BoxFuture, Either, Shared, select, try_join_all};
use futures::{FutureExt, Stream, StreamExt, TryFutureExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A key is heavy that has half a partition's even share of the rows, or more: by hash, it would give its partition
/// half as much again as the others have.
const HALF: usize = 2;
/// So many rows seen of a key say nothing yet.
const FEW_ROWS: usize = 16;
/// So many rows of each partition will do: of a key with the least part that is heavy they have 128 for each partition.
const SHOWN_ROWS: usize = 256;
/// Bytes of rows after which no more are looked at, whatever they show.
const SEEN_BYTES: usize = 32 << 20;

/// What the two sides of a join agree on.
pub(super) struct Agreement {
    /// Of the probe side.
    keys: Vec<PhysicalExprRef>,
    /// Those that the join has.
    partitions: usize,
    /// Whether a null is a key like any other.
    pub(super) nulls_match: bool,
    /// The partitions of the probe side's input that nobody has looked at.
    unseen: Mutex<Vec<Option<Begun>>>,
    /// Made when first asked for, once for all.
    decision: Mutex<Option<Shared<Deciding>>>,
}

type Deciding = BoxFuture<'static, std::result::Result<Arc<Decision>, Arc<DataFusionError>>>;

/// The heavy keys, and the partitions of the probe side's input in which they were looked for.
pub(super) struct Decision {
    /// Hashes, in their order.
    heavy: Vec<u64>,
    begun: Vec<Mutex<Option<Begun>>>,
}

/// A partition of the probe side's input, of which rows may have been looked at.
pub(super) struct Begun {
    seen: Vec<Result<RecordBatch>>,
    hashes: Vec<u64>,
    /// `None` after its end.
    rest: Option<SendableRecordBatchStream>,
    reservation: MemoryReservation,
}

impl Agreement {
    /// For a join of so many `partitions`, whose probe side's input has `inputs` of them.
    pub(super) fn new(keys: Vec<PhysicalExprRef>, inputs: usize, partitions: usize, nulls_match: bool) -> Self {
        let unseen = Mutex::new((0..inputs).map(|_| None).collect());
        Self { keys, partitions, nulls_match, unseen, decision: Mutex::new(None) }
    }

    /// Hands over a partition of the probe side's input.
    pub(super) fn bring(&self, partition: usize, rest: SendableRecordBatchStream, context: &TaskContext) -> Result<()> {
        let reservation = MemoryConsumer::new("SkewedExchangeExec").register(context.memory_pool());
        match self.unseen.lock().get_mut(partition) {
            Some(unseen) => {
                *unseen = Some(Begun { seen: Vec::new(), hashes: Vec::new(), rest: Some(rest), reservation });
                Ok(())
            }
            None => internal_err!("the probe side of a join has no partition {partition}"),
        }
    }

    /// What is agreed on; whoever asks first has it decided.
    pub(super) async fn decided(&self, batch_size: usize) -> Result<Arc<Decision>> {
        let decision = self.decision.lock().get_or_insert_with(|| self.decide(batch_size)).clone();
        decision.await.map_err(DataFusionError::Shared)
    }

    /// What was agreed on before.
    pub(super) fn decision(&self) -> Result<Arc<Decision>> {
        match self.decision.lock().as_ref().and_then(Shared::peek) {
            Some(decision) => decision.clone().map_err(DataFusionError::Shared),
            None => internal_err!("rows came before it was known which keys are heavy"),
        }
    }

    fn decide(&self, batch_size: usize) -> Shared<Deciding> {
        let (stop, _) = watch::channel(());
        let partitions: Vec<_> = self.unseen.lock().iter_mut().map(Option::take).collect();
        let enough = Arc::new(Enough {
            rows: batch_size.saturating_mul(partitions.len()),
            seen_rows: AtomicUsize::new(0),
            seen_bytes: AtomicUsize::new(0),
            unshown: AtomicUsize::new(partitions.iter().flatten().count()),
            stop,
        });
        let looking = partitions.into_iter().map(|begun| {
            let (keys, enough) = (self.keys.clone(), Arc::clone(&enough));
            // Before the task is there, for what is told before that is not heard.
            let stopped = enough.stop.subscribe();
            SpawnedTask::spawn(async move {
                match begun {
                    Some(begun) => Some(begun.look(&keys, &enough, stopped).await),
                    None => None,
                }
            })
        });
        let looking: Vec<_> = looking.collect();
        let partitions = self.partitions;
        let decision = try_join_all(looking).map_ok(move |begun| Arc::new(Decision::of(begun, partitions)));
        decision.map_err(|stopped| Arc::new(DataFusionError::ExecutionJoin(Box::new(stopped)))).boxed().shared()
    }

    /// A partition of the probe side's input, from its first row.
    pub(super) fn begun(&self, partition: usize, decision: &Decision) -> Result<Begun> {
        let seen = decision.begun.get(partition).and_then(|begun| begun.lock().take());
        // One that came too late to be looked at.
        let begun = seen.or_else(|| self.unseen.lock().get_mut(partition).and_then(Option::take));
        match begun {
            Some(begun) => Ok(begun),
            None => internal_err!("partition {partition} of the probe side of a join was taken twice"),
        }
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// How much was seen of all partitions together, and how much will do.
struct Enough {
    rows: usize,
    seen_rows: AtomicUsize,
    seen_bytes: AtomicUsize,
    /// Partitions that have not shown their part.
    unshown: AtomicUsize,
    stop: watch::Sender<()>,
}

impl Enough {
    fn saw(&self, batch: &RecordBatch, bytes: usize) {
        let rows = self.seen_rows.fetch_add(batch.num_rows(), Ordering::Relaxed) + batch.num_rows();
        let bytes = self.seen_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if rows >= self.rows || bytes >= SEEN_BYTES {
            self.stop.send_replace(());
        }
    }

    /// Of one partition more.
    fn has_shown(&self) {
        if self.unshown.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.send_replace(());
        }
    }
}

impl Begun {
    /// Reads until enough was seen of all partitions: beyond its own part too, for the others may have none.
    async fn look(mut self, keys: &[PhysicalExprRef], enough: &Enough, mut stopped: watch::Receiver<()>) -> Self {
        let mut has_shown = false;
        while let Some(rest) = &mut self.rest {
            // What is read is never let go: a stream that is not ready has given nothing.
            let next = match select(pin!(stopped.changed()), rest.next()).await {
                Either::Left(_) => break,
                Either::Right((next, _)) => next,
            };
            let looked_at = match &next {
                Some(Ok(batch)) => columns(keys, batch).and_then(|keys| hashes(&keys, batch.num_rows())),
                _ => Ok(Vec::new()),
            };
            match (next, looked_at) {
                (Some(Ok(batch)), Ok(hashes)) => {
                    let bytes = batch.get_array_memory_size();
                    self.hashes.extend(hashes);
                    self.reservation.grow(bytes);
                    enough.saw(&batch, bytes);
                    self.seen.push(Ok(batch));
                    if !has_shown && self.hashes.len() >= SHOWN_ROWS {
                        has_shown = true;
                        enough.has_shown();
                    }
                    if has_shown {
                        // On few threads, the others go first.
                        tokio::task::yield_now().await;
                    }
                }
                (Some(Err(error)), _) | (Some(Ok(_)), Err(error)) => {
                    self.seen.push(Err(error));
                    self.rest = None;
                }
                (None, _) => self.rest = None,
            }
        }
        if !has_shown {
            enough.has_shown();
        }
        self
    }

    /// All its rows.
    pub(super) fn stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let Self { seen, rest, reservation, .. } = self;
        let seen = stream::iter(seen).inspect(move |batch| {
            if let Ok(batch) = batch {
                reservation.shrink(batch.get_array_memory_size());
            }
        });
        seen.chain(stream::iter(rest).flatten())
    }
}

impl Decision {
    fn of(mut begun: Vec<Option<Begun>>, partitions: usize) -> Self {
        let hashes = begun.iter_mut().flatten().map(|begun| std::mem::take(&mut begun.hashes));
        let heavy = heavy(&hashes.collect::<Vec<_>>(), partitions);
        Self { heavy, begun: begun.into_iter().map(Mutex::new).collect() }
    }

    /// How many keys are heavy.
    pub(super) fn heavy_keys(&self) -> usize {
        self.heavy.len()
    }

    /// Whether the key of this hash is.
    pub(super) fn is_heavy(&self, hash: u64) -> bool {
        self.heavy.binary_search(&hash).is_ok()
    }
}

fn heavy(seen: &[Vec<u64>], partitions: usize) -> Vec<u64> {
    let rows: usize = seen.iter().map(Vec::len).sum();
    let mut counts = HashMap::<u64, usize>::new();
    seen.iter().flatten().for_each(|hash| *counts.entry(*hash).or_default() += 1);
    counts.retain(|_, count| *count >= FEW_ROWS && *count * partitions * HALF >= rows);
    let mut heavy: Vec<_> = counts.into_keys().collect();
    heavy.sort_unstable();
    heavy
}

/// The values of the keys.
pub(super) fn columns(keys: &[PhysicalExprRef], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// The hashes of rows by which DataFusion's exchanges go, and the filters that its joins hand down.
pub(super) fn hashes(keys: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; rows];
    create_hashes(keys, REPARTITION_RANDOM_STATE.random_state(), &mut hashes)?;
    Ok(hashes)
}

#[cfg(test)]
mod tests;
