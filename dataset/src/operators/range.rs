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

/// The numbers that such a plan makes, in the order of its partitions; `None` where it makes something else.
fn numbers_of(plan: &LazyMemoryExec) -> Option<Vec<Numbers>> {
    plan.generators().iter().map(|each| each.read().as_any().downcast_ref::<Numbers>().cloned()).collect()
}

/// How many numbers a plan makes, if it makes a range.
pub(crate) fn count_of(plan: &LazyMemoryExec) -> Option<usize> {
    let counts = numbers_of(plan)?.into_iter().map(|numbers| numbers.end - numbers.first);
    Some(usize::try_from(counts.sum::<i128>()).unwrap_or(usize::MAX))
}

/// Makes the numbers of one partition.
pub(crate) type Generator = Arc<RwLock<dyn LazyBatchGenerator>>;

/// What makes the same numbers in so many runs, one after the other; `None` for a plan that makes something else.
pub(crate) fn runs_of(plan: &LazyMemoryExec, runs: usize) -> Option<Vec<Generator>> {
    let numbers = numbers_of(plan)?;
    let (first, last) = (numbers.first()?, numbers.last()?);
    let (start, count) = (first.first, last.end - first.first);
    let bound = |run: usize| start + count * run as i128 / runs as i128;
    let run = |run: usize| -> Generator {
        let (next, end) = (bound(run), bound(run + 1));
        Arc::new(RwLock::new(Numbers { first: next, next, end, ..first.clone() }))
    };
    Some((0..runs).map(run).collect())
}

/// The plan of what makes numbers: of their column, or of none.
///
/// # Errors
/// None that is known.
pub(crate) fn made_of(generators: Vec<Generator>, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let full =
        generators.first().and_then(|each| Some(Arc::clone(&each.read().as_any().downcast_ref::<Numbers>()?.schema)));
    let plan = LazyMemoryExec::try_new(full.unwrap_or_else(|| Arc::clone(schema)), generators)?;
    Ok(Arc::new(plan.with_projection(schema.fields().is_empty().then(Vec::new))))
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
