//! Feeds give the same rows in the same order each time, also where the plan says none: through groups, joins, sorts
//! with equal keys and exchanges, over several files and threads. Each case runs many times: chance is patient.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use sheaf::connectors::read::ReadOptions;
use sheaf::connectors::write::WriteOptions;
use sheaf::dataset::feed::{Feed, FeedOptions};
use sheaf::dataset::{
    ExplodeOptions, JoinOptions, JoinType, PartitionSize, RepartitionOptions, SampleOptions, SampleSize,
};
use sheaf::expr::functions_aggregate::expr_fn::{array_agg, sum};
use sheaf::expr::{col, lit};
use sheaf::{Dataset, Options, Session};
use tempfile::TempDir;

const REPEATS: usize = 5;
const FILES: i64 = 5;

fn session(threads: usize) -> Session {
    Session::new(Options { threads: Some(threads), batch_size: Some(256), ..Options::default() }).unwrap()
}

/// Files of different lengths; ids run through all of them, and `k` has few values.
fn files(session: &Session) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut next = 0;
    for file in 0..FILES {
        let rows = 1_500 * (file + 1);
        let ids = session.range(next, next + rows).unwrap();
        let keyed = ids.with_columns([("k".to_string(), col("id") * lit(7_919_i64) % lit(101_i64))]).unwrap();
        let path = folder.path().join(format!("{file}.parquet"));
        let options = WriteOptions { single_file: Some(true), ..WriteOptions::default() };
        session.threads().block_on(keyed.write(path.to_str().unwrap(), options)).unwrap();
        next += rows;
    }
    folder
}

fn read(session: &Session, folder: &TempDir) -> Dataset {
    let path = folder.path().to_str().unwrap().to_string();
    session.threads().block_on(session.read(&[path], &ReadOptions::default())).unwrap()
}

fn fed(dataset: &Dataset, partitions: Option<usize>) -> Vec<Vec<i64>> {
    let batches: Vec<RecordBatch> = dataset.session().threads().block_on(async {
        let options = FeedOptions { prefetch: 1, partitions, ..FeedOptions::default() };
        let mut feed = Feed::open(dataset, options).await.unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = feed.next().await.unwrap() {
            batches.push(batch);
        }
        batches
    });
    let rows = |batch: &RecordBatch| -> Vec<Vec<i64>> {
        let value = |column: usize, row: usize| {
            let column = batch.column(column).as_primitive::<Int64Type>();
            if arrow::array::Array::is_null(column, row) { -1 } else { column.value(row) }
        };
        (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|at| value(at, row)).collect()).collect()
    };
    batches.iter().flat_map(rows).collect()
}

/// Plans over the files, each with a place where partitions meet.
fn plans(all: &Dataset) -> Vec<(&'static str, Dataset)> {
    let few = all.filter(col("id").lt(lit(3_000_i64))).unwrap();
    let renamed = few.select([col("id").alias("other"), col("k").alias("j")]).unwrap();
    let keys = |how| JoinOptions { left_on: vec![col("k")], right_on: vec![col("j")], ..JoinOptions::on(&[], how) };
    let join = |how| all.join(&renamed, &keys(how)).unwrap();
    // Of a sample nothing is known, so that no side is taken to be small.
    let sample = |of: &Dataset| of.sample(SampleSize::Fraction(1.0), &SampleOptions::default()).unwrap();
    let sampled = |how| sample(all).join(&sample(&renamed), &keys(how)).unwrap();
    let grouped = |input: &Dataset| input.groupby([col("k")]).agg([sum(col("id")).alias("id")]).unwrap();
    let ties = all.sort([col("k").sort(true, false)]).unwrap();
    // What a group lists comes in the order of its input.
    let listed = all.groupby([col("k")]).agg([array_agg(col("id")).alias("ids")]).unwrap();
    let by_key = RepartitionOptions { size: Some(PartitionSize::Count(3)), by: vec![col("k")], sort: false };
    let by_key = all.session().threads().block_on(all.repartition(by_key)).unwrap();
    vec![
        ("a group", grouped(all)),
        ("lists of groups", listed.explode(&["ids"], &ExplodeOptions::default()).unwrap()),
        ("a union of groups, grouped", grouped(&grouped(all).union(&grouped(&few), false).unwrap())),
        ("an inner join", join(JoinType::Inner)),
        ("a left join", join(JoinType::Left)),
        ("a full join", join(JoinType::Full)),
        ("an inner join of large sides", sampled(JoinType::Inner)),
        ("a full join of large sides", sampled(JoinType::Full)),
        ("a sort with equal keys", ties.clone()),
        ("the first rows of a sort with equal keys", ties.limit(0, Some(500)).unwrap()),
        ("distinct rows", all.select([col("k")]).unwrap().distinct(&[]).unwrap()),
        ("an exchange by keys", by_key),
    ]
}

#[test]
fn a_feed_gives_the_same_rows_in_the_same_order_each_time() {
    for threads in [2, 3, 4] {
        let session = session(threads);
        let folder = files(&session);
        for (name, plan) in plans(&read(&session, &folder)) {
            assert_eq!(
                explained(&plan).contains("mode=Partitioned"),
                name.ends_with("large sides"),
                "{}",
                explained(&plan)
            );
            let first = fed(&plan, None);
            assert!(first.len() > 100, "{name}");
            for _ in 0..REPEATS {
                assert!(fed(&plan, None) == first, "{name}, {threads} threads: {}", explained(&plan));
            }
        }
    }
}

#[test]
fn a_machine_with_other_threads_gives_the_same_order() {
    let (three, two) = (session(3), session(2));
    let folder = files(&three);
    for ((name, here), (_, there)) in plans(&read(&three, &folder)).into_iter().zip(plans(&read(&two, &folder))) {
        assert!(fed(&here, None) == fed(&there, Some(3)), "{name}: {}", explained(&here));
    }
}

fn explained(dataset: &Dataset) -> String {
    let plan = dataset.session().threads().block_on(dataset.physical_plan()).unwrap();
    datafusion::physical_plan::displayable(Arc::as_ref(&plan)).indent(true).to_string()
}
