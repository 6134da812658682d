//! Compaction of views: a view array keeps whole buffers alive, and would ship or hold them for a few rows.

use std::sync::Arc;

use arrow::array::types::ByteViewType;
use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use sheaf_core::{Error, Result};

/// A view array is sparse when its buffers hold more than this many times the bytes that it shows.
const SPARSE: usize = 2;

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
    with_columns(batch, |column| match column.data_type() {
        DataType::Utf8View => Some(Arc::new(column.as_string_view().gc())),
        DataType::BinaryView => Some(Arc::new(column.as_binary_view().gc())),
        _ => None,
    })
}

/// The same rows; views whose buffers hold more than twice the bytes that they show are copied, others stay as they
/// are.
///
/// # Errors
/// As [`compact`].
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, StringViewArray};
/// use arrow::record_batch::RecordBatch;
///
/// let long: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1000).map(|i| format!("row {i:020}"))));
/// let all = sheaf_flight::compact::compact(&RecordBatch::try_from_iter([("text", long)]).unwrap()).unwrap();
/// let same = sheaf_flight::compact::compact_sparse(&all).unwrap();
/// assert_eq!(same.column(0).to_data().buffers()[1].as_ptr(), all.column(0).to_data().buffers()[1].as_ptr());
/// let one = sheaf_flight::compact::compact_sparse(&all.slice(7, 1)).unwrap();
/// assert!(one.get_array_memory_size() * 10 < all.get_array_memory_size());
/// ```
pub fn compact_sparse(batch: &RecordBatch) -> Result<RecordBatch> {
    with_columns(batch, |column| match column.data_type() {
        DataType::Utf8View => dense(column.as_string_view()),
        DataType::BinaryView => dense(column.as_binary_view()),
        _ => None,
    })
}

/// A copy of its own for a sparse array.
fn dense<T: ByteViewType>(views: &GenericByteViewArray<T>) -> Option<ArrayRef> {
    let held: usize = views.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
    let is_sparse = held > 0 && held > SPARSE.saturating_mul(views.total_buffer_bytes_used());
    is_sparse.then(|| Arc::new(views.gc()) as ArrayRef)
}

/// The batch with the columns for which `change` gives another.
fn with_columns(batch: &RecordBatch, change: impl Fn(&ArrayRef) -> Option<ArrayRef>) -> Result<RecordBatch> {
    let changed: Vec<Option<ArrayRef>> = batch.columns().iter().map(change).collect();
    if changed.iter().all(Option::is_none) {
        return Ok(batch.clone());
    }
    let columns = changed.into_iter().zip(batch.columns()).map(|(new, old)| new.unwrap_or_else(|| Arc::clone(old)));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &rows)
        .map_err(|error| Error::internal(format!("compacting a batch: {error}")))
}
