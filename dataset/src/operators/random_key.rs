//! `RandomKey`: all rows, and a random number for each that no other row has. What is drawn by an order of these numbers
//! is drawn at random, and again the same for the same seed and partitions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use sheaf_connectors::error::from_datafusion;

use crate::encoding::{Decoder, Encoded, Encoder, one_input};

use super::partition::{ADDED, with_random_keys};

/// The logical node.
#[derive(Debug, Clone)]
pub(crate) struct RandomKey {
    input: LogicalPlan,
    seed: u64,
    schema: DFSchemaRef,
}

impl RandomKey {
    /// The column that is added.
    pub(crate) const COLUMN: &str = ADDED;

    pub(crate) fn try_new(input: LogicalPlan, seed: u64) -> Result<Self> {
        let added = (None, Arc::new(Field::new(Self::COLUMN, DataType::UInt64, false)));
        let fields = input.schema().iter().map(|(table, field)| (table.cloned(), Arc::clone(field)));
        let fields = fields.chain([added]).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, seed, schema })
    }
}

impl PartialEq for RandomKey {
    fn eq(&self, other: &Self) -> bool {
        self.seed == other.seed && self.input == other.input
    }
}

impl Eq for RandomKey {}

impl PartialOrd for RandomKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl Hash for RandomKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seed.hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for RandomKey {
    fn name(&self) -> &'static str {
        "RandomKey"
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

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomKey: seed={}", self.seed)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Self::try_new(input, self.seed),
            _ => plan_err!("RandomKey has one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let added = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column != added).collect()])
    }
}

impl Encoded for RandomKey {
    const KIND: &'static str = "random_key";

    type Detail = u64;

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        Ok(self.seed)
    }

    fn decode(
        seed: Self::Detail,
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        Self::try_new(one_input(inputs)?, seed).map_err(from_datafusion)
    }
}

/// Plans [`RandomKey`] nodes.
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
        let (Some(node), [input]) = (node.as_any().downcast_ref::<RandomKey>(), physical_inputs) else {
            return Ok(None);
        };
        Ok(Some(with_random_keys(input, node.seed)))
    }
}
