//! Compaction before the wire: a view array keeps whole buffers alive, and would ship them for a few rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use sheaf_core::{Error, Result};

/// The same rows, with string and binary views that hold only the bytes they show.
///
/// # Errors
/// [`sheaf_core::ErrorKind::Internal`] if the compacted columns do not fit the schema they came from.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, StringViewArray};
/// use arrow::record_batch::RecordBatch;
///
/// let long: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1000).map(|i| format!("row {i:020}"))));
/// let one = RecordBatch::try_from_iter([("text", long)]).unwrap().slice(7, 1);
/// let small = sheaf_flight::compact::compact(&one).unwrap();
/// assert!(small.get_array_memory_size() * 10 < one.get_array_memory_size());
/// ```
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let is_view = |data_type: &DataType| matches!(data_type, DataType::Utf8View | DataType::BinaryView);
    if !batch.schema_ref().fields().iter().any(|field| is_view(field.data_type())) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(compact_column).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &rows)
        .map_err(|error| Error::internal(format!("compacting a batch: {error}")))
}

fn compact_column(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}
