//! What tells whether a position that was saved belongs to this plan.

use std::fmt::Write;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use sheaf_connectors::read::FilesTable;

use crate::dataset::Dataset;
use crate::operators::epochs::EpochsTable;
use crate::operators::range::RangeTable;

/// A short text that is the same for the same plan in another process, and hardly for another: of the verbs with their
/// arguments, the columns, and the sources. Of data in memory only the columns are seen, of user functions the names.
#[must_use]
pub fn fingerprint(dataset: &Dataset) -> String {
    let plan = dataset.logical_plan();
    let mut text = plan.display_indent_schema().to_string();
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            if let Some(files) = provider.downcast_ref::<FilesTable>() {
                let _ = write!(text, "\n{:?}", files.locations());
            } else if let Some(range) = provider.downcast_ref::<RangeTable>() {
                let _ = write!(text, "\n{range:?}");
            } else if let Some(epochs) = provider.downcast_ref::<EpochsTable>() {
                let _ = write!(text, "\nepochs {}", epochs.label());
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    format!("{:016x}", fnv(text.as_bytes()))
}

/// FNV-1a: the hash of the standard library may change with its version.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}
