//! `OnceExec`: passes its input on, once.
//!
//! DataFusion's nested-loop join runs its left input anew when that did not fit in memory the first time. Plans are
//! not made for it (a scan has given its files out, and its second run is short of them), and for outer, semi and
//! anti joins over several partitions what follows would repeat rows. So the second run is the error of the memory
//! limit that the first one was.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, human_readable_size};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};

/// An input that runs once.
#[derive(Debug)]
pub(crate) struct OnceExec {
    input: Arc<dyn ExecutionPlan>,
    started: Vec<AtomicBool>,
}

impl OnceExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = 0..input.output_partitioning().partition_count();
        Self { input, started: partitions.map(|_| AtomicBool::new(false)).collect() }
    }
}

impl DisplayAs for OnceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceExec")
    }
}

impl ExecutionPlan for OnceExec {
    super::as_its_input!("OnceExec", input);

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input))),
            _ => plan_err!("OnceExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.started.get(partition) {
            Some(started) if !started.swap(true, Ordering::Relaxed) => self.input.execute(partition, context),
            _ => Err(over_the_limit(&context.memory_pool().memory_limit())),
        }
    }
}

fn over_the_limit(limit: &MemoryLimit) -> DataFusionError {
    let limit = match limit {
        MemoryLimit::Finite(bytes) => format!(" of {}", human_readable_size(*bytes)),
        MemoryLimit::Infinite | MemoryLimit::Unknown => String::new(),
    };
    DataFusionError::ResourcesExhausted(format!(
        "a join without equal keys keeps its smaller side in memory, and that is over the memory{limit} that the \
         operators of this session may hold"
    ))
}
