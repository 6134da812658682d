//! What a function returned, under the schema that its plan declares.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, cast, cast_with_options, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use sheaf_connectors::objects::is_object;
use sheaf_core::{Error, ErrorKind};

use super::BatchPosition;

/// Checks a result against the declared schema; nullability and metadata are the declaration's.
///
/// Columns whose types differ only in how they lay the same values out are cast: pandas' text is `large_string`, that
/// of Polars `string_view`, and a schema says `string`.
pub(crate) fn conform(
    batch: RecordBatch,
    schema: &SchemaRef,
    function: &str,
    at: BatchPosition,
) -> sheaf_core::Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let mismatch = |what: String| {
        Error::new(ErrorKind::TypeMismatch, format!("{function} returned {what} ({at})"))
            .with_hint("every batch has the schema of the first one; give schema= if the first is not typical")
    };
    if batch.num_columns() != schema.fields().len() {
        let names: Vec<_> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        let wanted: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
        return Err(mismatch(format!("the columns {names:?} instead of {wanted:?}")));
    }
    let columns = schema.fields().iter().map(|field| {
        let column =
            batch.column_by_name(field.name()).ok_or_else(|| mismatch(format!("no column {:?}", field.name())))?;
        let given = batch.schema_ref().field_with_name(field.name());
        let is_same = given.is_ok_and(|given| is_object(given) == is_object(field));
        if !is_same && column.logical_null_count() < column.len() {
            let told = |is_object| if is_object { "Python objects" } else { "values of Arrow" };
            let what = format!(
                "{} in the column {:?} instead of {}",
                told(!is_object(field)),
                field.name(),
                told(is_object(field))
            );
            return Err(mismatch(what));
        }
        conform_column(column, field.data_type()).ok_or_else(|| {
            mismatch(format!("column {:?} as {} instead of {}", field.name(), column.data_type(), field.data_type()))
        })
    });
    let columns = columns.collect::<sheaf_core::Result<Vec<_>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
        .map_err(|error| mismatch(format!("a batch that does not fit its schema: {error}")))
}

/// The column as this type, if it is of the type but for its layout.
fn conform_column(column: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    let is = column.data_type();
    if is == wanted || is.equals_datatype(wanted) {
        Some(Arc::clone(column))
    } else if column.logical_null_count() == column.len() {
        // A batch without a single value often has no type of its own.
        Some(new_null_array(wanted, column.len()))
    } else if values_of(is).equals_datatype(&values_of(wanted)) {
        cast_with_options(column, wanted, &STRICT).ok()
    } else if is.is_numeric() && wanted.is_numeric() {
        conform_numbers(column, wanted)
    } else {
        None
    }
}

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// Numbers of another type, when all of them are numbers of this one too: pandas and NumPy make floats of integers as
/// soon as one is missing, and NaN of that.
fn conform_numbers(column: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    let mut numbers = Arc::clone(column);
    if column.data_type().is_floating() && !wanted.is_floating() {
        let floats = cast(column, &DataType::Float64).ok()?;
        let missing = BooleanArray::from_unary(floats.as_primitive::<Float64Type>(), f64::is_nan);
        numbers = nullif(column, &missing).ok()?;
    }
    let cast = cast_with_options(&numbers, wanted, &STRICT).ok()?;
    let back = cast_with_options(&cast, numbers.data_type(), &STRICT).ok()?;
    let changed = distinct(&back, &numbers).ok()?;
    (changed.true_count() == 0).then_some(cast)
}

/// One type for all layouts of the same values.
pub(crate) fn values_of(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(Field::new("item", values_of(field.data_type()), true));
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => values_of(values),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => DataType::List(inner(field)),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| Field::new(field.name(), values_of(field.data_type()), true));
            DataType::Struct(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, LargeStringArray, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::{Int64Type, Schema};

    use super::*;

    fn conformed(column: ArrayRef, wanted: DataType) -> sheaf_core::Result<ArrayRef> {
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("c", wanted, true)]));
        let at = BatchPosition { partition: 0, batch: 0, row: 0 };
        conform(batch, &schema, "f", at).map(|batch| Arc::clone(batch.column(0)))
    }

    #[test]
    fn the_same_values_in_another_layout_are_cast() {
        let texts: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec!["a", "b"])),
            Arc::new(LargeStringArray::from(vec!["a", "b"])),
            Arc::new(StringViewArray::from(vec!["a", "b"])),
        ];
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for (text, wanted) in texts.iter().flat_map(|text| texts.iter().map(move |wanted| (text, wanted))) {
            assert_eq!(&conformed(Arc::clone(text), wanted.data_type().clone()).unwrap(), wanted);
            let encoded = conformed(Arc::clone(text), dictionary.clone()).unwrap();
            assert_eq!(&conformed(encoded, wanted.data_type().clone()).unwrap(), wanted);
        }
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None]), None]);
        let large = DataType::LargeList(Arc::new(Field::new("element", DataType::Int64, true)));
        let cast = conformed(Arc::new(list), large).unwrap();
        assert_eq!(cast.as_list::<i64>().value(0).as_primitive::<Int64Type>().len(), 2);
        assert!(cast.is_null(1));
    }

    #[test]
    fn numbers_are_cast_when_none_changes() {
        let cast = |column: ArrayRef, wanted| conformed(column, wanted).ok();
        let ints = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let floats = |values: Vec<Option<f64>>| Arc::new(Float64Array::from(values)) as ArrayRef;
        let missing = floats(vec![Some(1.0), None, Some(f64::NAN)]);
        assert_eq!(cast(missing, DataType::Int64).as_ref(), Some(&ints(vec![Some(1), None, None])));
        assert_eq!(cast(floats(vec![Some(1.5)]), DataType::Int64), None);
        assert_eq!(cast(floats(vec![Some(f64::INFINITY)]), DataType::Int64), None);
        assert_eq!(cast(ints(vec![Some(1 << 40)]), DataType::Int32), None);
        assert_eq!(cast(ints(vec![Some((1 << 53) + 1)]), DataType::Float64), None);
        assert_eq!(cast(ints(vec![Some(7)]), DataType::Float64).as_ref(), Some(&floats(vec![Some(7.0)])));
        assert!(cast(floats(vec![Some(f64::NAN)]), DataType::Float32).is_some_and(|floats| floats.null_count() == 0));
    }

    #[test]
    fn other_values_are_refused_and_no_values_are_of_any_type() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        for wanted in [DataType::Boolean, DataType::Utf8, DataType::Date32] {
            let error = conformed(Arc::clone(&numbers), wanted.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TypeMismatch);
            assert!(error.message().contains(&format!("column \"c\" as Int64 instead of {wanted}")), "{error}");
        }
        for kind in [DataType::Int64, DataType::Null] {
            let text = conformed(new_null_array(&kind, 2), DataType::Utf8).unwrap();
            assert_eq!((text.data_type(), text.null_count()), (&DataType::Utf8, 2));
        }
    }
}
