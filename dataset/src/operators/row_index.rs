//! `RowIndex`: a column that numbers the rows, before all others.
//!
//! Rows are numbered as they stream by, in the order of their partitions: either all of them from one number on, as one
//! partition, or each partition for itself, where they need not wait for one another.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::stream::StreamExt;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::Error;

use super::gather::OrderedGatherExec;
use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use crate::encoding::{Decoder, Encoder};

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

/// The column of the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowIndex {
    pub(crate) name: String,
    pub(crate) numbering: Numbering,
}

impl LogicalOperator<1> for RowIndex {
    const NAME: &'static str = "RowIndex";

    fn schema(&self, [input]: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        let index = (None, Arc::new(Field::new(&self.name, DataType::Int64, false)));
        let others = input.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let fields = std::iter::once(index).chain(others).collect();
        Ok(Arc::new(DFSchema::new_with_metadata(fields, input.metadata().clone())?))
    }

    fn needed(&self, columns: &[usize], _inputs: [&DFSchemaRef; 1]) -> [Vec<usize>; 1] {
        [columns.iter().filter_map(|column| column.checked_sub(1)).collect()]
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowIndex: {} {}", self.name, self.numbering)
    }
}

impl EncodedOperator<1> for RowIndex {
    const KIND: &'static str = "row_index";

    type Detail = (String, Numbering);

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        Ok((self.name.clone(), self.numbering))
    }

    fn decode(
        (name, numbering): Self::Detail,
        _inputs: [&DFSchemaRef; 1],
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        Ok(Self { name, numbering })
    }
}

#[async_trait]
impl PlannedOperator<1> for RowIndex {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = with.inputs;
        let (input, order): (Arc<dyn ExecutionPlan>, _) = match self.numbering {
            Numbering::From(_) => (Arc::new(OrderedGatherExec::counted(input)), None),
            Numbering::ByPartition => (Arc::clone(&input), input.output_ordering().cloned()),
        };
        Ok(Arc::new(RowIndexExec::new(input, with.schema, self.numbering, order)))
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
