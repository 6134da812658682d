//! Datasets to Polars frames and back: the same buffers, every type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StringViewArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use polars::df;
use polars::prelude::{DataFrame, IntoColumn, NamedFrom, Series};
use sheaf::polars::{DatasetPolars, SessionPolars};
use sheaf::{Dataset, ErrorKind, Options, Session};

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn frame_of(dataset: &Dataset) -> DataFrame {
    dataset.session().threads().block_on(dataset.to_polars()).unwrap()
}

fn rows_of(dataset: &Dataset) -> RecordBatch {
    let batches = dataset.session().threads().block_on(dataset.collect()).unwrap();
    arrow::compute::concat_batches(&dataset.schema(), &batches).unwrap()
}

fn dataset_of(session: &Session, columns: Vec<(&str, ArrayRef)>) -> Dataset {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    session.from_batches(batch.schema(), vec![batch]).unwrap()
}

#[test]
fn no_copy_either_way() {
    let session = session();
    // Fewer rows than a batch of the engine's, so that one buffer stays one chunk.
    let numbers = Int64Array::from_iter((0..8_000).map(|n| (n % 7 > 0).then_some(n)));
    let long = "a text that is too long to stand in the view itself";
    let texts = StringViewArray::from_iter_values((0..8_000).map(|n| format!("{long} {n}")));
    let (ours, bytes) = (numbers.values().inner().as_ptr(), texts.data_buffers()[0].as_ptr());
    let views = texts.views().inner().as_ptr();
    let dataset = dataset_of(&session, vec![("n", Arc::new(numbers)), ("text", Arc::new(texts))]);

    let frame = frame_of(&dataset);
    let column = frame.column("n").unwrap().i64().unwrap();
    assert_eq!(column.chunks().len(), 1);
    let theirs = column.downcast_iter().next().unwrap().values().as_slice().as_ptr();
    assert_eq!(theirs.cast::<u8>(), ours, "Polars holds our buffer of numbers");
    let text = frame.column("text").unwrap().str().unwrap().downcast_iter().next().unwrap().clone();
    assert_eq!(text.data_buffers()[0].as_slice().as_ptr(), bytes, "Polars holds our buffer of texts");

    drop(dataset);
    let back = rows_of(&session.from_polars(&frame).unwrap());
    let again = session.from_polars(&frame).unwrap();
    let batch = session.threads().block_on(again.collect()).unwrap().remove(0);
    assert_eq!(batch["n"].as_primitive::<Int64Type>().values().inner().as_ptr(), ours, "and we hold it again");
    assert_eq!(batch["text"].as_string_view().data_buffers()[0].as_ptr(), bytes);
    assert_eq!(batch["text"].as_string_view().views().inner().as_ptr(), views);
    assert_eq!(back["n"].null_count(), 1143, "nulls go over too");
}

#[test]
fn a_frame_whose_columns_are_cut_differently_is_read_without_a_copy() {
    let session = session();
    let mut numbers = Series::new("n".into(), [1_i64, 2, 3]);
    numbers.append(&Series::new("n".into(), [4_i64])).unwrap();
    let texts = Series::new("t".into(), ["a", "b", "c", "d"]);
    let first = numbers.i64().unwrap().downcast_iter().next().unwrap().values().as_slice().as_ptr();
    let frame = DataFrame::new(4, vec![numbers.into_column(), texts.into_column()]).unwrap();

    let dataset = session.from_polars(&frame).unwrap();
    let batches = session.threads().block_on(dataset.collect()).unwrap();
    let cut: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(cut, [3, 1]);
    assert_eq!(batches[0]["n"].as_primitive::<Int64Type>().values().inner().as_ptr(), first.cast());
    let texts: Vec<_> = batches.iter().flat_map(|batch| batch["t"].as_string_view().iter().flatten()).collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
}

/// One column for each type that both sides have, with a null in the middle.
fn every_type() -> Vec<(String, ArrayRef)> {
    let scalars = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Date32,
        DataType::Time64(TimeUnit::Nanosecond),
        DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        DataType::Duration(TimeUnit::Microsecond),
        DataType::Decimal128(20, 3),
        DataType::Utf8View,
        DataType::BinaryView,
    ];
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(0)]));
    let cast = |kind: &DataType| {
        let from: ArrayRef = match kind {
            DataType::Utf8View | DataType::BinaryView => {
                Arc::new(StringArray::from(vec![Some("short"), None, Some("longer than twelve bytes")]))
            }
            // Of a small number, so that every width can hold it.
            DataType::Date32 => arrow::compute::cast(&numbers, &DataType::Int32).unwrap(),
            _ => Arc::clone(&numbers),
        };
        arrow::compute::cast(&from, kind).unwrap()
    };
    let mut columns: Vec<(String, ArrayRef)> = scalars.iter().map(|kind| (kind.to_string(), cast(kind))).collect();
    let values = Arc::new(Field::new("item", DataType::Int64, true));
    let nulls = NullBuffer::from(vec![true, false, true]);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0_i64, 1, 1, 3]));
    let list = arrow::array::LargeListArray::new(values, offsets, Arc::clone(&numbers), Some(nulls));
    let fields = vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8View, true)];
    let children = vec![Arc::clone(&numbers), cast(&DataType::Utf8View)];
    let structs = arrow::array::StructArray::new(fields.into(), children, None);
    columns.push(("list".into(), Arc::new(list)));
    columns.push(("struct".into(), Arc::new(structs)));
    columns.push(("null".into(), new_null_array(&DataType::Null, 3)));
    columns
}

#[test]
fn every_type_comes_back_as_it_went() {
    let session = session();
    let columns = every_type();
    let dataset =
        dataset_of(&session, columns.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect());
    let frame = frame_of(&dataset);
    assert_eq!(frame.shape(), (3, columns.len()));
    let back = rows_of(&session.from_polars(&frame).unwrap());
    for (name, array) in &columns {
        assert_eq!(back[name.as_str()].data_type(), array.data_type(), "{name}");
        assert_eq!(&back[name.as_str()], array, "{name}");
    }
}

#[test]
fn types_that_polars_spells_otherwise_keep_their_values() {
    let session = session();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
    let dictionary = arrow::compute::cast(&texts, &DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()));
    let seconds = Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
    let seconds = arrow::compute::cast(&seconds, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    let columns = vec![("text", texts), ("dictionary", dictionary.unwrap()), ("seconds", seconds)];
    let frame = frame_of(&dataset_of(&session, columns));
    let kinds: Vec<_> = frame.dtypes().iter().map(ToString::to_string).collect();
    assert_eq!(kinds, ["str", "cat", "datetime[ms]"]);
    let back = rows_of(&session.from_polars(&frame).unwrap());
    let text = arrow::compute::cast(&back["dictionary"], &DataType::Utf8).unwrap();
    assert_eq!(text.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None, Some("a")]);
    assert_eq!(back["seconds"].data_type(), &DataType::Timestamp(TimeUnit::Millisecond, None));
}

#[test]
fn no_rows_and_no_columns_are_frames_too() {
    let session = session();
    let empty = frame_of(&session.range(0, 0).unwrap());
    assert_eq!((empty.shape(), empty.get_column_names()[0].as_str()), ((0, 1), "id"));
    let back = session.from_polars(&empty).unwrap();
    assert_eq!((back.columns(), rows_of(&back).num_rows()), (vec!["id".to_string()], 0));
    let none = session.from_polars(&DataFrame::empty()).unwrap();
    assert!(none.columns().is_empty());
}

#[test]
fn a_type_that_polars_lacks_is_named_with_its_column() {
    let session = session();
    let kind = DataType::Interval(arrow::datatypes::IntervalUnit::YearMonth);
    let dataset = dataset_of(&session, vec![("every", new_null_array(&kind, 2))]);
    let error = session.threads().block_on(dataset.to_polars()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().starts_with("column \"every\": Polars has no type for Interval"), "{error}");
}

#[test]
fn a_polars_frame_takes_part_in_a_plan() {
    let session = session();
    let frame = df!("carrier" => ["UA", "AA", "UA"], "delay" => [5_i64, 7, 9]).unwrap();
    let dataset = session.from_polars(&frame).unwrap();
    let late = dataset.filter(sheaf::expr::col("delay").gt(sheaf::expr::lit(6))).unwrap();
    let back = frame_of(&late.sort([sheaf::expr::col("delay").sort(true, false)]).unwrap());
    assert!(back.equals(&df!("carrier" => ["AA", "UA"], "delay" => [7_i64, 9]).unwrap()), "{back}");
}
