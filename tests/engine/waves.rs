//! Queries that read much run in waves of tasks: other queries have their turn between two of them.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::displayable;
use sheaf::core::settings::Exchange;
use sheaf::{Dataset, Options, Session};

use crate::cluster::{begin, collect, query};
use crate::stages::read_all;
use crate::support::nodes::{Nodes, USUAL, becomes_true};
use crate::tpch;

const LARGE: &str = "SELECT l_suppkey, count(*), sum(l_quantity) FROM lineitem GROUP BY l_suppkey";
const SMALL: &str = "SELECT n_regionkey, count(*) FROM nation GROUP BY n_regionkey";

/// The tasks of the stages of a query, the last one first.
fn tasks(dataset: &Dataset) -> Vec<usize> {
    let plan = dataset.session().threads().block_on(dataset.physical_plan()).unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let tasks = text.split(": tasks=").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap());
    tasks.map(|count| count.parse().unwrap()).collect()
}

#[test]
fn other_queries_have_their_turn_between_the_tasks_of_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    tpch::make(folder.path(), "0.01");
    let here = Session::new(Options { threads: Some(2), ..Options::default() }).unwrap();
    read_all(&here, folder.path());
    let bytes = std::fs::metadata(folder.path().join("lineitem.parquet")).unwrap().len() as usize;
    let nodes = Nodes::start_for(2, USUAL, bytes / 20);
    let there = here.on(&nodes.cluster);
    let (large, small) = (query(&there, LARGE), query(&there, SMALL));
    let first = *tasks(&large).iter().max().unwrap();
    assert!((15..=25).contains(&first), "{first} tasks read the table");
    assert_eq!(tasks(&small), [1]);
    nodes.keep(Some(0));
    let kept = || nodes.members.iter().map(|member| member.gate.kept()).sum::<usize>();
    // While something runs all others ask for half of a node, and so for the same.
    let held = begin(query(&there, SMALL));
    becomes_true("a node is taken", || kept() == 1);
    let large_rows = begin(large);
    becomes_true("its first tasks begin", || kept() == 3);
    let small_rows = begin(small);
    // It is planned and submitted by then.
    std::thread::sleep(Duration::from_secs(2));
    nodes.keep(None);
    let threads = Arc::clone(here.threads());
    let small_rows = threads.block_on(small_rows).unwrap().unwrap();
    let begun: u64 = nodes.begun().iter().sum();
    assert!(begun < first as u64 / 2, "{begun} tasks have begun, and {first} read the table of the large query");
    assert_eq!(small_rows, collect(&query(&here, SMALL)).unwrap());
    assert_eq!(small_rows, threads.block_on(held).unwrap().unwrap());
    assert_eq!(threads.block_on(large_rows).unwrap().unwrap(), collect(&query(&here, LARGE)).unwrap());
    nodes.are_empty();
}

#[test]
fn tasks_that_run_at_once_are_no_more_than_there_are_nodes() {
    let folder = tempfile::tempdir().unwrap();
    tpch::make(folder.path(), "0.01");
    let exchange = Some(Exchange::Streaming);
    let here = Session::new(Options { threads: Some(2), exchange, ..Options::default() }).unwrap();
    read_all(&here, folder.path());
    let nodes = Nodes::start_for(2, USUAL, 32 << 10);
    let there = here.on(&nodes.cluster);
    assert_eq!(tasks(&query(&there, LARGE)).iter().max(), Some(&2));
    assert_eq!(collect(&query(&there, LARGE)).unwrap(), collect(&query(&here, LARGE)).unwrap());
    nodes.are_empty();
}
