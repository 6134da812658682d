//! Parquet: row groups are encoded column by column, on several threads where the engine has some to spare.
//!
//! A writer that is one of many encodes on its own thread. A writer that is alone (one file from one stream) would
//! keep one core busy and leave the others idle, so that it deals its columns out to lanes, each on a task.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use sheaf_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use crate::write::encode::Encoder;
use crate::write::options::ParquetWriteOptions;

/// One Parquet file.
pub(crate) enum ParquetEncoder {
    /// On the caller's thread.
    Plain(Box<ArrowWriter<Vec<u8>>>),
    /// Columns on several threads.
    Lanes(Box<LaneEncoder>),
}

impl ParquetEncoder {
    pub(crate) fn new(options: &ParquetWriteOptions, schema: &SchemaRef, lanes: usize) -> Result<Self> {
        let properties = properties(options)?;
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties)).map_err(refused)?;
        let lanes = lanes.min(schema.fields().len());
        if lanes < 2 {
            return Ok(Self::Plain(Box::new(writer)));
        }
        let (writer, factory) = writer.into_serialized_writer().map_err(refused)?;
        Ok(Self::Lanes(Box::new(LaneEncoder {
            writer,
            factory,
            schema: Arc::clone(schema),
            lanes,
            group: None,
            rows_per_group: options.row_group_rows.max(1),
            bytes_per_group: options.row_group_bytes.max(1),
        })))
    }
}

fn properties(options: &ParquetWriteOptions) -> Result<WriterProperties> {
    Ok(WriterProperties::builder()
        .set_created_by(concat!("sheaf ", env!("CARGO_PKG_VERSION")).to_string())
        .set_compression(options.compression.codec()?)
        .set_dictionary_enabled(options.dictionary)
        .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
        .set_max_row_group_bytes(Some(options.row_group_bytes.max(1)))
        .build())
}

#[async_trait]
impl Encoder for ParquetEncoder {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Plain(writer) => writer.write(batch).map_err(refused),
            Self::Lanes(lanes) => lanes.write(batch).await,
        }
    }

    fn take(&mut self) -> Bytes {
        let out = match self {
            Self::Plain(writer) => writer.inner_mut(),
            Self::Lanes(lanes) => lanes.writer.inner_mut(),
        };
        std::mem::take(out).into()
    }

    fn memory(&self) -> usize {
        match self {
            Self::Plain(writer) => writer.memory_size(),
            Self::Lanes(lanes) => lanes.group.as_ref().map_or(0, |group| group.memory),
        }
    }

    fn pending(&self) -> usize {
        match self {
            Self::Plain(writer) => writer.in_progress_size(),
            Self::Lanes(lanes) => lanes.group.as_ref().map_or(0, |group| group.encoded),
        }
    }

    async fn shrink(&mut self) -> Result<()> {
        match self {
            Self::Plain(writer) => writer.flush().map_err(refused),
            Self::Lanes(lanes) => lanes.end_group().await,
        }
    }

    async fn finish(&mut self) -> Result<Bytes> {
        match self {
            Self::Plain(writer) => writer.finish().map(drop).map_err(refused)?,
            Self::Lanes(lanes) => {
                lanes.end_group().await?;
                lanes.writer.finish().map(drop).map_err(refused)?;
            }
        }
        // The file's own buffer may hold the footer until it is flushed.
        match self {
            Self::Plain(writer) => writer.sync()?,
            Self::Lanes(lanes) => lanes.writer.flush()?,
        }
        Ok(self.take())
    }
}

/// A file whose columns are encoded on several threads.
pub(crate) struct LaneEncoder {
    writer: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    lanes: usize,
    group: Option<Group>,
    rows_per_group: usize,
    bytes_per_group: usize,
}

/// The row group in progress.
struct Group {
    /// The writers of all leaf columns, in order; dealt out and collected with each batch.
    writers: Vec<ArrowColumnWriter>,
    rows: usize,
    memory: usize,
    encoded: usize,
}

impl LaneEncoder {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.num_rows() {
            let held = self.group.as_ref().map_or(0, |group| group.rows);
            let rows = (batch.num_rows() - start).min(self.rows_per_group - held);
            self.encode(&batch.slice(start, rows)).await?;
            start += rows;
            let full = |group: &Group| group.rows >= self.rows_per_group || group.encoded >= self.bytes_per_group;
            if self.group.as_ref().is_some_and(full) {
                self.end_group().await?;
            }
        }
        Ok(())
    }

    async fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut group = match self.group.take() {
            Some(group) => group,
            None => {
                let writers = self.factory.create_column_writers(self.writer.flushed_row_groups().len());
                Group { writers: writers.map_err(refused)?, rows: 0, memory: 0, encoded: 0 }
            }
        };
        let mut leaves = Vec::with_capacity(group.writers.len());
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            leaves.extend(compute_leaves(field, column).map_err(refused)?);
        }
        let work = std::mem::take(&mut group.writers).into_iter().zip(leaves).collect();
        group.writers = on_lanes(work, self.lanes, |(mut writer, leaf): (ArrowColumnWriter, ArrowLeafColumn)| {
            writer.write(&leaf)?;
            Ok(writer)
        })
        .await?;
        group.rows += batch.num_rows();
        group.memory = group.writers.iter().map(ArrowColumnWriter::memory_size).sum();
        group.encoded = group.writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum();
        self.group = Some(group);
        Ok(())
    }

    async fn end_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let chunks: Vec<ArrowColumnChunk> = on_lanes(group.writers, self.lanes, ArrowColumnWriter::close).await?;
        let mut row_group = self.writer.next_row_group().map_err(refused)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group).map_err(refused)?;
        }
        row_group.close().map_err(refused)?;
        Ok(())
    }
}

/// Runs each piece of work on one of `lanes` tasks and gives the results in the order of the work.
async fn on_lanes<W: Send + 'static, R: Send + 'static>(
    work: Vec<W>,
    lanes: usize,
    run: impl Fn(W) -> std::result::Result<R, ParquetError> + Copy + Send + 'static,
) -> Result<Vec<R>> {
    let count = work.len();
    let mut dealt: Vec<Vec<(usize, W)>> = (0..lanes).map(|_| Vec::new()).collect();
    for (at, piece) in work.into_iter().enumerate() {
        dealt[at % lanes].push((at, piece));
    }
    let mut tasks = JoinSet::new();
    for lane in dealt {
        tasks.spawn(async move {
            lane.into_iter().map(|(at, piece)| Ok((at, run(piece)?))).collect::<std::result::Result<Vec<_>, _>>()
        });
    }
    let mut results = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        let lane = done.map_err(|error| Error::internal(format!("encoding stopped: {error}")).with_source(error))?;
        results.extend(lane.map_err(refused)?);
    }
    results.sort_unstable_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Parquet refuses what it cannot hold.
fn refused(error: ParquetError) -> Error {
    Error::new(ErrorKind::TypeMismatch, format!("Parquet cannot hold the data: {error}")).with_source(error)
}
