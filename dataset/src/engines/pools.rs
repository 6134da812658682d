//! Functions with fewer processes than there are nodes: the operator has a stage of its own, so that what is below it
//! runs on all of them.
//!
//! Its tasks are as many as it has processes, ask for no resources, and begin at once: what is below is cut into more
//! tasks than there are nodes, and each output is read as soon as it is there.

use std::fmt;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use datafusion_distributed::{
    BroadcastExec, DistributedExec, NetworkBoundaryExt, NetworkBroadcastExec, NetworkCoalesceExec, Stage as Boundary,
};

use super::stages::{headless, unplanned};
use crate::operators::map_batches::MapBatchesExec;
use crate::operators::without_expressions;

/// Tasks for each node, of what feeds functions with few processes: the first of them are to have ended soon.
pub(super) const FEEDING_WAVES: usize = 4;

/// The processes of each function of a plan that has any of its own.
#[must_use]
pub(super) fn processes(plan: &Arc<dyn ExecutionPlan>) -> Vec<usize> {
    let own = plan.downcast_ref::<MapBatchesExec>().and_then(|calls| calls.function().processes());
    plan.children().into_iter().flat_map(processes).chain(own).collect()
}

/// Whether the processes of a plan's functions hold CPUs while they wait for rows.
pub(super) fn holds_cpus(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let own = plan.downcast_ref::<MapBatchesExec>().is_some_and(|calls| calls.function().holds_cpus());
    own || plan.children().into_iter().any(holds_cpus)
}

/// Whether a function has fewer processes than so many tasks.
fn is_short(plan: &Arc<dyn ExecutionPlan>, tasks: usize) -> bool {
    let processes = plan.downcast_ref::<MapBatchesExec>().and_then(|calls| calls.function().processes());
    processes.is_some_and(|processes| processes < tasks)
}

/// The function of an operator that has fewer processes than there are nodes, if it cannot have a stage of its own:
/// something else than its rows is brought together above it, or they have to be in an order, or in the partitions in which
/// they are. `is_alone` says whether all operators above it, up to the next exchange, have one input.
pub(super) fn is_tied(plan: &Arc<dyn ExecutionPlan>, nodes: usize, is_alone: bool) -> bool {
    is_short(plan, nodes) && !(is_alone && may_be_fed(plan))
}

/// Whether the operators below this one are alone in the sense of [`is_tied`].
pub(super) fn leaves_alone(plan: &Arc<dyn ExecutionPlan>, is_alone: bool) -> bool {
    let hashed = plan.downcast_ref::<RepartitionExec>().map(RepartitionExec::partitioning);
    let is_exchange = plan.is::<CoalescePartitionsExec>()
        || plan.is::<SortPreservingMergeExec>()
        || matches!(hashed, Some(Partitioning::Hash(..)));
    is_exchange || (is_alone && plan.children().len() == 1)
}

fn may_be_fed(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let keeps = plan.downcast_ref::<MapBatchesExec>().is_some_and(|calls| calls.options().keeps_partitioning);
    !keeps && plan.required_input_ordering().iter().all(Option::is_none)
}

/// A plan of datafusion-distributed's with such functions in stages of their own, of so many partitions each.
///
/// # Errors
/// When a function would have more tasks than processes.
pub(super) fn in_own_stages(plan: &Arc<dyn ExecutionPlan>, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let root = match plan.downcast_ref::<DistributedExec>() {
        Some(root) => root.children().first().map_or(plan, |child| *child),
        None => plan,
    };
    within(root, 1, partitions).map(|(plan, _)| plan)
}

/// The same of a stage of so many tasks, with all that is below it; and how many tasks it has then.
fn within(plan: &Arc<dyn ExecutionPlan>, tasks: usize, partitions: usize) -> Result<(Arc<dyn ExecutionPlan>, usize)> {
    if let Some(boundary) = plan.as_network_boundary() {
        let Boundary::Local(mut input) = boundary.input_stage().clone() else {
            return Err(unplanned("a stage below is elsewhere already"));
        };
        let (below, producers) = within(&input.plan, input.tasks, partitions)?;
        if Arc::ptr_eq(&below, &input.plan) {
            return Ok((Arc::clone(plan), tasks));
        }
        // Two of them have a partition for each of what they read.
        let boundary: Arc<dyn ExecutionPlan> = if plan.is::<NetworkCoalesceExec>() {
            Arc::new(NetworkCoalesceExec::try_new(below, producers, tasks)?)
        } else if plan.is::<NetworkBroadcastExec>() {
            let once = Arc::new(BroadcastExec::new(headless(&below), 1));
            Arc::new(NetworkBroadcastExec::try_new(once, producers)?)
        } else {
            (input.plan, input.tasks) = (below, producers);
            boundary.with_input_stage(Boundary::Local(input))?
        };
        return Ok((boundary, tasks));
    }
    let children = plan.children();
    let mut own = Vec::with_capacity(children.len());
    let mut left = tasks;
    for child in &children {
        let (child, those) = within(child, tasks, partitions)?;
        own.push(child);
        left = left.min(those);
    }
    if left < tasks && children.len() > 1 {
        return Err(unplanned("a function with few processes is one of several inputs"));
    }
    let Some(calls) = plan.downcast_ref::<MapBatchesExec>().filter(|_| is_short(plan, left)) else {
        return Ok((with_children(plan, own)?, left));
    };
    let Some(input) = own.pop().filter(|_| may_be_fed(plan)) else {
        return Err(unplanned("a function has fewer processes than tasks"));
    };
    let readers = calls.function().processes().unwrap_or(left).max(1);
    let fed: Arc<dyn ExecutionPlan> = Arc::new(FeedingExec::new(input, (left, readers), partitions));
    Ok((with_children(plan, vec![fed])?, readers))
}

fn with_children(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let were = plan.children();
    if were.iter().zip(&children).all(|(before, after)| Arc::ptr_eq(before, after)) {
        return Ok(Arc::clone(plan));
    }
    Arc::clone(plan).replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Where a plan is cut below such a function: what feeds it is a stage of its own, which is read in the order of its
/// tasks.
#[derive(Debug)]
pub(super) struct FeedingExec {
    pub(super) input: Arc<dyn ExecutionPlan>,
    /// Those of the stage below.
    pub(super) tasks: usize,
    properties: Arc<PlanProperties>,
}

impl FeedingExec {
    /// A stage of so many tasks that so many read, each of them as so many partitions at the most.
    fn new(input: Arc<dyn ExecutionPlan>, (tasks, readers): (usize, usize), partitions: usize) -> Self {
        let read = input.output_partitioning().partition_count() * tasks.div_ceil(readers);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions.min(read).max(1)),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        Self { input, tasks, properties: Arc::new(properties) }
    }
}

impl DisplayAs for FeedingExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedingExec: tasks={}", self.tasks)
    }
}

impl ExecutionPlan for FeedingExec {
    fn name(&self) -> &'static str {
        "FeedingExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let (tasks, properties) = (self.tasks, Arc::clone(&self.properties));
                Ok(Arc::new(Self { input, tasks, properties }))
            }
            _ => Err(unplanned("a stage that feeds another has one plan")),
        }
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Err(DataFusionError::Internal("a plan is to be cut where one stage feeds another".to_string()))
    }
}
