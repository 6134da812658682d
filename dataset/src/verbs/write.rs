//! `write`: the rows of a dataset as files, whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, StringArray, UInt64Array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{Extension, LogicalPlan};
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::write::WriteOptions;
use sheaf_core::{Error, Result, ResultExt};

use crate::dataset::Dataset;
use crate::operators::write::Write;

/// What a write wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Dataset {
    /// Writes the rows to a file, or to a folder of files. It appears whole or not at all: see [`WriteOptions`].
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::AlreadyExists`] in mode `error` when there is data at the target; whatever goes
    /// wrong in the plan or in the store. After an error the target is as it was.
    pub async fn write(&self, target: &str, options: WriteOptions) -> Result<WriteReport> {
        let written = self.write_plan(target, options)?.on_behalf_of(self);
        let batches = written.collect().await.with_context(|| format!("writing {target}"))?;
        batches.iter().find_map(WriteReport::read).ok_or_else(|| Error::internal("a write reported nothing"))
    }

    /// The write as a dataset of one row, its report; it writes when it runs.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for options that contradict each other.
    pub fn write_plan(&self, target: &str, options: WriteOptions) -> Result<Self> {
        let stores = Arc::clone(self.session().stores());
        let input = self.without_dictionaries_of_views()?;
        let node = Write::new(input.logical_plan().clone(), target.into(), options, stores).map_err(from_datafusion)?;
        Ok(Self::new(self.session().clone(), LogicalPlan::Extension(Extension { node: Arc::new(node) })))
    }
}

impl Dataset {
    /// Dictionaries of text and binary views, which neither Parquet's writer nor folders' names know, as dictionaries
    /// of plain values. Polars' categories come as such.
    fn without_dictionaries_of_views(&self) -> Result<Self> {
        let plain = |kind: &DataType| match kind {
            DataType::Dictionary(key, values) if **values == DataType::Utf8View => Some((key.clone(), DataType::Utf8)),
            DataType::Dictionary(key, values) if **values == DataType::BinaryView => {
                Some((key.clone(), DataType::Binary))
            }
            _ => None,
        };
        let schema = self.schema();
        let casts = schema.fields().iter().filter_map(|field| {
            let (key, values) = plain(field.data_type())?;
            Some((field.name().clone(), DataType::Dictionary(key, Box::new(values))))
        });
        let casts: BTreeMap<_, _> = casts.collect();
        if casts.is_empty() { Ok(self.clone()) } else { self.cast(&casts) }
    }
}

impl WriteReport {
    /// The report in a batch of [`Dataset::write_plan`]'s result, if it has one.
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
