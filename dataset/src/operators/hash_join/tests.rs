//! Random joins over random tables, with hash joins that are refused memory at random: the rows are those of
//! DataFusion's hash join with all the memory it wants.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext, col};

use super::FELL_BACK;
use crate::operators::random::Random;
use crate::operators::refusing::Refusing;

fn table(random: &mut Random, sorted: bool) -> MemTable {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("k", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
    ]));
    let keys = 1 + random.below(12);
    let floats = [Some(0.0), Some(-0.0), Some(1.5), Some(f64::NAN), None, Some(-2.0)];
    let words = [Some("a"), Some("b"), Some("ab"), Some(""), None];
    let mut id = 0;
    let partitions = (0..=random.below(3))
        .map(|_| {
            (0..random.below(5))
                .map(|_| {
                    let rows = random.below(9);
                    let ids = Int64Array::from_iter_values((0..rows).map(|_| {
                        id += 1;
                        id
                    }));
                    let key = |random: &mut Random| (random.below(8) > 0).then(|| random.below(keys) as i64);
                    let k = Int64Array::from_iter((0..rows).map(|_| key(random)));
                    let f = Float64Array::from_iter((0..rows).map(|_| floats[random.below(6) as usize]));
                    let s = StringArray::from_iter((0..rows).map(|_| words[random.below(5) as usize]));
                    let columns = vec![Arc::new(ids) as _, Arc::new(k) as _, Arc::new(f) as _, Arc::new(s) as _];
                    RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
                })
                .collect()
        })
        .collect();
    let table = MemTable::try_new(schema, partitions).unwrap();
    if sorted { table.with_sort_order(vec![vec![col("id").sort(true, false)]]) } else { table }
}

const QUERIES: &[&str] = &[
    "SELECT * FROM l {HOW} JOIN r ON {ON}",
    "SELECT l.s, r.id FROM l {HOW} JOIN r ON {ON}",
    "SELECT r.id, l.id AS lid, l.f FROM l {HOW} JOIN r ON {ON} ORDER BY r.id, lid",
    "SELECT count(*) FROM l {HOW} JOIN r ON {ON}",
    "SELECT r.s, count(*), sum(l.id) FROM l {HOW} JOIN r ON {ON} GROUP BY r.s",
    "SELECT * FROM l LEFT SEMI JOIN r ON {ON}",
    "SELECT * FROM l LEFT ANTI JOIN r ON {ON}",
    "SELECT * FROM l RIGHT SEMI JOIN r ON {ON}",
    "SELECT * FROM l RIGHT ANTI JOIN r ON {ON}",
    "SELECT l.id, l.s FROM l WHERE l.k > 5 OR EXISTS (SELECT 1 FROM r WHERE {ON})",
    "SELECT l.id FROM l WHERE NOT (l.f > 1 OR EXISTS (SELECT 1 FROM r WHERE {ON}))",
    "SELECT g.k, sum(l.id) FROM l JOIN (SELECT k, count(*) AS n FROM r GROUP BY k) g ON l.k = g.n GROUP BY g.k",
    "SELECT l.id, r.id, x.id FROM l {HOW} JOIN r ON {ON} JOIN r AS x ON l.s = x.s",
    "SELECT count(*) FROM (SELECT l.id FROM l JOIN r ON l.k = r.k LIMIT 3)",
];
const HOWS: &[&str] = &["INNER", "LEFT", "RIGHT", "FULL"];
const ONS: &[&str] = &[
    "l.k = r.k",
    "l.k = r.k AND l.s = r.s",
    "l.f = r.f",
    "l.f = r.f AND l.k = r.k",
    "l.k = r.k AND l.id < r.id",
    "l.k = r.k AND l.s <> r.s",
    "l.k IS NOT DISTINCT FROM r.k",
    "l.k + 1 = r.k",
    "l.s = r.s AND l.id + r.id < 40",
    "l.k = r.k AND l.id - 2 * r.id < 3",
];

/// The rows as text, and how many partitions went on as sort-merge joins.
async fn run(query: &str, seed: u64, refused: Option<u64>) -> Result<(Vec<String>, usize)> {
    let mut random = Random(seed);
    let mut config = SessionConfig::new()
        .with_target_partitions(1 + random.below(4) as usize)
        .with_batch_size([3, 16, 8192][random.below(3) as usize]);
    let optimizer = &mut config.options_mut().optimizer;
    if random.below(2) == 0 {
        optimizer.hash_join_single_partition_threshold = 0;
        optimizer.hash_join_single_partition_threshold_rows = 0;
    }
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(refused) = refused {
        runtime = runtime.with_memory_pool(Arc::new(Refusing::new("HashJoinInput", refused, seed)));
    }
    let mut state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime.build_arc()?).with_default_features();
    if refused.is_some() {
        state = crate::rules::install(state);
    }
    let context = SessionContext::new_with_state(state.build());
    let sorted = random.below(2) == 0;
    context.register_table("l", Arc::new(table(&mut random, false)))?;
    context.register_table("r", Arc::new(table(&mut random, sorted)))?;
    let plan = context.sql(query).await?.create_physical_plan().await?;
    let batches = collect(Arc::clone(&plan), context.task_ctx()).await?;
    let format = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        assert_eq!(batch.schema(), plan.schema(), "the schema of the plan");
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &format).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    if !query.contains("ORDER BY") {
        rows.sort();
    }
    if refused.is_some() {
        let fell_back = fell_back(&plan);
        // A whole build side lives as long as the plan; tasks that are ended go when they are next due.
        drop(plan);
        let pool = Arc::clone(context.task_ctx().memory_pool());
        let released = async {
            while pool.reserved() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let released = tokio::time::timeout(Duration::from_secs(10), released).await;
        assert!(released.is_ok(), "{} bytes are still reserved after the end", pool.reserved());
        return Ok((rows, fell_back));
    }
    Ok((rows, 0))
}

fn fell_back(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(FELL_BACK)).map_or(0, |count| count.as_usize());
    own + plan.children().into_iter().map(fell_back).sum::<usize>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_is_refused_memory_has_the_rows_of_one_that_is_not() {
    let (mut fallen, mut failures) = (0, Vec::new());
    for seed in 0..600 {
        let mut random = Random(seed ^ 0x5EED);
        let mut pick = |choices: &[&'static str]| choices[random.below(choices.len() as u64) as usize];
        let query = pick(QUERIES).replace("{HOW}", pick(HOWS)).replace("{ON}", pick(ONS));
        let refused = [100, 40, 10, 0][random.below(4) as usize];
        let (expected, _) = run(&query, seed, None).await.unwrap();
        let result = tokio::time::timeout(Duration::from_secs(60), run(&query, seed, Some(refused)));
        match result.await.unwrap_or_else(|_| panic!("seed {seed} hangs: {query}")) {
            Ok((rows, fell_back)) if rows == expected => fallen += fell_back,
            Ok((rows, _)) => failures.push(format!("seed {seed}: {query}\n  {rows:?}\n  instead of\n  {expected:?}")),
            Err(error) => failures.push(format!("seed {seed}: {query}\n  {error}")),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(fallen > 150, "only {fallen} partitions fell back: the test proves nothing");
}
