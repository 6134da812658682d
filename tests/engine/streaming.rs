//! The streaming exchange: the same rows as the durable one, the first of them at once, and nothing left when it is done
//! or stopped.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::physical_plan::displayable;
use sheaf::connectors::write::WriteOptions;
use sheaf::core::settings::Exchange;
use sheaf::dataset::Run;
use sheaf::{Dataset, ErrorKind, Options, Session};

use crate::cluster::{begin, collect, query, tpch_query};
use crate::stages::read_all;
use crate::support::nodes::{Nodes, USUAL, becomes_true};
use crate::tpch;

fn session(exchange: Exchange) -> Session {
    Session::new(Options { threads: Some(2), exchange: Some(exchange), ..Options::default() }).unwrap()
}

fn batches(dataset: &Dataset) -> sheaf::Result<Vec<RecordBatch>> {
    dataset.session().threads().block_on(dataset.collect())
}

fn tables(folder: &Path) -> Session {
    tpch::make(folder, "0.01");
    let session = session(Exchange::Streaming);
    read_all(&session, folder);
    session
}

/// How the rows of an execution go from stage to stage.
fn exchange(run: &Run) -> String {
    let plan = displayable(run.plan().as_ref()).indent(false).to_string();
    plan.split("exchange=").nth(1).and_then(|rest| rest.split(", stages").next()).unwrap_or_default().to_string()
}

/// The rows of each of the files below, and the characters of each text.
const ROWS: i64 = 40_000;
const CHARACTERS: usize = 320;

/// Files with rows that are dealt out to all tasks: `n` counts them, and the texts cannot be made shorter, so that what
/// each partition has is more than may wait for a reader.
fn long_files(session: &Session, folder: &Path) -> String {
    let mut state = 1_u64;
    let mut text = move || {
        let digits = (0..CHARACTERS).map(|_| {
            // Xorshift, by Marsaglia.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        });
        digits.collect::<String>()
    };
    for file in 0..8_i64 {
        let numbers: ArrayRef = Arc::new((file * ROWS..(file + 1) * ROWS).collect::<Int64Array>());
        let texts: ArrayRef = Arc::new((0..ROWS).map(|_| Some(text())).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
        let rows = session.from_batches(batch.schema(), vec![batch]).unwrap();
        let path = folder.join(format!("long/{file}.parquet"));
        let options = WriteOptions { single_file: Some(true), ..WriteOptions::default() };
        session.threads().block_on(rows.write(path.to_str().unwrap(), options)).unwrap();
    }
    folder.join("long/*.parquet").to_str().unwrap().to_string()
}

#[test]
fn the_queries_of_tpch_have_the_same_rows_by_the_streaming_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(3, USUAL);
    let there = here.on(&nodes.cluster);
    for number in 1..=22 {
        let before = nodes.begun();
        let run = there.threads().block_on(tpch_query(&there, number).start()).unwrap();
        assert_eq!(exchange(&run), "streaming", "q{number}");
        drop(run);
        let rows = collect(&tpch_query(&there, number)).unwrap();
        assert_eq!(rows, collect(&tpch_query(&here, number)).unwrap(), "q{number}");
        let took_part = nodes.begun().iter().zip(before).filter(|(after, before)| *after > before).count();
        assert!(took_part >= 2, "q{number} ran on {took_part} nodes");
    }
    nodes.are_empty();
}

#[test]
fn rows_come_in_their_order_however_long_the_first_ones_take() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let long = long_files(&here, folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let durable = session(Exchange::Durable);
    read_all(&durable, folder.path());
    let durable = durable.on(&nodes.cluster);
    for text in [
        // The files one after the other, while all tasks read theirs.
        format!("SELECT n, text FROM '{long}'"),
        // Sorted runs of which the later ones have to wait for the first.
        format!("SELECT n, text FROM '{long}' ORDER BY n"),
        "SELECT l_orderkey, l_linenumber FROM lineitem ORDER BY l_orderkey DESC, l_linenumber".to_string(),
    ] {
        let of = |session: &Session| {
            let batches = batches(&query(session, &text)).unwrap();
            concat_batches(&batches[0].schema(), &batches).unwrap()
        };
        let expected = of(&here);
        for there in [&there, &durable] {
            let found = of(there);
            assert_eq!(found.num_rows(), expected.num_rows(), "{text}");
            assert!(found.columns() == expected.columns(), "{text}: {:?}", there.settings().exchange);
        }
    }
    nodes.are_empty();
}

#[test]
fn a_few_rows_of_many_texts_come_alone_by_both_exchanges() {
    let folder = tempfile::tempdir().unwrap();
    let here = session(Exchange::Streaming);
    let long = long_files(&here, folder.path());
    let nodes = Nodes::start(2, USUAL);
    for exchange in [Exchange::Streaming, Exchange::Durable] {
        let there = session(exchange).on(&nodes.cluster);
        let rows = query(&there, &format!("SELECT n, text || 'x' AS text FROM '{long}' WHERE n % 1000 = 7"));
        let batches = batches(&rows).unwrap();
        let held: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let shown = 8 * ROWS as usize / 1_000 * CHARACTERS;
        assert!((shown..6 * shown).contains(&held), "{exchange:?}: {held} bytes for {shown}");
    }
    nodes.are_empty();
}

#[test]
fn the_first_rows_come_while_tasks_run() {
    let folder = tempfile::tempdir().unwrap();
    let here = session(Exchange::Auto);
    let long = long_files(&here, folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    // Who reads rows as they come gets them so; who wants all of them has them kept on their nodes first.
    let rows = query(&there, &format!("SELECT n, text FROM '{long}'"));
    let all = there.threads().block_on(rows.start()).unwrap();
    assert_eq!(exchange(&all), "durable");
    drop(all);
    becomes_true("its tasks are stopped", || nodes.running() == 0);
    let mut run = there.threads().block_on(rows.start_in_order()).unwrap();
    assert_eq!(exchange(&run), "streaming");
    let first = there.threads().block_on(run.next()).unwrap().unwrap();
    assert!(first.num_rows() > 0);
    assert!(nodes.running() > 0, "all tasks have ended before the first row came");
    // A reader that does not go on keeps nobody from the CPUs.
    let counted = query(&there, &format!("SELECT count(*) AS n FROM '{long}'"));
    assert_eq!(collect(&counted).unwrap().len(), 1);
    drop(run);
    nodes.are_empty();
}

#[test]
fn what_is_not_wanted_any_more_is_stopped_on_all_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let pairs = "FROM lineitem a JOIN lineitem b ON a.l_quantity < b.l_quantity + a.l_tax";
    for text in [
        format!("SELECT count(*) {pairs}"),
        // Its rows are dealt out, by an operator that would go on by itself.
        format!("SELECT a.l_orderkey, b.l_orderkey, count(*) {pairs} GROUP BY 1, 2"),
    ] {
        let run = there.threads().block_on(query(&there, &text).start()).unwrap();
        becomes_true("it runs", || nodes.running() > 0);
        std::thread::sleep(Duration::from_secs(1));
        let stopped = std::time::Instant::now();
        drop(run);
        becomes_true("it does not run", || nodes.running() == 0);
        assert!(stopped.elapsed().as_secs_f64() < 3.0, "{:?}", stopped.elapsed());
        // Nothing goes on unseen.
        let alive = || nodes.members.iter().map(|member| member.session.threads().handle().metrics().num_alive_tasks());
        becomes_true("no task of an engine is left", || alive().sum::<usize>() == 0);
        assert!(stopped.elapsed().as_secs_f64() < 5.0, "{:?}", stopped.elapsed());
    }
    nodes.are_empty();
}

#[test]
fn what_goes_wrong_in_a_task_says_where_and_what() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let dividing = "SELECT o_orderpriority, sum(1 / o_shippriority) FROM orders GROUP BY o_orderpriority";
    let error = collect(&query(&there, dividing)).unwrap_err();
    let own = collect(&query(&here, dividing)).unwrap_err();
    assert_eq!((error.kind(), error.message()), (own.kind(), own.message()));
    let text = error.to_string();
    assert!(text.contains("stage 0, task ") && text.contains("on http://127.0.0.1:"), "{text}");
    let lost = query(&there, "SELECT sum(p_size) FROM part");
    std::fs::remove_file(folder.path().join("part.parquet")).unwrap();
    assert!(collect(&lost).unwrap_err().to_string().contains("part.parquet"));
    nodes.are_empty();
    let empty = Nodes::start(0, USUAL);
    let error = collect(&query(&here.on(&empty.cluster), "SELECT count(*) FROM orders")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_query_whose_node_dies_begins_anew_or_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let long = long_files(&here, folder.path());
    let mut nodes = Nodes::start(3, USUAL);
    let there = here.on(&nodes.cluster);
    // Before its first row.
    let text = "SELECT count(*) AS n, min(l_tax) FROM lineitem JOIN customer ON l_extendedprice < c_acctbal * 9";
    let expected = collect(&query(&here, text)).unwrap();
    let answer = begin(query(&there, text));
    becomes_true("it runs on all nodes", || nodes.members[1..].iter().all(|member| member.runner.running() > 0));
    drop(nodes.members.pop());
    assert_eq!(here.threads().block_on(answer).unwrap().unwrap(), expected);
    nodes.wait_for(3);
    // After it: there are more rows than may be on their way.
    let rows = query(&there, &format!("SELECT n, text, unnest([1, 2, 3, 4, 5, 6, 7, 8]) FROM '{long}'"));
    let mut run = there.threads().block_on(rows.start()).unwrap();
    there.threads().block_on(run.next()).unwrap().unwrap();
    drop(nodes.members.pop());
    let error = there.threads().block_on(run.collect()).map(|batches| batches.len()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let text = error.to_string();
    assert!(text.contains("the connection to a node of the cluster is lost") && text.contains("durable"), "{text}");
    drop(run);
    nodes.are_empty();
}

#[test]
fn what_tasks_of_the_streaming_exchange_did_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let text = "SELECT l_orderkey, count(*) AS n FROM lineitem GROUP BY l_orderkey";
    let mut run = there.threads().block_on(query(&there, text).start()).unwrap();
    there.threads().block_on(run.collect()).unwrap();
    let progress = run.progress();
    assert_eq!((progress.rows_read, progress.rows_out), (60_175, 15_000));
    let stats = run.stats();
    assert!(stats.contains("exchange=streaming") && stats.contains("DataSourceExec"), "{stats}");
    assert!(stats.contains("output_rows=60.17 K") && stats.contains("tasks_ended=4"), "{stats}");
}

#[test]
fn what_has_to_last_keeps_to_the_durable_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let here = tables(folder.path());
    let nodes = Nodes::start(2, USUAL);
    let there = here.on(&nodes.cluster);
    let orders = query(&there, "SELECT o_orderkey FROM orders");
    let target = folder.path().join("copy");
    let report = there.threads().block_on(orders.write(target.to_str().unwrap(), WriteOptions::default())).unwrap();
    assert_eq!(report.rows, 15_000);
    let kept = there.threads().block_on(orders.persist()).unwrap();
    let filtered = kept.filter(sheaf::expr::col("o_orderkey").gt(sheaf::expr::lit(100))).unwrap();
    let run = there.threads().block_on(filtered.start()).unwrap();
    assert_eq!(exchange(&run), "durable (it reads rows that are on the cluster)");
}
