//! The stages of a plan as datafusion-distributed runs them: its own boundaries between tasks of ours.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion_distributed::{
    DistributedExec, NetworkBoundary, NetworkBoundaryExt, NetworkCoalesceExec, Stage as Boundary,
};
use uuid::Uuid;

use super::super::determinism::{Class, classes};
use super::super::shipped::Shipped;
use super::super::stages::unplanned;
use super::task::TaskExec;
use crate::operators::gather::OrderedGatherExec;

/// What the driver runs: it brings the rows of the last stage together, in their order where they have one.
pub(super) fn planned(shipped: &Shipped) -> Result<Arc<dyn ExecutionPlan>> {
    let (query, bytes) = (Uuid::new_v4(), Bytes::from(shipped.bytes.clone()));
    let mut tasks: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    for (number, stage) in shipped.graph.stages.iter().enumerate() {
        let inputs = stage.inputs.iter().zip(&stage.boundaries).map(|(input, boundary)| {
            let boundary = boundary.as_network_boundary().ok_or_else(|| unplanned("a boundary is none"))?;
            joined(boundary, &tasks[input.stage], (query, input.stage, input.tasks))
        });
        let inputs = inputs.collect::<Result<_>>()?;
        tasks.push(Arc::new(TaskExec::new(number, stage.body(), bytes.clone(), inputs)));
    }
    let (last, stage) = tasks.last().zip(shipped.graph.stages.last()).ok_or_else(|| unplanned("it has no stage"))?;
    let result = NetworkCoalesceExec::try_new(Arc::clone(last), stage.tasks, 1)?;
    let result = joined(&result, last, (query, tasks.len() - 1, stage.tasks))?;
    let is_in_order = classes(&shipped.graph).last() == Some(&Class::Determined);
    let gathered = match is_in_order {
        true => OrderedGatherExec::over(result),
        false => Arc::new(CoalescePartitionsExec::new(result)),
    };
    Ok(Arc::new(DistributedExec::new(gathered)))
}

/// A boundary above a stage of a run of a query, which has so many tasks.
fn joined(
    boundary: &dyn NetworkBoundary,
    plan: &Arc<dyn ExecutionPlan>,
    (query, number, tasks): (Uuid, usize, usize),
) -> Result<Arc<dyn ExecutionPlan>> {
    let Boundary::Local(stage) = boundary.input_stage() else { return Err(unplanned("a stage is elsewhere already")) };
    let mut stage = stage.clone();
    (stage.query_id, stage.num, stage.tasks, stage.plan) = (query, number, tasks, Arc::clone(plan));
    Ok(boundary.with_input_stage(Boundary::Local(stage))?)
}
