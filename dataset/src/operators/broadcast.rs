//! `Broadcast`: a mark on the side of a join that is to be kept whole in memory. It passes its input on; the rule
//! `rules/broadcast_sides` reads it and takes it away, so that none is left in a plan that runs.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning, keeps_columns};
use crate::encoding::{Decoder, Encoder};

/// The mark in a logical plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Broadcast;

impl LogicalOperator<1> for Broadcast {
    const NAME: &'static str = "Broadcast";

    keeps_columns!();

    fn commutes_with_filters(&self) -> bool {
        true
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broadcast")
    }
}

impl EncodedOperator<1> for Broadcast {
    const KIND: &'static str = "broadcast";

    type Detail = ();

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<()> {
        Ok(())
    }

    fn decode((): (), _inputs: [&DFSchemaRef; 1], _from: &mut Decoder<'_>) -> sheaf_core::Result<Self> {
        Ok(Self)
    }
}

#[async_trait]
impl PlannedOperator<1> for Broadcast {
    async fn plan(&self, Planning { inputs: [input], .. }: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(BroadcastExec { input }))
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
