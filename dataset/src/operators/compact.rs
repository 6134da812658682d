//! `CompactExec`: lets go of memory that batches keep alive without showing it.
//!
//! A string view points into buffers that it shares with others. What a sort puts out points into the buffers of all
//! its runs, and what a scan puts out into whole pages: whoever then holds a batch holds many times its size, and
//! accounts for it. This node copies the views of such batches into buffers of their own. It stands around every
//! sort that may spill.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use sheaf_connectors::error::to_datafusion;
use sheaf_flight::compact::compact_sparse;

/// Copies views whose buffers are mostly not shown.
#[derive(Debug)]
pub struct CompactExec {
    input: Arc<dyn ExecutionPlan>,
}

impl CompactExec {
    /// `input` as it is when it has no views, else compacted.
    pub fn around(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        if has_views(&input.schema()) && input.downcast_ref::<Self>().is_none() {
            Arc::new(Self { input })
        } else {
            input
        }
    }
}

fn has_views(schema: &Schema) -> bool {
    let is_view = |data_type: &DataType| matches!(data_type, DataType::Utf8View | DataType::BinaryView);
    schema.fields().iter().any(|field| is_view(field.data_type()))
}

impl DisplayAs for CompactExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompactExec")
    }
}

impl ExecutionPlan for CompactExec {
    super::as_its_input!("CompactExec", input);

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input })),
            _ => plan_err!("CompactExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let compacted = input.map(|batch| batch.and_then(compacted));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, compacted)))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the batch goes when its copy is there")]
fn compacted(batch: RecordBatch) -> Result<RecordBatch> {
    compact_sparse(&batch).map_err(to_datafusion)
}
