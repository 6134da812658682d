//! The order of rows: that of the sources, whichever way the rows are read, and what is counted by it. Each case runs
//! many times, because a race that is lost once in a hundred runs is lost.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::displayable;
use sheaf::connectors::read::ReadOptions;
use sheaf::connectors::write::{ParquetWriteOptions, WriteFormat, WriteOptions};
use sheaf::dataset::feed::{Feed, FeedOptions};
use sheaf::dataset::{BatchFunction, BatchPosition, Keep, MapBatchesOptions, Outputs};
use sheaf::expr::functions::expr_fn::random;
use sheaf::expr::functions_aggregate::expr_fn::sum;
use sheaf::expr::{col, lit};
use sheaf::{Dataset, Options, Session};
use tempfile::TempDir;

const REPEATS: usize = 200;
/// Of cases that read files.
const FEW_REPEATS: usize = 5;
const ROWS: i64 = 100_000;

fn session(threads: usize) -> Session {
    Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap()
}

fn column(batches: &[RecordBatch], name: &str) -> Vec<i64> {
    let values =
        |batch: &RecordBatch| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(values).collect()
}

fn collected(dataset: &Dataset) -> Vec<RecordBatch> {
    dataset.session().threads().block_on(dataset.collect()).unwrap()
}

fn ids(dataset: &Dataset) -> Vec<i64> {
    column(&collected(dataset), "id")
}

/// As a reader of the stream gets them.
fn streamed(dataset: &Dataset) -> Vec<i64> {
    let batches = dataset.session().threads().block_on(async {
        let (mut run, mut batches) = (dataset.start_in_order().await.unwrap(), Vec::new());
        while let Some(batch) = run.next().await.unwrap() {
            batches.push(batch);
        }
        batches
    });
    column(&batches, "id")
}

/// As a trainer gets them.
fn fed(dataset: &Dataset) -> Vec<i64> {
    let batches = dataset.session().threads().block_on(async {
        let mut feed = Feed::open(dataset, FeedOptions { prefetch: 2, ..FeedOptions::default() }).await.unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = feed.next().await.unwrap() {
            batches.push(batch);
        }
        batches
    });
    column(&batches, "id")
}

fn plan(dataset: &Dataset) -> String {
    let plan = dataset.session().threads().block_on(dataset.physical_plan()).unwrap();
    displayable(plan.as_ref()).indent(true).to_string()
}

fn numbers(threads: usize) -> Dataset {
    session(threads).range(0, ROWS).unwrap()
}

fn is_even(column: &str) -> sheaf::expr::Expr {
    (col(column) % lit(2_i64)).eq(lit(0_i64))
}

/// A folder of files with the ids from zero on, more of them in each than in the one before, and how many they are.
fn files(session: &Session, count: i64) -> (TempDir, i64) {
    let folder = TempDir::new().unwrap();
    let mut next = 0;
    for file in 0..count {
        let rows = 5_000 * (file + 1);
        let ids = session.range(next, next + rows).unwrap();
        let path = folder.path().join(format!("{file:02}.parquet"));
        // Row groups of few rows: a limit finds some that it need not read.
        let parquet = ParquetWriteOptions { row_group_rows: 1_000, ..ParquetWriteOptions::default() };
        let options =
            WriteOptions { single_file: Some(true), format: WriteFormat::Parquet(parquet), ..WriteOptions::default() };
        session.threads().block_on(ids.write(path.to_str().unwrap(), options)).unwrap();
        next += rows;
    }
    (folder, next)
}

fn read(session: &Session, paths: &[String]) -> Dataset {
    session.threads().block_on(session.read(paths, &ReadOptions::default())).unwrap()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_string()
}

/// In every way of reading.
fn assert_in_order(dataset: &Dataset, expected: &[i64], case: &str) {
    assert!(ids(dataset) == expected, "{case}: collected\n{}", plan(dataset));
    assert!(streamed(dataset) == expected, "{case}: streamed\n{}", plan(dataset));
    assert!(fed(dataset) == expected, "{case}: fed\n{}", plan(dataset));
    let (rows, middle) = (expected.len(), expected.len() / 2);
    assert!(ids(&dataset.limit(0, Some(10)).unwrap()) == expected[..10.min(rows)], "{case}: the first rows");
    assert!(
        ids(&dataset.limit(middle, Some(10)).unwrap()) == expected[middle..rows.min(middle + 10)],
        "{case}: the rows after an offset"
    );
}

#[test]
fn limits_and_offsets_count_from_the_first_partition() {
    for threads in [1, 2, 4] {
        let numbers = numbers(threads);
        let tail = numbers.filter(col("id").gt_eq(lit(ROWS - 10))).unwrap();
        for _ in 0..REPEATS {
            assert_eq!(ids(&numbers.limit(0, Some(3)).unwrap()), [0, 1, 2], "{threads} threads");
            assert_eq!(ids(&numbers.limit(60_000, Some(2)).unwrap()), [60_000, 60_001], "{threads} threads");
            assert_eq!(ids(&tail.limit(1, Some(2)).unwrap()), [ROWS - 9, ROWS - 8], "{threads} threads");
            assert_eq!(
                ids(&numbers.limit(ROWS as usize - 2, None).unwrap()),
                [ROWS - 2, ROWS - 1],
                "{threads} threads"
            );
            assert_eq!(ids(&numbers.limit(0, Some(0)).unwrap()), [0_i64; 0], "{threads} threads");
        }
    }
}

#[test]
fn rows_of_ranges_and_of_memory_keep_their_order() {
    for threads in [1, 2, 4] {
        let numbers = numbers(threads);
        let even = numbers.filter(is_even("id")).unwrap();
        let kept = numbers.session().threads().block_on(even.materialize()).unwrap();
        let evens: Vec<i64> = (0..ROWS).step_by(2).collect();
        // The engine packs the largest batches first where it deals them anew.
        let lengths = [3_000_i64, 10, 9_000, 1, 5_000];
        let batches: Vec<RecordBatch> = (lengths.iter())
            .scan(0, |next, rows| {
                let column: ArrayRef = Arc::new(Int64Array::from_iter_values(*next..*next + rows));
                *next += rows;
                Some(RecordBatch::try_from_iter([("id", column)]).unwrap())
            })
            .collect();
        let held = numbers.session().from_batches(batches[0].schema(), batches).unwrap();
        let rows = lengths.iter().sum();
        let union = held.union(&numbers, false).unwrap().union(&even, false).unwrap();
        let all: Vec<i64> = (0..rows).chain(0..ROWS).chain(evens.iter().copied()).collect();
        for _ in 0..FEW_REPEATS {
            assert_in_order(&even, &evens, "filtered");
            assert_in_order(&kept, &evens, "materialized");
            assert_in_order(&held, &(0..rows).collect::<Vec<_>>(), "in memory");
            assert_in_order(&held.filter(is_even("id")).unwrap(), &(0..rows).step_by(2).collect::<Vec<_>>(), "memory");
            assert_in_order(&union, &all, "union");
        }
        let spread = numbers.session().threads().block_on(held.materialize()).unwrap();
        assert_in_order(&spread.filter(is_even("id")).unwrap(), &(0..rows).step_by(2).collect::<Vec<_>>(), "spread");
    }
}

#[test]
fn rows_of_files_come_in_the_order_of_the_files() {
    for threads in [1, 2, 4] {
        let session = session(threads);
        let (folder, rows) = files(&session, 7);
        let all = read(&session, &[folder.path().to_str().unwrap().into()]);
        let even = all.filter(is_even("id")).unwrap();
        let evens: Vec<i64> = (0..rows).step_by(2).collect();
        let some = all.filter(col("id").gt_eq(lit(4_500_i64))).unwrap();
        // As they were named, and not as they are sorted.
        let named = read(&session, &[path(&folder, "02.parquet"), path(&folder, "00.parquet")]);
        let in_turn: Vec<i64> = (15_000..30_000).chain(0..5_000).collect();
        for _ in 0..FEW_REPEATS {
            assert_in_order(&all, &(0..rows).collect::<Vec<_>>(), "files");
            assert_in_order(&even, &evens, "filtered files");
            assert_in_order(&some, &(4_500..rows).collect::<Vec<_>>(), "files with row groups of which no row is left");
            assert_in_order(&named, &in_turn, "files as they were named");
        }
    }
}

#[test]
fn rows_of_a_file_that_is_read_in_ranges_keep_their_order() {
    let rows = 1_500_000;
    let folder = TempDir::new().unwrap();
    let mut text = String::from("id\n");
    for id in 0..rows {
        writeln!(text, "{id}").unwrap();
    }
    std::fs::write(folder.path().join("large.csv"), text).unwrap();
    let session = session(4);
    let all = read(&session, &[path(&folder, "large.csv")]);
    let even = all.filter(is_even("id")).unwrap();
    assert!(plan(&even).contains("4 groups"), "{}", plan(&even));
    assert_in_order(&even, &(0..rows).step_by(2).collect::<Vec<_>>(), "ranges of a file");
}

/// Gives its rows back.
struct Same;

impl BatchFunction for Same {
    fn name(&self) -> &'static str {
        "same"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        Outputs::one(Ok(batch))
    }
}

#[test]
fn functions_are_given_and_give_rows_in_order() {
    for threads in [1, 2, 4] {
        let session = session(threads);
        let (folder, rows) = files(&session, 3);
        let all = read(&session, &[folder.path().to_str().unwrap().into()]);
        let mapped = |input: &Dataset| {
            let options = MapBatchesOptions { batch_size: Some(700), ..MapBatchesOptions::default() };
            let mapped = input.map_batches(Arc::new(Same), options, Some(input.schema()));
            input.session().threads().block_on(mapped).unwrap()
        };
        for _ in 0..FEW_REPEATS {
            assert_in_order(&mapped(&all), &(0..rows).collect::<Vec<_>>(), "mapped files");
            let down = mapped(&all.sort([col("id").sort(false, false)]).unwrap());
            assert_in_order(&down, &(0..rows).rev().collect::<Vec<_>>(), "mapped after a sort");
        }
    }
}

#[test]
fn scans_whose_order_nobody_sees_share_their_files() {
    let session = session(2);
    let (folder, _) = files(&session, 2);
    let all = read(&session, &[folder.path().to_str().unwrap().into()]);
    let grouped = all.groupby([is_even("id").alias("even")]).agg([sum(col("id"))]).unwrap();
    let spread = plan(&grouped);
    assert!(spread.contains("RoundRobin") || spread.contains("2 groups"), "{spread}");
    assert!(!spread.contains("OrderedGatherExec"), "{spread}");
}

#[test]
fn a_row_index_numbers_rows_over_all_partitions() {
    for threads in [1, 2, 4] {
        let numbers = numbers(threads);
        let even = numbers.filter(is_even("id")).unwrap();
        let indexed = even.with_row_index("index", 5).unwrap();
        // What follows leaves out rows and columns, and the numbers are as they were.
        let few = indexed.filter((col("id") % lit(1_000_i64)).eq(lit(0_i64))).unwrap();
        let by_chance = indexed.filter(random().lt(lit(0.5))).unwrap();
        let alone = indexed.select([col("index")]).unwrap();
        for _ in 0..FEW_REPEATS {
            assert_eq!(column(&collected(&alone), "index"), (5..5 + ROWS / 2).collect::<Vec<_>>());
            for kept in [&few, &by_chance, &indexed.limit(30_000, Some(7)).unwrap()] {
                let batches = collected(kept);
                let expected: Vec<i64> = column(&batches, "id").iter().map(|id| id / 2 + 5).collect();
                assert!(column(&batches, "index") == expected, "{threads} threads\n{}", plan(kept));
            }
        }
        assert_eq!(numbers.session().threads().block_on(few.count()).unwrap(), 100);
        let sorted = numbers.sort([col("id").sort(false, false)]).unwrap().with_row_index("index", 0).unwrap();
        assert!(column(&collected(&sorted), "id") == (0..ROWS).rev().collect::<Vec<_>>(), "{}", plan(&sorted));
        let empty = numbers.limit(0, Some(0)).unwrap().with_row_index("index", 0).unwrap();
        assert_eq!(ids(&empty), [0_i64; 0]);
    }
    let numbers = numbers(2);
    let error = numbers.with_row_index("id", 0).unwrap_err().to_string();
    assert!(error.contains("a column \"id\" already"), "{error}");
    assert!(numbers.with_row_index("index", -1).is_err());
    let over = numbers.with_row_index("index", i64::MAX - 10).unwrap();
    let error = numbers.session().threads().block_on(over.collect()).unwrap_err().to_string();
    assert!(error.contains("more rows than numbers"), "{error}");
}

#[test]
fn increasing_ids_tell_the_partition_and_the_place_in_it() {
    for threads in [1, 2, 4] {
        let numbers = numbers(threads);
        let given = numbers.monotonically_increasing_id("row").unwrap();
        let few = given.filter((col("id") % lit(1_000_i64)).eq(lit(0_i64))).unwrap();
        for _ in 0..FEW_REPEATS {
            let all = collected(&given);
            let (rows, ids) = (column(&all, "row"), column(&all, "id"));
            assert!(rows.is_sorted_by(|a, b| a < b) && ids.is_sorted());
            assert_eq!(rows.iter().map(|row| row >> 33).max(), Some(threads as i64 - 1));
            let firsts = rows.iter().filter(|row| **row & ((1 << 33) - 1) == 0).count();
            assert_eq!(firsts, threads, "each partition begins at zero");
            let batches = collected(&few);
            for (row, id) in column(&batches, "row").iter().zip(column(&batches, "id")) {
                assert_eq!(*row, rows[usize::try_from(id).unwrap()]);
            }
        }
    }
}

#[test]
fn a_zip_puts_rows_side_by_side() {
    for threads in [1, 2, 4] {
        let left = numbers(threads);
        let right = left.session().range(ROWS, 2 * ROWS).unwrap();
        let renamed = right.with_columns([("twice".to_string(), col("id") * lit(2_i64))]).unwrap();
        let zipped = left.zip(&renamed, "_right").unwrap();
        assert_eq!(zipped.columns(), ["id", "id_right", "twice"]);
        for _ in 0..FEW_REPEATS {
            let by_chance = zipped.filter(random().lt(lit(0.5))).unwrap();
            for kept in [&zipped, &by_chance, &zipped.filter(is_even("id_right")).unwrap()] {
                let batches = collected(kept);
                let expected: Vec<i64> = column(&batches, "id").iter().map(|id| id + ROWS).collect();
                assert!(column(&batches, "id_right") == expected, "{}", plan(kept));
            }
            let twice = collected(&zipped.select([col("twice")]).unwrap());
            assert!(column(&twice, "twice") == (ROWS..2 * ROWS).map(|id| 2 * id).collect::<Vec<_>>());
        }
        // With itself, sorted the other way.
        let down = left.sort([col("id").sort(false, false)]).unwrap();
        let mirrored = collected(&down.zip(&left, "_up").unwrap());
        assert!(column(&mirrored, "id_up") == (0..ROWS).collect::<Vec<_>>());
        assert!(column(&mirrored, "id") == (0..ROWS).rev().collect::<Vec<_>>());
        let shorter = left.filter(is_even("id")).unwrap();
        for (one, other, told) in
            [(&left, &shorter, "100000 rows with 50000"), (&shorter, &left, "50000 rows with 100000")]
        {
            let zipped = one.zip(other, "_right").unwrap();
            let error = left.session().threads().block_on(zipped.collect()).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
    let ids = numbers(2);
    let error = ids.zip(&ids, "").unwrap_err().to_string();
    assert!(error.contains("two columns \"id\""), "{error}");
}

#[test]
fn one_of_the_rows_that_are_alike_is_kept() {
    for threads in [1, 2, 4] {
        let keyed = numbers(threads).with_columns([("k".to_string(), col("id") % lit(1_000_i64))]).unwrap();
        let of = |keep, order: Vec<_>| {
            let mut ids = ids(&keyed.drop_duplicates(&["k"], keep, order).unwrap());
            ids.sort_unstable();
            ids
        };
        for _ in 0..3 {
            assert!(of(Keep::First, vec![]) == (0..1_000).collect::<Vec<_>>());
            assert!(of(Keep::Last, vec![]) == (ROWS - 1_000..ROWS).collect::<Vec<_>>());
            assert!(of(Keep::First, vec![col("id").sort(false, false)]) == (ROWS - 1_000..ROWS).collect::<Vec<_>>());
            assert!(of(Keep::First, vec![col("k").sort(true, false)]) == (0..1_000).collect::<Vec<_>>(), "ties");
            assert!(of(Keep::None, vec![]).is_empty());
            assert_eq!(of(Keep::Any, vec![]).len(), 1_000);
        }
        let odd = keyed.union(&keyed.limit(0, Some(99_000)).unwrap(), false).unwrap();
        let once = ids(&odd.drop_duplicates(&[], Keep::None, vec![]).unwrap());
        assert_eq!(once.len(), 1_000);
        assert!(once.iter().all(|id| *id >= 99_000));
    }
    let ids = numbers(2);
    assert!(ids.drop_duplicates(&["nope"], Keep::First, vec![]).is_err());
    let error = ids.drop_duplicates(&[], Keep::Any, vec![col("id").sort(true, false)]).unwrap_err().to_string();
    assert!(error.contains("looks at no order"), "{error}");
}
