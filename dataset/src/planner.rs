//! From Sheaf's own logical nodes to operators: one planner that asks for each operator in turn.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session as EngineSession;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use crate::operators::asof_join::AsofJoin;
use crate::operators::broadcast::Broadcast;
use crate::operators::draw::Draw;
use crate::operators::map_batches::MapBatches;
use crate::operators::map_groups::MapGroups;
use crate::operators::mix;
use crate::operators::node::planner;
use crate::operators::overlap::Overlap;
use crate::operators::partition::Partition;
use crate::operators::random_key::RandomKey;
use crate::operators::row_index::RowIndex;
use crate::operators::sample::Sample;
use crate::operators::whole_window::WholeWindow;
use crate::operators::write::{CommitFiles, Write, WriteFiles};
use crate::operators::zip::Zip;

/// DataFusion's planner with the nodes of Sheaf.
pub struct SheafPlanner {
    inner: DefaultPhysicalPlanner,
}

/// What plans each of our nodes.
fn nodes() -> Vec<Arc<dyn ExtensionPlanner + Send + Sync>> {
    vec![
        planner::<MapBatches, 1>(),
        planner::<Sample, 1>(),
        planner::<Write, 1>(),
        planner::<WriteFiles, 1>(),
        planner::<CommitFiles, 1>(),
        planner::<Broadcast, 1>(),
        planner::<AsofJoin, 2>(),
        planner::<Overlap, 1>(),
        planner::<MapGroups, 1>(),
        Arc::new(mix::Planner),
        planner::<Partition, 1>(),
        planner::<Draw, 1>(),
        planner::<RandomKey, 1>(),
        planner::<WholeWindow, 1>(),
        planner::<RowIndex, 1>(),
        planner::<Zip, 2>(),
    ]
}

impl Default for SheafPlanner {
    fn default() -> Self {
        Self { inner: DefaultPhysicalPlanner::with_extension_planners(nodes()) }
    }
}

impl SheafPlanner {
    /// The same with the nodes of another planner.
    pub(crate) fn with(other: Arc<dyn ExtensionPlanner + Send + Sync>) -> Self {
        let mut nodes = nodes();
        nodes.push(other);
        Self { inner: DefaultPhysicalPlanner::with_extension_planners(nodes) }
    }
}

impl std::fmt::Debug for SheafPlanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SheafPlanner").finish_non_exhaustive()
    }
}

#[async_trait]
impl QueryPlanner for SheafPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn EngineSession,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.inner.create_physical_plan(plan, session).await
    }
}
