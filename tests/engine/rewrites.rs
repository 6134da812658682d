//! Verbs that are rewrites of the plan: what the plans look like, and what the types of Rust alone can ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use sheaf::dataset::{ExplodeOptions, NullFill, ValueCounts};
use sheaf::expr::functions_aggregate::expr_fn::{max, sum};
use sheaf::expr::{col, lit};
use sheaf::{Dataset, ErrorKind, Options, Session};

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn table(session: &Session) -> Dataset {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)]).unwrap();
    session.from_batches(batch.schema(), vec![batch]).unwrap()
}

fn count(dataset: &Dataset) -> u64 {
    dataset.session().threads().block_on(dataset.count()).unwrap()
}

fn optimized(dataset: &Dataset) -> String {
    let text = dataset.session().threads().block_on(dataset.explain()).unwrap();
    text.split("== Physical ==").nth(1).unwrap().to_string()
}

#[test]
fn unpivot_and_describe_read_their_input_once() {
    let session = session();
    let all = table(&session);
    let long = all.cast(&BTreeMap::from([("n".into(), DataType::Utf8)]), true).unwrap();
    let long = long.unpivot(&["n", "t"], &[], "column", "value").unwrap();
    assert_eq!((long.columns(), count(&long)), (vec!["column".to_string(), "value".to_string()], 6));
    for plan in [optimized(&long), optimized(&all.describe(&[0.5]).unwrap())] {
        assert_eq!(plan.matches("DataSourceExec").count(), 1, "{plan}");
    }
}

#[test]
fn a_statistic_that_fills_holds_no_rows() {
    let session = session();
    let plan = optimized(&table(&session).fill_null(&NullFill::Mean, &[]).unwrap());
    assert!(!plan.contains("WindowAggExec"), "{plan}");
    let forward = NullFill::Forward(vec![col("n").sort(true, false)]);
    let plan = optimized(&table(&session).fill_null(&forward, &["t"]).unwrap());
    assert!(plan.contains("BoundedWindowAggExec"), "{plan}");
}

#[test]
fn copies_of_rows_are_numbered_before_they_are_matched() {
    let session = session();
    let many = Dataset::concat(&vec![table(&session); 3], false).unwrap();
    let once = table(&session);
    assert_eq!(count(&many.except_(&once, false).unwrap()), 6);
    assert_eq!(count(&many.except_(&once, true).unwrap()), 0);
    assert_eq!(count(&many.intersect(&many, false).unwrap()), 9);
    assert_eq!(count(&many.intersect(&once, true).unwrap()), 3);
    let error = once.intersect(&once.exclude(&["t"]).unwrap(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
}

#[test]
fn values_keep_to_the_types_of_columns() {
    let session = session();
    let all = table(&session);
    let filled = all.fill_null(&NullFill::Value(0_i64.into()), &[]).unwrap();
    assert_eq!(count(&filled.drop_null(&["n"]).unwrap()), 3);
    assert_eq!(count(&filled.drop_null(&[]).unwrap()), 2);
    let refused = all.fill_null(&NullFill::Value(ScalarValue::from(0.5)), &[]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TypeMismatch);
    let refused = all.fill_null(&NullFill::Forward(Vec::new()), &[]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(all.drop_nan(&["n"]).unwrap_err().kind(), ErrorKind::TypeMismatch);
    assert_eq!(all.fill_nan(&ScalarValue::Null, &["m"]).unwrap_err().kind(), ErrorKind::UnknownColumn);
    assert_eq!(all.unnest(&["n"]).unwrap_err().kind(), ErrorKind::TypeMismatch);
    assert_eq!(all.explode(&[], &ExplodeOptions::default()).unwrap_err().kind(), ErrorKind::InvalidInput);
    let counted = all.value_counts(&["t"], &ValueCounts { dropna: true, ..ValueCounts::default() }).unwrap();
    assert_eq!((counted.columns(), count(&counted)), (vec!["t".to_string(), "count".to_string()], 2));
}

#[test]
fn pivot_takes_aggregates_and_names() {
    let session = session();
    let all = table(&session);
    let aggregates = [("n".to_string(), max(col("n"))), ("total".to_string(), sum(col("n")) + lit(1_i64))];
    let names = session.threads().block_on(all.pivot_names("t")).unwrap();
    assert_eq!(names.len(), 3);
    assert!(names[2].is_null(), "{names:?}");
    let wide = all.pivot(&[], "t", &aggregates[..1], &names).unwrap();
    assert_eq!((wide.columns(), count(&wide)), (vec!["a".to_string(), "b".to_string(), "null".to_string()], 1));
    let refused = all.pivot(&[], "t", &aggregates, &names).unwrap_err();
    assert!(refused.message().contains("is no aggregate"), "{refused}");
}
