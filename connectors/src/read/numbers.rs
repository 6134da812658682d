//! The numbers of rows in their files: a column that readers add, where somebody wants to know where rows come from.
//!
//! Parquet's reader knows them, whatever row groups and pages it leaves out. The other formats are counted as they are
//! read, in one piece from the start.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::datasource::table_schema::{TableSchema, TableSchemaBuilder};
use datafusion::error::{DataFusionError, Result};
use futures::StreamExt;
use parquet::arrow::RowNumber;

use super::inspect::Reader;
use super::scan::BatchStream;

/// The columns with one of the rows' numbers: the last one for Parquet, whose reader makes it; for other formats the
/// last of those in files. As they are where they have it.
pub(super) fn with_row_numbers(columns: &TableSchema, reader: &Reader, name: &str) -> TableSchema {
    if columns.file_schema().field_with_name(name).is_ok() {
        return columns.clone();
    }
    let number = Field::new(name, DataType::Int64, false);
    let folders = columns.table_partition_cols().clone();
    if matches!(reader, Reader::Parquet) {
        let number: FieldRef = Arc::new(number.with_extension_type(RowNumber));
        return TableSchemaBuilder::new(Arc::clone(columns.file_schema()))
            .with_table_partition_cols(folders)
            .with_virtual_columns(Fields::from(vec![number]))
            .build();
    }
    let in_files = columns.file_schema();
    let fields: Vec<FieldRef> = in_files.fields().iter().cloned().chain([Arc::new(number)]).collect();
    let in_files = Arc::new(Schema::new_with_metadata(fields, in_files.metadata().clone()));
    TableSchemaBuilder::new(in_files).with_table_partition_cols(folders).build()
}

/// The rows of a file, read from its start, with their numbers as the last column.
pub(super) fn numbered(batches: BatchStream, schema: SchemaRef) -> BatchStream {
    let mut next = 0_i64;
    let numbered = batches.map(move |batch| {
        let batch = batch?;
        let rows = batch.num_rows();
        let end = i64::try_from(rows).ok().and_then(|rows| next.checked_add(rows));
        let end = end.ok_or_else(|| DataFusionError::Internal("a file of too many rows".into()))?;
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(next..end));
        next = end;
        let columns = batch.columns().iter().cloned().chain([numbers]).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok::<_, DataFusionError>(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &rows)?)
    });
    numbered.boxed()
}

/// Places in a file's columns without that of the numbers, which is the last of them, and whether it is wanted.
pub(super) fn without_numbers(in_files: &SchemaRef, wanted: &[usize]) -> Result<(SchemaRef, Vec<usize>, bool)> {
    let last = in_files.fields().len().saturating_sub(1);
    let rest: Vec<usize> = wanted.iter().copied().filter(|place| *place != last).collect();
    let is_wanted = rest.len() < wanted.len();
    Ok((Arc::new(in_files.project(&(0..last).collect::<Vec<_>>())?), rest, is_wanted))
}
