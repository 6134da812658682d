//! What tells a plan and its inputs from others, in this process and in later ones of the same build.
//!
//! Two plans of one fingerprint give the same rows, up to what no plan decides: their order, and volatile functions.
//! The converse does not hold: what cannot be told apart by value (a user function without a fingerprint, a table of
//! somebody else's) counts as different from everything but itself.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{MemTable, ViewTable, source_as_provider};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::LogicalPlan;
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::read::FilesTable;
use sheaf_core::Result;

use crate::dataset::Dataset;
use crate::operators::epochs::EpochsTable;
use crate::operators::map_batches::MapBatches;
use crate::operators::node::{LogicalOperator, OperatorNode};
use crate::operators::persisted::PersistedTable;
use crate::operators::plan_of;
use crate::operators::range::RangeTable;
use crate::verbs::materialize::Materialized;

/// The fingerprint of a dataset's plan over its inputs as they are now.
pub(crate) async fn fingerprint(dataset: &Dataset) -> Result<String> {
    let mut print = Print::default();
    env!("CARGO_PKG_VERSION").hash(&mut print);
    // Times without a zone mean what the session's zone makes of them.
    dataset.session().state().config_options().execution.time_zone.hash(&mut print);
    let mut plans = vec![dataset.logical_plan().clone()];
    while let Some(plan) = plans.pop() {
        let plan = with_functions_by_value(plan).map_err(from_datafusion)?;
        plan.hash(&mut print);
        // A node may leave out of its hash what it tells of itself.
        plan.display_indent_schema().to_string().hash(&mut print);
        for table in tables(&plan).map_err(from_datafusion)? {
            if let Some(view) = table.downcast_ref::<ViewTable>() {
                plans.push(view.logical_plan().clone());
            } else {
                add_table(&table, &mut print).await?;
            }
        }
    }
    Ok(print.text())
}

/// The plan with a node in place of each user function that tells the function by value.
fn with_functions_by_value(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let told = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Extension(extension) = &node else { return Ok(Transformed::no(node)) };
        let Some((map, [input])) = OperatorNode::<MapBatches, 1>::parts(extension.node.as_ref()) else {
            return Ok(Transformed::no(node));
        };
        let Some(function) = map.function().fingerprint() else { return Ok(Transformed::no(node)) };
        let (schema, told) = (Arc::clone(extension.node.schema()), format!("{:?}", map.options()));
        let told = FunctionByValue { schema, function, told };
        Ok(Transformed::yes(plan_of(OperatorNode::try_new(told, [input.clone()])?)))
    })?;
    Ok(told.data)
}

/// Stands for a user function in a plan that is only told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FunctionByValue {
    schema: DFSchemaRef,
    function: Vec<u8>,
    told: String,
}

impl LogicalOperator<1> for FunctionByValue {
    const NAME: &'static str = "FunctionByValue";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> EngineResult<DFSchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionByValue: {}", self.told)
    }
}

fn tables(plan: &LogicalPlan) -> EngineResult<Vec<Arc<dyn TableProvider>>> {
    let mut tables = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.push(source_as_provider(&scan.source)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

async fn add_table(table: &Arc<dyn TableProvider>, print: &mut Print) -> Result<()> {
    if let Some(files) = table.downcast_ref::<FilesTable>() {
        files.versions().await?.hash(print);
    } else if let Some(range) = table.downcast_ref::<RangeTable>() {
        format!("{range:?}").hash(print);
    } else if let Some(memory) = table.downcast_ref::<MemTable>() {
        add_memory(memory, print).await?;
    } else if let Some(materialized) = table.downcast_ref::<Materialized>() {
        add_memory(materialized.table(), print).await?;
    } else if let Some(epochs) = table.downcast_ref::<EpochsTable>() {
        epochs.label().hash(print);
    } else if let Some(persisted) = table.downcast_ref::<PersistedTable>() {
        for batch in persisted.batches() {
            add_rows(&batch.map_err(from_datafusion)?, print)?;
        }
    } else {
        Arc::as_ptr(table).cast::<()>().hash(print);
    }
    Ok(())
}

async fn add_memory(table: &MemTable, print: &mut Print) -> Result<()> {
    for partition in &table.batches {
        for batch in partition.read().await.iter() {
            add_rows(batch, print)?;
        }
    }
    Ok(())
}

fn add_rows(batch: &RecordBatch, print: &mut Print) -> Result<()> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).map_err(|e| from_datafusion(e.into()))?;
    writer.write(batch).map_err(|error| from_datafusion(error.into()))?;
    writer.into_inner().map_err(|error| from_datafusion(error.into()))?.hash(print);
    Ok(())
}

/// 128 bits: two hashes of the same, of which one begins with a byte more.
struct Print([DefaultHasher; 2]);

impl Default for Print {
    fn default() -> Self {
        let mut second = DefaultHasher::new();
        second.write_u8(1);
        Self([DefaultHasher::new(), second])
    }
}

impl Print {
    fn text(&self) -> String {
        self.0.iter().map(|half| format!("{:016x}", half.finish())).collect()
    }
}

impl Hasher for Print {
    fn finish(&self) -> u64 {
        self.0[0].finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        for half in &mut self.0 {
            half.write(bytes);
        }
    }
}
