//! `Broadcast`: a mark on the side of a join that is to be kept whole in memory. It passes its input on; the rule
//! `rules/broadcast_sides` reads it and takes it away, so that none is left in a plan that runs.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use crate::encoding::{Decoder, Encoded, Encoder, one_input};

/// The logical node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct Broadcast {
    input: LogicalPlan,
}

impl Broadcast {
    pub(crate) fn new(input: LogicalPlan) -> Self {
        Self { input }
    }
}

impl UserDefinedLogicalNodeCore for Broadcast {
    fn name(&self) -> &'static str {
        "Broadcast"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        std::collections::HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broadcast")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self { input }),
            _ => plan_err!("Broadcast has one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

impl Encoded for Broadcast {
    const KIND: &'static str = "broadcast";

    type Detail = ();

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<()> {
        Ok(())
    }

    fn decode(
        (): (),
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        Ok(Self::new(one_input(inputs)?))
    }
}

/// Plans [`Broadcast`] nodes.
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
        let (Some(_), [input]) = (node.as_any().downcast_ref::<Broadcast>(), physical_inputs) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(BroadcastExec { input: Arc::clone(input) })))
    }
}

/// The mark in a physical plan.
#[derive(Debug)]
pub(crate) struct BroadcastExec {
    input: Arc<dyn ExecutionPlan>,
}

impl BroadcastExec {
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for BroadcastExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BroadcastExec")
    }
}

impl ExecutionPlan for BroadcastExec {
    super::as_its_input!("BroadcastExec", input);

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input })),
            _ => plan_err!("BroadcastExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
