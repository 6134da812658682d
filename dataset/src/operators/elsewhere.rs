//! What is done for an operator in other processes: names under which it is counted, and what is asked for there.

use datafusion::physical_plan::metrics::MetricsSet;

/// Says in the settings that a plan is made for somebody who reads its rows as they come.
#[derive(Debug)]
pub(crate) struct AsTheyCome {
    /// Where they would not come so, there is to be no plan.
    pub(crate) or_none: bool,
}

/// The bytes that scans have read, as DataFusion names them.
pub(crate) const BYTES_SCANNED: &str = "bytes_scanned";
/// The rows that left the sources.
pub(crate) const ROWS_SCANNED: &str = "rows_scanned";
/// The tasks that there are.
pub(crate) const TASKS: &str = "tasks";
/// Those that have ended.
pub(crate) const TASKS_ENDED: &str = "tasks_ended";

/// How far an operator is that has tasks elsewhere.
pub(crate) fn progress(metrics: &MetricsSet) -> Option<String> {
    let tasks = metrics.sum_by_name(TASKS)?.as_usize();
    let ended = metrics.sum_by_name(TASKS_ENDED).map_or(0, |ended| ended.as_usize());
    // Those that began anew count once more.
    Some(format!("{} of {tasks} tasks", ended.min(tasks)))
}
