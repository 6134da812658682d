//! `Write`: a plan whose result is files. The node stands in logical plans; the operators are the connectors'.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, StringArray, UInt64Array};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::to_datafusion;
use sheaf_connectors::stores::Stores;
use sheaf_connectors::write::{self, WriteOptions};

use super::node::{LogicalOperator, PlannedOperator, Planning};

/// A write of rows to `target`; one row of report comes out.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) target: String,
    pub(crate) options: WriteOptions,
    pub(crate) stores: Arc<Stores>,
}

impl PartialEq for Write {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target && self.options == other.options
    }
}

impl Eq for Write {}

impl Hash for Write {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.hash(state);
    }
}

impl LogicalOperator<1> for Write {
    const NAME: &'static str = "Write";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        Ok(Arc::new(DFSchema::try_from(Arc::unwrap_or_clone(write::report_schema()))?))
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Write: {}, format={}, mode={}", self.target, self.options.format, self.options.mode.name())
    }
}

#[async_trait]
impl PlannedOperator<1> for Write {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = with.inputs;
        let plan = write::plan(with.session, &self.stores, input, &self.target, self.options.clone());
        plan.await.map_err(to_datafusion)
    }
}

/// What a write wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReport {
    /// The target as it was given.
    pub path: String,
    /// New files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl WriteReport {
    /// The report in a batch of a write's plan's result, if it has one.
    #[must_use]
    pub fn read(batch: &RecordBatch) -> Option<Self> {
        let number = |name: &str| {
            let column = batch.column_by_name(name)?.as_any().downcast_ref::<UInt64Array>()?;
            (!column.is_empty()).then(|| column.value(0))
        };
        let path = batch.column_by_name("path")?.as_any().downcast_ref::<StringArray>()?;
        Some(Self {
            path: (!path.is_empty()).then(|| path.value(0).to_string())?,
            files: number("files")?,
            rows: number("rows")?,
            bytes: number("bytes")?,
        })
    }
}
