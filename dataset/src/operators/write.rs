//! `Write`: a plan whose result is files. The node stands in logical plans; the operators are the connectors'.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, StringArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};
use sheaf_connectors::credentials::with_environment;
use sheaf_connectors::error::to_datafusion;
use sheaf_connectors::location::{Location, Scheme};
use sheaf_connectors::stores::Stores;
use sheaf_connectors::write::{self, Attempt, WriteOptions};
use sheaf_core::ResultExt;

use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use crate::encoding::{Decoder, Encoder};

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

/// The files of a write that many processes do together: one row for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WriteFiles(Write);

/// The commit of what others have written, which are its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CommitFiles {
    write: Write,
    /// The columns of the rows.
    rows: SchemaRef,
}

impl Write {
    /// The same write by many processes, of rows with these columns: what writes their files, and what commits them.
    /// `None` for one that a single process does: of one file, in several attempts, or to a file system that only this
    /// process has.
    pub(crate) fn shared(&self, rows: SchemaRef) -> sheaf_core::Result<Option<(WriteFiles, CommitFiles)>> {
        let is_here = matches!(Location::parse(&self.target)?.scheme(), Scheme::Given | Scheme::Hdfs);
        if is_here || self.options.attempt.is_some() || !write::makes_folder(&self.target, &self.options)? {
            return Ok(None);
        }
        let shared_id = Some(Attempt::shared_id());
        let storage_options = with_environment(&Location::parse(&self.target)?, &self.options.storage_options);
        let options = WriteOptions { single_file: Some(false), shared_id, storage_options, ..self.options.clone() };
        let whole = Self { options, ..self.clone() };
        // Others may be in other folders.
        let target = match whole.target.contains("://") {
            true => whole.target.clone(),
            false => {
                std::path::absolute(&whole.target).context("the target of a write")?.to_string_lossy().into_owned()
            }
        };
        Ok(Some((WriteFiles(Self { target, ..whole.clone() }), CommitFiles { write: whole, rows })))
    }
}

impl LogicalOperator<1> for WriteFiles {
    const NAME: &'static str = "WriteFiles";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        Ok(Arc::new(DFSchema::try_from(Arc::unwrap_or_clone(write::files_schema()))?))
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteFiles: {}, format={}", self.0.target, self.0.options.format)
    }
}

impl EncodedOperator<1> for WriteFiles {
    const KIND: &'static str = "write_files";

    type Detail = (String, WriteOptions);

    fn encode(&self, _: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        Ok((self.0.target.clone(), self.0.options.clone()))
    }

    fn decode(
        (target, options): Self::Detail,
        _inputs: [&DFSchemaRef; 1],
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        Ok(Self(Write { target, options, stores: Arc::clone(from.stores()) }))
    }
}

#[async_trait]
impl PlannedOperator<1> for WriteFiles {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = with.inputs;
        let Write { target, options, stores } = &self.0;
        write::plan_files(with.session, stores, input, target, options.clone()).map_err(to_datafusion)
    }
}

impl LogicalOperator<1> for CommitFiles {
    const NAME: &'static str = "CommitFiles";

    fn schema(&self, inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        self.write.schema(inputs)
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write.explain(f)
    }
}

#[async_trait]
impl PlannedOperator<1> for CommitFiles {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let [files] = with.inputs;
        let Write { target, options, stores } = &self.write;
        write::plan_commit(stores, files, &self.rows, target, options.clone()).map_err(to_datafusion)
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
