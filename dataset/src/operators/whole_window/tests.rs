//! Random windows over random tables, whose rows wait on disk at random: the columns are those of DataFusion's windows,
//! with all the memory they want, and nothing is held when they are done.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::memory::ON_LOAN;
use crate::operators::random::Random;
use crate::operators::refusing::Refusing;

fn table(random: &mut Random) -> MemTable {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("k", DataType::Int64, true),
        Field::new("o", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("passed", DataType::Utf8View, true),
    ]));
    let keys = 1 + random.below(4);
    let mut id = 0;
    let partitions = (0..=random.below(3))
        .map(|_| {
            (0..random.below(5))
                .map(|_| {
                    let rows = random.below(12);
                    let mut numbers = |below: u64| {
                        Int64Array::from_iter(
                            (0..rows).map(|_| (random.below(6) > 0).then(|| random.below(below) as i64)),
                        )
                    };
                    let (k, o, v) = (numbers(keys), numbers(5), numbers(9));
                    let ids = Int64Array::from_iter_values((0..rows).map(|_| {
                        id += 1;
                        // Not in order, and no two alike.
                        id * 7919 % 10_007
                    }));
                    let f = Float64Array::from_iter(
                        (0..rows).map(|_| [Some(0.5), None, Some(-2.0)][random.below(3) as usize]),
                    );
                    let texts = [Some("twelve and more"), Some("b"), None];
                    let passed = StringViewArray::from_iter((0..rows).map(|_| texts[random.below(3) as usize]));
                    let s = StringArray::from_iter(
                        (0..rows).map(|_| [Some("a"), Some("b"), None][random.below(3) as usize]),
                    );
                    let columns: Vec<arrow::array::ArrayRef> = vec![
                        Arc::new(ids),
                        Arc::new(k),
                        Arc::new(o),
                        Arc::new(v),
                        Arc::new(f),
                        Arc::new(s),
                        Arc::new(passed),
                    ];
                    RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
                })
                .collect()
        })
        .collect();
    MemTable::try_new(schema, partitions).unwrap()
}

/// What depends on the order of all rows.
const IN_ORDER: &[&str] = &[
    "array_agg(v)",
    "first_value(v)",
    "last_value(v)",
    "first_value(s) IGNORE NULLS",
    "last_value(v) IGNORE NULLS",
    "nth_value(v, 2)",
    "nth_value(v, -2)",
    "ntile(3)",
    "ntile(40)",
    "row_number()",
    "lead(v)",
    "lag(v, 2)",
    "string_agg(s, ',')",
];
/// What is the same for equal rows.
const OF_EQUALS: &[&str] = &[
    "sum(v)",
    "count(*)",
    "count(v)",
    "sum(v) FILTER (WHERE v > 3)",
    "count(*) FILTER (WHERE s = 'a')",
    "count(*) FILTER (WHERE passed = 'twelve and more')",
    "min(s)",
    "max(v)",
    "avg(f)",
    "percent_rank()",
    "cume_dist()",
    "rank()",
    "dense_rank()",
];
const FRAMES: &[&str] = &[
    "",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "GROUPS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
];
/// Frames that cut between equal rows.
const ROW_FRAMES: &[&str] = &[
    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "ROWS BETWEEN 2 PRECEDING AND UNBOUNDED FOLLOWING",
    "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING",
    "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
];
const PARTITIONS: &[&str] = &["", "PARTITION BY k", "PARTITION BY s, k", "PARTITION BY f"];
const TOTAL_ORDERS: &[&str] = &["ORDER BY id", "ORDER BY o, id DESC", "ORDER BY o DESC NULLS LAST, s, id"];
const PARTIAL_ORDERS: &[&str] = &["", "ORDER BY o", "ORDER BY s DESC, o"];

fn query(random: &mut Random) -> String {
    let mut pick = |choices: &[&'static str]| choices[random.below(choices.len() as u64) as usize];
    let is_total = pick(&["total", "partial"]) == "total";
    let (partition, order) = (pick(PARTITIONS), pick(if is_total { TOTAL_ORDERS } else { PARTIAL_ORDERS }));
    let columns = ["a", "b", "c"].map(|name| {
        let call = if is_total && pick(&["order", "equals"]) == "order" { pick(IN_ORDER) } else { pick(OF_EQUALS) };
        let frame = if is_total && pick(&["rows", "all"]) == "rows" { pick(ROW_FRAMES) } else { pick(FRAMES) };
        // Frames of groups need an order.
        let frame = if order.is_empty() && frame.starts_with("GROUPS") { "" } else { frame };
        format!("{call} OVER ({partition} {order} {frame}) AS {name}")
    });
    let windows = format!("SELECT id, v, passed, {} FROM t", columns.join(", "));
    match pick(&["all", "all", "one", "grouped", "filtered", "twice"]) {
        "one" => format!("SELECT b, id FROM ({windows})"),
        "grouped" => format!("SELECT a, count(*), max(c) FROM ({windows}) GROUP BY a"),
        "filtered" => format!("SELECT * FROM ({windows}) WHERE v > 2"),
        "twice" => {
            format!("SELECT id, a, count(*) OVER (PARTITION BY a), cume_dist() OVER (ORDER BY b) FROM ({windows})")
        }
        _ => windows,
    }
}

/// The rows as text, and the plan.
async fn run(query: &str, seed: u64, refused: Option<u64>) -> Result<(Vec<String>, String)> {
    let mut random = Random(seed);
    let config = SessionConfig::new()
        .with_target_partitions(1 + random.below(4) as usize)
        .with_batch_size([3, 16, 8192][random.below(3) as usize]);
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(refused) = refused {
        runtime = runtime.with_memory_pool(Arc::new(Refusing::new(ON_LOAN, refused, seed)));
    }
    let mut state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime.build_arc()?).with_default_features();
    if refused.is_some() {
        state = state.with_query_planner(Arc::new(crate::planner::SheafPlanner::default()));
        state = crate::rules::install(state);
    }
    let context = SessionContext::new_with_state(state.build());
    context.register_table("t", Arc::new(table(&mut random)))?;
    let plan = context.sql(query).await?.create_physical_plan().await?;
    let batches = collect(Arc::clone(&plan), context.task_ctx()).await?;
    let format = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        assert_eq!(batch.schema(), plan.schema(), "the schema of the plan");
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &format));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows.sort();
    drop(batches);
    if refused.is_some() {
        assert_eq!(context.task_ctx().memory_pool().reserved(), 0, "reserved after the end");
    }
    Ok((rows, displayable(plan.as_ref()).indent(false).to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_those_of_datafusion_wherever_their_rows_wait() {
    let (mut whole, mut held, mut failures) = (0, 0, Vec::new());
    for seed in 0..800 {
        let mut random = Random(seed ^ 0x0FF5);
        let query = query(&mut random);
        let refused = [100, 40, 0][random.below(3) as usize];
        let expected = run(&query, seed, None).await;
        match (run(&query, seed, Some(refused)).await, expected) {
            (Ok((rows, plan)), Ok((expected, _))) => {
                whole += usize::from(plan.contains("WholeWindowExec"));
                held += usize::from(plan.lines().any(|line| line.trim_start().starts_with("WindowAggExec")));
                if rows != expected {
                    failures.push(format!("seed {seed}: {query}\n  {rows:?}\n  instead of\n  {expected:?}\n{plan}"));
                }
            }
            (Err(_), Err(_)) => {}
            (Err(error), Ok(_)) => failures.push(format!("seed {seed}: {query}\n  {error}")),
            // What DataFusion cannot take rows out of again is not taken out of where the window runs backward.
            (Ok(_), Err(error)) if error.to_string().contains("retract_batch") => {}
            (Ok(_), Err(error)) => failures.push(format!("seed {seed}: {query}\n  DataFusion alone: {error}")),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(5)].join("\n"));
    assert!(whole > 400, "only {whole} plans had whole windows: the test proves nothing");
    assert!(held < 100, "{held} plans hold partitions in memory");
}
