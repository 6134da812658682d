//! The optimizer rules that Sheaf adds to DataFusion's, in the order in which they run.

mod backward_windows;
mod broadcast_sides;
mod chosen_partitions;
mod compact_sorts;
mod dynamic_filters;
mod equal_names;
mod equal_steps;
mod joins_below;
mod kept_filters;
mod leading_rows;
mod light_counts;
pub(crate) mod object_columns;
mod ordered_ranges;
mod row_order;
mod shown_inputs;
pub(crate) mod single_subqueries;
mod skewed_joins;
mod spill_joins;
mod waiting_filters;
pub(crate) mod whole_builds;
mod whole_windows;
mod window_texts;
pub(crate) mod within_task;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

/// The rules of DataFusion that hand filters down: those of the query, and dynamic ones.
const PUSHDOWN: &str = "FilterPushdown";
const DYNAMIC_PUSHDOWN: &str = "FilterPushdown(Post)";

/// The rule of DataFusion that chooses the sides of joins by their sizes.
const JOIN_SELECTION: &str = "join_selection";
/// The rule of DataFusion that puts exchanges and sorts where operators need them.
const REQUIREMENTS: &str = "EnsureRequirements";

/// The rule of DataFusion that merges projections.
const MERGED_PROJECTIONS: &str = "optimize_projections";

/// Adds Sheaf's rules to DataFusion's own: `broadcast_sides`, `ordered_ranges` and `dynamic_filters` among them, the others
/// after them.
pub(crate) fn install(state: SessionStateBuilder) -> SessionStateBuilder {
    state
        .with_analyzer_rules(object_columns::analyzer())
        .with_optimizer_rules(logical())
        .with_physical_optimizer_rules(physical())
        .with_physical_optimizer_rule(Arc::new(light_counts::LightCounts))
        .with_physical_optimizer_rule(Arc::new(skewed_joins::SkewedJoins))
        .with_physical_optimizer_rule(Arc::new(spill_joins::SpillJoins))
        .with_physical_optimizer_rule(Arc::new(whole_builds::WholeBuilds))
        .with_physical_optimizer_rule(Arc::new(leading_rows::LeadingRows))
        .with_physical_optimizer_rule(Arc::new(backward_windows::BackwardWindows))
        .with_physical_optimizer_rule(Arc::new(window_texts::WindowTexts))
        .with_physical_optimizer_rule(Arc::new(compact_sorts::CompactSorts))
        .with_physical_optimizer_rule(Arc::new(row_order::RowOrder))
        .with_physical_optimizer_rule(Arc::new(shown_inputs::ShownInputs))
}

/// The rule of DataFusion that hands filters down in the logical plan.
const FILTERS_DOWN: &str = "push_down_filter";

/// DataFusion's logical rules, some of them guarded, and after them those of Sheaf.
fn logical() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let guarded = |rule: Arc<dyn OptimizerRule + Send + Sync>| match rule.name() {
        MERGED_PROJECTIONS => Arc::new(equal_steps::MarkedSteps(rule)) as _,
        FILTERS_DOWN => Arc::new(kept_filters::KeptFilters(rule)) as _,
        _ => rule,
    };
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
        Optimizer::new().rules.into_iter().map(guarded).collect();
    rules.push(Arc::new(whole_windows::WholeWindows));
    rules
}

/// DataFusion's physical rules, some of them guarded, and `broadcast_sides`, `ordered_ranges` and `dynamic_filters` among
/// them.
fn physical() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = Vec::new();
    for rule in PhysicalOptimizer::new().rules {
        match rule.name() {
            JOIN_SELECTION => rules.extend([rule, Arc::new(broadcast_sides::BroadcastSides)]),
            PUSHDOWN => rules.push(Arc::new(equal_names::GuardedPushdown(rule))),
            DYNAMIC_PUSHDOWN => {
                rules.push(Arc::new(dynamic_filters::DynamicFilters));
                rules.push(Arc::new(equal_names::GuardedPushdown(rule)));
                rules.push(Arc::new(waiting_filters::WaitingFilters));
            }
            REQUIREMENTS => {
                rules.push(Arc::new(ordered_ranges::OrderedRanges));
                rules.push(Arc::new(chosen_partitions::ChosenPartitions(rule)));
            }
            _ => rules.push(rule),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_are_guarded_are_there() {
        let guarded = physical().iter().filter(|rule| format!("{rule:?}").starts_with("GuardedPushdown")).count();
        let marked = logical().iter().filter(|rule| format!("{rule:?}").starts_with("MarkedSteps")).count();
        let filters = logical().iter().filter(|rule| format!("{rule:?}").starts_with("KeptFilters")).count();
        let choosing = physical().iter().filter(|rule| rule.name() == "broadcast_sides").count();
        let kept = physical().iter().filter(|rule| format!("{rule:?}").starts_with("ChosenPartitions")).count();
        let waiting = physical().iter().filter(|rule| rule.name() == "waiting_filters").count();
        let found = (guarded, marked, filters, choosing, kept, waiting);
        assert_eq!(found, (2, 1, 1, 1, 1, 1), "DataFusion has renamed a rule");
    }
}
