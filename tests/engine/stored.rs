//! Rows that stay on a cluster for other queries, and what tasks tell of what they did.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use sheaf::connectors::read::ReadOptions;
use sheaf::{Dataset, ErrorKind, Options, Session, SessionSql};

use crate::stages::{read_all, rows};
use crate::support::nodes::{Nodes, USUAL, becomes_true};
use crate::tpch;

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn tables(folder: &std::path::Path) -> Session {
    tpch::make(folder, "0.01");
    let session = session();
    read_all(&session, folder);
    session
}

fn query(session: &Session, text: &str) -> Dataset {
    session.threads().block_on(session.sql(text)).unwrap()
}

fn collect(dataset: &Dataset) -> sheaf::Result<Vec<String>> {
    dataset.session().threads().block_on(dataset.collect()).map(|batches| rows(&batches))
}

fn persist(dataset: &Dataset) -> Dataset {
    dataset.session().threads().block_on(dataset.persist()).unwrap()
}

const ORDERS: &str = "SELECT l_orderkey AS k, count(*) AS n, max(l_comment) AS c FROM lineitem GROUP BY l_orderkey";

#[test]
fn persisted_rows_stay_on_the_nodes_and_are_read_there() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let kept = persist(&query(&there, ORDERS));
    let objects = nodes.objects();
    assert!(objects.len() >= 2 && objects.iter().all(|object| !object.starts_with("0:")), "{objects:#?}");
    there.register("kept", &kept).unwrap();
    here.register("plain", &query(&here, ORDERS)).unwrap();
    for text in [
        "SELECT count(*), sum(n), min(c) FROM kept",
        "SELECT n, count(*) FROM kept GROUP BY n",
        "SELECT o_custkey, sum(n) FROM kept JOIN orders ON k = o_orderkey GROUP BY o_custkey",
        "SELECT c FROM kept WHERE k < 100",
        "SELECT a.k FROM kept a JOIN kept b ON a.k = b.n",
    ] {
        let expected = collect(&query(&here, &text.replace("kept", "plain"))).unwrap();
        assert_eq!(collect(&query(&there, text)).unwrap(), expected, "{text}");
        // What a query makes goes with it.
        becomes_true("only the persisted rows are left", || nodes.objects().len() == objects.len());
    }
    // What is chosen of them stays there too, and they themselves are there already.
    let columns = persist(&kept.select([sheaf::expr::col("c"), sheaf::expr::col("k")]).unwrap());
    assert_eq!(collect(&columns).unwrap(), collect(&query(&there, "SELECT c, k FROM kept")).unwrap());
    let all = nodes.objects();
    assert!(all.len() > objects.len() && all.iter().all(|object| !object.starts_with("0:")), "{all:#?}");
    drop(columns);
    let again = persist(&kept);
    becomes_true("they are there once", || nodes.objects().len() == objects.len());
    drop(again);
    // Another cluster does not know of them.
    let others = Nodes::start(1, USUAL);
    let elsewhere = here.on(&others.cluster);
    let error = collect(&query(&elsewhere, "SELECT n, count(*) FROM kept GROUP BY n")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    // Two nodes take part in what reads them.
    let explained = collect(&query(&there, "EXPLAIN SELECT n, count(*) FROM kept GROUP BY n")).unwrap();
    assert!(explained[1].contains("Stage 0: tasks=2") && explained[1].contains("StoredExec"), "{explained:?}");
    // The sessions share their tables.
    drop((kept, there, here, elsewhere));
    nodes.are_empty();
}

#[test]
fn the_first_persisted_rows_are_read_without_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let sorted = "SELECT o_orderkey, o_totalprice FROM orders ORDER BY o_orderkey DESC";
    let kept = persist(&query(&there, sorted));
    let begun = nodes.begun();
    let first = there.threads().block_on(kept.limit(0, Some(3)).unwrap().collect()).unwrap();
    let expected = here.threads().block_on(query(&here, &format!("{sorted} LIMIT 3")).collect()).unwrap();
    assert_eq!(rows(&first), rows(&expected));
    // In their order.
    let all = there.threads().block_on(kept.collect()).unwrap();
    let keys =
        all.iter().flat_map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec());
    let keys: Vec<i64> = keys.collect();
    assert!(keys.len() == 15_000 && keys.is_sorted_by(|a, b| a > b));
    assert_eq!(nodes.begun(), begun);
}

#[test]
fn persisted_rows_of_a_node_that_dies_are_made_again_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let mut nodes = Nodes::start(3, USUAL);
    let there = here.on(&nodes.cluster);
    let kept = persist(&query(&there, ORDERS));
    let expected = collect(&query(&here, ORDERS)).unwrap();
    nodes.members.remove(holder(&nodes));
    // One reads in tasks, the other one itself.
    let both = kept.filter(sheaf::expr::col("n").gt(sheaf::expr::lit(0))).unwrap();
    assert_eq!(collect(&both).unwrap(), expected);
    nodes.members.remove(holder(&nodes));
    assert_eq!(collect(&kept).unwrap(), expected);
}

/// A node that has some of the rows.
fn holder(nodes: &Nodes) -> usize {
    let objects = nodes.objects();
    let place = |object: &String| object.split(':').next().unwrap().parse::<usize>().unwrap();
    objects.iter().map(place).find(|place| *place > 0).unwrap()
}

#[test]
fn rows_that_read_persisted_ones_are_in_an_order_only_if_those_were() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    there.register("grouped", &persist(&query(&there, ORDERS))).unwrap();
    there.register("plain", &persist(&query(&there, "SELECT l_orderkey AS k FROM lineitem"))).unwrap();
    let class = |table: &str| {
        let explained = collect(&query(&there, &format!("EXPLAIN SELECT k FROM {table} WHERE k > 10"))).unwrap();
        let stage = explained[1].lines().find(|line| line.trim().starts_with("Stage 0")).unwrap().to_string();
        stage.rsplit(' ').next().unwrap().to_string()
    };
    assert_eq!((class("grouped"), class("plain")), ("unordered".to_string(), "determined".to_string()));
}

#[test]
fn lost_rows_that_would_be_others_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let mut nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let drawn = "SELECT l_orderkey, random() AS r FROM lineitem";
    let kept = persist(&query(&there, drawn));
    let before = collect(&kept).unwrap();
    assert!(collect(&kept).unwrap() == before);
    nodes.members.remove(holder(&nodes));
    let failed = collect(&kept).map(|rows| rows.len());
    assert!(failed.as_ref().is_err_and(|error| error.kind() == ErrorKind::Io), "{failed:?}");
}

#[test]
fn tables_in_memory_are_put_into_the_store_once() {
    let here = session();
    let nodes = Nodes::start(2, USUAL);
    let numbers: ArrayRef = Arc::new((0..200_000).map(|n| n % 1_000).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..200_000).map(|n| Some(format!("text {n}"))).collect::<StringArray>());
    let whole = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
    let slices: Vec<_> = (0..20).map(|n| whole.slice(n * 10_000, 10_000)).collect();
    here.register("many", &here.from_batches(whole.schema(), slices).unwrap()).unwrap();
    let there = here.on(&nodes.cluster);
    for text in [
        "SELECT n, count(*), max(t) FROM many GROUP BY n",
        "SELECT t FROM many WHERE n = 7",
        "SELECT count(*) FROM many a JOIN (SELECT DISTINCT n FROM many) b ON a.n = b.n",
    ] {
        assert_eq!(collect(&query(&there, text)).unwrap(), collect(&query(&here, text)).unwrap(), "{text}");
        becomes_true("the one object is left", || nodes.objects().len() == 1);
    }
    assert!(nodes.begun().iter().all(|count| *count > 0), "{:?}", nodes.begun());
    // The next query reads what was inserted too, and another object takes the place of the first.
    for session in [&there, &here] {
        collect(&query(session, "CREATE TABLE grows AS SELECT * FROM many")).unwrap();
        collect(&query(session, "SELECT n, count(*) FROM grows GROUP BY n")).unwrap();
        collect(&query(session, "INSERT INTO grows SELECT n + 5000, t FROM many WHERE n < 3")).unwrap();
        let counted = collect(&query(session, "SELECT count(*), max(n) FROM grows")).unwrap();
        assert_eq!(counted, collect(&query(&here, "SELECT 200600, 5002")).unwrap());
        collect(&query(session, "DROP TABLE grows")).unwrap();
    }
    drop(there);
    drop(here);
    // What is put goes with the next query that finds it gone, or with the connection.
    let Nodes { cluster, .. } = &nodes;
    assert_eq!(Arc::strong_count(cluster), 1);
}

#[test]
fn what_tasks_did_comes_back_with_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let counted = query(&there, "SELECT l_orderkey, count(*) AS n FROM lineitem GROUP BY l_orderkey");
    // Plans are kept on the nodes: what a second run does is not added to the first.
    (0..2).for_each(|_| drop(collect(&counted).unwrap()));
    there.threads().block_on(async {
        let mut run = counted.start().await.unwrap();
        run.collect().await.unwrap();
        let progress = run.progress();
        assert_eq!((progress.rows_read, progress.rows_out), (60_175, 15_000), "{progress:?}");
        assert!(progress.bytes_read > 0 && progress.stage.ends_with(" tasks"), "{progress:?}");
        let stats = run.stats();
        let scan = stats.lines().find(|line| line.contains("DataSourceExec")).unwrap();
        assert!(scan.contains("output_rows=60.17 K") || scan.contains("output_rows=60175"), "{stats}");
        assert!(stats.lines().last().unwrap().trim().starts_with("All stages, metrics=["), "{stats}");
    });
}

#[test]
fn files_that_nodes_left_out_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let many = folder.path().join("many");
    std::fs::create_dir(&many).unwrap();
    let write = |session: &Session, number: usize| {
        let part = query(session, &format!("SELECT * FROM lineitem WHERE l_orderkey % 4 = {number}"));
        let target = many.join(format!("{number}.parquet")).to_str().unwrap().to_string();
        session.threads().block_on(part.write(&target, Default::default())).unwrap();
    };
    (0..4).for_each(|number| write(&here, number));
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let options = ReadOptions { ignore_errors: true, ..ReadOptions::default() };
    let path = many.to_str().unwrap().to_string();
    let all = there.threads().block_on(there.read(&[path], &options)).unwrap();
    // Its footer is whole, its pages are not.
    let broken = many.join("2.parquet");
    let mut bytes = std::fs::read(&broken).unwrap();
    let half = bytes.len() / 2;
    bytes[8..half].fill(0xab);
    std::fs::write(&broken, bytes).unwrap();
    let rows = there.threads().block_on(all.collect()).unwrap();
    let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
    assert!(count < 60_175, "{count}");
    let skipped = all.skipped_files();
    assert!(skipped.len() == 1 && skipped[0].ends_with("2.parquet"), "{skipped:?}");
}
