//! NumPy: the one column of the input as the array of a `.npy` file; lists of one size are further axes.
//!
//! The header says how many rows follow, so that nothing of a file can be uploaded before its last row has come. A file
//! is held in memory until then: those of a folder end where the memory limit or their target size is reached.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use sheaf_core::{Error, ErrorKind, Result};

use crate::write::encode::Encoder;

/// The start of every file, and the version of its layout.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// As many as every version of NumPy reads.
const MOST_AXES: usize = 32;

/// The values of a file begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// One array on its way into a file.
pub(crate) struct NumpyEncoder {
    column: String,
    descr: String,
    /// The sizes of the axes after the first.
    inner: Vec<i32>,
    rows: u64,
    /// The place of the header, and the values.
    file: Vec<u8>,
}

impl NumpyEncoder {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let (column, kind) = check_schema(schema)?;
        let mut inner = Vec::new();
        let mut values = kind;
        while let DataType::FixedSizeList(item, size) = values {
            inner.push(*size);
            values = item.data_type();
        }
        let descr = descr(values).ok_or_else(|| unfit(column, kind))?;
        let mut encoder = Self { column: column.to_string(), descr, inner, rows: 0, file: Vec::new() };
        // The longest header that there can be: the number of rows is written over it when it is known.
        encoder.file = encoder.header(u64::MAX, 0);
        Ok(encoder)
    }

    /// The header, filled up with spaces to a length that values may follow, and to this length at the least.
    fn header(&self, rows: u64, least: usize) -> Vec<u8> {
        let inner = self.inner.iter().map(|size| format!(" {size}")).collect::<Vec<_>>().join(",");
        let dict = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({rows},{inner}), }}", self.descr);
        let start = MAGIC.len() + 2;
        let length = (start + dict.len() + 1).next_multiple_of(ALIGNMENT).max(least);
        let mut header = Vec::with_capacity(length);
        header.extend_from_slice(MAGIC);
        // It is below 2 KiB with all axes that there may be.
        header.extend_from_slice(&u16::try_from(length - start).unwrap_or(u16::MAX).to_le_bytes());
        header.extend_from_slice(dict.as_bytes());
        header.resize(length - 1, b' ');
        header.push(b'\n');
        header
    }

    fn append(&mut self, column: &ArrayRef) -> Result<()> {
        if column.null_count() > 0 {
            return Err(Error::new(
                ErrorKind::TypeMismatch,
                format!("the column {:?} has nulls, which arrays of NumPy cannot hold", self.column),
            )
            .with_hint("replace them with fill_null, or leave such rows out with drop_null"));
        }
        match column.data_type() {
            DataType::FixedSizeList(_, _) => self.append(column.as_fixed_size_list().values()),
            DataType::Boolean => {
                self.file.extend(column.as_boolean().values().iter().map(u8::from));
                Ok(())
            }
            kind => {
                let data = column.to_data();
                let width = kind.primitive_width().ok_or_else(|| unfit(&self.column, kind))?;
                let values = data.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
                let values = values.get(data.offset() * width..(data.offset() + data.len()) * width);
                let values = values.ok_or_else(|| Error::internal("a column has fewer values than rows"))?;
                self.file.extend_from_slice(values);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Encoder for NumpyEncoder {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.append(batch.column(0))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        Bytes::new()
    }

    fn memory(&self) -> usize {
        self.file.capacity()
    }

    fn pending(&self) -> usize {
        self.file.len()
    }

    fn holds_all(&self) -> bool {
        true
    }

    async fn finish(&mut self) -> Result<Bytes> {
        let least = self.header(u64::MAX, 0).len();
        let header = self.header(self.rows, least);
        let mut file = std::mem::take(&mut self.file);
        file[..header.len()].copy_from_slice(&header);
        Ok(file.into())
    }
}

/// The one column, if it can be an array.
pub(crate) fn check_schema(schema: &Schema) -> Result<(&str, &DataType)> {
    let [field] = &schema.fields()[..] else {
        let message = format!("a .npy file holds one array, and there are {} columns", schema.fields().len());
        return Err(Error::invalid(message).with_hint("select one column: write_numpy(path, column=\"x\")"));
    };
    let (mut values, mut axes) = (field.data_type(), 1);
    while let DataType::FixedSizeList(item, _) = values {
        (values, axes) = (item.data_type(), axes + 1);
    }
    if axes > MOST_AXES {
        return Err(Error::invalid(format!("arrays of NumPy have {MOST_AXES} axes at the most, not {axes}")));
    }
    match descr(values) {
        Some(_) => Ok((field.name(), field.data_type())),
        None => Err(unfit(field.name(), field.data_type())),
    }
}

/// The type as NumPy writes it: byte order, kind, bytes.
fn descr(kind: &DataType) -> Option<String> {
    let name = match kind {
        DataType::Boolean => "b1",
        DataType::Int8 => "i1",
        DataType::Int16 => "i2",
        DataType::Int32 => "i4",
        DataType::Int64 => "i8",
        DataType::UInt8 => "u1",
        DataType::UInt16 => "u2",
        DataType::UInt32 => "u4",
        DataType::UInt64 => "u8",
        DataType::Float16 => "f2",
        DataType::Float32 => "f4",
        DataType::Float64 => "f8",
        _ => return None,
    };
    let order = match (name.ends_with('1'), cfg!(target_endian = "little")) {
        (true, _) => '|',
        (false, true) => '<',
        (false, false) => '>',
    };
    Some(format!("{order}{name}"))
}

fn unfit(column: &str, kind: &DataType) -> Error {
    let error =
        Error::new(ErrorKind::TypeMismatch, format!("the column {column:?} of type {kind} is no array of NumPy's"));
    error.with_hint(match kind {
        DataType::List(_) | DataType::LargeList(_) | DataType::ListView(_) | DataType::LargeListView(_) => {
            "lists are rows of an array where all are of one size: cast to a list of that size, such as \
             pyarrow.list_(pyarrow.float32(), 3)"
        }
        _ => "arrays hold numbers, booleans, and lists of one size of them: cast the column, or write Parquet",
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, FixedSizeListArray, Int16Array};
    use arrow::datatypes::Field;

    use super::*;

    async fn encoded(columns: &[ArrayRef]) -> Vec<u8> {
        let schema = Arc::new(Schema::new(vec![Field::new("x", columns[0].data_type().clone(), true)]));
        let mut encoder = NumpyEncoder::new(&schema).unwrap();
        for column in columns {
            encoder.write(&RecordBatch::try_new(schema.clone(), vec![column.clone()]).unwrap()).await.unwrap();
        }
        assert!(encoder.take().is_empty(), "nothing goes before the header");
        encoder.finish().await.unwrap().to_vec()
    }

    fn parts(file: &[u8]) -> (String, &[u8]) {
        let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
        assert_eq!((10 + length) % ALIGNMENT, 0);
        (String::from_utf8(file[10..10 + length].to_vec()).unwrap(), &file[10 + length..])
    }

    #[tokio::test]
    async fn a_file_is_a_header_and_the_values_of_the_rows() {
        let numbers: ArrayRef = Arc::new(Int16Array::from(vec![1, 2, 3]));
        let file = encoded(&[numbers.slice(1, 2), numbers.slice(0, 1)]).await;
        let (header, values) = parts(&file);
        assert!(header.starts_with("{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }"), "{header}");
        assert!(header.ends_with(" \n"));
        assert_eq!(values, [2, 0, 3, 0, 1, 0]);
    }

    #[tokio::test]
    async fn lists_of_one_size_are_axes_and_slices_are_those_rows() {
        let item = Arc::new(Field::new("item", DataType::Boolean, true));
        let values = Arc::new(BooleanArray::from(vec![true, false, true, true, false, false]));
        let rows: ArrayRef = Arc::new(FixedSizeListArray::new(item, 2, values, None));
        let file = encoded(&[rows.slice(1, 2)]).await;
        let (header, values) = parts(&file);
        assert!(header.contains("'|b1'") && header.contains("(2, 2)"), "{header}");
        assert_eq!(values, [1, 1, 0, 0]);
    }
}
