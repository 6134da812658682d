//! Larger tables in memory, as objects: tasks read their runs of the rows from the store of the program's node.

use std::path::Path;
use std::sync::{Arc, Weak};

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{MemTable, provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan};
use parking_lot::Mutex;
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::client::Client;
use sheaf_core::ids::{ObjectId, TaskId};
use sheaf_core::parts::PartsWriter;
use sheaf_core::{Error, ErrorKind, Result};

use super::cluster::Cluster;
use super::leaves::runs_of;
use super::output::write_batches;
use crate::operators::stored::{Own, StoredObject, StoredTable};
use crate::verbs::materialize::Materialized;

/// Rows of fewer bytes travel with each plan: it has to come to every node anyway.
const TRAVELING_BYTES: usize = 1 << 20;
/// Bytes of a part of a table: a few are read at once by each task.
const PART_BYTES: usize = 4 << 20;
/// The least parts of a table that has rows enough, so that many tasks can share it.
const LEAST_PARTS: usize = 64;
/// Bytes that are in memory while a table is written down; what is more goes to a file.
const WRITING_BYTES: u64 = 256 << 20;

/// Tables in memory that are objects by now.
#[derive(Default)]
pub(super) struct Uploads(Mutex<Vec<Upload>>);

struct Upload {
    table: Weak<dyn TableProvider>,
    /// The columns that it had then: rows may be inserted.
    columns: Vec<Weak<dyn Array>>,
    stored: Arc<StoredTable>,
}

impl Upload {
    /// Whether it is of that table, with those rows.
    fn is_of(&self, table: &Arc<dyn TableProvider>, batches: &[RecordBatch]) -> bool {
        let is_table = std::ptr::addr_eq(self.table.as_ptr(), Arc::as_ptr(table));
        let columns = batches.iter().flat_map(RecordBatch::columns);
        // An address is not used again as long as somebody knows of what was there.
        is_table && columns.map(Arc::as_ptr).eq_by_address(self.columns.iter().map(Weak::as_ptr))
    }
}

/// Sequences of places in memory that are compared.
trait Addresses: Iterator<Item = *const dyn Array> + Sized {
    fn eq_by_address(self, other: impl Iterator<Item = *const dyn Array>) -> bool {
        self.map(<*const dyn Array>::cast::<()>).eq(other.map(<*const dyn Array>::cast::<()>))
    }
}

impl<I: Iterator<Item = *const dyn Array>> Addresses for I {}

/// The reference to an object, which goes with this.
struct Put(Arc<Client>, ObjectId);

impl Drop for Put {
    fn drop(&mut self) {
        self.0.drop_ref(self.1);
    }
}

/// Where rows go.
struct Target<'a> {
    client: &'a Arc<Client>,
    folder: &'a Path,
    /// Nothing is put there: the plan is only shown.
    is_shown: bool,
}

impl Uploads {
    /// The plan with larger tables in memory as objects of this node's store: each is put there once, for all queries
    /// that read it. It waits for the node and maybe a disk.
    fn replace_tables(&self, plan: LogicalPlan, to: &Target<'_>) -> Result<LogicalPlan> {
        self.0.lock().retain(|upload| upload.table.strong_count() > 0);
        let replace = |node: LogicalPlan| {
            let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
            let table = source_as_provider(&scan.source).ok();
            let batches = table.as_ref().map(rows_of).transpose().map_err(to_datafusion)?.flatten();
            let (Some(table), Some(batches)) = (table, batches) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let stored = self.upload(&table, &batches, to).map_err(to_datafusion)?;
            let source = provider_as_source(stored);
            Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
        };
        plan.transform_up_with_subqueries(replace).map(|plan| plan.data).map_err(from_datafusion)
    }

    fn upload(
        &self,
        table: &Arc<dyn TableProvider>,
        batches: &[RecordBatch],
        to: &Target<'_>,
    ) -> Result<Arc<StoredTable>> {
        if let Some(upload) = self.0.lock().iter().find(|upload| upload.is_of(table, batches)) {
            return Ok(Arc::clone(&upload.stored));
        }
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let parts = (bytes_of(batches) / PART_BYTES).max(LEAST_PARTS).min(rows);
        let runs = runs_of(batches, parts);
        if to.is_shown {
            let sizes = runs.iter().map(|run| {
                let rows: usize = run.iter().map(RecordBatch::num_rows).sum();
                (rows as u64, bytes_of(run) as u64)
            });
            let nowhere = TaskId { owner: to.client.node(), number: 0 }.result(0);
            return Ok(Arc::new(StoredTable::new(
                table.schema(),
                vec![StoredObject { id: nowhere, parts: sizes.collect() }],
            )));
        }
        let mut writer = PartsWriter::new(parts, WRITING_BYTES, to.folder);
        for (part, run) in runs.into_iter().enumerate() {
            write_batches(part, &run, &mut writer)?;
        }
        let sizes = writer.sizes();
        let id = to.client.put_parts(writer.finish()?, to.folder)?;
        let keeps = Arc::new(Put(Arc::clone(to.client), id));
        let stored = StoredTable::new(table.schema(), vec![StoredObject { id, parts: sizes }]);
        let stored = Arc::new(stored.with(Own { reader: None, is_in_order: true, _keeps: keeps }));
        let columns = batches.iter().flat_map(RecordBatch::columns).map(Arc::downgrade).collect();
        let upload = Upload { table: Arc::downgrade(table), columns, stored: Arc::clone(&stored) };
        let mut uploads = self.0.lock();
        // What it had before is no more than other queries still read.
        uploads.retain(|upload| !std::ptr::addr_eq(upload.table.as_ptr(), Arc::as_ptr(table)));
        uploads.push(upload);
        Ok(stored)
    }
}

/// The rows of a table in memory that has too many to travel with plans.
fn rows_of(table: &Arc<dyn TableProvider>) -> Result<Option<Vec<RecordBatch>>> {
    let materialized = table.downcast_ref::<Materialized>().map(Materialized::table);
    let Some(table) = materialized.or_else(|| table.downcast_ref::<MemTable>()) else { return Ok(None) };
    // Rows in an order are those of one task.
    if !table.sort_order.lock().is_empty() {
        return Ok(None);
    }
    let mut batches = Vec::new();
    for partition in &table.batches {
        let inserting = |_| Error::new(ErrorKind::Conflict, "rows are inserted into a table that the query reads");
        batches.extend(partition.try_read().map_err(inserting)?.iter().cloned());
    }
    Ok((bytes_of(&batches) > TRAVELING_BYTES).then_some(batches))
}

/// The bytes of the rows that are shown, also of slices of what is larger.
fn bytes_of(batches: &[RecordBatch]) -> usize {
    let of =
        |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
    batches.iter().flat_map(RecordBatch::columns).map(of).sum()
}

impl Cluster {
    /// The plan with larger tables in memory as objects; of one that is only shown, as if they were.
    pub(super) async fn uploaded(
        self: &Arc<Self>,
        plan: &LogicalPlan,
        is_shown: bool,
        folder: &Path,
    ) -> Result<LogicalPlan> {
        let (plan, folder) = (plan.clone(), folder.to_path_buf());
        self.speak(move |cluster| {
            let to = Target { client: cluster.client(), folder: &folder, is_shown };
            cluster.uploads().replace_tables(plan, &to)
        })
        .await
    }

    /// Whether all rows that a plan reads of clusters are on this one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when some are of another connection.
    pub(super) fn has_all(&self, plan: &LogicalPlan) -> Result<()> {
        let mut has_all = true;
        let looked = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(table) = source_as_provider(&scan.source)
                && let Some(stored) = table.downcast_ref::<StoredTable>()
            {
                has_all &= stored.objects().iter().all(|object| object.id.owner() == self.client().node());
            }
            Ok(if has_all { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        looked.map_err(from_datafusion)?;
        match has_all {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Unsupported,
                "persisted rows are on another cluster, or of another connection",
            )
            .with_hint("materialize() them there, or write them to files that both can read, by checkpoint(path)")),
        }
    }
}
