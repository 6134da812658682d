//! What happened to the calls of a function, beside its rows: for `stats()` and progress.

use std::sync::Arc;

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, Gauge, MetricBuilder, MetricsSet};

/// The name under which rows that no call could map are counted.
pub(crate) const FAILED_ROWS: &str = "failed_rows";

/// The counts of one run of the operator.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Calls that failed and were made again.
    pub retries: Count,
    /// Calls that failed and were made again in two halves.
    pub splits: Count,
    /// Rows that no call could map.
    pub failed_rows: Count,
    /// Worker processes that ended in the middle of a call.
    pub crashes: Count,
    /// Calls that took too long.
    pub timeouts: Count,
    /// Worker processes that were stopped for their memory.
    pub stopped_for_memory: Count,
    /// Worker processes that were there at once.
    pub workers: Gauge,
    /// Bytes that a worker process had at most, without the batches in shared memory.
    pub peak_worker_bytes: Gauge,
}

impl Counts {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let count = |name| MetricBuilder::new(metrics).global_counter(name);
        let gauge = |name| MetricBuilder::new(metrics).global_gauge(name);
        Self {
            retries: count("retries"),
            splits: count("splits"),
            failed_rows: count(FAILED_ROWS),
            crashes: count("worker_crashes"),
            timeouts: count("timeouts"),
            stopped_for_memory: count("workers_over_memory"),
            workers: gauge("workers"),
            peak_worker_bytes: gauge("worker_peak_bytes"),
        }
    }

    /// Counts that nobody reads.
    pub(super) fn unread() -> Self {
        Self::new(&ExecutionPlanMetricsSet::new())
    }
}

/// The metrics with those counts that are not zero: most functions fail nowhere, and have no workers.
pub(super) fn with_counts(mut metrics: MetricsSet, counts: &MetricsSet) -> MetricsSet {
    counts.iter().filter(|count| count.value().as_usize() > 0).for_each(|count| metrics.push(Arc::clone(count)));
    metrics
}

/// Rows that no call could map, by an operator's metrics.
pub(crate) fn failed_rows(metrics: &MetricsSet) -> u64 {
    metrics.sum_by_name(FAILED_ROWS).map_or(0, |value| value.as_usize() as u64)
}
