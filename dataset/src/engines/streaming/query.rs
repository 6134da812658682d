//! A query of the streaming exchange, as the driver runs it.

use std::sync::Arc;

use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{DistributedExt, RouteTasksEvent, RouteTasksEventResponse, RouteTasksHandler};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::resources::CPU;
use sheaf_core::wire::NodeInfo;
use sheaf_core::{Error, Result};
use url::Url;
use uuid::Uuid;

use super::super::cluster::Cluster;
use super::super::exchange::context_with;
use super::super::plan::ClusterShape;
use super::super::shipped::Shipped;
use super::graph::planned;
use super::links::{Links, Told, equipped, url_of};
use super::task::TaskExec;

/// Bytes that wait for the readers of all partitions of a stage together, on the way from one node to another.
const WAITING_BYTES: usize = 256 << 20;
/// The least and the most that may wait for the reader of one of them.
const EACH_WAITING: std::ops::RangeInclusive<usize> = 1 << 20..=16 << 20;

/// Begins a run of a query on these nodes; what its tasks did is in `told` by its end.
pub(in super::super) fn rows_of(
    cluster: &Arc<Cluster>,
    shipped: &Shipped,
    shape: ClusterShape,
    context: &TaskContext,
    (nodes, told): (&[NodeInfo], &Told),
) -> Result<SendableRecordBatchStream> {
    let workers = Workers::of(nodes)?;
    let links = Links { client: cluster.reader().clone(), told: Some(Arc::clone(told)) };
    let started = || {
        let each =
            (WAITING_BYTES / (shape.nodes * shape.partitions).max(1)).clamp(*EACH_WAITING.start(), *EACH_WAITING.end());
        let config = context.session_config().clone().with_distributed_route_tasks_handler(workers);
        let config = equipped(config, &SessionConfig::default(), links, None)?;
        let config = config.with_distributed_worker_connection_buffer_budget_bytes(each)?;
        planned(shipped)?.execute(0, context_with(context, config))
    };
    started().map_err(from_datafusion)
}

/// The nodes that run tasks of queries.
struct Workers(Vec<Url>);

impl Workers {
    fn of(nodes: &[NodeInfo]) -> Result<Self> {
        let can_run = |node: &&NodeInfo| node.total.get(CPU).is_some_and(|cpus| *cpus >= 1.0);
        let urls = nodes.iter().filter(can_run).map(|node| url_of(&node.address).map_err(from_datafusion));
        let mut urls = urls.collect::<Result<Vec<_>>>()?;
        let Some(first) = Uuid::new_v4().as_u128().checked_rem(urls.len() as u128) else {
            return Err(Error::invalid(format!("none of the {} nodes of the cluster has CPUs", nodes.len())));
        };
        // Queries of one task are not all on the same node.
        urls.rotate_left(first as usize);
        Ok(Self(urls))
    }
}

impl RouteTasksHandler for Workers {
    /// The tasks of a stage on one node after the other, and those of stages with one task too.
    fn handle(&self, stage: RouteTasksEvent<'_>) -> Option<datafusion::error::Result<RouteTasksEventResponse>> {
        let first = stage.plan.downcast_ref::<TaskExec>().filter(|_| stage.task_count == 1).map_or(0, TaskExec::stage);
        let urls = self.0.iter().cycle().skip(first % self.0.len()).take(stage.task_count);
        Some(Ok(RouteTasksEventResponse::new(urls.cloned().collect())))
    }
}
