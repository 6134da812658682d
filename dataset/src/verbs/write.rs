//! `write`: the rows of a dataset as files, whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use sheaf_connectors::format::{CsvOptions, Format, JsonOptions};
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::write::{WriteFormat, WriteMode, WriteOptions};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

use crate::dataset::Dataset;
use crate::jobs;
use crate::operators::map_batches::values_of;
use crate::operators::write::{Write, WriteReport};

impl Dataset {
    /// Writes the rows to a file, or to a folder of files. It appears whole or not at all: see [`WriteOptions`].
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::AlreadyExists`] in mode `error` when there is data at the target; whatever goes
    /// wrong in the plan or in the store. After an error the target is as it was.
    pub async fn write(&self, target: &str, options: WriteOptions) -> Result<WriteReport> {
        if let Some(name) = options.job.clone() {
            return jobs::write(self, target, options, &name).await;
        }
        self.check_append(target, &options).await?;
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
        self.without_dictionaries_of_views()?.through(Write { target: target.into(), options, stores })
    }
}

impl Dataset {
    /// Whether the rows fit the data that they are appended to: otherwise nobody could read the folder any more.
    ///
    /// Formats that know no types, CSV and JSON, are asked for their folders alone.
    ///
    /// # Errors
    /// - [`ErrorKind::TypeMismatch`] for other columns, or columns of other types, than are there.
    /// - [`ErrorKind::InvalidInput`] for other `partition_by` than there is.
    pub async fn check_append(&self, target: &str, options: &WriteOptions) -> Result<()> {
        if options.mode != WriteMode::Append {
            return Ok(());
        }
        let format = match options.format {
            WriteFormat::Parquet(_) => Format::Parquet,
            WriteFormat::Ipc(_) => Format::Ipc,
            WriteFormat::Csv(_) => Format::Csv(CsvOptions::default()),
            WriteFormat::Json(_) => Format::Json(JsonOptions::default()),
            WriteFormat::Numpy => Format::Numpy,
        };
        let storage_options = options.storage_options.clone();
        let read = ReadOptions { format: Some(format), storage_options, ..ReadOptions::default() };
        // What cannot be read now is for the write itself to find out.
        let Ok(there) = self.session().open(&[target.to_string()], &read).await else { return Ok(()) };
        check_folders(target, &there.partition_columns(), &options.partition_by)?;
        if matches!(options.format, WriteFormat::Csv(_) | WriteFormat::Json(_)) {
            return Ok(());
        }
        let there = described(&there.schema(), &options.partition_by);
        let mut ours = described(&self.schema(), &options.partition_by);
        if options.format == WriteFormat::Numpy {
            // Arrays have no names, and readers give them this one.
            ours = ours
                .into_iter()
                .map(|(name, kind)| if kind.is_some() { ("data".into(), kind) } else { (name, kind) })
                .collect();
        }
        match there == ours {
            true => Ok(()),
            false => {
                let message = format!("{target} has the columns {}, and the new rows {}", told(&there), told(&ours));
                Err(Error::new(ErrorKind::TypeMismatch, message).with_hint(
                    "select and cast the new rows to what is there, or write the whole data anew with mode overwrite",
                ))
            }
        }
    }

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
        if casts.is_empty() { Ok(self.clone()) } else { self.cast(&casts, true) }
    }
}

/// Whether the new rows go to folders of the same columns as those that are there.
fn check_folders(target: &str, there: &[String], ours: &[String]) -> Result<()> {
    if there == ours {
        return Ok(());
    }
    let told = |columns: &[String]| match columns {
        [] => "not partitioned".to_string(),
        columns => format!("partitioned by {}", columns.join(", ")),
    };
    let message = format!("{target} is {}, and the new rows would be {}", told(there), told(ours));
    let hint = match there {
        [] => "append without partition_by, or write the whole data anew with mode overwrite".to_string(),
        there => format!("pass partition_by={there:?}, or write the whole data anew with mode overwrite"),
    };
    Err(Error::invalid(message).with_hint(hint))
}

/// The columns by name with their types; those of partitions, which are text in the folders' names, have none.
fn described(schema: &Schema, partition_by: &[String]) -> BTreeMap<String, Option<DataType>> {
    let kind = |field: &Field| (!partition_by.contains(field.name())).then(|| values_of(field.data_type()));
    schema.fields().iter().map(|field| (field.name().clone(), kind(field))).collect()
}

fn told(columns: &BTreeMap<String, Option<DataType>>) -> String {
    let column = |(name, kind): (&String, &Option<DataType>)| match kind {
        Some(kind) => format!("{name} {kind}"),
        None => name.clone(),
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}
