//! Joins whose probe side has nine of ten rows on one key: how many rows each partition of the join takes, and how long
//! it runs, against keys that are even.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use sheaf::dataset::{JoinOptions, JoinType, Side};
use sheaf::expr::{col, lit, when};
use sheaf::{Dataset, Options, Session};

const ROWS: i64 = 400_000;

/// A session that repartitions both sides of every join, unless a hint says otherwise.
fn session(threads: usize) -> Session {
    let session = Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap();
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
    assert!(rows >= usize::try_from(ROWS).unwrap(), "{rows} rows");
    let mut taken = vec![0; threads];
    count(&plan, &mut taken);
    assert_eq!(taken.iter().sum::<usize>(), usize::try_from(ROWS).unwrap(), "the join counts what it takes");
    (taken, took)
}

fn count(plan: &Arc<dyn ExecutionPlan>, taken: &mut [usize]) {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        for metric in join.metrics().unwrap().iter().filter(|metric| metric.value().name() == "input_rows") {
            taken[metric.partition().unwrap()] += metric.value().as_usize();
        }
    }
    plan.children().into_iter().for_each(|child| count(child, taken));
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

#[test]
fn a_side_kept_in_memory_leaves_the_other_as_even_as_it_came() {
    for how in [JoinType::Inner, JoinType::Right] {
        let (even, _) = run(4, false, how, None);
        let (skewed, _) = run(4, true, how, Some(Side::Left));
        let (repartitioned, _) = run(4, true, how, None);
        assert!(heaviest(&skewed) <= 11 * heaviest(&even) / 10, "{skewed:?} against {even:?}");
        assert!(heaviest(&repartitioned) > 3 * heaviest(&even), "{repartitioned:?} against {even:?}");
    }
}

#[test]
fn nine_of_ten_rows_on_one_key_finish_within_twice_the_time() {
    let best = |skewed| (0..3).map(|_| run(2, skewed, JoinType::Inner, None).1).min().unwrap();
    let (even, skewed) = (best(false), best(true));
    assert!(skewed < 2 * even, "{skewed:?} against {even:?}");
}
