//! The optimizer rules that Sheaf adds to DataFusion's, in the order in which they run.

use datafusion::execution::SessionStateBuilder;

/// Adds Sheaf's rules after DataFusion's own.
pub(crate) fn install(state: SessionStateBuilder) -> SessionStateBuilder {
    state
}
