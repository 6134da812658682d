//! `materialize`: the rows of a plan kept in memory, counted against the session's limit.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session as EngineSession, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::Result;

use crate::dataset::Dataset;
use crate::operators::kept::KeptTable;
use crate::operators::partition::is_chosen;
use crate::run::in_order;

/// Rows in memory with the reservation that counts them: both go when the last dataset over them goes.
#[derive(Debug)]
pub(crate) struct Materialized {
    table: MemTable,
    _reservation: MemoryReservation,
}

impl Materialized {
    pub(crate) fn new(table: MemTable, reservation: MemoryReservation) -> Self {
        Self { table, _reservation: reservation }
    }

    pub(crate) fn table(&self) -> &MemTable {
        &self.table
    }
}

#[async_trait]
impl TableProvider for Materialized {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    /// As other tables: `DROP TABLE` finds no temporary one.
    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn EngineSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(state, projection, filters, limit).await
    }

    async fn insert_into(
        &self,
        state: &dyn EngineSession,
        input: Arc<dyn ExecutionPlan>,
        insert: InsertOp,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        self.table.insert_into(state, input, insert).await
    }
}

impl Dataset {
    /// Runs the plan once and keeps its rows in memory for all datasets that go on from the result. Partitions that
    /// were chosen, by `repartition` and the like, are kept as they are, with what is known of them.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::MemoryLimit`] when the rows do not fit the session's limit, and whatever goes wrong
    /// in the plan.
    pub async fn materialize(&self) -> Result<Self> {
        let rows = gathered(self).await?;
        self.session().from_provider(match is_chosen(&rows.plan) {
            true => Arc::new(rows.kept()?),
            false => Arc::new(rows.spread(self.session().settings().threads)?),
        })
    }

    /// As [`Dataset::materialize`], as a table for catalogs, which takes `INSERT`.
    ///
    /// # Errors
    /// As [`Dataset::materialize`].
    pub async fn materialize_table(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(gathered(self).await?.spread(self.session().settings().threads)?))
    }
}

/// The rows of a plan, all of them in memory, with the reservation that counts them.
struct Gathered {
    plan: Arc<dyn ExecutionPlan>,
    batches: Vec<(usize, RecordBatch)>,
    reservation: MemoryReservation,
}

async fn gathered(dataset: &Dataset) -> Result<Gathered> {
    let session = dataset.session();
    let reservation = MemoryConsumer::new("materialize").register(&session.context().runtime_env().memory_pool);
    let mut run = dataset.start().await?;
    let mut batches = Vec::new();
    while let Some((partition, batch)) = run.next_of().await? {
        reservation.try_grow(batch.get_array_memory_size()).map_err(from_datafusion)?;
        batches.push((partition, batch));
    }
    dataset.keep_stats(&run);
    Ok(Gathered { plan: Arc::clone(run.plan()), batches, reservation })
}

impl Gathered {
    /// In the partitions of the plan.
    fn kept(self) -> Result<KeptTable> {
        let mut partitions = vec![Vec::new(); self.plan.output_partitioning().partition_count()];
        for (partition, batch) in self.batches {
            if let Some(batches) = partitions.get_mut(partition) {
                batches.push(batch);
            }
        }
        KeptTable::new(&self.plan, partitions, self.reservation).map_err(from_datafusion)
    }

    /// In runs, one for each thread.
    fn spread(self, threads: usize) -> Result<Materialized> {
        let batches = in_order(self.batches);
        let parts = threads.min(batches.len()).max(1);
        let chunk = batches.len().div_ceil(parts).max(1);
        let mut partitions: Vec<_> = batches.chunks(chunk).map(<[_]>::to_vec).collect();
        // With fewer partitions, and batches enough, the engine would deal these anew, the largest first.
        partitions.resize_with(parts, Vec::new);
        let table = MemTable::try_new(self.plan.schema(), partitions).map_err(from_datafusion)?;
        Ok(Materialized::new(table, self.reservation))
    }
}
