//! `EpochsTable`: rows that are computed once and replayed from a folder after that. The first run that is read to its
//! end leaves them there.
//!
//! The plan beneath is made apart from whatever stands on the table (`epochs/record`), so that its partitions and their
//! order are the same for each reader; the folder (`epochs/folder`) has the rows of all partitions or counts as empty;
//! `epochs/replay` reads it. What is known of the rows while they are recorded and afterwards is the same to the
//! optimizer, so that a plan over the table is the same in each epoch, and with it the order of its rows.

pub(crate) mod folder;
pub(crate) mod record;
mod replay;

use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};
use sheaf_connectors::error::to_datafusion;

use super::determined::{determined, settle};
use folder::EpochsFolder;
use record::RecordEpochExec;
use replay::ReplayEpochExec;

/// The table: whether a scan computes or replays is decided as it is planned.
#[derive(Debug)]
pub(crate) struct EpochsTable {
    folder: Arc<EpochsFolder>,
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl EpochsTable {
    /// The rows of `plan`, which has this schema, kept in `folder`.
    pub(crate) fn new(folder: EpochsFolder, plan: LogicalPlan, schema: SchemaRef) -> Self {
        Self { folder: Arc::new(folder), plan, schema }
    }

    /// What tells its rows from others.
    pub(crate) fn label(&self) -> &str {
        self.folder.label()
    }

    /// Where the rows are kept.
    pub(crate) fn folder(&self) -> &EpochsFolder {
        &self.folder
    }

    /// What computes them.
    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    async fn rows(&self, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let (folder, schema) = (Arc::clone(&self.folder), Arc::clone(&self.schema));
        if let Some(kept) = folder.kept().await.map_err(to_datafusion)? {
            return Ok(Arc::new(ReplayEpochExec::new(folder, kept, &schema)));
        }
        let Some(state) = state.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("epochs are cached in a session of Sheaf");
        };
        let mut state = state.clone();
        settle(state.config_mut());
        let input = determined(state.create_physical_plan(&self.plan).await?)?;
        Ok(Arc::new(RecordEpochExec::new(folder, input, schema)))
    }
}

#[async_trait]
impl TableProvider for EpochsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.rows(state).await?;
        let Some(columns) = projection else { return Ok(all) };
        let columns = ProjectionExprs::from_indices(columns, &self.schema);
        Ok(Arc::new(ProjectionExec::try_new(columns.iter().cloned(), all)?))
    }
}

/// What is known of the rows, in each epoch alike: how many partitions they have.
fn properties(schema: &SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    let properties = PlanProperties::new(
        EquivalenceProperties::new(Arc::clone(schema)),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    );
    Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative))
}

/// The batch under the schema of the table, which may allow nulls where that of the batch does not.
fn under(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &rows)?)
}
