//! A plan for many nodes: DataFusion's, cut by datafusion-distributed.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session as EngineSession;
use datafusion::common::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{DistributedExt, SessionStateBuilderExt, WorkerResolver};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};
use url::Url;

use super::leaves::{spread_tables, with_leaves};
use super::pools::{FEEDING_WAVES, in_own_stages, processes};
use super::spread::{calls_functions, largest_scan, unspread};
use super::stages::StageGraph;
use crate::operators::determined::keep_apart;
use crate::rules::single_subqueries;

/// What a plan is cut for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterShape {
    /// Nodes that can run tasks: a stage has as many at the most, unless there is more to read than
    /// `bytes_per_task` for each.
    pub nodes: usize,
    /// Partitions of each task: the threads of a node, and two at the least, for a plan of one is not cut.
    pub partitions: usize,
    /// CPUs that each task takes.
    pub cpus: usize,
    /// Bytes of files that are worth a partition: fewer do not get a task of their own.
    pub bytes_per_partition: usize,
    /// Bytes of files that a task reads, about, where there are more tasks than nodes: they run in waves, so that other
    /// queries have their turn between two of them, and a node that dies costs no more than it.
    pub bytes_per_task: usize,
    /// The nodes that are there: others may come.
    pub there: usize,
    /// Whether the result stays on its nodes, for other queries to read.
    pub is_kept: bool,
    /// Whether all tasks run at once, and hand on what they make: none waits for another.
    pub streams: bool,
}

/// Bytes of files that a task reads, about, where there are more than nodes. Less would have each task of a join read
/// its broadcast side for too few rows of the other one.
pub const BYTES_PER_TASK: usize = 512 << 20;
/// Tasks of a stage for each node, at the most.
const MOST_WAVES: usize = 16;
/// Tasks of a stage at the most: with more, each task behind an exchange would read from too many others.
pub(super) const MOST_TASKS: usize = 1_000;

/// Parts of a task's output at the most, for the same reason: each of them has a buffer of its own.
const MOST_PARTS: usize = 4_000;

/// Bytes of files that a partition reads at the least: datafusion-distributed's own measure.
pub const BYTES_PER_PARTITION: usize = 16 << 20;
/// The same where the user's functions are called for the rows: they tend to take longer than reading does.
const BYTES_FOR_FUNCTIONS: usize = 1 << 20;

impl ClusterShape {
    /// So many nodes with so many threads each.
    #[must_use]
    pub fn new(nodes: usize, cpus: usize) -> Self {
        let (bytes_per_partition, bytes_per_task) = (BYTES_PER_PARTITION, BYTES_PER_TASK);
        let (partitions, there) = (cpus.max(2), nodes);
        Self { nodes, partitions, cpus, bytes_per_partition, bytes_per_task, there, is_kept: false, streams: false }
    }

    /// The same for tasks that all run at once.
    pub(super) fn at_once(self) -> Self {
        Self { bytes_per_task: usize::MAX, streams: true, ..self }
    }

    /// The same for a plan whose tasks run in waves where it reads much.
    fn in_waves(self, plan: &Arc<dyn ExecutionPlan>) -> Self {
        let all = self.bytes_per_task.saturating_mul(self.nodes);
        Self { nodes: self.nodes * largest_scan(plan).div_ceil(all.max(1)).clamp(1, self.most_waves()), ..self }
    }

    /// Tasks of a stage for each node, at the most.
    fn most_waves(self) -> usize {
        let (most_tasks, most_parts) =
            (MOST_TASKS / self.nodes.max(1), MOST_PARTS / (self.nodes * self.partitions).max(1));
        most_tasks.min(most_parts).clamp(1, MOST_WAVES)
    }

    /// The same for a plan whose functions have processes of their own, or not. They are shared out among the tasks; what
    /// feeds functions that have fewer of them than there are nodes runs in waves.
    fn for_processes(self, plan: &Arc<dyn ExecutionPlan>) -> Self {
        let processes = processes(plan);
        if processes.is_empty() {
            return self.in_waves(plan);
        }
        if processes.iter().any(|processes| *processes >= self.there) {
            let most = processes.iter().copied().max().unwrap_or(1);
            return Self { nodes: self.nodes.min(most.max(1)), ..self };
        }
        let fed = self.in_waves(plan);
        Self { nodes: fed.nodes.max(self.nodes * FEEDING_WAVES.min(self.most_waves())), ..fed }
    }

    /// The same for plans that call the user's functions.
    fn for_functions(self) -> Self {
        Self { bytes_per_partition: self.bytes_per_partition.min(BYTES_FOR_FUNCTIONS), ..self }
    }
}

/// Plans a query for nodes, in the static way: where it is cut, and into how many tasks, is known before it runs. A
/// plan that is not worth cutting, or that has an operator which must see all rows ([`unspread`]), is one stage of one
/// task.
///
/// # Errors
/// [`sheaf_core::ErrorKind::InvalidInput`] for a cluster without nodes; those of planning.
pub async fn plan_for(logical: &LogicalPlan, state: &SessionState, shape: ClusterShape) -> Result<StageGraph> {
    let optimized = for_tasks(&state_for(state, shape)).optimize(logical).map_err(from_datafusion)?;
    plan_optimized(&optimized, state, shape).await
}

/// As [`plan_for`], of a logical plan that is optimized already.
///
/// # Errors
/// As [`plan_for`].
pub async fn plan_optimized(optimized: &LogicalPlan, state: &SessionState, shape: ClusterShape) -> Result<StageGraph> {
    if shape.nodes == 0 || shape.cpus == 0 {
        return Err(Error::invalid("there is no node that could run a part of the plan")
            .with_hint("start one with `sheaf node --head HOST:PORT`"));
    }
    let state = state_for(state, shape);
    let optimized = &spread_tables(optimized, shape.partitions).map_err(from_datafusion)?;
    let whole = state.query_planner().create_physical_plan(optimized, &state).await.map_err(from_datafusion)?;
    let graph = |plan: &Arc<dyn ExecutionPlan>| {
        let graph = StageGraph::of(plan)?;
        let graph = match shape.streams {
            true => graph,
            false => graph.reduced(shape.bytes_per_partition),
        };
        Ok(if shape.is_kept { graph } else { graph.read_once() })
    };
    if unspread(&whole, shape.there).is_some() {
        return graph(&whole);
    }
    let shape = shape.for_processes(&whole);
    let calls = calls_functions(&whole);
    let shape = if calls { shape.for_functions() } else { shape };
    let state = cutting(state, Arc::clone(&whole), shape, calls).map_err(from_datafusion)?;
    let cut = state.query_planner().create_physical_plan(optimized, &state).await.map_err(from_datafusion);
    // What can be planned for one process and not be cut runs as one task.
    let cut = cut.and_then(|cut| in_own_stages(&cut, shape.partitions).map_err(from_datafusion));
    cut.and_then(|cut| graph(&cut)).or_else(|error| {
        log::warn!("a query runs in one task, for it cannot be cut: {error}");
        graph(&whole)
    })
}

/// A state with other options.
fn with_options(state: &SessionState, change: impl FnOnce(&mut ConfigOptions)) -> SessionStateBuilder {
    let mut config = state.config().clone();
    let options = config.options_mut();
    change(options);
    // The catalog is shared with the session: a new one would take its place.
    options.catalog.create_default_catalog_and_schema = false;
    SessionStateBuilder::new_from_existing(state.clone()).with_config(config)
}

fn state_for(state: &SessionState, shape: ClusterShape) -> SessionState {
    let changed = with_options(state, |options| {
        options.execution.target_partitions = shape.partitions;
        keep_apart(options);
    });
    changed.build()
}

/// The state in which logical plans are optimized that many tasks run. Scalar subqueries become joins: where they are
/// found before the rest of the plan runs, its tasks do not know them.
pub(crate) fn for_tasks(state: &SessionState) -> SessionState {
    with_options(state, |options| options.optimizer.enable_physical_uncorrelated_scalar_subquery = false)
        .with_optimizer_rules(single_subqueries::with(state.optimizers()))
        .build()
}

/// A state whose planner cuts this plan, which calls functions of the user's or not.
fn cutting(
    state: SessionState,
    whole: Arc<dyn ExecutionPlan>,
    shape: ClusterShape,
    calls: bool,
) -> EngineResult<SessionState> {
    let builder = SessionStateBuilder::new_from_existing(state)
        .with_query_planner(Arc::new(Planned(whole)))
        .with_distributed_worker_resolver(Places::new(shape.nodes)?)
        .with_distributed_planner()
        // The operator that isolates children is not public: nobody else could run it.
        .with_distributed_children_isolator_unions(false)?
        .with_distributed_file_scan_config_bytes_per_partition(shape.bytes_per_partition)?;
    let bytes_per_task = shape.bytes_per_partition.saturating_mul(shape.partitions);
    Ok(with_leaves(builder, bytes_per_task, calls).build())
}

/// A planner whose work is done.
#[derive(Debug)]
struct Planned(Arc<dyn ExecutionPlan>);

#[async_trait]
impl QueryPlanner for Planned {
    async fn create_physical_plan(
        &self,
        _: &LogicalPlan,
        _: &dyn EngineSession,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::clone(&self.0))
    }
}

/// Stands for the nodes while a plan is made: only how many there are counts then.
struct Places(Vec<Url>);

impl Places {
    fn new(nodes: usize) -> EngineResult<Self> {
        let url = |number| Url::parse(&format!("http://node-{number}/"));
        let urls = (0..nodes).map(url).collect::<std::result::Result<_, _>>();
        Ok(Self(urls.map_err(|error| DataFusionError::External(Box::new(error)))?))
    }
}

impl WorkerResolver for Places {
    fn get_urls(&self) -> EngineResult<Vec<Url>> {
        Ok(self.0.clone())
    }
}
