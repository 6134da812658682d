//! The verbs of `Dataset`, each with the rows it promises, and what is left after a run: nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use sheaf::dataset::operators::map_batches::BatchPosition;
use sheaf::dataset::{
    BatchFunction, ExplodeOptions, JoinOptions, JoinType, MapBatchesOptions, Outputs, SampleOptions, SampleSize,
};
use sheaf::expr::functions_aggregate::expr_fn::{count, sum};
use sheaf::expr::{col, lit};
use sheaf::{Dataset, Error, ErrorKind, Options, Result, Session};

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn dataset(session: &Session, columns: Vec<(&str, ArrayRef)>) -> Dataset {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    session.from_batches(batch.schema(), vec![batch]).unwrap()
}

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// The rows as lines `a|b|c`, sorted.
fn rows(dataset: &Dataset) -> Vec<String> {
    let batches = dataset.session().threads().block_on(dataset.collect()).unwrap();
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    let mut rows: Vec<String> =
        lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect();
    rows.sort();
    rows
}

#[test]
fn joins_name_every_column_once() {
    let session = session();
    let left = dataset(&session, vec![("k", ints(&[Some(1), Some(2), None])), ("v", texts(&["a", "b", "c"]))]);
    let right = dataset(&session, vec![("k", ints(&[Some(2), Some(3), None])), ("v", texts(&["x", "y", "z"]))]);
    let join = |how| left.join(&right, &JoinOptions::on(&["k"], how)).unwrap();
    assert_eq!(join(JoinType::Inner).columns(), ["k", "v", "v_right"]);
    assert_eq!(rows(&join(JoinType::Inner)), ["2|b|x"]);
    assert_eq!(rows(&join(JoinType::Left)), ["1|a|", "2|b|x", "|c|"]);
    assert_eq!(rows(&join(JoinType::Right)), ["2|b|x", "3||y", "||z"]);
    assert_eq!(rows(&join(JoinType::Full)), ["1|a|", "2|b|x", "3||y", "|c|", "||z"]);
    assert_eq!(rows(&join(JoinType::LeftSemi)), ["2|b"]);
    assert_eq!(rows(&join(JoinType::LeftAnti)), ["1|a", "|c"]);
    assert_eq!(rows(&join(JoinType::RightSemi)), ["2|x"]);
    assert_eq!(rows(&join(JoinType::RightAnti)), ["3|y", "|z"]);
    let suffixed = JoinOptions { suffix: "_r".into(), ..JoinOptions::on(&[], JoinType::Inner) };
    assert_eq!(rows(&left.cross_join(&right, &suffixed).unwrap()).len(), 9);
}

#[test]
fn joins_say_what_is_wrong_with_their_keys() {
    let session = session();
    let left = dataset(&session, vec![("carrier", texts(&["UA"])), ("n", ints(&[Some(1)]))]);
    let right = dataset(&session, vec![("carrier", texts(&["UA"])), ("n_right", ints(&[None])), ("n", ints(&[None]))]);
    let unknown = left.join(&right, &JoinOptions::on(&["carier"], JoinType::Inner)).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownColumn);
    assert!(unknown.to_string().contains("join, left side") && unknown.to_string().contains("did you mean"));
    let clash = left.join(&right, &JoinOptions::on(&["carrier"], JoinType::Inner)).unwrap_err();
    assert!(clash.to_string().contains("two columns \"n_right\""), "{clash}");
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]));
    let odd = dataset(&session, vec![("carrier", list)]);
    let mismatch = left.join(&odd, &JoinOptions::on(&["carrier"], JoinType::Inner)).unwrap_err();
    assert_eq!(mismatch.kind(), ErrorKind::TypeMismatch, "{mismatch}");
}

#[test]
fn columns_are_selected_replaced_renamed_dropped_and_cast() {
    let session = session();
    let all = dataset(&session, vec![("A.b", ints(&[Some(1), Some(2)])), ("c", texts(&["1", "2"]))]);
    let replaced = all.with_columns([("c".into(), col("A.b") * lit(10)), ("d".into(), col("c"))]).unwrap();
    assert_eq!(replaced.columns(), ["A.b", "c", "d"]);
    assert_eq!(rows(&replaced), ["1|10|1", "2|20|2"]);
    let renamed = all.rename(&BTreeMap::from([("A.b".into(), "x".into())])).unwrap();
    assert_eq!(renamed.columns(), ["x", "c"]);
    assert!(all.rename(&BTreeMap::from([("A.b".into(), "c".into())])).is_err());
    assert_eq!(all.drop(&["c"]).unwrap().columns(), ["A.b"]);
    let cast = all.cast(&BTreeMap::from([("c".into(), DataType::Int64)]), true).unwrap();
    assert_eq!(cast.schema().field(1).data_type(), &DataType::Int64);
    assert_eq!(all.select_columns(&["a.b"]).unwrap_err().kind(), ErrorKind::UnknownColumn);
    assert_eq!(all.filter(col("nope").gt(lit(1))).unwrap_err().kind(), ErrorKind::UnknownColumn);
}

#[test]
fn rows_are_filtered_sorted_limited_and_made_distinct() {
    let session = session();
    let numbers = session.range(0, 100_000).unwrap();
    assert_eq!(session.threads().block_on(numbers.count()).unwrap(), 100_000);
    let last = numbers.sort([col("id").sort(false, false)]).unwrap().limit(1, Some(2)).unwrap();
    assert_eq!(rows(&last), ["99997", "99998"]);
    let mods = numbers.select([(col("id") % lit(3)).alias("m")]).unwrap().distinct(&[]).unwrap();
    assert_eq!(rows(&mods), ["0", "1", "2"]);
    let one_each = numbers.with_column("m", col("id") % lit(3)).unwrap().distinct(&["m"]).unwrap();
    assert_eq!(rows(&one_each).len(), 3);
    let grouped =
        numbers.groupby([(col("id") % lit(2)).alias("odd")]).agg([count(col("id")).alias("n"), sum(col("id"))]);
    assert_eq!(rows(&grouped.unwrap()), ["0|50000|2499950000", "1|50000|2500000000"]);
    assert!(session.range(1, 0).is_err());
}

#[test]
fn unions_match_by_position_or_by_name() {
    let session = session();
    let a = dataset(&session, vec![("x", ints(&[Some(1)])), ("y", ints(&[Some(2)]))]);
    let b = dataset(&session, vec![("y", ints(&[Some(3)])), ("x", ints(&[Some(4)]))]);
    let c = dataset(&session, vec![("y", ints(&[Some(5)]))]);
    assert_eq!(rows(&a.union(&b, false).unwrap()), ["1|2", "3|4"]);
    assert_eq!(rows(&a.union(&b, true).unwrap()), ["1|2", "4|3"]);
    assert_eq!(rows(&a.union(&c, true).unwrap()), ["1|2", "|5"]);
    assert_eq!(a.union(&c, false).unwrap_err().kind(), ErrorKind::TypeMismatch);
}

#[test]
fn a_sample_is_repeatable_and_about_as_large_as_asked() {
    let numbers = session().range(0, 50_000).unwrap();
    let sample = |fraction: f64, seed: u64| {
        numbers.sample(SampleSize::Fraction(fraction), &SampleOptions { seed, ..SampleOptions::default() })
    };
    let (first, again) = (sample(0.1, 7).unwrap(), sample(0.1, 7).unwrap());
    let rows_of = rows(&first);
    assert!((4_500..5_500).contains(&rows_of.len()), "{}", rows_of.len());
    assert_eq!(rows_of, rows(&again));
    assert_ne!(rows_of, rows(&sample(0.1, 8).unwrap()));
    assert_eq!(rows(&sample(1.0, 1).unwrap()).len(), 50_000);
    assert!(sample(1.5, 0).is_err());
}

#[test]
fn lists_explode_and_columns_are_described() {
    let session = session();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)]), None, Some(vec![])]);
    let all = dataset(&session, vec![("l", Arc::new(lists)), ("k", texts(&["a", "b", "c"]))]);
    assert_eq!(rows(&all.explode(&["l"], &ExplodeOptions::default()).unwrap()), ["1|a", "2|a", "|b", "|c"]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 6.0]));
    let described = dataset(&session, vec![("f", floats)]).describe(&[]).unwrap();
    assert!(rows(&described).iter().any(|row| row == "mean|3.0"), "{:?}", rows(&described));
}

#[test]
fn gathered_rows_are_in_the_order_of_their_partitions() {
    let session = session();
    for _ in 0..5 {
        let numbers = session.range(0, 300_000).unwrap();
        let kept = session.threads().block_on(numbers.materialize()).unwrap();
        for dataset in [numbers, kept] {
            let batches = session.threads().block_on(dataset.collect()).unwrap();
            let ids: Vec<i64> = batches
                .iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect();
            assert!(ids.into_iter().eq(0..300_000));
        }
    }
}

struct Doubled;

impl BatchFunction for Doubled {
    fn name(&self) -> &str {
        "doubled"
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs {
        Outputs::one(self.double(&batch, at))
    }
}

impl Doubled {
    fn double(&self, batch: &RecordBatch, at: BatchPosition) -> Result<RecordBatch> {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        if ids.iter().flatten().any(|id| id == 70_000) {
            return Err(Error::new(ErrorKind::UserFunction, format!("70000 at {at}")));
        }
        let doubled = Int64Array::from_iter_values(ids.values().iter().map(|id| id * 2));
        RecordBatch::try_from_iter([
            ("twice", Arc::new(doubled) as ArrayRef),
            ("rows", { Arc::new(Int64Array::from(vec![batch.num_rows() as i64; batch.num_rows()])) as ArrayRef }),
        ])
        .map_err(|error| Error::internal(error.to_string()))
    }
}

#[test]
fn map_batches_keeps_sizes_and_stops_at_the_functions_error() {
    let session = session();
    let options = || MapBatchesOptions { batch_size: Some(1_000), ..MapBatchesOptions::default() };
    let run = |upto| -> Result<Vec<String>> {
        let numbers = session.range(0, upto)?;
        let mapped = session.threads().block_on(numbers.map_batches(Arc::new(Doubled), options(), None))?;
        assert_eq!(mapped.columns(), ["twice", "rows"]);
        let sizes = mapped.select_columns(&["rows"])?.distinct(&[])?;
        session.threads().block_on(sizes.collect()).map(|_| rows(&sizes))
    };
    assert_eq!(run(20_000).unwrap(), ["1000"]);
    let error = run(100_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UserFunction);
    assert!(error.to_string().contains("70000 at partition 1"), "{error}");
}

#[test]
fn materialized_rows_count_against_the_limit_until_they_go() {
    let session = Session::new(Options { memory_limit: Some(64 << 20), ..Options::default() }).unwrap();
    let numbers = session.range(0, 1_000_000).unwrap();
    let kept = session.threads().block_on(numbers.materialize()).unwrap();
    assert!(session.memory().reserved >= 8_000_000, "{:?}", session.memory());
    assert_eq!(session.threads().block_on(kept.count()).unwrap(), 1_000_000);
    drop(kept);
    assert_eq!(session.memory().reserved, 0);
    let large = session.range(0, 20_000_000).unwrap();
    let error = session.threads().block_on(large.materialize()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryLimit);
    assert_eq!(session.memory().reserved, 0);
}

#[test]
fn a_dropped_run_leaves_no_reservation_and_the_last_handle_no_folder() {
    let session = session();
    let folder = session.spill_folder().to_path_buf();
    let sorted = session.range(0, 3_000_000).unwrap().sort([(col("id") * lit(-1)).sort(true, true)]).unwrap();
    let mut run = session.threads().block_on(sorted.start()).unwrap();
    let first = session.threads().block_on(run.next()).unwrap().unwrap();
    assert_eq!(first.column(0).as_primitive::<Int64Type>().value(0), 2_999_999);
    assert!(run.progress().rows_read > 0);
    drop(run);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while session.memory().reserved > 0 {
        assert!(std::time::Instant::now() < deadline, "still reserved: {:?}", session.memory());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(folder.exists());
    drop((sorted, session));
    assert!(!folder.exists());
}
