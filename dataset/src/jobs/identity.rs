//! What a job is: the plan and the data that it reads. An attempt goes on from what another one has recorded only if
//! both are the same, or it would mix rows of two jobs.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::Result;

/// The plan as text, and a line for each file and each batch in memory that it reads.
///
/// Functions of the user's are in it by name alone: whether a new attempt has the same ones is for its user to see to.
pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<String> {
    let mut text = displayable(plan.as_ref()).indent(true).to_string();
    plan.apply(|node| {
        if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
            let source = scan.data_source();
            if let Some(files) = source.downcast_ref::<FileScanConfig>() {
                describe_files(files, &mut text);
            } else if let Some(memory) = source.downcast_ref::<MemorySourceConfig>() {
                describe_memory(memory, &mut text);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    Ok(text)
}

fn describe_files(files: &FileScanConfig, text: &mut String) {
    for file in files.file_groups.iter().flat_map(|group| group.files()) {
        let meta = &file.object_meta;
        let tag = meta.e_tag.as_deref().unwrap_or_default();
        let _ = writeln!(text, "file {} {} {} {tag}", meta.location, meta.size, meta.last_modified.timestamp_micros());
    }
}

fn describe_memory(memory: &MemorySourceConfig, text: &mut String) {
    for batch in memory.partitions().iter().flatten() {
        let mut sum = crc32fast::Hasher::new();
        for column in batch.columns() {
            let data = column.to_data();
            data.buffers().iter().for_each(|buffer| sum.update(buffer));
            if let Some(nulls) = data.nulls() {
                sum.update(nulls.validity());
            }
        }
        let _ = writeln!(text, "memory {} {:08x}", batch.num_rows(), sum.finalize());
    }
}
