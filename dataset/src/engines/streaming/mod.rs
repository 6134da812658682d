//! The streaming exchange: the tasks of all stages at once, on datafusion-distributed's workers, each of which hands its
//! rows on as it makes them.
//!
//! `graph` is a plan's stages as datafusion-distributed runs them, `task` what its workers are given for each of them: the
//! bytes of the logical plan and the number of a stage, as in the durable exchange. `worker` is the service of a node,
//! `links` how drivers and workers reach it, `query` runs a query and reads its rows.

mod graph;
mod links;
mod query;
mod task;
mod worker;

use super::shipped::Shipped;
use super::stages::Stage;

pub(super) use links::Told;
pub(super) use query::rows_of;

/// Why a query keeps to the durable exchange, if it does.
pub(super) fn unfit(shipped: &Shipped, is_kept: bool) -> Option<&'static str> {
    let reads_stored =
        |stage: &Stage| (0..stage.tasks).any(|task| !stage.stored_objects(task).is_ok_and(|all| all.is_empty()));
    let stages = &shipped.graph.stages;
    [
        (is_kept, "its rows are kept"),
        (stages.iter().any(Stage::writes), "it writes files"),
        (shipped.has_functions, "functions run in worker processes"),
        (stages.iter().any(reads_stored), "it reads rows that are on the cluster"),
    ]
    .into_iter()
    .find_map(|(is_so, why)| is_so.then_some(why))
}
