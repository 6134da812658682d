//! Arrow data between Python and the engine, by the Arrow C data interface: buffers are shared, never copied.

use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchReader, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;
use pyo3_arrow::{PyArray, PyRecordBatch, PySchema, PyTable};
use sheaf::connectors::objects::is_object;
use sheaf::{Error, ErrorKind};

use crate::errors::to_py;

/// Rows of the parts that a long batch is cut into (without a copy), so that all threads have some.
const PART_ROWS: usize = 128 * 1024;

/// All batches of anything with `__arrow_c_stream__` or `__arrow_c_array__`, read now, long ones cut into parts.
pub(crate) fn gather(py: Python<'_>, data: AnyRecordBatch) -> PyResult<(SchemaRef, Vec<RecordBatch>)> {
    let reader = data.into_reader()?;
    let schema = reader.schema();
    // A stream may be one that Python produces: it takes the GIL by itself when it needs it.
    let batches = py.detach(|| read_all(reader));
    let batches = batches.map_err(|error| {
        let told = Error::new(ErrorKind::InvalidInput, format!("cannot read the Arrow stream: {error}"));
        to_py(py, &told.with_source(error))
    })?;
    Ok((schema, batches))
}

fn read_all(reader: Box<dyn RecordBatchReader + Send>) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut batches = Vec::new();
    for batch in reader {
        let batch = batch?;
        let rows = batch.num_rows();
        if rows <= PART_ROWS {
            batches.push(batch);
            continue;
        }
        batches.extend((0..rows).step_by(PART_ROWS).map(|at| batch.slice(at, PART_ROWS.min(rows - at))));
    }
    Ok(batches)
}

/// A `pyarrow.RecordBatch` over the same buffers.
pub(crate) fn batch_to_pyarrow(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyAny>> {
    let schema = batch.schema();
    let exported = PyRecordBatch::new(batch).into_pyobject(py)?;
    let capsules = exported.call_method0(intern!(py, "__arrow_c_array__"))?.cast_into::<pyo3::types::PyTuple>()?;
    let class = py.import(intern!(py, "pyarrow"))?.getattr(intern!(py, "RecordBatch"))?;
    shown(class.call_method1(intern!(py, "_import_from_c_capsule"), capsules)?, &schema, "shown")
}

/// Columns of Python objects with their type, which PyArrow is not told of by itself: see `sheaf._objects`.
fn shown<'py>(made: Bound<'py, PyAny>, schema: &SchemaRef, by: &str) -> PyResult<Bound<'py, PyAny>> {
    if !schema.fields().iter().any(|field| is_object(field)) {
        return Ok(made);
    }
    made.py().import(intern!(made.py(), "sheaf._objects"))?.call_method1(by, (made,))
}

/// A `pyarrow.Array` over the same buffers.
pub(crate) fn array_to_pyarrow<'py>(py: Python<'py>, array: ArrayRef, field: &Field) -> PyResult<Bound<'py, PyAny>> {
    let made = PyArray::from_array_ref(array).to_pyarrow(py)?.unbind().into_bound(py);
    if !is_object(field) {
        return Ok(made);
    }
    py.import(intern!(py, "sheaf._objects"))?.call_method1(intern!(py, "shown_array"), (made,))
}

/// A buffer of a Python object's. The object goes after it, when a thread next has the GIL: freed by itself, a buffer
/// of NumPy's would wait for the GIL on whatever thread of the engine is done with it.
struct Kept {
    _buffer: Buffer,
    _owner: AssertUnwindSafe<Py<PyAny>>,
}

/// The batch, which the Python object `owner` holds too, with buffers that hold the object.
#[expect(unsafe_code, reason = "the buffers are those of the column, held by their owner")]
pub(crate) fn kept(py: Python<'_>, batch: RecordBatch, owner: &Py<PyAny>) -> RecordBatch {
    let keep = |buffer: &Buffer| {
        let owned = Kept { _buffer: buffer.clone(), _owner: AssertUnwindSafe(owner.clone_ref(py)) };
        let start = NonNull::new(buffer.as_ptr().cast_mut())?;
        // SAFETY: `owned` holds the buffer, and with it these bytes, for as long as the new buffer lives.
        Some(unsafe { Buffer::from_custom_allocation(start, buffer.len(), Arc::new(owned)) })
    };
    let columns = batch.columns().iter().map(|column| {
        let data = column.to_data();
        let buffers: Option<Vec<Buffer>> = data.buffers().iter().map(keep).collect();
        // SAFETY: type, length and bytes are those of the column, which is valid.
        let kept = buffers.map(|buffers| unsafe { data.into_builder().buffers(buffers).build_unchecked() });
        kept.map_or_else(|| Arc::clone(column), make_array)
    });
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &rows).unwrap_or(batch)
}

/// A `pyarrow.Table` over the same buffers.
pub(crate) fn table_to_pyarrow<'py>(
    py: Python<'py>,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
) -> PyResult<Bound<'py, PyAny>> {
    let batches = batches.into_iter().map(|batch| with_schema(batch, schema)).collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|error| {
        to_py(py, &Error::internal(format!("a batch does not fit the schema of its plan: {error}")))
    })?;
    shown(PyTable::try_new(batches, Arc::clone(schema))?.into_pyarrow(py)?, schema, "shown")
}

/// A `pyarrow.Schema`.
pub(crate) fn schema_to_pyarrow(py: Python<'_>, schema: SchemaRef) -> PyResult<Bound<'_, PyAny>> {
    shown(PySchema::new(Arc::clone(&schema)).into_pyarrow(py)?, &schema, "shown_schema")
}

/// The batch under the plan's schema: operators may tell nullability and metadata differently than their plan.
pub(crate) fn with_schema(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &rows)
}
