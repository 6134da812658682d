//! What a task writes: the partitions of its plan as the parts of one object, each an Arrow IPC stream, and behind them
//! what it did.
//!
//! Before each stream stands the edition of the object: another attempt may deal its rows out to the parts otherwise, and
//! who has read parts of one takes none of another ([`super::input`]).

use std::path::Path;
use std::sync::Arc;

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use futures::StreamExt;
use parking_lot::Mutex;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::env;
use sheaf_core::parts::{Parts, PartsWriter};
use sheaf_core::{Error, Result};
use sheaf_flight::compact::compact_sparse;
use tokio::task::JoinSet;

use super::determinism::deals_as_they_come;
use crate::operators::hash_join::is_spread;

/// Bytes of a part that are handed on at once: enough that their costs do not count.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of the edition before a stream.
pub(super) const EDITION_BYTES: usize = size_of::<u64>();

/// Runs a plan and writes each of its partitions as a part; what is more than `limit` bytes goes to a file in `folder`
/// meanwhile. Parts without rows have no bytes, unless rows may be in other parts each time. One part more is what `tell`
/// makes of the rows and bytes of each, once all are there. Dropping the call ends the run.
///
/// Views are compacted: a batch that shows few rows would write all the buffers that it points into.
///
/// # Errors
/// What goes wrong in the plan; [`sheaf_core::ErrorKind::DiskFull`] and [`sheaf_core::ErrorKind::Io`] when the folder
/// does not take it.
pub async fn write_parts(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    folder: &Path,
    limit: u64,
    tell: impl AsyncFnOnce(Vec<(u64, u64)>) -> Vec<u8>,
) -> Result<Parts> {
    let (edition, empty) = (env::unique(), deals_otherwise(&plan).then(|| RecordBatch::new_empty(plan.schema())));
    let streams = execute_stream_partitioned(plan, context).map_err(from_datafusion)?;
    let writer = Arc::new(Mutex::new(PartsWriter::new(streams.len() + 1, limit, folder)));
    let (mut writing, last) = (JoinSet::new(), streams.len());
    for (part, stream) in streams.into_iter().enumerate() {
        writing.spawn(write_part(part, stream, (edition, empty.clone()), Arc::clone(&writer)));
    }
    while let Some(ended) = writing.join_next().await {
        ended.map_err(|error| Error::internal(format!("an operator panicked: {error}")))??;
    }
    let writer = Arc::into_inner(writer).ok_or_else(|| Error::internal("a part is still being written"))?;
    let mut writer = writer.into_inner();
    let mut sizes = writer.sizes();
    sizes.truncate(last);
    let told = tell(sizes).await;
    let written = writer.write(last, Bytes::from(told), 0);
    written.and_then(|()| writer.finish())
}

/// Whether rows may be in other partitions each time a plan runs, as those of a join with one build side for all of them
/// that goes on from disk.
fn deals_otherwise(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let deals = |node: &Arc<dyn ExecutionPlan>| {
        Ok(deals_as_they_come(node) || node.downcast_ref::<HashJoinExec>().is_some_and(is_spread))
    };
    plan.exists(deals).unwrap_or(true)
}

/// Writes a part of an edition; one without rows as `empty`, if there is such.
async fn write_part(
    part: usize,
    mut stream: SendableRecordBatchStream,
    (edition, empty): (u64, Option<RecordBatch>),
    to: Arc<Mutex<PartsWriter>>,
) -> Result<()> {
    let mut encoder = empty.map(|empty| Encoder::new(edition, &empty)).transpose()?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(from_datafusion)?;
        if batch.num_rows() == 0 {
            continue;
        }
        let encoder: &mut Encoder = match &mut encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(edition, &batch)?),
        };
        encoder.write(&batch)?;
        if encoder.buffered() >= PIECE_BYTES {
            let (bytes, rows) = encoder.take();
            to.lock().write(part, bytes, rows)?;
        }
    }
    if let Some(encoder) = encoder {
        let (bytes, rows) = encoder.finish()?;
        to.lock().write(part, bytes, rows)?;
    }
    Ok(())
}

/// Writes rows that are there as a part.
///
/// # Errors
/// As [`write_parts`].
pub(super) fn write_batches(part: usize, batches: &[RecordBatch], to: &mut PartsWriter) -> Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    // They are written once.
    let mut encoder = Encoder::new(0, first)?;
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        encoder.write(batch)?;
    }
    let (bytes, rows) = encoder.finish()?;
    to.write(part, bytes, rows)
}

/// Batches as an Arrow IPC stream, whose bytes are taken as they come.
struct Encoder {
    writer: StreamWriter<Vec<u8>>,
    rows: u64,
}

impl Encoder {
    /// For batches like this one, of an edition.
    fn new(edition: u64, batch: &RecordBatch) -> Result<Self> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        bytes.extend(edition.to_le_bytes());
        let writer = options.and_then(|options| StreamWriter::try_new_with_options(bytes, &batch.schema(), options));
        Ok(Self { writer: writer.map_err(|error| unencoded(&error))?, rows: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(&compact_sparse(batch)?).map_err(|error| unencoded(&error))
    }

    fn buffered(&self) -> usize {
        self.writer.get_ref().len()
    }

    fn take(&mut self) -> (Bytes, u64) {
        let bytes = std::mem::replace(self.writer.get_mut(), Vec::with_capacity(PIECE_BYTES));
        (Bytes::from(bytes), std::mem::take(&mut self.rows))
    }

    fn finish(mut self) -> Result<(Bytes, u64)> {
        self.writer.finish().map_err(|error| unencoded(&error))?;
        Ok(self.take())
    }
}

fn unencoded(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("rows of a task cannot be written down: {error}"))
}
