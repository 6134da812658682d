//! `ExchangeReadExec`: where a task reads what the tasks of another stage wrote.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::prelude::SessionConfig;

use super::stages::Input;

/// What a task reads, in the context that its plan runs in.
pub trait ExchangeSource: Send + Sync + fmt::Debug {
    /// One partition of an input, as [`Input::parts`] says for this task.
    ///
    /// # Errors
    /// When there is no such input; what goes wrong later comes out of the stream.
    fn read(&self, input: usize, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream>;
}

/// The source of a task as an extension of its session's settings.
#[derive(Debug, Clone)]
pub struct TaskInputs(pub Arc<dyn ExchangeSource>);

/// Reads what another stage wrote: a leaf that stands for all below it.
#[derive(Debug, Clone)]
pub struct ExchangeReadExec {
    properties: Arc<PlanProperties>,
    /// Its place among the inputs of the stage.
    number: usize,
    input: Input,
}

impl ExchangeReadExec {
    /// Reads an input of a stage as rows with these properties.
    #[must_use]
    pub fn new(properties: Arc<PlanProperties>, number: usize, input: Input) -> Self {
        Self { properties, number, input }
    }

    /// The same where the stages have other numbers.
    pub(super) fn with_input(&self, input: Input) -> Self {
        Self { input, ..self.clone() }
    }

    /// Its place among the inputs of the stage.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// What it reads.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

impl DisplayAs for ExchangeReadExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Input { stage, way, tasks, partitions, .. } = &self.input;
        write!(f, "ExchangeReadExec: {way:?} of stage {stage}, tasks={tasks}, partitions={partitions}")
    }
}

impl ExecutionPlan for ExchangeReadExec {
    fn name(&self) -> &'static str {
        "ExchangeReadExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(DataFusionError::Internal("what another stage wrote has no children".to_string())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = context.session_config().get_extension::<TaskInputs>();
        let inputs = inputs.ok_or_else(|| {
            DataFusionError::Internal("a part of a plan for a cluster runs outside of a task".to_string())
        })?;
        inputs.0.read(self.number, partition, &context)
    }
}

/// The same context with other settings.
pub(super) fn context_with(context: &TaskContext, config: SessionConfig) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config,
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}
