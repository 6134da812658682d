//! A walk through a plan that changes its hash joins by what the operators above them say.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::HashJoinExec;

/// What changes a plan's joins.
pub(super) trait JoinsBelow {
    /// What an operator says to one of its inputs, having been told so itself.
    fn says(&self, plan: &Arc<dyn ExecutionPlan>, input: usize, told: bool) -> bool;

    /// Another operator for a join that was told so, where it is to be another.
    ///
    /// # Errors
    /// Those of making it.
    fn changed(&self, join: &HashJoinExec, told: bool) -> Result<Option<Arc<dyn ExecutionPlan>>>;

    /// The plan, whose inputs come before it. `told` is what is said to its first operator.
    ///
    /// # Errors
    /// Those of changing it.
    fn walk(&self, plan: &Arc<dyn ExecutionPlan>, told: bool) -> Result<Arc<dyn ExecutionPlan>> {
        let inputs = plan.children().into_iter().enumerate();
        let inputs = inputs.map(|(at, input)| self.walk(input, self.says(plan, at, told)));
        let plan = replace_children_if_necessary(Arc::clone(plan), inputs.collect::<Result<_>>()?)?;
        let changed = plan.downcast_ref::<HashJoinExec>().map(|join| self.changed(join, told)).transpose()?;
        Ok(changed.flatten().unwrap_or(plan))
    }
}
