//! NumPy: an array of a `.npy` file, its first axis the rows of the one column `data`; further axes become lists of
//! fixed size.

use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, BooleanArray, FixedSizeListArray, make_array};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::{StreamExt, TryStreamExt};
use regex::Regex;
use sheaf_core::{Error, ErrorKind};

use super::bytes::{ByteStream, Input};
use super::scan::{BatchStream, Scan, assemble};
use crate::error::to_datafusion;

const MAGIC: &[u8] = b"\x93NUMPY";
/// No header of one array is longer, and what is no header may say anything.
const MOST_HEADER_BYTES: usize = 1 << 20;
/// Rows of a batch stay below this, so that a few large ones do not fill the memory.
const BATCH_BYTES: usize = 8 << 20;

/// What a file says of its array.
#[derive(Debug, Clone, PartialEq)]
struct Header {
    element: Element,
    rows: usize,
    /// The sizes of the axes after the first.
    inner: Vec<i32>,
}

/// The type of a value, and whether its bytes are in the order of this machine.
#[derive(Debug, Clone, PartialEq)]
struct Element {
    kind: DataType,
    width: usize,
    swapped: bool,
}

/// The columns of a file.
pub(crate) async fn infer(input: &Input) -> Result<SchemaRef> {
    let (header, ..) = Bytes::of(input.whole().await?).header().await?;
    Ok(Arc::new(Schema::new(vec![Field::new("data", header.row_type(), false)])))
}

/// Opens a file.
pub(crate) async fn open(scan: Scan) -> Result<BatchStream> {
    let (header, bytes) = Bytes::of(scan.input.whole().await?).header().await?;
    let state = (bytes, header.rows);
    let batches = futures::stream::try_unfold(state, move |(mut bytes, left)| {
        let rows = header.batch_rows(scan.batch_size).min(left);
        let (schema, asked, header) = (Arc::clone(&scan.schema), scan.projection.len(), header.clone());
        async move {
            if rows == 0 {
                return Ok(None);
            }
            let values = bytes.take(header.row_bytes() * rows).await?;
            let batch = header.batch(values, rows, &schema, asked)?;
            Ok(Some((batch, (bytes, left - rows))))
        }
    });
    Ok(batches.boxed())
}

/// Bytes that come, and those that came and were not asked for yet.
struct Bytes {
    stream: ByteStream,
    waiting: Vec<u8>,
}

impl Bytes {
    fn of(stream: ByteStream) -> Self {
        Self { stream, waiting: Vec::new() }
    }

    async fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.waiting.len() < count {
            match self.stream.try_next().await? {
                Some(chunk) => self.waiting.extend_from_slice(&chunk),
                None => return Err(corrupt("it ends before its last value")),
            }
        }
        let rest = self.waiting.split_off(count);
        Ok(std::mem::replace(&mut self.waiting, rest))
    }

    async fn header(mut self) -> Result<(Header, Self)> {
        let start = self.take(MAGIC.len() + 2).await.map_err(|_| corrupt("it is no .npy file"))?;
        if !start.starts_with(MAGIC) {
            return Err(corrupt("it is no .npy file"));
        }
        let length = match start[MAGIC.len()] {
            1 => self.take(2).await?.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            2 | 3 => self.take(4).await?.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            other => return Err(unsupported(&format!("its layout is of version {other}"))),
        };
        if length > MOST_HEADER_BYTES {
            return Err(corrupt("its header is too long"));
        }
        let text = self.take(length).await?;
        let text = String::from_utf8_lossy(&text);
        Ok((Header::parse(&text)?, self))
    }
}

impl Header {
    /// Reads the dict that is the header: `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }`.
    fn parse(text: &str) -> Result<Self> {
        let field = |pattern: &str| {
            let pattern = Regex::new(pattern).map_err(|error| corrupt(&error.to_string()))?;
            let found = pattern.captures(text).and_then(|found| Some(found.get(1)?.as_str().to_string()));
            Ok::<_, datafusion::error::DataFusionError>(found)
        };
        let Some(kind) = field(r"'descr':\s*'([^']*)'")? else {
            return Err(match text.contains("'descr':") {
                true => unsupported("it holds records of several fields"),
                false => corrupt("its header has no type"),
            });
        };
        let element = Element::parse(&kind)?;
        let shape = field(r"'shape':\s*\(([0-9, ]*)\)")?.ok_or_else(|| corrupt("its header has no shape"))?;
        let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        let axes: Vec<usize> =
            axes.map(|axis| axis.parse().map_err(|_| corrupt("an axis is too long"))).collect::<Result<_>>()?;
        if field(r"'fortran_order':\s*(True)")?.is_some() && axes.len() > 1 {
            return Err(unsupported("its values are in the order of Fortran, column by column"));
        }
        let (rows, inner) = axes.split_first().map_or((1, &[][..]), |(rows, inner)| (*rows, inner));
        let size = |axis: &usize| i32::try_from(*axis).map_err(|_| unsupported("an inner axis is too long"));
        Ok(Self { element, rows, inner: inner.iter().map(size).collect::<Result<_>>()? })
    }

    /// Values in a row.
    fn row_values(&self) -> usize {
        product(&self.inner)
    }

    fn row_bytes(&self) -> usize {
        self.row_values() * self.element.width
    }

    fn row_type(&self) -> DataType {
        let list =
            |inside: DataType, size: &i32| DataType::FixedSizeList(Arc::new(Field::new("item", inside, false)), *size);
        self.inner.iter().rev().fold(self.element.kind.clone(), list)
    }

    fn batch_rows(&self, batch_size: usize) -> usize {
        (BATCH_BYTES / self.row_bytes().max(1)).clamp(1, batch_size.max(1))
    }

    fn batch(&self, values: Vec<u8>, rows: usize, schema: &SchemaRef, asked: usize) -> Result<RecordBatch> {
        let mut column = self.element.array(values, self.row_values() * rows)?;
        // From the innermost axis out: each makes lists of what there is.
        for (axis, size) in self.inner.iter().enumerate().rev() {
            let lists = rows * product(&self.inner[..axis]);
            let field = Arc::new(Field::new("item", column.data_type().clone(), false));
            column = Arc::new(FixedSizeListArray::try_new_with_length(field, *size, column, None, lists)?);
        }
        let fit = |place: usize| {
            let wanted = schema.field(place).data_type();
            if column.data_type() == wanted { Ok(Arc::clone(&column)) } else { cast(&column, wanted) }
        };
        let columns = (0..asked).map(|place| fit(place).map(Some)).collect::<std::result::Result<_, _>>()?;
        assemble(schema, columns, rows)
    }
}

fn product(axes: &[i32]) -> usize {
    // Axes come from sizes that are not negative.
    axes.iter().map(|axis| usize::try_from(*axis).unwrap_or(0)).product()
}

impl Element {
    fn parse(kind: &str) -> Result<Self> {
        let (order, name) = kind.split_at_checked(1).unwrap_or(("", kind));
        let (kind, width) = match name {
            "b1" => (DataType::Boolean, 1),
            "i1" => (DataType::Int8, 1),
            "i2" => (DataType::Int16, 2),
            "i4" => (DataType::Int32, 4),
            "i8" => (DataType::Int64, 8),
            "u1" => (DataType::UInt8, 1),
            "u2" => (DataType::UInt16, 2),
            "u4" => (DataType::UInt32, 4),
            "u8" => (DataType::UInt64, 8),
            "f2" => (DataType::Float16, 2),
            "f4" => (DataType::Float32, 4),
            "f8" => (DataType::Float64, 8),
            _ => return Err(unsupported(&format!("its values are of NumPy's type {kind:?}"))),
        };
        let own = if cfg!(target_endian = "little") { "<" } else { ">" };
        Ok(Self { kind, width, swapped: width > 1 && order != own && order != "=" })
    }

    fn array(&self, mut values: Vec<u8>, count: usize) -> Result<ArrayRef> {
        if self.kind == DataType::Boolean {
            return Ok(Arc::new(values.iter().map(|byte| Some(*byte != 0)).collect::<BooleanArray>()));
        }
        if self.swapped {
            values.chunks_exact_mut(self.width).for_each(<[u8]>::reverse);
        }
        // A slice copies into memory that is aligned for every type.
        let buffer = Buffer::from_slice_ref(&values);
        let data = ArrayData::builder(self.kind.clone()).len(count).add_buffer(buffer).build()?;
        Ok(make_array(data))
    }
}

fn corrupt(why: &str) -> datafusion::error::DataFusionError {
    to_datafusion(Error::new(ErrorKind::CorruptFile, format!("the file cannot be read: {why}")))
}

fn unsupported(why: &str) -> datafusion::error::DataFusionError {
    to_datafusion(
        Error::new(ErrorKind::Unsupported, format!("the array has no columns of Arrow: {why}"))
            .with_hint("save it as numbers or booleans, in the order of C: numpy.ascontiguousarray(a)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, order: &str, shape: &str) -> Result<Header> {
        Header::parse(&format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n"))
    }

    #[test]
    fn headers_say_rows_and_types() {
        let header = parse("<f4", "False", "(7, 2, 3)").unwrap();
        assert_eq!((header.rows, header.row_bytes()), (7, 24));
        assert_eq!(header.row_type().to_string(), "FixedSizeList(2 x non-null FixedSizeList(3 x non-null Float32))");
        assert_eq!(parse("|b1", "True", "(3,)").unwrap().row_type(), DataType::Boolean);
        assert_eq!(parse(">i8", "False", "()").unwrap().rows, 1);
        for (kind, order, shape) in [("<U5", "False", "(1,)"), ("<f8", "True", "(2, 2)"), ("|O", "False", "(1,)")] {
            assert!(parse(kind, order, shape).is_err(), "{kind} {order} {shape}");
        }
    }
}
