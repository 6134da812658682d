//! Partitions that the user chooses: what is known of them, which exchanges it spares, and the rows in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Partitioning as LogicalPartitioning;
use datafusion::logical_expr::{LogicalPlanBuilder, WindowFunctionDefinition};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable};
use futures::StreamExt;
use sheaf::dataset::operators::map_batches::{BatchPosition, Outputs};
use sheaf::dataset::{
    BatchFunction, JoinOptions, JoinType, MapBatchesOptions, PartitionSize, RepartitionOptions, SetIndexOptions,
};
use sheaf::expr::functions_aggregate::expr_fn::{count, sum};
use sheaf::expr::{col, lit};
use sheaf::{Dataset, ErrorKind, Options, Session};

fn session(threads: usize) -> Session {
    Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap()
}

fn wait<T>(dataset: &Dataset, future: impl Future<Output = T>) -> T {
    dataset.session().threads().block_on(future)
}

fn physical(dataset: &Dataset) -> Arc<dyn ExecutionPlan> {
    wait(dataset, dataset.physical_plan()).unwrap()
}

fn plan(dataset: &Dataset) -> String {
    displayable(physical(dataset).as_ref()).indent(true).to_string()
}

/// `id` from 0, and `k`, which has ten values.
fn keyed(session: &Session, rows: i64) -> Dataset {
    let ids = session.range(0, rows).unwrap();
    ids.with_columns([("k".to_string(), col("id") % lit(10_i64))]).unwrap()
}

fn into(size: PartitionSize) -> RepartitionOptions {
    RepartitionOptions { size: Some(size), ..RepartitionOptions::default() }
}

fn repartition(dataset: &Dataset, options: RepartitionOptions) -> Dataset {
    wait(dataset, dataset.repartition(options)).unwrap()
}

fn count_of(dataset: &Dataset, partitions: usize) -> Dataset {
    repartition(dataset, into(PartitionSize::Count(partitions)))
}

fn by(dataset: &Dataset, key: &str, partitions: usize) -> Dataset {
    let size = Some(PartitionSize::Count(partitions));
    repartition(dataset, RepartitionOptions { size, by: vec![col(key)], sort: false })
}

fn by_key(dataset: &Dataset, partitions: usize) -> Dataset {
    by(dataset, "k", partitions)
}

fn cut(dataset: &Dataset, rows: u64) -> Dataset {
    repartition(dataset, into(PartitionSize::Rows(rows)))
}

fn index(dataset: &Dataset, column: &str, options: SetIndexOptions) -> Dataset {
    wait(dataset, dataset.set_index(column, options)).unwrap()
}

fn at(divisions: &[i64]) -> SetIndexOptions {
    let divisions = Some(divisions.iter().map(|at| ScalarValue::from(*at)).collect());
    SetIndexOptions { divisions, ..SetIndexOptions::default() }
}

/// The first column of each partition, as whole numbers.
fn parts(dataset: &Dataset) -> Vec<Vec<Option<i64>>> {
    let plan = physical(dataset);
    let context = dataset.session().context().task_ctx();
    // All at once, as a run reads them: an exchange ends when all of its readers do.
    let streams: Vec<_> = (0..plan.output_partitioning().partition_count())
        .map(|partition| plan.execute(partition, Arc::clone(&context)).unwrap())
        .collect();
    let read = futures::future::join_all(streams.into_iter().map(|stream| async move {
        let batches: Vec<RecordBatch> = stream.map(|batch| batch.unwrap()).collect().await;
        batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
            .collect()
    }));
    wait(dataset, read)
}

fn values(dataset: &Dataset) -> Vec<i64> {
    parts(dataset).into_iter().flatten().flatten().collect()
}

fn sorted(mut values: Vec<i64>) -> Vec<i64> {
    values.sort_unstable();
    values
}

fn refused(dataset: &Dataset, options: RepartitionOptions) -> String {
    let error = wait(dataset, dataset.repartition(options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error.to_string()
}

fn ints(session: &Session, values: &[Option<i64>]) -> Dataset {
    let batch =
        RecordBatch::try_from_iter_with_nullable([("k", Arc::new(Int64Array::from(values.to_vec())) as _, true)]);
    let batch = batch.unwrap();
    session.from_batches(batch.schema(), vec![batch]).unwrap()
}

#[test]
fn exchanges_of_the_engines_own_kind_do_not_stay() {
    let session = session(4);
    let ids = keyed(&session, 100_000);
    let hashed = LogicalPartitioning::Hash(vec![col("k")], 3);
    let plan_of = LogicalPlanBuilder::from(ids.logical_plan().clone()).repartition(hashed).unwrap().build().unwrap();
    insta::assert_snapshot!(plan(&Dataset::new(session, plan_of)), @r"
    ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
      LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
}

#[test]
fn a_groupby_of_keys_that_are_together_moves_no_row() {
    let session = session(4);
    let grouped = by_key(&keyed(&session, 100_000), 8).groupby([col("k")]).agg([count(col("id"))]).unwrap();
    insta::assert_snapshot!(plan(&grouped), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@1 as k], aggr=[count(?table?.id)]
      PartitionExec: Hash([k@1], 8), input_partitions=4
        ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
          LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
    let fewer = by_key(&keyed(&session, 100_000), 2).groupby([col("k")]).agg([count(col("id"))]).unwrap();
    insta::assert_snapshot!(plan(&fewer), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@1 as k], aggr=[count(?table?.id)]
      PartitionExec: Hash([k@1], 2), input_partitions=4
        ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
          LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
    assert_eq!(sorted(values(&fewer)), (0..10).collect::<Vec<_>>());
    let more_keys = by_key(&keyed(&session, 100_000), 2).groupby([col("k"), col("id")]).agg([count(lit(1))]).unwrap();
    insta::assert_snapshot!(plan(&more_keys), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@1 as k, id@0 as id], aggr=[count(Int32(1))]
      PartitionExec: Hash([k@1], 2), input_partitions=4
        ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
          LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
}

#[test]
fn a_join_of_sides_partitioned_alike_moves_no_row() {
    let session = session(4);
    let left = by_key(&keyed(&session, 50_000), 3);
    let right = by_key(&keyed(&session, 100), 3).rename(&BTreeMap::from([("id".to_string(), "other".to_string())]));
    let joined = left.join(&right.unwrap(), &JoinOptions::on(&["k"], JoinType::Inner)).unwrap();
    insta::assert_snapshot!(plan(&joined), @r"
    SpillingHashJoinExec: over the memory limit=sort-merge join
      HashJoinExec: mode=Partitioned, join_type=Inner, on=[(k@1, k@1)], projection=[id@0, k@1, other@2]
        PartitionExec: Hash([k@1], 3), input_partitions=4
          ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
            LazyMemoryExec: partitions=4, batch_generators=[range: 12500 numbers, range: 12500 numbers, range: 12500 numbers, range: 12500 numbers]
        ProjectionExec: expr=[id@0 as other, k@1 as k]
          PartitionExec: Hash([k@1], 3), input_partitions=4
            ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
              RepartitionExec: partitioning=RoundRobinBatch(4), input_partitions=1
                LazyMemoryExec: partitions=1, batch_generators=[range: 100 numbers]
    ");
    assert_eq!(values(&joined).len(), 50_000 * 10);
    // Not alike: both sides move.
    let apart = by_key(&keyed(&session, 100), 5).rename(&BTreeMap::from([("id".to_string(), "other".to_string())]));
    let joined = left.join(&apart.unwrap(), &JoinOptions::on(&["k"], JoinType::Full)).unwrap();
    assert_eq!(values(&joined).len(), 50_000 * 10);
}

#[test]
fn a_window_over_keys_that_are_together_moves_no_row() {
    use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
    let session = session(4);
    let size = Some(PartitionSize::Count(2));
    let sorted = RepartitionOptions { size, by: vec![col("k")], sort: true };
    let keyed = repartition(&keyed(&session, 20_000), sorted);
    let function = WindowFunctionDefinition::AggregateUDF(datafusion::functions_aggregate::sum::sum_udaf());
    let mut window = WindowFunction::new(function, vec![col("id")]);
    window.params = WindowFunctionParams { partition_by: vec![col("k")], ..window.params };
    let windowed = keyed.with_columns([("sum".to_string(), window.into())]).unwrap();
    let plan = plan(&windowed);
    assert!(plan.contains("WholeWindowExec") && plan.contains("PartitionExec: Hash([k@1], 2)"), "{plan}");
    assert!(!plan.contains("SortExec") && !plan.contains("partitioning=Hash"), "{plan}");
}

#[test]
fn known_partitions_stay_known_through_verbs_and_are_lost_in_functions() {
    struct Same;
    impl BatchFunction for Same {
        fn name(&self) -> &str {
            "same"
        }
        fn call(&self, batch: RecordBatch, _: BatchPosition) -> Outputs {
            Outputs::one(Ok(batch.project(&(0..batch.num_columns()).rev().collect::<Vec<_>>()).unwrap()))
        }
    }
    let session = session(4);
    let partitioned = by_key(&keyed(&session, 100_000), 3);
    let steps = partitioned.filter(col("id").gt(lit(5_i64))).unwrap();
    let steps = steps.with_columns([("twice".to_string(), col("id") * lit(2_i64))]).unwrap();
    let grouped = |dataset: &Dataset| plan(&dataset.groupby([col("k")]).agg([sum(col("id"))]).unwrap());
    insta::assert_snapshot!(grouped(&steps), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@1 as k], aggr=[sum(?table?.id)]
      PartitionExec: Hash([k@1], 3), input_partitions=4
        ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
          FilterExec: id@0 > 5
            LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
    let map = |keeps_partitioning| {
        let options = MapBatchesOptions { keeps_partitioning, ..MapBatchesOptions::default() };
        wait(&partitioned, partitioned.map_batches(Arc::new(Same), options, None)).unwrap()
    };
    insta::assert_snapshot!(grouped(&map(false)), @r"
    AggregateExec: mode=FinalPartitioned, gby=[k@0 as k], aggr=[sum(id)]
      RepartitionExec: partitioning=Hash([k@0], 4), input_partitions=3
        AggregateExec: mode=Partial, gby=[k@0 as k], aggr=[sum(id)]
          MapBatchesExec: same
            PartitionExec: Hash([k@1], 3), input_partitions=4
              ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
                LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
    insta::assert_snapshot!(grouped(&map(true)), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@0 as k], aggr=[sum(id)]
      MapBatchesExec: same
        PartitionExec: Hash([k@1], 3), input_partitions=4
          ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
            LazyMemoryExec: partitions=4, batch_generators=[range: 25000 numbers, range: 25000 numbers, range: 25000 numbers, range: 25000 numbers]
    ");
}

#[test]
fn a_function_that_drops_the_key_cannot_keep_the_partitioning() {
    struct First;
    impl BatchFunction for First {
        fn name(&self) -> &str {
            "first"
        }
        fn call(&self, batch: RecordBatch, _: BatchPosition) -> Outputs {
            Outputs::one(Ok(batch.project(&[0]).unwrap()))
        }
    }
    let session = session(2);
    let partitioned = by_key(&keyed(&session, 1_000), 3);
    let options = MapBatchesOptions { keeps_partitioning: true, ..MapBatchesOptions::default() };
    let error = wait(&partitioned, partitioned.map_batches(Arc::new(First), options, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = "the function \"first\" is said to keep the partitioning by \"k\", and returns no such column";
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn rows_are_dealt_evenly() {
    let session = session(3);
    for (rows, partitions) in [(100_000, 7), (10, 4), (3, 8), (0, 3)] {
        let dealt = parts(&count_of(&session.range(0, rows).unwrap(), partitions));
        assert_eq!(dealt.len(), partitions);
        let sizes: Vec<usize> = dealt.iter().map(Vec::len).collect();
        let spread = sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
        // Each batch is dealt so that no partition has more than one row more.
        let batches = usize::try_from(rows).unwrap().div_ceil(session.settings().batch_size);
        assert!(spread <= batches.max(1), "{rows} rows in {partitions}: {sizes:?}");
        assert_eq!(sorted(dealt.into_iter().flatten().flatten().collect()), (0..rows).collect::<Vec<_>>());
    }
}

#[test]
fn equal_keys_come_together_and_are_sorted_where_asked() {
    let session = session(3);
    let size = Some(PartitionSize::Count(4));
    let key = (col("id") * lit(7919_i64)) % lit(1000_i64);
    let ids = session.range(0, 50_000).unwrap();
    let placed = ids.select([key.alias("h"), col("id")]).unwrap();
    let together = repartition(&placed, RepartitionOptions { size, by: vec![col("h")], sort: true });
    let parts = parts(&together);
    let mut seen = BTreeSet::new();
    for part in &parts {
        let part: Vec<i64> = part.iter().flatten().copied().collect();
        assert!(part.is_sorted());
        let here: BTreeSet<i64> = part.iter().copied().collect();
        assert!(here.is_disjoint(&seen), "a key is in two partitions");
        seen.extend(here);
    }
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 50_000);
    // An expression of several columns is a key, too.
    let by = vec![col("h") % lit(3_i64), col("id") % lit(2_i64)];
    let together = repartition(&placed, RepartitionOptions { size, by, sort: false });
    assert_eq!(values(&together).len(), 50_000);
    // Without a number there are as many as the session runs at once.
    let usual = RepartitionOptions { by: vec![col("h")], ..RepartitionOptions::default() };
    assert_eq!(wait(&placed, repartition(&placed, usual).num_partitions()).unwrap(), 3);
}

#[test]
fn partitions_of_a_size_keep_the_order_of_rows() {
    let session = session(4);
    let ids = session.range(0, 50_001).unwrap();
    let cut = parts(&repartition(&ids, into(PartitionSize::Rows(10_000))));
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 10_000, 10_000, 10_000, 10_000, 1]);
    assert!(cut.iter().flatten().flatten().copied().eq(0..50_001));
    let by_bytes = parts(&repartition(&ids, into(PartitionSize::Bytes(80_000))));
    assert_eq!(by_bytes.iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 10_000, 10_000, 10_000, 10_000, 1]);
    // The order of a sort is the order of the rows.
    let down = ids.sort([col("id").sort(false, false)]).unwrap();
    let cut = parts(&repartition(&down, into(PartitionSize::Rows(30_000))));
    assert!(cut.iter().flatten().flatten().copied().eq((0..50_001).rev()));
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [30_000, 20_001]);
    let none = repartition(&session.range(0, 0).unwrap(), into(PartitionSize::Rows(5)));
    assert_eq!(parts(&none), vec![vec![]]);
}

#[test]
fn neighbours_are_put_together_in_order() {
    let session = session(4);
    let cut = cut(&session.range(0, 1_000).unwrap(), 100);
    let fewer = cut.coalesce(4).unwrap();
    let parts = parts(&fewer);
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [200, 300, 200, 300]);
    assert!(parts.iter().flatten().flatten().copied().eq(0..1_000));
    assert_eq!(wait(&cut, cut.coalesce(99).unwrap().num_partitions()).unwrap(), 10);
    insta::assert_snapshot!(plan(&fewer), @r"
    GatherExec: partitions=4, input_partitions=10
      PartitionExec: rows=100, partitions=10, input_partitions=1
        LazyMemoryExec: partitions=1, batch_generators=[range: 1000 numbers]
    ");
    // A sort below stays, though no operator asks for its order.
    let down = session.range(0, 100_000).unwrap().sort([col("id").sort(false, false)]).unwrap();
    assert!(values(&count_of(&down, 1)).into_iter().eq((0..100_000).rev()));
}

#[test]
fn what_is_below_is_spread_over_the_threads_unless_the_order_of_its_rows_counts() {
    let session = session(4);
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(0..50_000));
    let batch = RecordBatch::try_from_iter([("id", id)]).unwrap();
    let one = session.from_batches(batch.schema(), vec![batch]).unwrap();
    let odd = one.filter((col("id") % lit(2_i64)).eq(lit(1_i64))).unwrap();
    insta::assert_snapshot!(plan(&by(&odd, "id", 2)), @r"
    PartitionExec: Hash([id@0], 2), input_partitions=4
      FilterExec: id@0 % 2 = 1
        RepartitionExec: partitioning=RoundRobinBatch(4), input_partitions=1
          DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    insta::assert_snapshot!(plan(&odd.coalesce(1).unwrap()), @r"
    GatherExec: partitions=1, input_partitions=1
      FilterExec: id@0 % 2 = 1
        DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    // What is above chosen partitions is not spread, whatever it would gain.
    insta::assert_snapshot!(plan(&cut(&one, 30_000).filter(col("id").gt(lit(5_i64))).unwrap()), @r"
    FilterExec: id@0 > 5
      PartitionExec: rows=30000, partitions=2, input_partitions=1
        DataSourceExec: partitions=1, partition_sizes=[1]
    ");
}

#[test]
fn an_index_parts_the_rows_by_ranges() {
    let session = session(3);
    let shuffled = session.range(0, 10_000).unwrap().random_shuffle(7);
    let indexed = index(&shuffled, "id", at(&[1_000, 4_000]));
    let parts_of = parts(&indexed);
    assert!(parts_of.iter().flatten().flatten().copied().eq(0..10_000));
    assert_eq!(parts_of.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 3_000, 6_000]);
    let divisions = wait(&indexed, indexed.divisions()).unwrap().unwrap();
    assert_eq!(divisions, [ScalarValue::from(1_000_i64), ScalarValue::from(4_000_i64)]);
    assert_eq!(wait(&shuffled, shuffled.divisions()).unwrap(), None);
    // Nulls are at the end of the last.
    let with_nulls = ints(&session, &[None, Some(3), Some(1), None, Some(2)]);
    let parts_of = parts(&index(&with_nulls, "k", at(&[2])));
    assert_eq!(parts_of, vec![vec![Some(1)], vec![Some(2), Some(3), None, None]]);
}

#[test]
fn the_ranges_of_an_index_are_found_by_a_sample() {
    let session = session(3);
    let shuffled = session.range(0, 60_000).unwrap().random_shuffle(1);
    let options = || SetIndexOptions { partitions: Some(6), ..SetIndexOptions::default() };
    let indexed = index(&shuffled, "id", options());
    let sizes: Vec<usize> = parts(&indexed).iter().map(Vec::len).collect();
    assert_eq!(sizes.len(), 6);
    assert!(sizes.iter().all(|size| (7_500..12_500).contains(size)), "{sizes:?}");
    // The same rows give the same ranges.
    let divisions = |dataset: &Dataset| wait(dataset, dataset.divisions()).unwrap().unwrap();
    assert_eq!(divisions(&indexed), divisions(&index(&shuffled, "id", options())));
    // A value that most rows have is in one partition, and there are fewer.
    let skewed = session.range(0, 10_000).unwrap();
    let skewed = skewed.select([(col("id") % lit(2_i64)).alias("two")]).unwrap();
    assert_eq!(parts(&index(&skewed, "two", options())).len(), 2);
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1_000).map(|n| format!("{:03}", n * 7 % 1_000))));
    let texts = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let texts = session.from_batches(texts.schema(), vec![texts]).unwrap();
    let by_text = index(&texts, "text", options());
    assert_eq!(wait(&by_text, by_text.num_partitions()).unwrap(), 6);
    let batches = wait(&by_text, by_text.collect()).unwrap();
    let all: Vec<String> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten().map(str::to_string).collect::<Vec<_>>())
        .collect();
    assert!(all.is_sorted() && all.len() == 1_000);
    // No row, and none but nulls.
    assert_eq!(parts(&index(&session.range(0, 0).unwrap(), "id", options())), vec![vec![]]);
    assert_eq!(parts(&index(&ints(&session, &[None, None]), "k", options())), vec![vec![None, None]]);
}

#[test]
fn rows_that_are_sorted_already_are_not_sorted_again() {
    let session = session(3);
    let sorted = SetIndexOptions { sorted: true, ..at(&[20_000, 30_000]) };
    let indexed = index(&session.range(0, 50_000).unwrap(), "id", sorted);
    insta::assert_snapshot!(plan(&indexed), @r"
    PartitionExec: Range([id@0 ASC NULLS LAST], [(20000), (30000)], 3), input_partitions=3
      LazyMemoryExec: partitions=3, batch_generators=[range: 16666 numbers, range: 16667 numbers, range: 16667 numbers]
    ");
    let parts_of = parts(&indexed);
    assert_eq!(parts_of.iter().map(Vec::len).collect::<Vec<_>>(), [20_000, 10_000, 20_000]);
    assert!(parts_of.iter().flatten().flatten().copied().eq(0..50_000));
    // That they are is not believed blindly.
    let late = ints(&session, &[Some(1), Some(5), Some(4)]);
    let error = wait(&late, index(&late, "k", SetIndexOptions { sorted: true, ..at(&[2]) }).collect()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("row 2 comes before the row ahead of it by k@0 ASC NULLS LAST"), "{error}");
}

#[test]
fn ranges_that_are_known_spare_exchanges() {
    let session = session(4);
    let left = index(&keyed(&session, 50_000), "k", at(&[3, 6]));
    let right = keyed(&session, 100).rename(&BTreeMap::from([("id".to_string(), "other".to_string())])).unwrap();
    let right = index(&right, "k", at(&[3, 6]));
    let joined = left.join(&right, &JoinOptions::on(&["k"], JoinType::Inner)).unwrap();
    insta::assert_snapshot!(plan(&joined), @r"
    SpillingHashJoinExec: over the memory limit=sort-merge join
      HashJoinExec: mode=Partitioned, join_type=Inner, on=[(k@1, k@1)], projection=[id@0, k@1, other@2]
        PartitionExec: Range([k@1 ASC NULLS LAST], [(3), (6)], 3), input_partitions=4, sort=[k@1 ASC NULLS LAST]
          ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
            LazyMemoryExec: partitions=4, batch_generators=[range: 12500 numbers, range: 12500 numbers, range: 12500 numbers, range: 12500 numbers]
        PartitionExec: Range([k@1 ASC NULLS LAST], [(3), (6)], 3), input_partitions=4, sort=[k@1 ASC NULLS LAST]
          ProjectionExec: expr=[id@0 as other, id@0 % 10 as k]
            RepartitionExec: partitioning=RoundRobinBatch(4), input_partitions=1
              LazyMemoryExec: partitions=1, batch_generators=[range: 100 numbers]
    ");
    assert_eq!(values(&joined).len(), 50_000 * 10);
    let grouped = left.groupby([col("k")]).agg([count(col("id"))]).unwrap();
    insta::assert_snapshot!(plan(&grouped), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@1 as k], aggr=[count(?table?.id)], ordering_mode=Sorted
      PartitionExec: Range([k@1 ASC NULLS LAST], [(3), (6)], 3), input_partitions=4, sort=[k@1 ASC NULLS LAST]
        ProjectionExec: expr=[id@0 as id, id@0 % 10 as k]
          LazyMemoryExec: partitions=4, batch_generators=[range: 12500 numbers, range: 12500 numbers, range: 12500 numbers, range: 12500 numbers]
    ");
    // Ranges that are put together are ranges, in order.
    let two = left.coalesce(2).unwrap();
    assert_eq!(wait(&two, two.divisions()).unwrap().unwrap(), [ScalarValue::from(3_i64)]);
    assert!(plan(&two.sort([col("k").sort(true, false)]).unwrap()).starts_with("SortPreservingMergeExec"));
}

#[test]
fn a_filter_on_the_index_reads_what_can_match() {
    let session = session(2);
    let indexed = index(&session.range(0, 10_000).unwrap(), "id", at(&[2_000, 4_000, 6_000, 8_000]));
    // In the plan the filter is below, so that only its rows move.
    let few = indexed.filter(col("id").gt_eq(lit(4_500_i64)).and(col("id").lt(lit(5_000_i64)))).unwrap();
    insta::assert_snapshot!(plan(&few), @r"
    PartitionExec: Range([id@0 ASC NULLS LAST], [(2000), (4000), (6000), (8000)], 5), input_partitions=2, sort=[id@0 ASC NULLS LAST]
      FilterExec: id@0 >= 4500 AND id@0 < 5000
        LazyMemoryExec: partitions=2, batch_generators=[range: 5000 numbers, range: 5000 numbers]
    ");
    // In memory, partitions are left out.
    let kept = wait(&indexed, indexed.materialize()).unwrap();
    let few = kept.filter(col("id").gt_eq(lit(4_500_i64)).and(col("id").lt(lit(6_500_i64)))).unwrap();
    insta::assert_snapshot!(plan(&few), @r"
    FilterExec: id@0 >= 4500 AND id@0 < 6500
      CooperativeExec
        KeptExec: partitions=5, read=2
    ");
    assert!(values(&few).into_iter().eq(4_500..6_500));
    let stats = wait(&few, few.explain_analyze()).unwrap();
    assert!(stats.contains("KeptExec: partitions=5, read=2, metrics=[output_rows=4.00 K,"), "{stats}");
    for (filter, rows) in [
        (col("id").eq(lit(4_000_i64)), 1),
        (col("id").lt(lit(2_000_i64)), 2_000),
        (col("id").gt(lit(20_000_i64)), 0),
        (col("id").is_null(), 0),
        ((col("id") % lit(2_i64)).eq(lit(0_i64)), 5_000),
    ] {
        assert_eq!(values(&kept.filter(filter.clone()).unwrap()).len(), rows, "{filter}");
    }
}

#[test]
fn materialized_partitions_stay_as_they_are() {
    let session = session(4);
    let kept = by_key(&keyed(&session, 1_000), 3);
    let kept = wait(&kept, kept.materialize()).unwrap();
    assert_eq!(wait(&kept, kept.num_partitions()).unwrap(), 3);
    insta::assert_snapshot!(plan(&kept.groupby([col("k")]).agg([count(col("id"))]).unwrap()), @r"
    AggregateExec: mode=SinglePartitioned, gby=[k@1 as k], aggr=[count(?table?.id)]
      CooperativeExec
        KeptExec: partitions=3, read=3
    ");
    let ids = session.range(0, 1_000).unwrap();
    let cut = cut(&ids, 300);
    let kept = wait(&cut, cut.materialize()).unwrap();
    assert_eq!(parts(&kept), parts(&cut));
    // What nobody chose is spread over the threads.
    let spread = wait(&ids, ids.materialize()).unwrap();
    assert!(plan(&spread).starts_with("DataSourceExec"));
    let empty = repartition(&session.range(0, 0).unwrap(), into(PartitionSize::Count(3)));
    assert_eq!(parts(&wait(&empty, empty.materialize()).unwrap()), vec![Vec::new(); 3]);
}

#[test]
fn partitions_decide_the_files() {
    use sheaf::connectors::write::WriteOptions;
    let folder = tempfile::tempdir().unwrap();
    let session = session(4);
    let ids = keyed(&session, 100_000);
    for (name, dataset, files) in [
        ("one", count_of(&ids, 1), 1),
        ("five", count_of(&ids, 5), 5),
        ("kept", wait(&ids, count_of(&ids, 3).materialize()).unwrap(), 3),
        ("filtered", count_of(&ids, 1).filter(col("k").lt(lit(5_i64))).unwrap(), 1),
        ("mapped", count_of(&ids, 2).with_columns([("m".to_string(), col("k") * lit(2_i64))]).unwrap(), 2),
    ] {
        let target = folder.path().join(name);
        let report = wait(&dataset, dataset.write(target.to_str().unwrap(), WriteOptions::default())).unwrap();
        assert_eq!(report.files, files, "{name}: {}", plan(&dataset));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let session = session(2);
    let ids = keyed(&session, 100);
    assert!(refused(&ids, RepartitionOptions::default()).contains("repartition of nothing"));
    assert!(refused(&ids, into(PartitionSize::Count(0))).contains("at least one partition"));
    assert!(refused(&ids, into(PartitionSize::Count(100_000))).contains("100000 partitions are too many"));
    assert!(refused(&ids, into(PartitionSize::Rows(0))).contains("a partition of no rows"));
    assert!(refused(&ids, into(PartitionSize::Bytes(0))).contains("a partition of no bytes"));
    let sort = RepartitionOptions { sort: true, ..into(PartitionSize::Count(2)) };
    assert!(refused(&ids, sort).contains("no key to sort by"));
    let by = RepartitionOptions { by: vec![col("k")], ..into(PartitionSize::Rows(2)) };
    assert!(refused(&ids, by).contains("as many as they are"));
    let aggregate = RepartitionOptions { by: vec![sum(col("k"))], ..RepartitionOptions::default() };
    assert!(refused(&ids, aggregate).contains("one value for many rows"));
    let unknown = RepartitionOptions { by: vec![col("kk")], ..RepartitionOptions::default() };
    assert_eq!(wait(&ids, ids.repartition(unknown)).unwrap_err().kind(), ErrorKind::UnknownColumn);
    assert_eq!(ids.coalesce(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    let set_index = |column: &str, options| wait(&ids, ids.set_index(column, options)).unwrap_err();
    assert_eq!(set_index("kk", at(&[1])).kind(), ErrorKind::UnknownColumn);
    assert!(set_index("k", at(&[3, 3])).to_string().contains("the divisions do not ascend: 3 is before 3"));
    let text = Some(vec![ScalarValue::from("x")]);
    let text = set_index("k", SetIndexOptions { divisions: text, ..SetIndexOptions::default() });
    assert!(text.to_string().contains("the division x is no Int64, as \"k\" is"), "{text}");
    let both = set_index("k", SetIndexOptions { partitions: Some(2), ..at(&[1]) });
    assert!(both.to_string().contains("divisions= or partitions=, not both"), "{both}");
}
