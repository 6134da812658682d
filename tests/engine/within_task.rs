//! What the operators of one task of a cluster do for each other, as those of one process do.

use std::path::Path;

use sheaf::core::settings::Exchange;
use sheaf::{Options, Session};

use crate::cluster::{collect, query};
use crate::support::nodes::{Given, Nodes, USUAL};

fn session(exchange: Exchange) -> Session {
    Session::new(Options { threads: Some(2), exchange: Some(exchange), ..Options::default() }).unwrap()
}

fn run(session: &Session, text: &str) -> Vec<String> {
    collect(&query(session, text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `big` has 1,200,000 rows, three of each key, with a text of 100 bytes; `small` has ten keys of it.
fn tables(session: &Session, folder: &Path) {
    let path = |name: &str| folder.join(format!("{name}.parquet")).display().to_string();
    let big = "SELECT value % 400000 AS k, repeat(chr(97 + value % 26), 100) AS t FROM range(1200000)";
    for (name, rows) in [("big", big), ("small", "SELECT value * 7919 AS k FROM range(1, 11)")] {
        if !Path::new(&path(name)).exists() {
            run(session, &format!("COPY ({rows}) TO '{}'", path(name)));
        }
        run(session, &format!("CREATE EXTERNAL TABLE {name} STORED AS parquet LOCATION '{}'", path(name)));
    }
}

/// What EXPLAIN ANALYZE tells of a metric of an operator, summed over the plan; large numbers are shown in thousands.
fn metric(session: &Session, text: &str, operator: &str, name: &str) -> f64 {
    let lines = run(session, &format!("EXPLAIN ANALYZE {text}")).join("\n").replace("\\n", "\n");
    let lines = lines.lines().filter(|line| line.trim_start().starts_with(operator));
    let values = lines.filter_map(|line| line.split(&format!("{name}=")).nth(1)?.split([',', ']']).next());
    let number = |value: &str| {
        let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
        number.parse::<f64>().unwrap()
            * f64::powi(1e3, ["", "K", "M"].iter().position(|known| *known == unit).unwrap() as i32)
    };
    values.map(number).sum()
}

#[test]
fn joins_of_tasks_drop_rows_at_their_scans() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = Nodes::start(2, USUAL);
    for exchange in [Exchange::Durable, Exchange::Streaming] {
        let here = session(exchange);
        tables(&here, folder.path());
        let there = here.on(&nodes.cluster);
        let text = "SELECT big.k, count(*) AS n FROM small JOIN big ON big.k = small.k GROUP BY big.k";
        assert_eq!(run(&there, text), run(&here, text));
        let pruned = metric(&there, text, "DynamicFilterExec", "rows_pruned");
        assert!(pruned > 200_000.0, "{exchange:?}: {pruned}");
        // What a user sets holds on all nodes.
        run(&there, "SET datafusion.optimizer.enable_dynamic_filter_pushdown = false");
        let pruned = metric(&there, text, "DynamicFilterExec", "rows_pruned");
        assert_eq!(pruned, 0.0, "{exchange:?}");
    }
    nodes.are_empty();
}

#[test]
fn joins_of_tasks_that_outgrow_the_memory_go_on_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = Nodes::start(2, Given { memory: 192 << 20, ..USUAL });
    for exchange in [Exchange::Durable, Exchange::Streaming] {
        let here = session(exchange);
        tables(&here, folder.path());
        for setting in ["hash_join_single_partition_threshold", "hash_join_single_partition_threshold_rows"] {
            run(&here, &format!("SET datafusion.optimizer.{setting} = 0"));
        }
        let there = here.on(&nodes.cluster);
        let text = "SELECT count(*) AS n, max(a.t) AS a, min(b.t) AS b FROM big AS a JOIN big AS b ON a.k = b.k";
        assert_eq!(run(&there, text), run(&here, text));
        let fell_back = metric(&there, text, "SpillingHashJoinExec", "fell_back");
        assert!(fell_back > 0.0, "{exchange:?}");
    }
    nodes.are_empty();
}

/// Joins with one build side for all partitions, whose rows come in other parts when they go on from disk.
#[test]
fn broadcast_joins_that_outgrow_the_memory_go_on_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = Nodes::start(2, Given { memory: 192 << 20, ..USUAL });
    let here = session(Exchange::Durable);
    tables(&here, folder.path());
    let there = here.on(&nodes.cluster);
    for text in [
        // What is read of the join's stage is read whole.
        "SELECT count(*) AS n, max(a.t) AS a, min(b.t) AS b FROM big AS a JOIN big AS b ON a.k = b.k",
        // It is the last one.
        "SELECT a.k FROM big AS a JOIN big AS b ON a.k = b.k WHERE substr(a.t || b.t, 100, 2) = 'zz'",
        // Its rows are dealt out by keys.
        "SELECT a.k % 1000 AS g, count(*) AS n FROM big AS a JOIN big AS b ON a.k = b.k WHERE a.t <> b.t GROUP BY g",
    ] {
        let plan = run(&there, &format!("EXPLAIN {text}")).join("\n");
        assert!(plan.contains("mode=CollectLeft") && !plan.contains("undetermined"), "{plan}");
        assert_eq!(run(&there, text), run(&here, text), "{text}");
        assert!(metric(&there, text, "SpillingHashJoinExec", "fell_back") > 0.0, "{text}");
    }
    nodes.are_empty();
}

/// Nodes with less memory than the driver would join otherwise on their own.
#[test]
fn nodes_plan_as_the_driver_does_whatever_memory_they_have() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = Nodes::start(2, Given { memory: 128 << 20, ..USUAL });
    let here = session(Exchange::Durable);
    tables(&here, folder.path());
    let there = here.on(&nodes.cluster);
    let text = "SELECT count(*) AS n FROM big AS a JOIN (SELECT DISTINCT k FROM big) AS b ON a.k = b.k";
    for setting in ["prefer_hash_join = false", "hash_join_single_partition_threshold_rows = 1000000"] {
        assert_eq!(run(&there, text), run(&here, text), "before {setting}");
        run(&there, &format!("SET datafusion.optimizer.{setting}"));
    }
    assert_eq!(run(&there, text), run(&here, text));
    let plan = run(&there, &format!("EXPLAIN {text}")).join("\n");
    assert!(plan.contains("SortMergeJoinExec"), "{plan}");
    nodes.are_empty();
}
