//! The optimizer rules that Sheaf adds to DataFusion's, in the order in which they run.

mod compact_sorts;
mod dynamic_filters;
mod light_counts;
mod spill_joins;
mod whole_builds;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

/// The rule of DataFusion that hands dynamic filters down.
const DYNAMIC_PUSHDOWN: &str = "FilterPushdown(Post)";

/// Adds Sheaf's rules to DataFusion's own: `dynamic_filters` among them, the others after them.
pub(crate) fn install(state: SessionStateBuilder) -> SessionStateBuilder {
    state
        .with_physical_optimizer_rules(before_dynamic_pushdown())
        .with_physical_optimizer_rule(Arc::new(light_counts::LightCounts))
        .with_physical_optimizer_rule(Arc::new(spill_joins::SpillJoins))
        .with_physical_optimizer_rule(Arc::new(whole_builds::WholeBuilds))
        .with_physical_optimizer_rule(Arc::new(compact_sorts::CompactSorts))
}

fn before_dynamic_pushdown() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    if let Some(place) = rules.iter().position(|rule| rule.name() == DYNAMIC_PUSHDOWN) {
        rules.insert(place, Arc::new(dynamic_filters::DynamicFilters));
    }
    rules
}
