//! `RowIndex`: a column that numbers the rows, before all others.
//!
//! Rows are numbered as they stream by, in the order of their partitions: either all of them from one number on, as one
//! partition, or each partition for itself, where they need not wait for one another.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream::StreamExt;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::Error;

use super::gather::OrderedGatherExec;
use crate::encoding::{Decoder, Encoded, Encoder, one_input};

/// The bits of an id that number the rows of a partition: the number of the partition is above them.
const ROW_BITS: u32 = 33;

/// How rows are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Numbering {
    /// All of them, from this number on.
    From(i64),
    /// Those of each partition, with the number of the partition above.
    ByPartition,
}

impl Numbering {
    /// The number of the first row of this partition.
    fn first(self, partition: usize) -> sheaf_core::Result<i64> {
        match self {
            Self::From(first) => Ok(first),
            Self::ByPartition => match i64::try_from(partition) {
                Ok(partition) if partition < 1 << (63 - ROW_BITS) => Ok(partition << ROW_BITS),
                _ => Err(Error::invalid(format!("there are too many partitions to number: {partition}"))
                    .with_hint("make fewer with coalesce(n)")),
            },
        }
    }

    /// The first number that a row of this partition cannot have.
    fn end(self, partition: usize) -> sheaf_core::Result<i64> {
        match self {
            Self::From(_) => Ok(i64::MAX),
            Self::ByPartition => Ok(self.first(partition)?.saturating_add(1 << ROW_BITS)),
        }
    }
}

impl fmt::Display for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(first) => write!(f, "from {first}"),
            Self::ByPartition => f.write_str("by partition"),
        }
    }
}

/// The logical node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowIndex {
    input: LogicalPlan,
    name: String,
    numbering: Numbering,
    schema: DFSchemaRef,
}

impl RowIndex {
    pub(crate) fn new(input: LogicalPlan, name: &str, numbering: Numbering) -> Result<Self> {
        let index = (None, Arc::new(Field::new(name, DataType::Int64, false)));
        let others = input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let fields = std::iter::once(index).chain(others).collect();
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, name: name.to_string(), numbering, schema: Arc::new(schema) })
    }
}

impl PartialOrd for RowIndex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for RowIndex {
    fn name(&self) -> &'static str {
        "RowIndex"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        // Rows that are left out below are not counted.
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowIndex: {} {}", self.name, self.numbering)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Self::new(input, &self.name, self.numbering),
            _ => plan_err!("RowIndex has one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.iter().filter_map(|column| column.checked_sub(1)).collect()])
    }
}

impl Encoded for RowIndex {
    const KIND: &'static str = "row_index";

    type Detail = (String, Numbering);

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        Ok((self.name.clone(), self.numbering))
    }

    fn decode(
        (name, numbering): Self::Detail,
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        Self::new(one_input(inputs)?, &name, numbering).map_err(from_datafusion)
    }
}

/// Plans [`RowIndex`] nodes.
pub(crate) struct Planner;

#[async_trait]
impl ExtensionPlanner for Planner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session_state: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<RowIndex>(), physical_inputs) else {
            return Ok(None);
        };
        let schema = Arc::clone(node.schema.inner());
        let (input, order): (Arc<dyn ExecutionPlan>, _) = match node.numbering {
            Numbering::From(_) => (Arc::new(OrderedGatherExec::counted(Arc::clone(input))), None),
            Numbering::ByPartition => (Arc::clone(input), input.output_ordering().cloned()),
        };
        Ok(Some(Arc::new(RowIndexExec::new(input, schema, node.numbering, order))))
    }
}

/// The operator.
#[derive(Debug)]
pub struct RowIndexExec {
    input: Arc<dyn ExecutionPlan>,
    numbering: Numbering,
    /// The order that each partition of the input had when this was planned: the rows are to keep it.
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RowIndexExec {
    fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, numbering: Numbering, order: Option<LexOrdering>) -> Self {
        let of_input = input.properties();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(of_input.partitioning.partition_count()),
            of_input.emission_type,
            of_input.boundedness,
        );
        Self { input, numbering, order, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for RowIndexExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowIndexExec: {} {}", self.schema().field(0).name(), self.numbering)
    }
}

impl ExecutionPlan for RowIndexExec {
    fn name(&self) -> &'static str {
        "RowIndexExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.schema(), self.numbering, self.order.clone()))),
            _ => plan_err!("RowIndexExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let mut next = self.numbering.first(partition).map_err(to_datafusion)?;
        let end = self.numbering.end(partition).map_err(to_datafusion)?;
        let schema = self.schema();
        let numbered = input.map(move |batch| {
            let batch = batch?;
            let (index, after) = numbers(next, end, batch.num_rows()).map_err(to_datafusion)?;
            next = after;
            baseline.record_output(batch.num_rows());
            let columns = std::iter::once(index).chain(batch.columns().iter().cloned()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), numbered)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// The numbers of so many rows from `first` on, and the one that follows; it is an error to come to `end`.
fn numbers(first: i64, end: i64, rows: usize) -> sheaf_core::Result<(ArrayRef, i64)> {
    let after = i64::try_from(rows).ok().and_then(|rows| first.checked_add(rows)).filter(|after| *after <= end);
    let after = after.ok_or_else(|| {
        Error::invalid(format!("there are more rows than numbers for them: {rows} more from {first}, before {end}"))
            .with_hint("give with_row_index a smaller offset, or monotonically_increasing_id more partitions")
    })?;
    Ok((Arc::new(Int64Array::from_iter_values(first..after)), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_next_partition_begins() {
        let (first, end) = (Numbering::ByPartition.first(1).unwrap(), Numbering::ByPartition.end(1).unwrap());
        assert_eq!((first, end), (1 << 33, 2 << 33));
        assert_eq!(numbers(end - 2, end, 2).unwrap().1, end);
        assert!(numbers(end - 2, end, 3).unwrap_err().to_string().contains("more rows than numbers"));
        assert!(numbers(i64::MAX - 1, Numbering::From(0).end(0).unwrap(), 3).is_err());
        assert!(Numbering::ByPartition.first(1 << 30).is_err());
        assert!(Numbering::ByPartition.first((1 << 30) - 1).is_ok());
    }
}
