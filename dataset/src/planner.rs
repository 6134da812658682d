//! From Sheaf's own logical nodes to operators: one planner that asks each node's file in turn.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session as EngineSession;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use crate::operators::{
    asof_join, broadcast, draw, map_batches, map_groups, mix, overlap, partition, random_key, row_index, sample,
    whole_window, write, zip,
};

/// DataFusion's planner with the nodes of Sheaf.
pub struct SheafPlanner {
    inner: DefaultPhysicalPlanner,
}

impl Default for SheafPlanner {
    fn default() -> Self {
        let nodes: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> = vec![
            Arc::new(map_batches::Planner),
            Arc::new(sample::Planner),
            Arc::new(write::Planner),
            Arc::new(broadcast::Planner),
            Arc::new(asof_join::Planner),
            Arc::new(overlap::Planner),
            Arc::new(map_groups::Planner),
            Arc::new(mix::Planner),
            Arc::new(partition::Planner),
            Arc::new(draw::Planner),
            Arc::new(random_key::Planner),
            Arc::new(whole_window::Planner),
            Arc::new(row_index::Planner),
            Arc::new(zip::Planner),
        ];
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
