//! Datasets to and from Polars data frames, in one process and without a copy: both sides hold the same buffers, which
//! go over by the Arrow C data interface. The only unsafe code of this crate is here.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, make_array, new_empty_array, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use polars::prelude::{Column, CompatLevel, DataFrame, PolarsError, Series};
use polars_arrow::array::Array as PolarsArray;
use polars_arrow::datatypes::Field as PolarsField;
use polars_arrow::ffi::{
    ArrowArray, ArrowSchema, export_array_to_c, export_field_to_c, import_array_from_c, import_field_from_c,
};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};
use sheaf_dataset::{Dataset, Session};

/// Polars frames of datasets.
pub trait DatasetPolars {
    /// Runs the plan and gives its rows as a Polars frame, one chunk for each batch.
    ///
    /// Numbers, dates, times, decimals and views of text and bytes keep their buffers. Polars has one type for each of
    /// those where Arrow has several, so that offset-based text becomes views over the same bytes, seconds become
    /// milliseconds, and dictionaries become categoricals.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a type that Polars does not have, and whatever goes wrong in the plan.
    ///
    /// ```
    /// use sheaf::polars::DatasetPolars;
    /// use sheaf::{Options, Session};
    ///
    /// let session = Session::new(Options::default())?;
    /// let dataset = session.range(0, 3)?;
    /// let frame = session.threads().block_on(dataset.to_polars())?;
    /// assert_eq!(frame.shape(), (3, 1));
    /// # Ok::<(), sheaf::Error>(())
    /// ```
    fn to_polars(&self) -> impl Future<Output = Result<DataFrame>> + Send;
}

/// Datasets of Polars frames.
pub trait SessionPolars {
    /// A dataset over the buffers of a Polars frame. Text and bytes stay views.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a column of Polars' that Arrow has no type for.
    ///
    /// ```
    /// use polars::df;
    /// use sheaf::polars::SessionPolars;
    /// use sheaf::{Options, Session};
    ///
    /// let session = Session::new(Options::default())?;
    /// let frame = df!("carrier" => ["UA", "AA"], "flights" => [3, 4]).unwrap();
    /// let dataset = session.from_polars(&frame)?;
    /// assert_eq!(session.threads().block_on(dataset.count())?, 2);
    /// # Ok::<(), sheaf::Error>(())
    /// ```
    #[expect(clippy::wrong_self_convention, reason = "a session makes it, as by `Session::from_batches`")]
    fn from_polars(&self, frame: &DataFrame) -> Result<Dataset>;
}

impl DatasetPolars for Dataset {
    async fn to_polars(&self) -> Result<DataFrame> {
        let mut run = self.start().await?;
        let schema = run.schema();
        let batches = run.collect().await?;
        self.keep_stats(&run);
        to_frame(&schema, &batches)
    }
}

impl SessionPolars for Session {
    fn from_polars(&self, frame: &DataFrame) -> Result<Dataset> {
        let (schema, batches) = from_frame(frame)?;
        self.from_batches(schema, batches)
    }
}

/// The frame of batches of one schema.
fn to_frame(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<DataFrame> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let chunks: Vec<ArrayRef> = batches.iter().map(|batch| Arc::clone(batch.column(index))).collect();
        to_series(field, chunks).map(Column::from).with_context(|| format!("column {:?}", field.name()))
    });
    DataFrame::new(rows, columns.collect::<Result<_>>()?).map_err(|error| refused(&error))
}

fn to_series(field: &FieldRef, mut chunks: Vec<ArrayRef>) -> Result<Series> {
    if !polars_has(field.data_type(), false) {
        return Err(Error::new(ErrorKind::Unsupported, format!("Polars has no type for {}", field.data_type()))
            .with_hint("cast the column, or leave it out"));
    }
    if chunks.is_empty() {
        chunks.push(new_empty_array(field.data_type()));
    }
    let field = export_field(field)?;
    let chunks = chunks.iter().map(|chunk| export_array(&chunk.to_data(), &field)).collect::<Result<Vec<_>>>()?;
    Series::try_from((&field, chunks)).map_err(|error| refused(&error))
}

/// Whether Polars can hold the type. It panics on some that it cannot.
fn polars_has(kind: &DataType, nested: bool) -> bool {
    match kind {
        DataType::Interval(_) | DataType::Union(..) | DataType::RunEndEncoded(..) => false,
        DataType::ListView(_) | DataType::LargeListView(_) => false,
        // Names of zones only; at the top level Polars says so itself.
        DataType::Timestamp(_, Some(zone)) => !nested || !zone.starts_with(['+', '-']),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => polars_has(field.data_type(), true),
        DataType::Struct(fields) => fields.iter().all(|field| polars_has(field.data_type(), true)),
        DataType::Dictionary(_, values) => polars_has(values, true),
        _ => true,
    }
}

/// The schema of a frame and its rows, cut wherever a chunk of any column ends.
fn from_frame(frame: &DataFrame) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let columns = frame.columns().iter().map(|column| {
        from_series(column.as_materialized_series()).with_context(|| format!("column {:?}", column.name().as_str()))
    });
    let columns: Vec<(Field, Vec<ArrayRef>)> = columns.collect::<Result<_>>()?;
    let mut ends: Vec<usize> = columns.iter().flat_map(|(_, chunks)| ends_of(chunks)).collect();
    ends.push(frame.height());
    ends.sort_unstable();
    ends.dedup();
    let schema = Arc::new(Schema::new(columns.iter().map(|(field, _)| field.clone()).collect::<Vec<_>>()));
    let mut start = 0;
    let mut batches = Vec::with_capacity(ends.len());
    for end in ends.into_iter().filter(|end| *end > 0) {
        let arrays = columns.iter().map(|(_, chunks)| rows_of(chunks, start, end - start)).collect::<Option<Vec<_>>>();
        let arrays = arrays.ok_or_else(|| Error::internal("the columns of a frame have different lengths"))?;
        let options = RecordBatchOptions::new().with_row_count(Some(end - start));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options);
        batches.push(batch.map_err(|error| Error::internal(format!("a frame does not fit its schema: {error}")))?);
        start = end;
    }
    Ok((schema, batches))
}

fn ends_of(chunks: &[ArrayRef]) -> impl Iterator<Item = usize> {
    chunks.iter().scan(0, |end, chunk| {
        *end += chunk.len();
        Some(*end)
    })
}

/// Rows that lie in one chunk.
fn rows_of(chunks: &[ArrayRef], start: usize, length: usize) -> Option<ArrayRef> {
    let mut before = 0;
    for chunk in chunks {
        if start < before + chunk.len() {
            return (start + length <= before + chunk.len()).then(|| chunk.slice(start - before, length));
        }
        before += chunk.len();
    }
    None
}

fn from_series(series: &Series) -> Result<(Field, Vec<ArrayRef>)> {
    let kind = series.dtype().try_to_arrow(CompatLevel::newest()).map_err(|error| refused(&error))?;
    let mut polars_field = series.dtype().to_arrow_field(series.name().clone(), CompatLevel::newest());
    polars_field.dtype = kind;
    let field = import_field(&polars_field)?;
    if *field.data_type() == DataType::Null {
        // Polars gives an array of nulls a buffer, which the interface does not allow.
        return Ok((field, vec![new_null_array(&DataType::Null, series.len())]));
    }
    let chunks = (0..series.n_chunks())
        .map(|chunk| import_array(series.to_arrow(chunk, CompatLevel::newest()), &polars_field))
        .collect::<Result<Vec<_>>>()?;
    Ok((field, chunks))
}

fn refused(error: &PolarsError) -> Error {
    Error::new(ErrorKind::Unsupported, error.to_string()).with_hint("cast the column, or leave it out")
}

#[expect(unsafe_code, reason = "the C data interface is made of raw structs")]
fn export_field(field: &Field) -> Result<PolarsField> {
    let schema =
        FFI_ArrowSchema::try_from(field).map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))?;
    // SAFETY: both types are `repr(C)` layouts of the C data interface's ArrowSchema, and ownership moves with it.
    let schema = unsafe { mem::transmute::<FFI_ArrowSchema, ArrowSchema>(schema) };
    // SAFETY: arrow-rs made the struct just now, as the interface wants it.
    unsafe { import_field_from_c(&schema) }.map_err(|error| refused(&error))
}

#[expect(unsafe_code, reason = "the C data interface is made of raw structs")]
fn export_array(array: &ArrayData, field: &PolarsField) -> Result<Box<dyn PolarsArray>> {
    let (array, _) = to_ffi(array).map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))?;
    // SAFETY: both types are `repr(C)` layouts of the C data interface's ArrowArray, and ownership moves with it.
    let array = unsafe { mem::transmute::<FFI_ArrowArray, ArrowArray>(array) };
    // SAFETY: arrow-rs made the struct just now, and `field` is of the same column.
    unsafe { import_array_from_c(array, field.dtype.clone()) }.map_err(|error| refused(&error))
}

#[expect(unsafe_code, reason = "the C data interface is made of raw structs")]
fn import_field(field: &PolarsField) -> Result<Field> {
    // SAFETY: both types are `repr(C)` layouts of the C data interface's ArrowSchema, and ownership moves with it.
    let schema = unsafe { mem::transmute::<ArrowSchema, FFI_ArrowSchema>(export_field_to_c(field)) };
    Field::try_from(&schema).map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))
}

#[expect(unsafe_code, reason = "the C data interface is made of raw structs")]
fn import_array(array: Box<dyn PolarsArray>, field: &PolarsField) -> Result<ArrayRef> {
    // SAFETY: both types are `repr(C)` layouts of the C data interface's ArrowSchema, and ownership moves with it.
    let schema = unsafe { mem::transmute::<ArrowSchema, FFI_ArrowSchema>(export_field_to_c(field)) };
    // SAFETY: as above, of ArrowArray.
    let array = unsafe { mem::transmute::<ArrowArray, FFI_ArrowArray>(export_array_to_c(array)) };
    // SAFETY: Polars made both structs just now, of one column.
    let data = unsafe { from_ffi(array, &schema) };
    data.map(make_array).map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))
}
