//! Sessions on a cluster: the same datasets and statements, the same rows, and nothing left when they are done.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::record_batch::RecordBatch;
use sheaf::connectors::read::ReadOptions;
use sheaf::connectors::write::WriteOptions;
use sheaf::expr::col;
use sheaf::{Dataset, ErrorKind, Options, Session, SessionSql};
use tokio::task::JoinHandle;

use crate::stages::{read_all, rows};
use crate::support::nodes::{Nodes, USUAL, becomes_true};
use crate::tpch;

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

pub(crate) fn query(session: &Session, text: &str) -> Dataset {
    session.threads().block_on(session.sql(text)).unwrap()
}

pub(crate) fn tpch_query(session: &Session, number: usize) -> Dataset {
    query(session, &std::fs::read_to_string(format!("benches/tpch/q{number:02}.sql")).unwrap())
}

pub(crate) fn collect(dataset: &Dataset) -> sheaf::Result<Vec<String>> {
    dataset.session().threads().block_on(dataset.collect()).map(|batches| rows(&batches))
}

/// The rows, collected meanwhile.
pub(crate) fn begin(dataset: Dataset) -> JoinHandle<sheaf::Result<Vec<String>>> {
    let threads = Arc::clone(dataset.session().threads());
    threads.handle().spawn(async move { dataset.collect().await.map(|batches| rows(&batches)) })
}

fn tables(folder: &Path) -> Session {
    tpch::make(folder, "0.01");
    let session = session();
    read_all(&session, folder);
    session
}

#[test]
fn the_queries_of_tpch_have_the_same_rows_on_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(3, USUAL);
    let there = here.on(&nodes.cluster);
    for number in 1..=22 {
        let before = nodes.begun();
        let rows = collect(&tpch_query(&there, number)).unwrap();
        assert_eq!(rows, collect(&tpch_query(&here, number)).unwrap(), "q{number}");
        let took_part = nodes.begun().iter().zip(before).filter(|(after, before)| *after > before).count();
        assert!(took_part >= 2, "q{number} ran on {took_part} nodes");
    }
    nodes.are_empty();
}

#[test]
fn rows_that_are_ordered_come_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    for text in [
        "SELECT l_orderkey, l_linenumber FROM lineitem ORDER BY l_orderkey DESC, l_linenumber",
        "SELECT o_custkey, count(*) AS n FROM orders GROUP BY o_custkey ORDER BY n DESC, o_custkey LIMIT 20",
    ] {
        let of = |session: &Session| {
            let batches = session.threads().block_on(query(session, text).collect()).unwrap();
            let batch = concat_batches(&batches[0].schema(), &batches).unwrap();
            format!("{:?}", batch.columns())
        };
        assert!(of(&there) == of(&here), "{text}");
    }
}

#[test]
fn a_file_that_a_node_has_not_got_is_named_with_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let file = folder.path().join("orders.parquet");
    nodes.keep(Some(0));
    let rows = begin(query(&there, "SELECT o_custkey, count(*) FROM orders GROUP BY o_custkey"));
    // The program has found it, and the tasks are on their way.
    becomes_true("tasks begin", || nodes.members.iter().any(|member| member.gate.kept() > 0));
    std::fs::remove_file(&file).unwrap();
    nodes.keep(None);
    let error = there.threads().block_on(rows).unwrap().unwrap_err();
    let told = error.to_string();
    assert!(told.contains("orders.parquet") && told.contains("on http://127.0.0.1:"), "{told}");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{told}");
    nodes.are_empty();
}

#[test]
fn rows_in_memory_are_cut_alike_wherever_they_lie() {
    let here = session();
    let nodes = Nodes::start(2, USUAL);
    let numbers: ArrayRef = Arc::new((0..20_000).map(|n| n % 1_000).collect::<Int64Array>());
    let columns = (0..6).map(|n| (format!("c{n}"), Arc::clone(&numbers)));
    let whole = RecordBatch::try_from_iter(columns).unwrap();
    // Slices of one buffer are as long as it, when buffers are measured, and on the way there they become others.
    let slices: Vec<_> = (0..20).map(|n| whole.slice(n * 1_000, 1_000)).collect();
    here.register("sliced", &here.from_batches(whole.schema(), slices).unwrap()).unwrap();
    here.register("one", &here.from_batches(whole.schema(), vec![whole]).unwrap()).unwrap();
    let there = here.on(&nodes.cluster);
    for text in [
        "SELECT c0, count(*), sum(c5) FROM sliced GROUP BY c0",
        "SELECT c1 FROM one WHERE c0 = 7",
        "SELECT count(*) FROM sliced a JOIN (SELECT DISTINCT c0 FROM one) b ON a.c0 = b.c0",
    ] {
        assert_eq!(collect(&query(&there, text)).unwrap(), collect(&query(&here, text)).unwrap(), "{text}");
    }
    assert!(nodes.begun().iter().all(|count| *count > 0), "{:?}", nodes.begun());
}

#[test]
fn verbs_and_writes_are_the_same_on_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let path = folder.path().join("orders.parquet").to_str().unwrap().to_string();
    let read = |session: &Session| {
        session.threads().block_on(session.read(std::slice::from_ref(&path), &ReadOptions::default())).unwrap()
    };
    let count = |session: &Session| session.threads().block_on(read(session).count()).unwrap();
    assert_eq!((count(&there), count(&here)), (15_000, 15_000));
    let target = folder.path().join("copy");
    let written = read(&there).select([col("o_orderkey"), col("o_custkey")]).unwrap();
    let report = there.threads().block_on(written.write(target.to_str().unwrap(), WriteOptions::default())).unwrap();
    assert_eq!(report.rows, 15_000);
    let back = here.threads().block_on(here.read(&[target.to_str().unwrap().to_string()], &ReadOptions::default()));
    assert_eq!(here.threads().block_on(back.unwrap().count()).unwrap(), 15_000);
    let explained = collect(&query(&there, "EXPLAIN SELECT count(*) FROM orders GROUP BY o_custkey")).unwrap();
    assert!(explained.iter().any(|line| line.contains("ClusterExec: exchange=durable, stages=")), "{explained:?}");
    // What has no rows of a table is here.
    assert_eq!(collect(&query(&there, "SELECT 1 + 1 AS two")).unwrap(), ["2.000000e0"]);
    assert!(!collect(&query(&there, "SHOW TABLES")).unwrap().is_empty());
    nodes.are_empty();
}

#[test]
fn what_counts_rows_as_they_come_runs_in_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let target = folder.path().join("job").to_str().unwrap().to_string();
    let options = WriteOptions { job: Some("nightly".into()), ..WriteOptions::default() };
    let rows = query(&there, "SELECT l_orderkey, count(*) AS n FROM lineitem GROUP BY l_orderkey");
    assert_eq!(there.threads().block_on(rows.write(&target, options)).unwrap().rows, 15_000);
    assert_eq!(nodes.begun().iter().sum::<u64>(), 0, "what a job has recorded is made in the same order again");
}

#[test]
fn what_is_not_wanted_any_more_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    // All threads of the nodes join, and no row comes out of that for long.
    let lines = folder.path().join("lines");
    std::fs::create_dir(&lines).unwrap();
    for copy in 0..4 {
        std::fs::copy(folder.path().join("lineitem.parquet"), lines.join(format!("{copy}.parquet"))).unwrap();
    }
    let text = format!(
        "SELECT count(*) FROM lineitem a JOIN '{}/*.parquet' b ON a.l_quantity < b.l_quantity + a.l_tax",
        lines.display()
    );
    let run = there.threads().block_on(query(&there, &text).start()).unwrap();
    becomes_true("it runs", || nodes.running() > 0);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let stopped = std::time::Instant::now();
    drop(run);
    becomes_true("it does not run", || nodes.running() == 0);
    // A moment on a quiet machine; other tests run beside this one.
    assert!(stopped.elapsed().as_secs_f64() < 3.0, "{:?}", stopped.elapsed());
    nodes.are_empty();
}

#[test]
fn what_goes_wrong_says_where_and_what() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let failed = collect(&query(&there, "SELECT count(*) FROM orders WHERE 1 / o_shippriority > 1"));
    let error = failed.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("stage 0, task ") && text.contains("on http://127.0.0.1:"), "{text}");
    assert!(text.to_lowercase().contains("divide by zero"), "{text}");
    // A file that is gone when a node wants it.
    let lost = query(&there, "SELECT sum(p_size) FROM part");
    std::fs::remove_file(folder.path().join("part.parquet")).unwrap();
    let error = collect(&lost).unwrap_err();
    assert!(error.to_string().contains("part.parquet"), "{error}");
    nodes.are_empty();
    let empty = Nodes::start(0, USUAL);
    let error = collect(&query(&here.on(&empty.cluster), "SELECT count(*) FROM orders")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("CPUs"), "{error}");
}

#[test]
fn a_node_that_dies_costs_only_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    for number in [3, 9, 18] {
        let mut nodes = Nodes::start(3, USUAL);
        let there = here.on(&nodes.cluster);
        let expected = collect(&tpch_query(&here, number)).unwrap();
        let run = tpch_query(&there, number);
        let answer = begin(run);
        becomes_true("it runs", || nodes.begun().iter().sum::<u64>() >= 3);
        drop(nodes.members.pop());
        assert_eq!(here.threads().block_on(answer).unwrap().unwrap(), expected, "q{number}");
        nodes.are_empty();
    }
}

#[test]
fn a_task_that_takes_far_longer_than_the_others_runs_a_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(3, USUAL);
    let there = here.on(&nodes.cluster);
    let text = "SELECT l_orderkey, count(*) AS n FROM lineitem GROUP BY l_orderkey";
    let expected = collect(&query(&here, text)).unwrap();
    let slow = &nodes.members[1];
    for stage in [0, 1] {
        // What begins there does not end.
        slow.gate.keep(Some(stage));
        let before: u64 = nodes.begun()[1..].iter().sum();
        let answer = begin(query(&there, text));
        becomes_true("it ends", || answer.is_finished());
        assert_eq!(here.threads().block_on(answer).unwrap().unwrap(), expected, "stage {stage}");
        becomes_true("the first attempt is stopped", || slow.gate.kept() == 0);
        let begun: u64 = nodes.begun()[1..].iter().sum::<u64>() - before;
        assert!(begun > 2, "{begun} attempts on the other two nodes");
    }
    slow.gate.keep(None);
    // Two attempts of one that would make something else are never there at once.
    slow.gate.keep(Some(0));
    let answer =
        begin(query(&there, "SELECT count(*) FROM (SELECT floor(random() * 9) AS r FROM lineitem) GROUP BY r"));
    becomes_true("its task there begins", || slow.gate.kept() == 1);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(slow.gate.kept(), 1);
    slow.gate.keep(None);
    assert_eq!(here.threads().block_on(answer).unwrap().unwrap().len(), 9);
    nodes.are_empty();
}

/// Runs a query of two stages, and ends a node when a task of the second one has read what the first one made, and
/// others have not. Its rows.
fn with_a_loss_between_tasks(here: &Session, text: &str) -> Vec<String> {
    let mut nodes = Nodes::start(3, USUAL);
    let there = here.on(&nodes.cluster);
    nodes.keep(Some(1));
    let run = query(&there, text);
    let answer = begin(run);
    becomes_true("a task of the second stage is to begin on each node", || {
        nodes.members[1..].iter().all(|member| member.gate.kept() > 0)
    });
    let first = &nodes.members[1];
    first.gate.keep(None);
    becomes_true("it has read", || first.runner.running() == 0);
    drop(nodes.members.remove(2));
    nodes.keep(None);
    let rows = here.threads().block_on(answer).unwrap().unwrap();
    nodes.are_empty();
    rows
}

#[test]
fn what_another_run_would_make_otherwise_is_never_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    // Which task has which row is chance: of two runs together some rows would be there twice, and others never.
    let text = "SELECT r, count(*) AS n FROM (SELECT floor(random() * 1000) AS r FROM lineitem) GROUP BY r";
    let rows = with_a_loss_between_tasks(&here, text);
    let counts = rows.iter().map(|row| row.split(" | ").nth(1).unwrap().parse::<f64>().unwrap());
    assert!((counts.sum::<f64>() - 60_175.0).abs() < 0.5, "{} rows", rows.len());
}

#[test]
fn what_another_run_makes_alike_is_made_again_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let text = "SELECT l_orderkey, count(*) AS n FROM lineitem GROUP BY l_orderkey";
    assert_eq!(with_a_loss_between_tasks(&here, text), collect(&query(&here, text)).unwrap());
}
