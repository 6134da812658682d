//! A user function whose failures are what the user says they are: tried again, narrowed down, left out, written down.

use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sheaf_core::{Error, Result};

use super::counts::Counts;
use super::dead_letters::{self, DeadLetters};
use super::function::{BatchFunction, BatchPosition, Failure, Outputs};
use super::pieces::{Pieces, Verdict};

/// What becomes of rows that a function cannot map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnError {
    /// They end the run.
    #[default]
    Raise,
    /// They are left out.
    Skip,
    /// There is a row of nulls for each of them.
    Null,
}

/// What is done about calls that fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FailureOptions {
    /// What becomes of rows that cannot be mapped.
    pub on_error: OnError,
    /// How often a batch is tried again where that may help: after an error that is worth it, a crash or a time-out.
    pub max_retries: u32,
    /// Whether there are errors of the function's that are worth another try. The results of a call are then kept back
    /// until it has ended well.
    pub retries_errors: bool,
    /// The folder to which rows that cannot be mapped are written.
    pub dead_letter: Option<String>,
}

/// As often as the runtime tries a task again.
const RETRIES: u32 = 3;

impl Default for FailureOptions {
    fn default() -> Self {
        Self { on_error: OnError::Raise, max_retries: RETRIES, retries_errors: false, dead_letter: None }
    }
}

impl FailureOptions {
    /// Whether rows may be left out.
    fn may_lose(&self) -> bool {
        self.on_error != OnError::Raise
    }

    /// The function with these failures; itself where all of them end the run.
    pub(super) fn over(
        &self,
        function: Arc<dyn BatchFunction>,
        lost: LostRows,
        counts: Arc<Counts>,
    ) -> Arc<dyn BatchFunction> {
        if !self.may_lose() && !self.retries_errors && function.elsewhere().is_none() {
            return function;
        }
        Arc::new(Tolerant(Arc::new(Attempts { function, options: self.clone(), lost, counts })))
    }
}

/// What becomes of rows that are lost.
#[derive(Clone, Default)]
pub(super) struct LostRows {
    /// What the function returns; unknown while that is what is looked for.
    pub(super) schema: Option<SchemaRef>,
    pub(super) dead_letters: Option<Arc<DeadLetters>>,
    /// Whether the last columns of batches are where their rows come from, which the function is not given.
    pub(super) has_origins: bool,
}

/// The function, called as often as needed.
struct Tolerant(Arc<Attempts>);

struct Attempts {
    function: Arc<dyn BatchFunction>,
    options: FailureOptions,
    lost: LostRows,
    counts: Arc<Counts>,
}

impl BatchFunction for Tolerant {
    fn name(&self) -> &str {
        self.0.function.name()
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs {
        let attempts = Arc::clone(&self.0);
        let outputs = async move {
            let outputs = attempts.outputs(&batch, at).await;
            outputs.map_or_else(|error| vec![Err(error)], |outputs| outputs.into_iter().map(Ok).collect())
        };
        if self.elsewhere().is_none() {
            // Nothing in it waits but the calls themselves.
            return Outputs::Here(Box::new(futures::executor::block_on(outputs).into_iter()));
        }
        // It is under way from now on, and not only when its turn has come.
        let mut running = Aborted(tokio::spawn(outputs));
        let outputs = async move {
            let lost = |error| vec![Err(Error::internal(format!("a call was lost: {error}")))];
            stream::iter((&mut running.0).await.unwrap_or_else(lost))
        };
        Outputs::Elsewhere(outputs.flatten_stream().boxed())
    }

    fn elsewhere(&self) -> Option<usize> {
        self.0.function.elsewhere()
    }

    fn failure(&self, error: &Error) -> Failure {
        self.0.function.failure(error)
    }

    fn abandoned(&self, at: BatchPosition) {
        self.0.function.abandoned(at);
    }
}

/// A task that ends with whoever waits for it.
struct Aborted<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Attempts {
    /// All that the function makes of the batch but for the rows that it fails at.
    async fn outputs(&self, batch: &RecordBatch, at: BatchPosition) -> Result<Vec<RecordBatch>> {
        let mut pieces = Pieces::new(batch.num_rows(), self.options.max_retries, self.options.may_lose());
        let mut outputs = Vec::new();
        while let Some(rows) = pieces.next() {
            let piece = batch.slice(rows.start, rows.len());
            let here = BatchPosition { row: at.row + rows.start, ..at };
            let error = match self.attempt(piece.clone(), here).await {
                Ok(made) => {
                    outputs.extend(made);
                    pieces.succeeded();
                    continue;
                }
                Err(error) => error,
            };
            let failure = self.function.failure(&error);
            match pieces.failed(failure.kind) {
                Verdict::Again => self.counts.retries.add(1),
                Verdict::Split => self.counts.splits.add(1),
                Verdict::Lose { attempts } => outputs.extend(self.lose(&piece, here, &failure, attempts).await?),
                Verdict::GiveUp => return Err(error),
            }
        }
        Ok(outputs)
    }

    /// One call, to its end.
    async fn attempt(&self, batch: RecordBatch, at: BatchPosition) -> Result<Vec<RecordBatch>> {
        let batch = if self.lost.has_origins { dead_letters::without_origins(&batch)? } else { batch };
        match super::calls::call(&*self.function, batch, at) {
            Outputs::Here(outputs) => super::calls::all_of(self.function.name(), outputs, at),
            Outputs::Elsewhere(outputs) => outputs.try_collect().await,
        }
    }

    /// What stands for rows that are left out, which are written down first.
    async fn lose(
        &self,
        rows: &RecordBatch,
        at: BatchPosition,
        failure: &Failure,
        attempts: u32,
    ) -> Result<Option<RecordBatch>> {
        self.counts.failed_rows.add(rows.num_rows());
        if let Some(letters) = &self.lost.dead_letters {
            let letter = letters.letter(rows, self.lost.has_origins, at, (failure, attempts))?;
            match self.function.elsewhere() {
                None => letters.write_here(letter)?,
                Some(_) => letters.write(letter).await?,
            }
        }
        let Some(schema) = self.lost.schema.as_ref().filter(|_| self.options.on_error == OnError::Null) else {
            return Ok(None);
        };
        let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), rows.num_rows()));
        let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect(), &count).map(Some).map_err(|error| {
            Error::invalid(format!("there can be no row of nulls in the result of {}: {error}", self.function.name()))
                .with_hint("let every column of schema= be nullable, or use on_error=\"skip\"")
        })
    }
}
