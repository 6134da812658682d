//! Stages that drop the rows whose keys another stage has not: fewer are sent, and the answers are the same.

use std::path::Path;

use sheaf::core::settings::Exchange;
use sheaf::{Options, Session};

use crate::cluster::{collect, query};
use crate::support::nodes::{Nodes, USUAL};

fn session() -> Session {
    let exchange = Some(Exchange::Durable);
    Session::new(Options { threads: Some(2), exchange, ..Options::default() }).unwrap()
}

fn run(session: &Session, text: &str) -> Vec<String> {
    let mut rows = collect(&query(session, text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    rows.sort();
    rows
}

/// `big` has 300,000 rows, three of each key `k` and of each text `t`, some keys null; `few` has 40 of the keys and others,
/// some twice, some null, with floats `x` that are zero of either sign.
fn tables(session: &Session, folder: &Path) {
    let path = |name: &str| folder.join(format!("{name}.parquet")).display().to_string();
    let big = "SELECT CASE WHEN value % 1000 = 7 THEN NULL ELSE value % 100000 END AS k, \
               concat('text ', value % 100000) AS t, value AS v, CASE WHEN value % 2 = 0 THEN 0.0 ELSE -0.0 END AS x \
               FROM range(300000)";
    let few = "SELECT CASE WHEN value % 10 = 3 THEN NULL ELSE value * 3001 END AS k, concat('text ', value * 3001) AS t, \
               value AS w, CASE WHEN value % 2 = 0 THEN -0.0 ELSE 0.0 END AS x FROM range(60) \
               UNION ALL SELECT value * 3001, 'none', value, 1.5 FROM range(5)";
    for (name, rows) in [("big", big), ("few", few)] {
        if !Path::new(&path(name)).exists() {
            run(session, &format!("COPY ({rows}) TO '{}'", path(name)));
        }
        run(session, &format!("CREATE EXTERNAL TABLE {name} STORED AS parquet LOCATION '{}'", path(name)));
    }
    // Each in one partition of its own otherwise, which is sent to all tasks whatever it has.
    run(session, "SET datafusion.optimizer.hash_join_single_partition_threshold = 0");
    run(session, "SET datafusion.optimizer.hash_join_single_partition_threshold_rows = 0");
}

/// A session with those tables, the same one on a cluster, and what they stand on.
fn pair() -> (Session, Session, Nodes, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let nodes = Nodes::start(2, USUAL);
    let here = session();
    tables(&here, folder.path());
    let there = here.on(&nodes.cluster);
    (here, there, nodes, folder)
}

/// The lines of EXPLAIN ANALYZE with that operator.
fn lines(session: &Session, text: &str, operator: &str) -> Vec<String> {
    let told = run(session, &format!("EXPLAIN ANALYZE {text}")).join("\n").replace("\\n", "\n");
    told.lines().filter(|line| line.trim_start().starts_with(operator)).map(str::to_string).collect()
}

const FEW: &str = "(SELECT * FROM few WHERE w < 40)";

#[test]
fn rows_that_would_be_sent_in_vain_are_dropped_where_they_are_read() {
    let (here, there, nodes, folder) = pair();
    let text =
        format!("SELECT big.k, count(*) AS n, min(big.t) AS t FROM {FEW} f JOIN big ON big.k = f.k GROUP BY big.k");
    assert_eq!(run(&there, &text), run(&here, &text));
    let [filter] = &lines(&there, &text, "KeysFilterExec")[..] else { panic!("no stage reads keys, or several do") };
    assert!(filter.contains("columns=[k@0]"), "{filter}");
    let pruned = lines(&there, &text, "DynamicFilterExec");
    assert!(pruned.iter().any(|line| line.contains("rows_pruned=29")), "{pruned:?}");
    // What is handed on as it is made waits for nothing.
    let streamed =
        Session::new(Options { exchange: Some(Exchange::Streaming), threads: Some(2), ..Options::default() });
    let streamed = streamed.unwrap();
    tables(&streamed, folder.path());
    let streamed = streamed.on(&nodes.cluster);
    assert_eq!(run(&streamed, &text), run(&here, &text));
    assert_eq!(lines(&streamed, &text, "KeysFilterExec"), Vec::<String>::new());
    nodes.are_empty();
}

#[test]
fn joins_of_all_kinds_have_their_rows() {
    let (here, there, nodes, _folder) = pair();
    let mut reduced = 0;
    for text in [
        "SELECT f.w, big.v FROM {few} f LEFT JOIN big ON big.k = f.k",
        "SELECT f.w, big.v FROM big RIGHT JOIN {few} f ON big.k = f.k",
        "SELECT count(*), count(f.w), sum(big.v) FROM {few} f FULL JOIN big ON big.k = f.k",
        "SELECT count(*), count(f.w), sum(big.v) FROM big LEFT JOIN {few} f ON big.k = f.k",
        "SELECT w FROM {few} f WHERE EXISTS (SELECT 1 FROM big WHERE big.k = f.k AND big.v > 150000)",
        "SELECT w FROM {few} f WHERE NOT EXISTS (SELECT 1 FROM big WHERE big.k = f.k AND big.v > 150000)",
        "SELECT count(*) FROM big WHERE NOT EXISTS (SELECT 1 FROM {few} f WHERE big.k = f.k)",
        "SELECT count(*) FROM big WHERE k NOT IN (SELECT k FROM {few} f WHERE k IS NOT NULL)",
        "SELECT count(*) FROM {few} f WHERE k NOT IN (SELECT k FROM big WHERE v > 1000)",
        "SELECT big.v FROM {few} f JOIN big ON big.k = f.k AND big.t = f.t",
        "SELECT count(*) FROM {few} f JOIN big ON big.k IS NOT DISTINCT FROM f.k",
        "SELECT count(*) FROM {few} f JOIN (SELECT * FROM big WHERE v < 500) b ON b.x = f.x",
        "SELECT f.w, g.n FROM {few} f JOIN (SELECT k, count(*) AS n FROM big GROUP BY k) g ON g.k = f.k",
        "SELECT f.w, a.v, b.v FROM big a JOIN big b ON a.k = b.k JOIN {few} f ON f.k = a.k",
    ] {
        let text = text.replace("{few}", FEW);
        assert_eq!(run(&there, &text), run(&here, &text), "{text}");
        reduced += usize::from(!lines(&there, &text, "KeysFilterExec").is_empty());
    }
    assert!(reduced >= 7, "only {reduced} of them had a stage that reads keys");
    nodes.are_empty();
}

#[test]
fn what_a_semi_join_looks_for_is_not_dropped_by_a_name() {
    let (here, there, _nodes, folder) = pair();
    let path = folder.path().join("other.parquet").display().to_string();
    // `k` is no key here: none of its values is one of `few`.
    run(&here, &format!("COPY (SELECT value * 3001 AS j, -1 AS k FROM range(60)) TO '{path}'"));
    run(&here, &format!("CREATE EXTERNAL TABLE other STORED AS parquet LOCATION '{path}'"));
    let exists = format!(
        "SELECT count(*) AS n FROM {FEW} f JOIN (SELECT * FROM big WHERE EXISTS \
         (SELECT 1 FROM other o WHERE o.j = big.k AND o.k < big.v)) b ON b.k = f.k"
    );
    let joined = format!(
        "SELECT count(*) AS n FROM {FEW} f JOIN big ON big.k = f.k JOIN other o ON o.j = big.k AND o.k < big.v"
    );
    let expected = run(&here, &joined);
    assert_ne!(expected, run(&here, "SELECT 0 AS n"));
    for session in [&here, &there] {
        assert_eq!(run(session, &exists), expected);
        assert_eq!(run(session, &joined), expected);
    }
}
