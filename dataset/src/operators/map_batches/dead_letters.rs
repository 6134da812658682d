//! The rows at which a function failed, as Parquet of their own: each once, and there when the run has ended well.
//!
//! They are written while the run goes on, and appear by one commit at its end. A run that fails, or that nobody reads
//! to its end, leaves none: what it would have made is not there either, and the next run finds the same rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::write::{WriteMode, WriteOptions};
use sheaf_core::{Error, ErrorKind, Result};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::function::{BatchPosition, Failure};

/// Batches that wait for the writer.
const WAITING: usize = 64;

/// The columns beside those of the row.
const ERROR: &str = "_error";
const TRACEBACK: &str = "_traceback";
const ATTEMPT: &str = "_attempt";
const PARTITION: &str = "_partition";
const ROW: &str = "_row";
/// The file that the row was read from and its number in it, where rows have such.
const FILE: &str = "_file";
const FILE_ROW: &str = "_file_row";

/// How many columns of a batch say where its rows come from, the last ones: the file, and the number in it.
pub(super) const ORIGINS: usize = 2;

/// The columns of dead letters of rows of this schema.
///
/// # Errors
/// [`sheaf_core::ErrorKind::InvalidInput`] where a row has a column of such a name itself.
pub(crate) fn dead_letter_schema(rows: &Schema) -> Result<SchemaRef> {
    let own = [
        Field::new(ERROR, DataType::Utf8, false),
        Field::new(TRACEBACK, DataType::Utf8, true),
        Field::new(ATTEMPT, DataType::UInt32, false),
        Field::new(PARTITION, DataType::UInt64, false),
        Field::new(ROW, DataType::UInt64, false),
        Field::new(FILE, DataType::Utf8, true),
        Field::new(FILE_ROW, DataType::UInt64, true),
    ];
    if let Some(taken) = own.iter().find(|field| rows.column_with_name(field.name()).is_some()) {
        let message = format!("dead letters have a column {:?} of their own, and so have the rows", taken.name());
        return Err(Error::invalid(message).with_hint("rename the column of the rows"));
    }
    let fields = rows.fields().iter().map(|field| field.as_ref().clone()).chain(own);
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// How dead letters are written: beside those of earlier runs.
pub(crate) fn dead_letter_options() -> WriteOptions {
    WriteOptions { mode: WriteMode::Append, ..WriteOptions::default() }
}

/// A leaf of a plan that yields nothing; see [`DeadLetters::begin`].
///
/// # Errors
/// None but for a defect.
pub(super) fn no_letters(schema: &SchemaRef) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    let (_, nothing) = mpsc::channel(1);
    leaf(schema, nothing)
}

fn leaf(schema: &SchemaRef, letters: mpsc::Receiver<RecordBatch>) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    let letters = Arc::new(Letters { schema: Arc::clone(schema), letters: Mutex::new(Some(letters)) });
    let exec = StreamingTableExec::try_new(Arc::clone(schema), vec![letters], None, [], false, None)?;
    Ok(Arc::new(exec))
}

/// The letters of one run on their way.
pub(super) struct DeadLetters {
    schema: SchemaRef,
    letters: Mutex<Option<mpsc::Sender<RecordBatch>>>,
    writing: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl DeadLetters {
    /// Begins to write what is to come by `plan`, a write whose leaf is of [`no_letters`].
    pub(super) fn begin(plan: &Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Self> {
        let mut leaf_of = Arc::clone(plan);
        while let [child] = leaf_of.children()[..] {
            leaf_of = Arc::clone(child);
        }
        let schema = leaf_of.schema();
        let (letters, receiver) = mpsc::channel(WAITING);
        let leaf = leaf(&schema, receiver).map_err(from_datafusion)?;
        let written = with_leaf(plan, &leaf).map_err(from_datafusion)?.execute(0, context).map_err(from_datafusion)?;
        let writing = tokio::spawn(async move {
            let mut written = written;
            while let Some(report) = written.next().await {
                report.map_err(|error| from_datafusion(error).with_context("writing dead letters"))?;
            }
            Ok(())
        });
        Ok(Self { schema, letters: Mutex::new(Some(letters)), writing: Mutex::new(Some(writing)) })
    }

    /// Writes rows that are lost: what [`DeadLetters::letter`] makes of them.
    pub(super) async fn write(&self, letter: RecordBatch) -> Result<()> {
        let letters = self.letters.lock().clone();
        match letters {
            Some(letters) if letters.send(letter).await.is_ok() => Ok(()),
            // The writer has failed, and says why.
            _ => self.finish().await,
        }
    }

    /// The same on a thread that is the engine's, maybe its only one: others run on another one while this waits.
    pub(super) fn write_here(&self, letter: RecordBatch) -> Result<()> {
        let letters = self.letters.lock().clone();
        let refused = letters.map(|letters| letters.try_send(letter));
        let letter = match refused {
            Some(Ok(())) => return Ok(()),
            Some(Err(refused)) => refused.into_inner(),
            None => return Err(Self::gone()),
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.write(letter)))
    }

    /// Rows that are lost, with why and where.
    pub(super) fn letter(
        &self,
        rows: &RecordBatch,
        has_origins: bool,
        at: BatchPosition,
        (failure, attempts): (&Failure, u32),
    ) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let place = |from_end: usize, kind: &DataType| match has_origins {
            true => cast(rows.column(rows.num_columns() - from_end), kind),
            false => Ok(new_null_array(kind, count)),
        };
        let unfit = |error| Error::internal(format!("dead letters do not fit their schema: {error}"));
        let own: [ArrayRef; 7] = [
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&failure.error, count))),
            Arc::new(StringArray::from(vec![failure.traceback.as_deref(); count])),
            Arc::new(UInt32Array::from_value(attempts, count)),
            Arc::new(UInt64Array::from_value(at.partition as u64, count)),
            Arc::new(UInt64Array::from_iter_values((0..count).map(|row| (at.row + row) as u64))),
            place(2, &DataType::Utf8).map_err(unfit)?,
            place(1, &DataType::UInt64).map_err(unfit)?,
        ];
        let rows = if has_origins { without_origins(rows)? } else { rows.clone() };
        let columns = rows.columns().iter().cloned().chain(own).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(unfit)
    }

    /// Lets them appear: no more are to come.
    pub(super) async fn finish(&self) -> Result<()> {
        self.letters.lock().take();
        let writing = self.writing.lock().take();
        match writing {
            Some(writing) => {
                writing.await.unwrap_or_else(|error| Err(Error::internal(format!("dead letters were lost: {error}"))))
            }
            // Another partition was told why.
            None => Err(Self::gone()),
        }
    }

    fn gone() -> Error {
        Error::new(ErrorKind::Io, "dead letters cannot be written")
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.lock().take() {
            writing.abort();
        }
    }
}

/// The columns of rows that are the function's.
pub(super) fn without_origins(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: Vec<usize> = (0..rows.num_columns() - ORIGINS).collect();
    rows.project(&columns).map_err(|error| Error::internal(format!("rows do not say where they come from: {error}")))
}

/// The plan with another leaf.
fn with_leaf(
    plan: &Arc<dyn ExecutionPlan>,
    leaf: &Arc<dyn ExecutionPlan>,
) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    match plan.children()[..] {
        [child] => replace_children_if_necessary(Arc::clone(plan), vec![with_leaf(child, leaf)?]),
        _ => Ok(Arc::clone(leaf)),
    }
}

/// The letters as a source of a plan.
struct Letters {
    schema: SchemaRef,
    letters: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letters")
    }
}

impl PartitionStream for Letters {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        // Read a second time it is empty: a run begins with a leaf of its own.
        let letters = self.letters.lock().take();
        let rows = stream::unfold(letters, |letters| async move {
            let mut letters = letters?;
            let rows = letters.recv().await?;
            Some((Ok::<_, DataFusionError>(rows), Some(letters)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
