//! The optimizer rules that Sheaf adds to DataFusion's, in the order in which they run.

mod compact_sorts;
mod spill_joins;
mod whole_builds;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;

/// Adds Sheaf's rules after DataFusion's own.
pub(crate) fn install(state: SessionStateBuilder) -> SessionStateBuilder {
    state
        .with_physical_optimizer_rule(Arc::new(spill_joins::SpillJoins))
        .with_physical_optimizer_rule(Arc::new(whole_builds::WholeBuilds))
        .with_physical_optimizer_rule(Arc::new(compact_sorts::CompactSorts))
}
