//! Binary: each file is a row, its contents in the one column `bytes`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use futures::{FutureExt, StreamExt, TryStreamExt};
use sheaf_core::{Error, ErrorKind};

use super::scan::{BatchStream, Scan, assemble};
use crate::error::to_datafusion;

/// What a value may hold: its offsets are 32 bits.
const MOST_BYTES: u64 = i32::MAX as u64;

/// The one column.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("bytes", DataType::Binary, false)]))
}

/// Opens a file; it is not read where its contents are not asked for.
pub(crate) async fn open(scan: Scan) -> Result<BatchStream> {
    if scan.input.size > MOST_BYTES && !scan.projection.is_empty() {
        let message = format!("the file has {} bytes, and a value holds {MOST_BYTES} at most", scan.input.size);
        return Err(to_datafusion(
            Error::new(ErrorKind::Unsupported, message).with_hint("read it in its own format, or leave it out"),
        ));
    }
    let batch = async move {
        let columns = if scan.projection.is_empty() { Vec::new() } else { vec![Some(contents(&scan).await?)] };
        assemble(&scan.schema, columns, 1)
    };
    Ok(batch.into_stream().boxed())
}

async fn contents(scan: &Scan) -> Result<ArrayRef> {
    let mut chunks = scan.input.whole().await?;
    let mut bytes = Vec::with_capacity(usize::try_from(scan.input.size).unwrap_or(0));
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    let offsets = OffsetBuffer::from_lengths([bytes.len()]);
    Ok(Arc::new(BinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?))
}
