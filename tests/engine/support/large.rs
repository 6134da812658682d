//! Rows that are as large in a file as they are in memory: files of them go up in several parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use sheaf_connectors::write::{ParquetCompression, ParquetWriteOptions, WriteFormat};

use super::{batch, column_n};

/// Less than half of a part: five rows have three parts.
const BLOB_BYTES: usize = 7 << 19;

/// A row of each of these numbers, as [`batch`] has them, with a `blob` of megabytes in which nothing repeats.
pub(crate) fn large(numbers: &[i64]) -> RecordBatch {
    let mut state = 88_172_645_463_325_252u64;
    let mut blob = || {
        let mut bytes = Vec::with_capacity(BLOB_BYTES);
        while bytes.len() < BLOB_BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes
    };
    let blobs: BinaryArray = numbers.iter().map(|_| Some(blob())).collect();
    let small = batch(numbers.iter().copied());
    let column = |name: &str| small.column_by_name(name).unwrap().clone();
    RecordBatch::try_from_iter([("n", column("n")), ("k", column("k")), ("blob", Arc::new(blobs) as ArrayRef)]).unwrap()
}

/// The blobs of some batches by their numbers; rows without one are left out.
pub(crate) fn blobs(batches: &[RecordBatch]) -> BTreeMap<i64, Vec<u8>> {
    let mut all = BTreeMap::new();
    for batch in batches {
        let Some(column) = batch.column_by_name("blob") else { continue };
        let column = cast(column, &DataType::Binary).unwrap();
        let column = column.as_any().downcast_ref::<BinaryArray>().unwrap();
        let numbers = column_n(batch);
        let rows = numbers.values().iter().zip(column.iter());
        all.extend(rows.filter_map(|(number, blob)| Some((*number, blob?.to_vec()))));
    }
    all
}

/// Parquet without anything that makes files smaller.
pub(crate) fn uncompressed() -> WriteFormat {
    let compression = ParquetCompression::None;
    WriteFormat::Parquet(ParquetWriteOptions { compression, dictionary: false, ..ParquetWriteOptions::default() })
}
