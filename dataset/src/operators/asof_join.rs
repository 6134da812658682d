//! `AsofJoin`: each left row with the right row that is nearest to it along one column, among those of its group.
//!
//! Both inputs come sorted by group and column, on disk where need be, and are merged batch by batch: what is in memory
//! is the batches between the rows that are being compared.

mod keys;
mod merge;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{Column, DFSchema, DFSchemaRef, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::distribution_requirements::InputDistributionRequirements;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};

pub use keys::Distance;
use serde::{Deserialize, Serialize};

use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use crate::encoding::{Decoder, Encoder, Name, columns, names};

/// Which right row is the one for a left row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AsofStrategy {
    /// The last one that is not after it.
    Backward,
    /// The first one that is not before it.
    Forward,
    /// The nearer of the two; the earlier one when both are as near.
    Nearest,
}

/// How rows are matched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Matching {
    pub(crate) strategy: AsofStrategy,
    /// The farthest that matches.
    pub(crate) tolerance: Option<Distance>,
    pub(crate) allow_exact_matches: bool,
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strategy={:?}", self.strategy)?;
        if let Some(tolerance) = self.tolerance {
            write!(f, ", tolerance={tolerance}")?;
        }
        if self.allow_exact_matches { Ok(()) } else { f.write_str(", no exact matches") }
    }
}

/// What is joined. The last key of each side is the column along which rows are near; those before it are equal. They
/// have the same types on both sides.
#[derive(Debug, Clone)]
pub(crate) struct AsofJoin {
    pub(crate) left_keys: Vec<Column>,
    pub(crate) right_keys: Vec<Column>,
    pub(crate) matching: Matching,
}

impl AsofJoin {
    /// The matching as something that can be hashed.
    fn key(&self) -> (&[Column], &[Column], String) {
        (&self.left_keys, &self.right_keys, self.matching.to_string())
    }
}

impl PartialEq for AsofJoin {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for AsofJoin {}

impl Hash for AsofJoin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl LogicalOperator<2> for AsofJoin {
    const NAME: &'static str = "AsofJoin";

    fn schema(&self, [left, right]: [&DFSchemaRef; 2]) -> Result<DFSchemaRef> {
        let own = left.iter().map(|(side, field)| (side.cloned(), Arc::clone(field)));
        let found = right.iter().map(|(side, field)| {
            let field = field.as_ref().clone().with_nullable(true);
            (side.cloned(), Arc::new(field))
        });
        Ok(Arc::new(DFSchema::new_with_metadata(own.chain(found).collect(), left.metadata().clone())?))
    }

    fn needed(&self, columns: &[usize], [left, right]: [&DFSchemaRef; 2]) -> [Vec<usize>; 2] {
        let split = left.fields().len();
        let (of_left, of_right): (Vec<usize>, Vec<usize>) = columns.iter().partition(|column| **column < split);
        let of_right = of_right.into_iter().map(|column| column - split).collect();
        let with_keys = |mut columns: Vec<usize>, schema: &DFSchemaRef, keys: &[Column]| {
            columns.extend(keys.iter().filter_map(|key| schema.maybe_index_of_column(key)));
            columns.sort_unstable();
            columns.dedup();
            columns
        };
        [with_keys(of_left, left, &self.left_keys), with_keys(of_right, right, &self.right_keys)]
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsofJoin: {}", self.matching)
    }
}

/// What an [`AsofJoin`] is besides its inputs.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    left: Vec<Name>,
    right: Vec<Name>,
    strategy: AsofStrategy,
    tolerance: Option<WrittenDistance>,
    allow_exact_matches: bool,
}

#[derive(Serialize, Deserialize)]
enum WrittenDistance {
    Whole(i128),
    /// The bits: text of a float may be another.
    Float(u64),
}

impl EncodedOperator<2> for AsofJoin {
    const KIND: &'static str = "asof_join";

    type Detail = Written;

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Written> {
        let Matching { strategy, tolerance, allow_exact_matches } = self.matching;
        let tolerance = tolerance.map(|tolerance| match tolerance {
            Distance::Whole(steps) => WrittenDistance::Whole(steps),
            Distance::Float(distance) => WrittenDistance::Float(distance.to_bits()),
        });
        let (left, right) = (names(&self.left_keys), names(&self.right_keys));
        Ok(Written { left, right, strategy, tolerance, allow_exact_matches })
    }

    fn decode(written: Written, _inputs: [&DFSchemaRef; 2], _from: &mut Decoder<'_>) -> sheaf_core::Result<Self> {
        let tolerance = written.tolerance.map(|tolerance| match tolerance {
            WrittenDistance::Whole(steps) => Distance::Whole(steps),
            WrittenDistance::Float(bits) => Distance::Float(f64::from_bits(bits)),
        });
        let Written { strategy, allow_exact_matches, .. } = written;
        let matching = Matching { strategy, tolerance, allow_exact_matches };
        Ok(Self { left_keys: columns(written.left)?, right_keys: columns(written.right)?, matching })
    }
}

#[async_trait]
impl PlannedOperator<2> for AsofJoin {
    async fn plan(&self, with: Planning<'_, 2>) -> Result<Arc<dyn ExecutionPlan>> {
        let keys = |schema: &DFSchemaRef, keys: &[Column]| {
            let index = |key| Ok(PhysicalColumn::new(&Column::clone(key).name, schema.index_of_column(key)?));
            keys.iter().map(index).collect::<Result<Vec<_>>>()
        };
        let ([left, right], [of_left, of_right]) = (with.inputs, with.columns);
        let keys = Sides { left: keys(of_left, &self.left_keys)?, right: keys(of_right, &self.right_keys)? };
        Ok(Arc::new(AsofJoinExec::try_new(Sides { left, right }, keys, self.matching, with.schema)?))
    }
}

/// One thing for each side.
#[derive(Debug, Clone)]
struct Sides<T> {
    left: T,
    right: T,
}

/// The operator.
#[derive(Debug)]
pub struct AsofJoinExec {
    inputs: Sides<Arc<dyn ExecutionPlan>>,
    keys: Sides<Vec<PhysicalColumn>>,
    orders: Sides<LexOrdering>,
    matching: Matching,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AsofJoinExec {
    fn try_new(
        inputs: Sides<Arc<dyn ExecutionPlan>>,
        keys: Sides<Vec<PhysicalColumn>>,
        matching: Matching,
        schema: SchemaRef,
    ) -> Result<Self> {
        let orders = Sides { left: order(&keys.left)?, right: order(&keys.right)? };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            // Rows of one group are together; what is put out says it by the left side's keys, which it may not have.
            Partitioning::UnknownPartitioning(inputs.left.output_partitioning().partition_count()),
            EmissionType::Incremental,
            inputs.left.properties().boundedness,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { inputs, keys, orders, matching, properties, metrics })
    }

    /// The columns whose values are equal.
    fn equal(keys: &[PhysicalColumn]) -> Vec<Arc<dyn PhysicalExpr>> {
        let equal = keys.split_last().map_or(&[][..], |(_, equal)| equal);
        equal.iter().map(|key| Arc::new(key.clone()) as _).collect()
    }
}

fn order(keys: &[PhysicalColumn]) -> Result<LexOrdering> {
    let keys = keys.iter().map(|key| PhysicalSortExpr::new(Arc::new(key.clone()), SortOptions::default()));
    LexOrdering::new(keys).ok_or_else(|| DataFusionError::Internal("an as-of join has a key".into()))
}

impl DisplayAs for AsofJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> =
            self.keys.left.iter().zip(&self.keys.right).map(|(left, right)| format!("({left}, {right})")).collect();
        write!(f, "AsofJoinExec: on=[{}], {}", keys.join(", "), self.matching)
    }
}

impl ExecutionPlan for AsofJoinExec {
    fn name(&self) -> &'static str {
        "AsofJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inputs.left, &self.inputs.right]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let (left, right) = (Self::equal(&self.keys.left), Self::equal(&self.keys.right));
        match left.is_empty() {
            true => InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2]),
            false => InputDistributionRequirements::co_partitioned(vec![
                Distribution::KeyPartitioned(left),
                Distribution::KeyPartitioned(right),
            ]),
        }
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let orders = [&self.orders.left, &self.orders.right];
        orders.into_iter().map(|order| Some(OrderingRequirements::from(order.clone()))).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![self.keys.left.len() > 1; 2]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) {
            Ok([left, right]) => {
                let inputs = Sides { left, right };
                Ok(Arc::new(Self::try_new(inputs, self.keys.clone(), self.matching, self.schema())?))
            }
            Err(_) => plan_err!("AsofJoinExec has two inputs"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let left = self.inputs.left.execute(partition, Arc::clone(&context))?;
        let right = self.inputs.right.execute(partition, Arc::clone(&context))?;
        let index = |keys: &[PhysicalColumn]| keys.iter().map(PhysicalColumn::index).collect::<Vec<_>>();
        let keys = Sides { left: index(&self.keys.left), right: index(&self.keys.right) };
        merge::merge(
            Sides { left, right },
            keys,
            self.matching,
            self.schema(),
            merge::Accounts::new(&context, &self.metrics, partition),
        )
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// The last columns of a schema: the right side as the result has it.
fn tail(schema: &Schema, columns: usize) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().skip(schema.fields().len() - columns).cloned().collect::<Vec<_>>()))
}
