//! The file of a task's rows: segments one after the other, each an Arrow IPC stream with some batches of one
//! partition. A consumer reads the ranges of its own partition and no others.

use std::io::Cursor;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sheaf_connectors::error::{from_datafusion, from_store};
use sheaf_core::{Result, ResultExt};
use sheaf_flight::compact::compact_sparse;
use tokio::io::AsyncWriteExt;

use super::records::{Segment, TaskOutput};

/// What is gathered of a partition before it becomes a segment: enough for one request to a store to be worth it.
const SEGMENT_BYTES: usize = 4 << 20;

/// Segments that are fetched at once.
const FETCHED_AT_ONCE: usize = 2;

/// Writes the file of a task.
pub(crate) struct SegmentWriter {
    schema: SchemaRef,
    sink: BufWriter,
    written: u64,
    waiting: Vec<Waiting>,
    output: TaskOutput,
}

#[derive(Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl SegmentWriter {
    pub(crate) fn new(store: &Arc<dyn ObjectStore>, folder: &Path, file: String, schema: SchemaRef) -> Self {
        let sink = BufWriter::new(Arc::clone(store), folder.clone().join(file.as_str()));
        let output = TaskOutput { file, rows: 0, segments: Vec::new() };
        Self { schema, sink, written: 0, waiting: Vec::new(), output }
    }

    /// Adds rows to a partition.
    pub(crate) async fn write(&mut self, partition: usize, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        // A view shares its buffers with others, and a file would hold them all.
        let batch = compact_sparse(batch)?;
        if self.waiting.len() <= partition {
            self.waiting.resize_with(partition + 1, Waiting::default);
        }
        self.output.rows += batch.num_rows() as u64;
        let waiting = &mut self.waiting[partition];
        waiting.bytes += batch.get_array_memory_size();
        waiting.batches.push(batch);
        if waiting.bytes >= SEGMENT_BYTES { self.flush(partition).await } else { Ok(()) }
    }

    async fn flush(&mut self, partition: usize) -> Result<()> {
        let batches = std::mem::take(&mut self.waiting[partition]).batches;
        if batches.is_empty() {
            return Ok(());
        }
        let bytes = encoded(&self.schema, &batches)?;
        let length = bytes.len() as u64;
        self.sink.put(bytes).await.map_err(from_store).context("writing a stage's output")?;
        self.output.segments.push(Segment { partition, offset: self.written, length });
        self.written += length;
        Ok(())
    }

    /// The whole file is in the store when this returns.
    pub(crate) async fn finish(mut self) -> Result<TaskOutput> {
        for partition in 0..self.waiting.len() {
            self.flush(partition).await?;
        }
        self.sink.shutdown().await.context("writing a stage's output")?;
        Ok(self.output)
    }
}

fn encoded(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes> {
    let write = || {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema, options)?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.into_inner()
    };
    write().map(Bytes::from).map_err(|error| from_datafusion(error.into()))
}

/// The batches of a partition, task by task.
pub(crate) fn read(
    store: Arc<dyn ObjectStore>,
    folder: &Path,
    outputs: &[TaskOutput],
    partition: usize,
) -> impl Stream<Item = Result<RecordBatch>> + use<> {
    let ranges: Vec<_> = outputs
        .iter()
        .flat_map(|output| {
            let own = output.segments.iter().filter(|segment| segment.partition == partition);
            own.map(|segment| (folder.clone().join(output.file.as_str()), *segment))
        })
        .collect();
    let fetch = move |(path, segment): (Path, Segment)| {
        let store = Arc::clone(&store);
        async move {
            let range = segment.offset..segment.offset + segment.length;
            let bytes = store.get_range(&path, range).await.map_err(from_store);
            bytes.and_then(decoded).with_context(|| format!("reading {path}, the recorded output of a stage"))
        }
    };
    futures::stream::iter(ranges)
        .map(fetch)
        .buffered(FETCHED_AT_ONCE)
        .map_ok(|batches| futures::stream::iter(batches.into_iter().map(Ok)))
        .try_flatten()
}

fn decoded(bytes: Bytes) -> Result<Vec<RecordBatch>> {
    let read = || StreamReader::try_new(Cursor::new(bytes), None)?.collect();
    let batches: arrow::error::Result<Vec<RecordBatch>> = read();
    batches.map_err(|error| from_datafusion(error.into()))
}
