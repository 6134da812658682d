//! Writing files: the arguments of `write_parquet` and its like, as the engine's options.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use sheaf::connectors::write::{
    CsvWriteOptions, IpcWriteOptions, JsonWriteOptions, ParquetWriteOptions, WriteFormat, WriteOptions,
};
use sheaf::core::settings::parse_bytes;
use sheaf::{Error, Result};

use crate::read::byte;

/// The arguments, by name, of a dict that `sheaf.dataset` fills.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct WriteArgs {
    format: String,
    mode: String,
    partition_by: Vec<String>,
    target_file_size: Option<String>,
    single_file: Option<bool>,
    storage_options: BTreeMap<String, String>,
    compression: Option<String>,
    csv: Option<CsvArgs>,
    row_group_rows: Option<usize>,
    job: Option<String>,
}

/// The dialect of CSV that is written.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct CsvArgs {
    delimiter: String,
    quote: String,
    has_header: bool,
    null_value: String,
}

impl WriteArgs {
    /// The same as the engine takes it.
    pub(crate) fn options(self) -> Result<WriteOptions> {
        let compression = self.compression.as_deref();
        let format = match &self.format[..] {
            "parquet" => {
                let default = ParquetWriteOptions::default();
                WriteFormat::Parquet(ParquetWriteOptions {
                    compression: compression.map_or(Ok(default.compression), str::parse)?,
                    row_group_rows: self.row_group_rows.unwrap_or(default.row_group_rows),
                    ..default
                })
            }
            "ipc" => WriteFormat::Ipc(IpcWriteOptions {
                compression: compression.map(str::parse).transpose()?.unwrap_or_default(),
            }),
            "numpy" => WriteFormat::Numpy,
            "json" => WriteFormat::Json(JsonWriteOptions { compression: compression.map(str::parse).transpose()? }),
            "csv" => {
                let csv = self.csv.ok_or_else(|| Error::internal("a CSV write without its dialect"))?;
                WriteFormat::Csv(CsvWriteOptions {
                    delimiter: byte("delimiter", &csv.delimiter)?,
                    quote: byte("quote", &csv.quote)?,
                    has_header: csv.has_header,
                    null_value: csv.null_value,
                    compression: compression.map(str::parse).transpose()?,
                })
            }
            other => return Err(Error::internal(format!("there is no format {other:?}"))),
        };
        Ok(WriteOptions {
            format,
            mode: self.mode.parse()?,
            partition_by: self.partition_by,
            target_file_bytes: self.target_file_size.as_deref().map(parse_bytes).transpose()?,
            single_file: self.single_file,
            storage_options: self.storage_options,
            job: self.job,
            attempt: None,
            label: None,
            shared_id: None,
        })
    }
}
