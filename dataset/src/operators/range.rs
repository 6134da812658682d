//! `RangeTable`: whole numbers made as they are read, so that a range of any length takes no memory.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::{LazyBatchGenerator, LazyMemoryExec};
use parking_lot::RwLock;
use sheaf_core::Error;

/// A table of one column `id`: `start`, `start + step`, … before `end`.
#[derive(Debug)]
pub struct RangeTable {
    schema: SchemaRef,
    start: i64,
    end: i64,
    step: i64,
}

impl RangeTable {
    /// The numbers from `start` to before `end`, `step` apart.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a step of zero or less, or an end before the start.
    pub fn new(start: i64, end: i64, step: i64) -> sheaf_core::Result<Self> {
        if step <= 0 || end < start {
            return Err(Error::invalid(format!("range({start}, {end}, {step}) has no meaning"))
                .with_hint("the step is positive and the end is not before the start"));
        }
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        Ok(Self { schema, start, end, step })
    }

    /// Where it starts, before what it ends, and its step.
    pub(crate) fn bounds(&self) -> (i64, i64, i64) {
        (self.start, self.end, self.step)
    }

    fn count(&self) -> i128 {
        (i128::from(self.end) - i128::from(self.start) + i128::from(self.step) - 1) / i128::from(self.step)
    }

    /// The `part`th of `parts` runs of numbers.
    fn part(&self, part: usize, parts: usize, batch_size: usize) -> Numbers {
        let bound = |index: usize| self.count() * index as i128 / parts as i128;
        let (next, end) = (bound(part), bound(part + 1));
        Numbers {
            schema: Arc::clone(&self.schema),
            start: self.start,
            step: self.step,
            first: next,
            next,
            end,
            batch_size,
        }
    }
}

#[async_trait]
impl TableProvider for RangeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch_size = state.config_options().execution.batch_size.get();
        let rows = usize::try_from(self.count()).unwrap_or(usize::MAX);
        let parts = state.config_options().execution.target_partitions.min(rows.div_ceil(batch_size)).max(1);
        let generators = (0..parts)
            .map(|part| -> Arc<RwLock<dyn LazyBatchGenerator>> {
                Arc::new(RwLock::new(self.part(part, parts, batch_size)))
            })
            .collect();
        let exec = LazyMemoryExec::try_new(Arc::clone(&self.schema), generators)?;
        Ok(Arc::new(exec.with_projection(projection.cloned())))
    }
}

/// One run of numbers, by index into the range: indexes do not overflow where the numbers' ends might.
#[derive(Debug, Clone)]
struct Numbers {
    schema: SchemaRef,
    start: i64,
    step: i64,
    first: i128,
    next: i128,
    end: i128,
    batch_size: usize,
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range: {} numbers", self.end - self.first)
    }
}

impl LazyBatchGenerator for Numbers {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn generate_next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let upto = (self.next + self.batch_size as i128).min(self.end);
        // Every number lies between the range's ends, so that it fits.
        let (start, step) = (self.start, self.step);
        let ids = Int64Array::from_iter_values(
            (self.next..upto).map(|index| start.wrapping_add((index as i64).wrapping_mul(step))),
        );
        self.next = upto;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(ids)])?))
    }

    fn reset_state(&self) -> Arc<RwLock<dyn LazyBatchGenerator>> {
        Arc::new(RwLock::new(Self { next: self.first, ..self.clone() }))
    }
}
