//! The steps before and between exchanges, each a small operator that goes over the batches of a partition.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::Error;

use crate::operators::sample::SplitMix;

/// The column that [`Step::Numbers`] and [`Step::Keys`] add after the others.
pub(crate) const ADDED: &str = "__sheaf_place";

/// Rows of one partition that are told apart from those of another: keys of different partitions differ.
const PARTITION_BITS: u32 = 24;

/// The place of a row that no other row has, by the number of its partition and its number there.
pub(crate) fn place(partition: usize, row: u64) -> u64 {
    ((partition as u64) << (u64::BITS - PARTITION_BITS)) + row
}

/// `input` with a column more, [`ADDED`]: a random number for each row that no other row has.
pub(crate) fn with_random_keys(input: &Arc<dyn ExecutionPlan>, seed: u64) -> Arc<dyn ExecutionPlan> {
    Arc::new(StepExec::new(Arc::clone(input), Step::Keys { seed }))
}

/// What is done with each batch.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Slices it, so that as many can be dealt to each of these partitions.
    Slices(usize),
    /// Slices it, so that no slice has more rows than a batch is to have.
    Small,
    /// Numbers its rows, from 0.
    Numbers,
    /// Gives each row a random number that no other row has.
    Keys { seed: u64 },
    /// Fails where its rows are not in this order.
    Checks(LexOrdering),
}

/// One step.
#[derive(Debug)]
pub(super) struct StepExec {
    input: Arc<dyn ExecutionPlan>,
    step: Step,
    properties: Arc<PlanProperties>,
}

impl StepExec {
    /// Whether what it adds depends on the order of its input's rows.
    pub(super) fn counts_rows(&self) -> bool {
        matches!(self.step, Step::Numbers | Step::Keys { .. })
    }

    pub(super) fn new(input: Arc<dyn ExecutionPlan>, step: Step) -> Self {
        let equivalence = match &step {
            Step::Slices(_) | Step::Small => input.properties().eq_properties.clone(),
            Step::Numbers | Step::Keys { .. } => {
                let schema = input.schema();
                let mut fields = schema.fields().to_vec();
                fields.push(Arc::new(Field::new(ADDED, DataType::UInt64, false)));
                EquivalenceProperties::new(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
            }
            Step::Checks(order) => EquivalenceProperties::new_with_orderings(input.schema(), [order.clone()]),
        };
        let properties = PlanProperties::new(
            equivalence,
            input.properties().partitioning.clone(),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        Self { input, step, properties: Arc::new(properties) }
    }
}

impl DisplayAs for StepExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::Keys { seed } => write!(f, "StepExec: keys, seed={seed}"),
            _ => f.write_str("StepExec"),
        }
    }
}

impl ExecutionPlan for StepExec {
    fn name(&self) -> &'static str {
        "StepExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.step.clone()))),
            _ => plan_err!("StepExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let most = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        let schema = self.schema();
        Ok(match self.step.clone() {
            Step::Small => {
                let small = move |batch: RecordBatch| slices(&batch, batch.num_rows().div_ceil(most));
                let slices = input.map_ok(move |batch| stream::iter(small(batch)).map(Ok)).try_flatten();
                Box::pin(RecordBatchStreamAdapter::new(schema, slices))
            }
            Step::Slices(parts) => {
                let slices = input.map_ok(move |batch| stream::iter(slices(&batch, parts)).map(Ok)).try_flatten();
                Box::pin(RecordBatchStreamAdapter::new(schema, slices))
            }
            Step::Numbers => {
                let mut next = 0;
                let target = Arc::clone(&schema);
                let numbered = input.map(move |batch| {
                    let batch = batch?;
                    let first = next;
                    next += batch.num_rows() as u64;
                    extended(&batch, &target, UInt64Array::from_iter_values(first..next))
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, numbered))
            }
            Step::Keys { seed } => {
                let mut places = place(partition, 0)..;
                let target = Arc::clone(&schema);
                let keyed = input.map(move |batch| {
                    let batch = batch?;
                    let keys = places.by_ref().take(batch.num_rows()).map(|place| SplitMix::at(seed, place));
                    extended(&batch, &target, UInt64Array::from_iter_values(keys))
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, keyed))
            }
            Step::Checks(order) => {
                let mut check = Check::new(&order, &schema)?;
                let checked = input.map(move |batch| check.pass(batch?));
                Box::pin(RecordBatchStreamAdapter::new(schema, checked))
            }
        })
    }
}

/// The batch in up to `parts` slices of nearly the same number of rows.
fn slices(batch: &RecordBatch, parts: usize) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let parts = parts.min(rows).max(1);
    let bound = |part: usize| rows * part / parts;
    (0..parts).map(|part| batch.slice(bound(part), bound(part + 1) - bound(part))).collect()
}

fn extended(batch: &RecordBatch, schema: &Arc<Schema>, added: UInt64Array) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(added));
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(DataFusionError::from)
}

/// Looks whether rows are in the order that was promised.
struct Check {
    order: LexOrdering,
    rows: RowConverter,
    last: Option<OwnedRow>,
    passed: usize,
}

impl Check {
    fn new(order: &LexOrdering, schema: &Schema) -> Result<Self> {
        let field = |key: &datafusion::physical_expr::PhysicalSortExpr| {
            Ok(SortField::new_with_options(key.expr.data_type(schema)?, key.options))
        };
        let fields = order.iter().map(field).collect::<Result<_>>()?;
        Ok(Self { order: order.clone(), rows: RowConverter::new(fields)?, last: None, passed: 0 })
    }

    fn pass(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let keys = self.order.iter().map(|key| key.expr.evaluate(&batch)?.into_array(batch.num_rows()));
        let keys: Vec<ArrayRef> = keys.collect::<Result<_>>()?;
        let rows = self.rows.convert_columns(&keys)?;
        for row in 0..rows.num_rows() {
            let is_late = match row {
                0 => self.last.as_ref().is_some_and(|last| last.row() > rows.row(0)),
                row => rows.row(row - 1) > rows.row(row),
            };
            if is_late {
                let error = Error::invalid(format!(
                    "row {} comes before the row ahead of it by {}, and the rows were said to be sorted",
                    self.passed + row,
                    self.order
                ));
                return Err(to_datafusion(error.with_hint("leave out sorted, so that they are sorted")));
            }
        }
        if let Some(last) = rows.num_rows().checked_sub(1) {
            self.last = Some(rows.row(last).owned());
        }
        self.passed += rows.num_rows();
        Ok(batch)
    }
}
