//! What one file's decoder is given and gives: where to read, which columns, and batches.
//!
//! The formats stand on this; the file source and the inspection stand on the formats.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;
use futures::stream::BoxStream;

use super::bytes::Input;

/// Batches of one file.
pub(crate) type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// How a file is laid out, as far as its reader needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The names of its columns in their order, where a reader needs them.
    pub(crate) columns: Option<Arc<[String]>>,
    /// Whether ranges of its bytes can be read apart.
    pub(crate) splits: bool,
}

/// One file, or a range of it, to decode.
pub(crate) struct Scan {
    pub(crate) input: Input,
    /// Bytes in which rows begin; `None` for all of the file.
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) layout: Option<Layout>,
    /// The table's columns in files, before projection.
    pub(crate) table: SchemaRef,
    /// The columns to give, by their places in `table`.
    pub(crate) projection: Vec<usize>,
    /// `table` after projection.
    pub(crate) schema: SchemaRef,
    pub(crate) batch_size: usize,
}

/// A batch of the wanted schema from the columns that a file has; `None` is a column that it lacks.
pub(crate) fn assemble(schema: &SchemaRef, columns: Vec<Option<ArrayRef>>, rows: usize) -> Result<RecordBatch> {
    let fill = |(column, field): (Option<ArrayRef>, &Arc<Field>)| {
        column.unwrap_or_else(|| new_null_array(field.data_type(), rows))
    };
    let columns = columns.into_iter().zip(schema.fields()).map(fill).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
