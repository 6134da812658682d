//! Writing: parts get their numbers, and what occurs twice is written once.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion_proto::protobuf;
use prost::Message;
use serde::Serialize;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use super::{Part, Sheet, stays};

/// Rows that a dataset takes along, at the most: they are in memory here, in the bytes, and once more where it goes.
const MOST_ROWS_BYTES: usize = 256 << 20;

/// What is being written.
#[derive(Default)]
pub(crate) struct Encoder {
    sheet: Sheet,
    rows_bytes: usize,
    /// Whether it goes to processes that work for this one, on the cluster that it is in.
    is_for_cluster: bool,
    /// Those written, by address, with what keeps the address theirs.
    functions: Known<Box<dyn Any + Send + Sync>>,
    tables: Known<Arc<dyn TableProvider>>,
    schemas: HashMap<Vec<u8>, u32>,
}

/// The functions and tables that were written, by their numbers.
pub(crate) struct Kept {
    pub(super) functions: Vec<Box<dyn Any + Send + Sync>>,
    pub(super) tables: Vec<Arc<dyn TableProvider>>,
}

struct Known<T> {
    numbers: HashMap<usize, u32>,
    kept: Vec<T>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), kept: Vec::new() }
    }
}

impl Encoder {
    /// One for what goes to processes that work for this one: they may know what only the cluster has, and what the
    /// environment of this process says.
    pub(crate) fn for_cluster() -> Self {
        Self { is_for_cluster: true, ..Self::default() }
    }

    pub(crate) fn is_for_cluster(&self) -> bool {
        self.is_for_cluster
    }

    /// Everything, with the functions and tables themselves.
    pub(crate) fn done(self) -> (Sheet, Kept) {
        (self.sheet, Kept { functions: self.functions.kept, tables: self.tables.kept })
    }

    pub(crate) fn set(&mut self, key: &str, value: String) {
        self.sheet.settings.insert(key.to_string(), value);
    }

    /// Writes a part that is complete; its number.
    pub(crate) fn part(&mut self, part: Part) -> u32 {
        self.sheet.parts.push(part);
        number(self.sheet.parts.len())
    }

    /// The number of a schema.
    pub(crate) fn schema(&mut self, schema: &Schema) -> Result<u32> {
        let written = protobuf::Schema::try_from(schema).map_err(|error| Error::internal(error.to_string()))?;
        let bytes = written.encode_to_vec();
        if let Some(known) = self.schemas.get(&bytes) {
            return Ok(*known);
        }
        self.sheet.schemas.push(bytes.clone());
        let number = number(self.sheet.schemas.len());
        self.schemas.insert(bytes, number);
        Ok(number)
    }

    /// Whether there are functions or tables of the user's: the engine's and ours are written by their names.
    pub(crate) fn has_functions(&self) -> bool {
        !self.sheet.functions.is_empty()
    }

    /// The number of a function, which becomes bytes unless it has one.
    pub(crate) fn function<T: ?Sized>(
        &mut self,
        kind: &str,
        function: &Arc<T>,
        encode: impl FnOnce(&T) -> Result<Vec<u8>>,
    ) -> Result<u32>
    where
        Arc<T>: Any + Send + Sync,
    {
        let address = Arc::as_ptr(function).cast::<()>() as usize;
        if let Some(known) = self.functions.numbers.get(&address) {
            return Ok(*known);
        }
        let detail = encode(function)?;
        self.sheet.functions.push(Part { kind: kind.to_string(), detail, ..Part::default() });
        self.functions.kept.push(Box::new(Arc::clone(function)));
        let number = number(self.sheet.functions.len());
        self.functions.numbers.insert(address, number);
        Ok(number)
    }

    /// The number of a table that is written, if it is.
    pub(crate) fn known_table(&self, table: &Arc<dyn TableProvider>) -> Option<u32> {
        self.tables.numbers.get(&address(table)).copied()
    }

    /// Writes a table; its number.
    pub(crate) fn table(&mut self, table: &Arc<dyn TableProvider>, part: Part) -> u32 {
        self.sheet.tables.push(part);
        self.tables.kept.push(Arc::clone(table));
        let number = number(self.sheet.tables.len());
        self.tables.numbers.insert(address(table), number);
        number
    }

    /// Rows as a stream of Arrow IPC.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Unsupported`] where there are too many.
    pub(crate) fn rows(
        &mut self,
        schema: &Schema,
        batches: impl IntoIterator<Item = Result<RecordBatch>>,
    ) -> Result<Vec<u8>> {
        let wrong = |error: arrow::error::ArrowError| from_datafusion(error.into());
        let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(wrong)?;
        for batch in batches {
            writer.write(&batch?).map_err(wrong)?;
            if self.rows_bytes + writer.get_ref().len() > MOST_ROWS_BYTES {
                let most = MOST_ROWS_BYTES >> 20;
                return Err(stays(
                    format!("it has more than {most} MiB of rows in memory, which would have to travel in its bytes"),
                    "write them to files that both can read, by ds.checkpoint(path) or write_parquet, and pickle \
                     the dataset of these",
                ));
            }
        }
        let bytes = writer.into_inner().map_err(wrong)?;
        self.rows_bytes += bytes.len();
        Ok(bytes)
    }
}

/// A value as bytes.
///
/// # Errors
/// [`sheaf_core::ErrorKind::Unsupported`] for a value of a type that has no message.
pub(crate) fn scalar(value: &ScalarValue) -> Result<Vec<u8>> {
    let written = protobuf::ScalarValue::try_from(value);
    let hint = "cast it to another type";
    written
        .map(|written| written.encode_to_vec())
        .map_err(|error| stays(format!("the constant {value}: {error}"), hint))
}

/// What a part says of itself.
pub(crate) fn json(detail: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(detail).map_err(|error| Error::internal(format!("a plan cannot be written down: {error}")))
}

fn address(table: &Arc<dyn TableProvider>) -> usize {
    Arc::as_ptr(table).cast::<()>() as usize
}

/// The place of the last of so many.
fn number(count: usize) -> u32 {
    u32::try_from(count - 1).unwrap_or(u32::MAX)
}
