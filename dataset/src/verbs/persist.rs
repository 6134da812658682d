//! `persist`: the rows of a plan kept by the session, in memory and then on disk; on a cluster by its nodes.

use std::sync::Arc;

use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::operators::extent::KeyExtent;
use crate::operators::persisted::{PersistedTable, Writer};
use crate::operators::stored::{ForPersist, PersistThere, StoredTable};
use crate::run::{Run, Watch};

impl Dataset {
    /// Runs the plan once and keeps its rows for all datasets that go on from the result: in memory, within the
    /// session's limit, and on disk what does not fit. Operators that need the memory later have it: rows then move
    /// to disk. The partitions, and the order of rows in them, stay those of the plan, and so does what is known of
    /// them: how they are sorted, and by which columns they are partitioned.
    ///
    /// The rows go with the last dataset that stands on them.
    ///
    /// On a cluster they stay on the nodes where they were made, in the order of the plan, and are read there by the queries
    /// of this program. What was on a node that died is made again, and that alone, where the plan gives the same rows
    /// each time.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::DiskFull`] when neither memory nor the spill folder has room, and whatever goes wrong
    /// in the plan.
    pub async fn persist(&self) -> Result<Self> {
        let session = self.session();
        if self.is_stored() {
            return Ok(self.clone());
        }
        let plan = self.planned_for(ForPersist).await?;
        let there = session.state().config().get_extension::<PersistThere>();
        if let Some(persisting) = there.and_then(|there| there.0(&plan)) {
            Watch::see_now(&plan);
            let table = session.run(persisting).await?;
            self.keep_stats_of(&plan);
            return session.from_provider(table);
        }
        let mut run = Run::start(session, plan);
        let table = PersistedTable::of(run.plan().as_ref(), &session.context().runtime_env());
        let mut extent = KeyExtent::of(run.plan().as_ref());
        let rows = table.rows();
        let writers: Vec<Arc<Mutex<Option<Writer>>>> = (0..rows.partitions()).map(|_| Arc::default()).collect();
        while let Some((partition, batch)) = run.next_of().await? {
            if let Some(extent) = &mut extent {
                extent.add(&batch).map_err(from_datafusion)?;
            }
            let Some(batch) = rows.keep(partition, &batch).map_err(from_datafusion)? else { continue };
            let (rows, writer) = (Arc::clone(rows), Arc::clone(&writers[partition]));
            let stored = move || rows.store(partition, &batch, &mut writer.lock());
            let stored = session.threads().handle().spawn_blocking(stored).await;
            stored
                .map_err(|error| Error::internal(format!("a task of the engine failed: {error}")))?
                .map_err(|error| from_datafusion(error).with_context("persisting rows for which there is no memory"))?;
        }
        self.keep_stats(&run);
        session.from_provider(Arc::new(table.with_extent(extent)))
    }

    /// Whether it is nothing but rows that are on the cluster already.
    fn is_stored(&self) -> bool {
        let LogicalPlan::TableScan(scan) = self.logical_plan() else { return false };
        let table = source_as_provider(&scan.source).ok();
        let is_whole = scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none();
        is_whole && table.is_some_and(|table| table.is::<StoredTable>())
    }
}
