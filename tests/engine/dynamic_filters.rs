//! Rows that no operator above can use any more are dropped at the scan, whatever it reads, and the answer stays.

use std::path::Path;

use sheaf::{Dataset, Options, Session, SessionSql};

fn sql(session: &Session, text: &str) -> Dataset {
    session.threads().block_on(session.sql(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn shown(session: &Session, text: &str) -> String {
    session.threads().block_on(sql(session, text).preview(100)).unwrap()
}

/// A session with 200,000 rows of 50,000 keys, as `FORMAT`, and three of these keys.
fn session(folder: &Path, format: &str) -> Session {
    let session = Session::new(Options { threads: Some(2), ..Options::default() }).unwrap();
    let big = folder.join(format!("big.{format}")).display().to_string();
    let small = folder.join(format!("small.{format}")).display().to_string();
    sql(&session, &format!("COPY (SELECT value % 50000 AS k, value AS v FROM range(200000)) TO '{big}'"));
    sql(&session, &format!("COPY (SELECT value * 700 AS k FROM range(1, 4)) TO '{small}'"));
    for (name, path) in [("big", &big), ("small", &small)] {
        sql(&session, &format!("CREATE EXTERNAL TABLE {name} STORED AS {format} LOCATION '{path}'"));
    }
    session
}

/// The lines of EXPLAIN ANALYZE that tell of dynamic filters.
fn filters(session: &Session, query: &str) -> Vec<String> {
    let text = shown(session, &format!("EXPLAIN ANALYZE {query}"));
    text.lines().filter(|line| line.contains("DynamicFilterExec")).map(str::to_string).collect()
}

const BELOW_AN_AGGREGATE: &str = "SELECT count(*) AS n, sum(b.s) AS s FROM small JOIN \
    (SELECT k, sum(v) AS s FROM big GROUP BY k) AS b ON b.k = small.k";

#[test]
fn the_keys_of_a_join_are_looked_up_at_the_scan() {
    for format in ["parquet", "csv", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path(), format);
        let lines = filters(&session, BELOW_AN_AGGREGATE);
        assert_eq!(lines.len(), 1, "one filter, on the scan of the large table: {lines:?}");
        assert!(lines[0].contains("columns=[k@0]"), "{format}: {lines:?}");
        assert!(lines[0].contains("output_rows=12,"), "{format}, 4 rows of each of 3 keys: {lines:?}");
        let sum: i64 = (1..4).map(|i| 4 * 700 * i + 50_000 * 6).sum();
        assert!(shown(&session, BELOW_AN_AGGREGATE).contains(&format!("| 3 | {sum} |")), "{format}");
    }
}

#[test]
fn rows_behind_the_first_few_are_dropped_at_the_scan() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path(), "csv");
    let query = "SELECT v FROM big ORDER BY v LIMIT 3";
    let lines = filters(&session, query);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("columns=[v@0]") && !lines[0].contains("rows_pruned=0"), "{lines:?}");
    assert!(shown(&session, query).contains("| 0 |\n| 1 |\n| 2 |"), "{}", shown(&session, query));
}

#[test]
fn a_scan_without_dynamic_filters_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path(), "parquet");
    for query in ["SELECT k, sum(v) FROM big GROUP BY k", "SELECT * FROM big LEFT JOIN small ON big.k = small.k"] {
        let text = shown(&session, &format!("EXPLAIN {query}"));
        let scans = text.matches("DataSourceExec").count();
        let filters = text.matches("DynamicFilterExec").count();
        assert!(scans > filters, "{query}:\n{text}");
    }
    assert!(filters(&session, "SELECT k, sum(v) FROM big GROUP BY k").is_empty());
    sql(&session, "SET datafusion.optimizer.enable_dynamic_filter_pushdown = false");
    assert!(filters(&session, BELOW_AN_AGGREGATE).is_empty(), "the engine's own switch holds");
}

/// In DataFusion alone the filter of the join drops the row: it compares by total order.
#[test]
fn zero_meets_minus_zero() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path(), "parquet");
    for (name, zero) in [("zero", "0.0"), ("minus", "-0.0")] {
        let path = folder.path().join(format!("{name}.parquet")).display().to_string();
        sql(
            &session,
            &format!("COPY (SELECT CAST('{zero}' AS DOUBLE) AS f, {{f: CAST('{zero}' AS DOUBLE)}} AS s) TO '{path}'"),
        );
        sql(&session, &format!("CREATE EXTERNAL TABLE {name} STORED AS parquet LOCATION '{path}'"));
    }
    for (one, other) in [("zero", "minus"), ("minus", "zero")] {
        let joined = format!("SELECT count(*) AS n FROM {one} JOIN {other} ON {one}.f = {other}.f");
        assert!(shown(&session, &joined).contains("| 1 |"), "{joined}:\n{}", shown(&session, &joined));
        let semi = format!("SELECT f FROM {one} LEFT SEMI JOIN {other} ON {one}.f = {other}.f ORDER BY f LIMIT 1");
        assert!(shown(&session, &semi).contains("0.0 |"), "{semi}:\n{}", shown(&session, &semi));
    }
}

/// The broadcast join's partitions wait for each other; the join above lets go of one of them, for it has no build row there.
#[test]
fn partitions_that_nobody_reads_are_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path(), "parquet");
    for (name, rows) in [
        ("keys", "SELECT value AS x FROM range(1, 901)"),
        ("one", "SELECT CAST(7 AS BIGINT) AS k, value AS m FROM range(1300)"),
    ] {
        let path = folder.path().join(format!("{name}.parquet")).display().to_string();
        sql(&session, &format!("COPY ({rows}) TO '{path}'"));
        sql(&session, &format!("CREATE EXTERNAL TABLE {name} STORED AS parquet LOCATION '{path}'"));
    }
    for (setting, value) in [("threshold", 10_000), ("threshold_rows", 1_000)] {
        sql(&session, &format!("SET datafusion.optimizer.hash_join_single_partition_{setting} = {value}"));
    }
    let query = "SELECT count(*) AS n, sum(p.s) AS s, sum(one.m) AS m FROM one JOIN (SELECT a.k, a.s FROM keys JOIN \
        (SELECT k, count(*) AS s FROM big GROUP BY k) AS a ON a.k = keys.x) AS p ON p.k = one.k";
    let plan = shown(&session, &format!("EXPLAIN {query}"));
    let of = |text: &str| plan.find(text).unwrap_or_else(|| panic!("no {text} in\n{plan}"));
    assert!(of("mode=Partitioned") < of("mode=CollectLeft"), "the second one is not below the first:\n{plan}");
    let asked = sql(&session, query);
    let rows = session.threads().block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(60), asked.preview(10)).await.expect("it waits for ever")
    });
    assert!(rows.unwrap().contains("| 1300 | 5200 | 844350 |"));
}
