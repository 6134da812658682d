//! Reading files: the arguments of `read_parquet` and its like, as the engine's options.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::PySchema;
use sheaf::connectors::format::{CsvOptions, Format, JsonOptions};
use sheaf::connectors::read::{FileFilter, ReadOptions};
use sheaf::{Error, ErrorKind, Result};

use crate::pickles::pickled;

/// The arguments, by name, of a dict that `sheaf.session` fills.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ReadArgs {
    format: String,
    schema: Option<PySchema>,
    hive_partitioning: Option<bool>,
    include_file_paths: Option<String>,
    union_by_name: bool,
    ignore_errors: bool,
    storage_options: BTreeMap<String, String>,
    compression: Option<String>,
    csv: Option<CsvArgs>,
    infer_rows: Option<usize>,
    file_extensions: Vec<String>,
    partition_filter: Option<Py<PyAny>>,
    ignore_missing_paths: bool,
    parallelism: Option<usize>,
}

/// The dialect and inference of CSV.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct CsvArgs {
    delimiter: String,
    quote: Option<String>,
    escape: Option<String>,
    null_values: Vec<String>,
    encoding: Option<String>,
    dtypes: Option<PySchema>,
    skip_rows: usize,
    has_header: bool,
    comment: Option<String>,
    newlines_in_values: bool,
    truncated_rows: bool,
}

impl ReadArgs {
    /// The same as the engine takes it.
    pub(crate) fn options(self) -> Result<ReadOptions> {
        let infer_rows = self.infer_rows.unwrap_or(CsvOptions::INFER_ROWS);
        let format = match &self.format[..] {
            "parquet" => Format::Parquet,
            "ipc" => Format::Ipc,
            "text" => Format::Text,
            "binary" => Format::Binary,
            "numpy" => Format::Numpy,
            "json" => Format::Json(JsonOptions { infer_rows }),
            "csv" => Format::Csv(self.csv.map_or_else(|| Ok(CsvOptions::default()), |csv| csv.options(infer_rows))?),
            other => return Err(Error::internal(format!("there is no format {other:?}"))),
        };
        Ok(ReadOptions {
            format: Some(format),
            schema: self.schema.map(PySchema::into_inner),
            hive_partitioning: self.hive_partitioning,
            include_file_paths: self.include_file_paths,
            include_row_numbers: None,
            union_by_name: self.union_by_name,
            ignore_errors: self.ignore_errors,
            storage_options: self.storage_options,
            compression: self.compression.map(|name| name.parse()).transpose()?,
            file_extensions: self.file_extensions,
            partition_filter: self.partition_filter.map(|call| Arc::new(PyFileFilter(call)) as _),
            ignore_missing_paths: self.ignore_missing_paths,
            parallelism: self.parallelism,
        })
    }
}

/// A callable that chooses files by path, and by a dict of what the names of their folders say.
#[derive(Debug)]
pub(crate) struct PyFileFilter(pub(crate) Py<PyAny>);

impl FileFilter for PyFileFilter {
    fn keeps(&self, path: &str, folders: &[(String, Option<String>)]) -> Result<bool> {
        let call = |py: Python<'_>| {
            let values = PyDict::new(py);
            for (key, value) in folders {
                values.set_item(key, value)?;
            }
            self.0.bind(py).call1((path, values))?.is_truthy()
        };
        Python::attach(call).map_err(|raised| {
            Error::new(ErrorKind::UserFunction, format!("partition_filter raised {raised} ({path})"))
                .with_source(raised)
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Python::attach(|py| pickled(py, "partition_filter", (self.0.bind(py),)))
    }
}

impl CsvArgs {
    fn options(self, infer_rows: usize) -> Result<CsvOptions> {
        let optional = |name: &str, text: Option<&String>| text.map(|text| byte(name, text)).transpose();
        let dtypes = self.dtypes.map(PySchema::into_inner);
        Ok(CsvOptions {
            delimiter: byte("delimiter", &self.delimiter)?,
            quote: optional("quote", self.quote.as_ref())?,
            escape: optional("escape", self.escape.as_ref())?,
            null_values: self.null_values,
            encoding: self.encoding,
            dtypes: dtypes
                .iter()
                .flat_map(|schema| schema.fields())
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect(),
            infer_rows,
            skip_rows: self.skip_rows,
            has_header: self.has_header,
            comment: optional("comment", self.comment.as_ref())?,
            newlines_in_values: self.newlines_in_values,
            truncated_rows: self.truncated_rows,
        })
    }
}

/// A mark of a dialect: one ASCII character.
pub(crate) fn byte(name: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::invalid(format!("{name} is one ASCII character, not {text:?}"))),
    }
}
