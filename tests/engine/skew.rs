//! Joins whose probe side has nine of ten rows on one key: how many rows each partition of the join takes, and how long
//! it runs, against keys that are even; and that their rows are those of comparing every pair.

mod pairs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use sheaf::connectors::write::WriteOptions;
use sheaf::dataset::{JoinOptions, JoinType, Side};
use sheaf::expr::{col, lit, when};
use sheaf::{Dataset, Options, Session};

const ROWS: i64 = 400_000;

/// Joins of which each row has one of the probe side.
const OF_PROBE_ROWS: [JoinType; 4] = [JoinType::Inner, JoinType::Right, JoinType::RightSemi, JoinType::RightAnti];

/// A session that repartitions both sides of every join, unless a hint says otherwise.
fn session(threads: usize) -> Session {
    session_of(threads, Options::default())
}

fn session_of(threads: usize, options: Options) -> Session {
    let session = Session::new(Options { threads: Some(threads), ..options }).unwrap();
    let state = session.context().state_ref();
    let mut state = state.write();
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    optimizer.hash_join_single_partition_threshold = 0;
    optimizer.hash_join_single_partition_threshold_rows = 0;
    session
}

fn build_side(session: &Session) -> Dataset {
    session.range(0, ROWS).unwrap().select([col("id").alias("k")]).unwrap()
}

fn probe_side(session: &Session, skewed: bool) -> Dataset {
    let even = col("id") * lit(7919_i64) % lit(ROWS);
    let keys = match skewed {
        true => when((col("id") % lit(10_i64)).not_eq(lit(0_i64)), lit(7_i64)).otherwise(even).unwrap(),
        false => even,
    };
    session.range(0, ROWS).unwrap().select([keys.alias("k")]).unwrap()
}

/// The rows of the probe side that each partition of the join took, and how long it ran.
fn run(threads: usize, skewed: bool, how: JoinType, broadcast: Option<Side>) -> (Vec<usize>, Duration) {
    let session = session(threads);
    let options = JoinOptions { broadcast, ..JoinOptions::on(&["k"], how) };
    let joined = build_side(&session).join(&probe_side(&session, skewed), &options).unwrap();
    taken_by(&session, &joined, threads, if how == JoinType::RightAnti { 0 } else { ROWS })
}

/// The rows of the probe side that each partition of this join took, of all of its rows, and how long it ran.
fn taken_by(session: &Session, joined: &Dataset, threads: usize, met: i64) -> (Vec<usize>, Duration) {
    let start = Instant::now();
    let (rows, plan) = session.threads().block_on(async {
        let mut run = joined.start().await.unwrap();
        let mut rows = 0;
        while let Some(batch) = run.next().await.unwrap() {
            rows += batch.num_rows();
        }
        (rows, Arc::clone(run.plan()))
    });
    let took = start.elapsed();
    assert_eq!(rows, usize::try_from(met).unwrap());
    let mut taken = vec![0; threads];
    add_taken(&plan, &mut taken);
    assert_eq!(taken.iter().sum::<usize>(), usize::try_from(ROWS).unwrap(), "the join counts what it takes");
    (taken, took)
}

fn add_taken(plan: &Arc<dyn ExecutionPlan>, taken: &mut [usize]) {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        for metric in join.metrics().unwrap().iter().filter(|metric| metric.value().name() == "input_rows") {
            taken[metric.partition().unwrap()] += metric.value().as_usize();
        }
    }
    plan.children().into_iter().for_each(|child| add_taken(child, taken));
}

/// The sum of the metrics of this name.
fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |metric| metric.as_usize());
    own + plan.children().into_iter().map(|child| metric(child, name)).sum::<usize>()
}

fn heaviest(taken: &[usize]) -> usize {
    taken.iter().copied().max().unwrap()
}

#[test]
fn on_two_cores_nine_of_ten_rows_on_one_key_are_less_than_twice_the_work() {
    for how in [JoinType::Inner, JoinType::Right] {
        let (even, _) = run(2, false, how, None);
        let (skewed, _) = run(2, true, how, None);
        assert!(heaviest(&even) < 55 * usize::try_from(ROWS).unwrap() / 100, "{even:?}");
        assert!(
            heaviest(&skewed) > 90 * usize::try_from(ROWS).unwrap() / 100,
            "both sides are repartitioned: {skewed:?}"
        );
        assert!(heaviest(&skewed) < 2 * heaviest(&even), "{skewed:?} against {even:?}");
    }
}

/// Without a clock: where each partition has a core, the join takes as long as the one with the most rows.
#[test]
fn on_any_number_of_cores_no_partition_has_twice_the_rows_of_the_even_case() {
    for how in OF_PROBE_ROWS {
        for threads in [3, 8] {
            let (even, _) = run(threads, false, how, None);
            let (skewed, _) = run(threads, true, how, None);
            assert!(heaviest(&skewed) <= 11 * heaviest(&even) / 10, "{how}: {skewed:?} against {even:?}");
        }
    }
}

fn plan(dataset: &Dataset) -> String {
    let plan = dataset.session().threads().block_on(dataset.physical_plan()).unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

/// How many exchanges of a plan know heavy keys.
fn dealing(dataset: &Dataset) -> usize {
    plan(dataset).matches("SkewedExchangeExec").count()
}

fn joined(session: &Session, how: JoinType) -> Dataset {
    build_side(session).join(&probe_side(session, true), &JoinOptions::on(&["k"], how)).unwrap()
}

#[test]
fn both_exchanges_of_a_join_know_heavy_keys() {
    let session = session(4);
    let (build, probe) = (session.range(0, 100).unwrap(), session.range(0, 100).unwrap());
    let joined = build.join(&probe, &JoinOptions::on(&["id"], JoinType::Inner)).unwrap();
    insta::assert_snapshot!(plan(&joined), @r"
    SpillingHashJoinExec: over the memory limit=sort-merge join
      HashJoinExec: mode=Partitioned, join_type=Inner, on=[(id@0, id@0)], projection=[id@0]
        SkewedExchangeExec: partitioning=Hash([id@0], 4), heavy keys=to all partitions, input_partitions=1
          LazyMemoryExec: partitions=1, batch_generators=[range: 100 numbers]
        SkewedExchangeExec: partitioning=Hash([id@0], 4), heavy keys=in turn, input_partitions=1
          DynamicFilterExec: columns=[id@0]
            LazyMemoryExec: partitions=1, batch_generators=[range: 100 numbers]
    ");
    for how in OF_PROBE_ROWS {
        assert_eq!(dealing(&self::joined(&session, how)), 2, "{how}");
    }
}

#[test]
fn nothing_is_dealt_where_partitions_or_rows_of_the_build_side_count() {
    let session = session(4);
    for how in [JoinType::Left, JoinType::Full, JoinType::LeftSemi, JoinType::LeftAnti] {
        assert_eq!(dealing(&joined(&session, how)), 0, "{how}");
    }
    let inner = joined(&session, JoinType::Inner);
    let rows = || vec![count(lit(1_i64)).alias("n")];
    assert_eq!(dealing(&inner.groupby([col("k")]).agg(rows()).unwrap()), 0, "groups of the keys");
    assert_eq!(dealing(&inner.groupby([col("k") % lit(3_i64)]).agg(rows()).unwrap()), 2, "other groups");
    assert_eq!(dealing(&inner.aggregate(rows()).unwrap()), 2, "one group");
    let sorted = inner.sort([col("k").sort(true, false)]).unwrap();
    assert_eq!(dealing(&sorted), 2, "what is sorted above");
    let twice = build_side(&session).join(&inner, &JoinOptions::on(&["k"], JoinType::Inner)).unwrap();
    assert_eq!(dealing(&twice), 0, "a join of the same keys above");
    let grouped = probe_side(&session, true).groupby([col("k")]).agg(rows()).unwrap();
    let grouped = build_side(&session).join(&grouped, &JoinOptions::on(&["k"], JoinType::Right)).unwrap();
    assert_eq!(dealing(&grouped), 0, "groups, whose keys are not skewed");
    let broadcast = JoinOptions { broadcast: Some(Side::Left), ..JoinOptions::on(&["k"], JoinType::Inner) };
    let broadcast = build_side(&session).join(&probe_side(&session, true), &broadcast).unwrap();
    assert_eq!(dealing(&broadcast), 0, "a side kept whole");
    assert_eq!(dealing(&joined(&self::session(2), JoinType::Inner)), 0, "two partitions");
}

#[test]
fn joins_of_heavy_keys_that_do_not_fit_go_on_on_disk() {
    let options = Options { memory_limit: Some(288 << 20), batch_size: Some(1_024), ..Options::default() };
    let session = session_of(3, options);
    let columns = (0..56_i64).map(|at| (col("k") + lit(at)).alias(format!("b{at}")));
    let wide = build_side(&session).select(std::iter::once(col("k")).chain(columns)).unwrap();
    for how in [JoinType::Inner, JoinType::Right] {
        let joined = wide.join(&probe_side(&session, true), &JoinOptions::on(&["k"], how)).unwrap();
        session.threads().block_on(async {
            let mut run = joined.start().await.unwrap();
            let (mut rows, mut sevens) = (0, 0);
            while let Some(batch) = run.next().await.unwrap() {
                let values = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
                let (keys, last) = (values("k"), values("b55"));
                assert!(keys.iter().zip(&last).all(|(key, last)| key.unwrap() + 55 == last.unwrap()));
                rows += batch.num_rows();
                sevens += keys.iter().filter(|key| *key == Some(7)).count();
            }
            assert_eq!(rows, usize::try_from(ROWS).unwrap(), "{how}");
            assert!(sevens >= 9 * rows / 10, "{how}: {sevens}");
            assert!(metric(run.plan(), "heavy_keys") > 0 && metric(run.plan(), "fell_back") > 0, "{}", run.stats());
        });
    }
}

/// Two attempts may find other heavy keys, and the second reads what the first has recorded.
#[test]
fn the_exchanges_of_a_job_go_by_hash() {
    let session = session(4);
    let folder = tempfile::tempdir().unwrap();
    for (job, way, other) in
        [(Some("nightly".into()), "RecordedExec", "SkewedExchangeExec"), (None, "SkewedExchangeExec", "RecordedExec")]
    {
        let joined = joined(&session, JoinType::Inner);
        let target = folder.path().join(way);
        let options = WriteOptions { job, ..WriteOptions::default() };
        let report = session.threads().block_on(joined.write(target.to_str().unwrap(), options)).unwrap();
        assert_eq!(report.rows, u64::try_from(ROWS).unwrap());
        let ran = joined.stats().unwrap();
        assert!(ran.contains(way) && !ran.contains(other), "{ran}");
    }
}

#[test]
fn a_side_kept_in_memory_leaves_the_other_as_even_as_it_came() {
    for how in [JoinType::Inner, JoinType::Right] {
        let (even, _) = run(4, false, how, None);
        let (skewed, _) = run(4, true, how, Some(Side::Left));
        assert!(heaviest(&skewed) <= 11 * heaviest(&even) / 10, "{skewed:?} against {even:?}");
    }
}

#[test]
fn nine_of_ten_rows_on_one_key_finish_within_twice_the_time() {
    let best = |skewed| (0..3).map(|_| run(2, skewed, JoinType::Inner, None).1).min().unwrap();
    let (even, skewed) = (best(false), best(true));
    assert!(skewed < 2 * even, "{skewed:?} against {even:?}");
}
