//! Plans for a cluster: cut into stages, each task run alone over what the others wrote, the rows are the same.

use std::collections::HashMap;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect_partitioned;
use sheaf::connectors::read::ReadOptions;
use sheaf::connectors::write::{ParquetWriteOptions, WriteFormat, WriteOptions};
use sheaf::core::fragment::{Chunk, PartInput, Unread};
use sheaf::core::ids::{NodeId, ObjectId, TaskId};
use sheaf::core::parts::Place;
use sheaf::core::parts::{Body, Index, Parts, Pieces};
use sheaf::dataset::engines::input::{PartSource, SharedSource};
use sheaf::dataset::engines::output::write_parts;
use sheaf::dataset::engines::plan::{ClusterShape, plan_for};
use sheaf::dataset::engines::stages::StageGraph;
use sheaf::{Dataset, Options, Session, SessionSql};
use tokio::sync::mpsc;

use crate::tpch;

/// What tasks wrote, as a node's store would have it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    objects: Mutex<HashMap<ObjectId, (Index, Bytes)>>,
    pub(crate) folder: PathBuf,
}

impl Memory {
    /// Nothing yet; what is too large goes to that folder while it is written.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), ..Self::default() }
    }

    pub(crate) fn insert(&self, object: ObjectId, parts: Parts) {
        let bytes = match parts.body {
            Body::Memory(pieces) => pieces.concat(),
            Body::File(file) => {
                let mut bytes = vec![0; parts.size as usize];
                file.read_exact_at(&mut bytes, 0).unwrap();
                bytes
            }
        };
        self.objects.lock().unwrap().insert(object, (parts.index, bytes.into()));
    }
}

impl PartInput for Memory {
    fn read(&self, object: ObjectId, _: &Place, parts: Range<u32>) -> mpsc::Receiver<Result<Chunk, Unread>> {
        let (sender, receiver) = mpsc::channel(1);
        let object = self.objects.lock().unwrap().get(&object).cloned();
        tokio::spawn(async move {
            let Some((index, bytes)) = object else {
                let unread = Unread { from: NodeId(7), why: "it is gone".to_string() };
                return drop(sender.send(Err(unread)).await);
            };
            for part in parts {
                let extents = index.parts[part as usize].extents.iter();
                let mut pieces = Pieces::default();
                let whole = extents
                    .flat_map(|extent| pieces.take(bytes.slice(extent.start as usize..extent.end as usize)).unwrap());
                // Chunks of any length: they are cut where no message ends.
                let chunks: Vec<Bytes> = whole
                    .flat_map(|piece| piece.chunks(10_007).map(Bytes::copy_from_slice).collect::<Vec<_>>())
                    .collect();
                for bytes in chunks {
                    if sender.send(Ok(Chunk { part, bytes })).await.is_err() {
                        return;
                    }
                }
            }
            drop(sender.send(Ok(Chunk::end())).await);
        });
        receiver
    }
}

pub(crate) fn output_of(stage: usize, task: usize) -> ObjectId {
    TaskId { owner: NodeId(1), number: (stage * 1_000 + task) as u64 }.result(0)
}

/// What a task tells that has nothing to tell.
pub(crate) async fn silent(_: Vec<(u64, u64)>) -> Vec<u8> {
    Vec::new()
}

/// What a task of a stage reads.
pub(crate) fn source_of(graph: &StageGraph, number: usize, task: usize, store: &Arc<dyn PartInput>) -> Arc<PartSource> {
    let stage = &graph.stages[number];
    let outputs = stage.inputs.iter().flat_map(|input| {
        let place = Place::At(vec![NodeId(1)]);
        input.sources(task, stage.tasks).map(move |from| (output_of(input.stage, from), place.clone()))
    });
    PartSource::of(stage, task, Arc::clone(store), outputs.collect()).unwrap()
}

/// Runs each task of each stage by itself, one after the other, with so many bytes in memory.
async fn run(graph: &StageGraph, context: &Arc<TaskContext>, limit: u64) -> Vec<RecordBatch> {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory::at(folder.path()));
    let reads: Arc<dyn PartInput> = Arc::<Memory>::clone(&store);
    let last = graph.stages.len() - 1;
    for (number, stage) in graph.stages[..last].iter().enumerate() {
        for task in 0..stage.tasks {
            let own = SharedSource(source_of(graph, number, task, &reads)).context(context);
            let parts = write_parts(stage.plan_of(task).unwrap(), own, &store.folder, limit, silent).await.unwrap();
            // Behind them is what it did.
            assert_eq!(parts.index.parts.len(), stage.parts() + 1);
            store.insert(output_of(number, task), parts);
        }
    }
    let mut made = Vec::new();
    for task in 0..graph.stages[last].tasks {
        let own = SharedSource(source_of(graph, last, task, &reads)).context(context);
        made.extend(collect_partitioned(graph.stages[last].plan_of(task).unwrap(), own).await.unwrap());
    }
    made.into_iter().flatten().collect()
}

/// Rows as text, in an order of their own; floats to a millionth, for sums come in any order.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = lines(batches);
    rows.sort_unstable();
    rows
}

/// The same in the order in which they are.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let options = FormatOptions::default();
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values = columns.iter().map(|column| {
                let text = column.value(row).to_string();
                text.parse::<f64>().map_or(text, |number| format!("{number:.6e}"))
            });
            rows.push(values.collect::<Vec<_>>().join(" | "));
        }
    }
    rows
}

/// Whether the rows of a query on a cluster of three are those of one process; the tasks that it took there.
async fn compare(session: &Session, query: &Dataset, cpus: usize, what: &str) -> usize {
    let shape = ClusterShape { bytes_per_partition: 16 << 10, ..ClusterShape::new(3, cpus) };
    let graph = plan_for(query.logical_plan(), &session.state(), shape).await.unwrap();
    let tasks: usize = graph.stages.iter().map(|stage| stage.tasks).sum();
    let here = rows(&query.collect().await.unwrap());
    for limit in [u64::MAX, 10_000] {
        let there = run(&graph, &session.state().task_ctx(), limit).await;
        assert_eq!(rows(&there), here, "{what}\n{graph}");
    }
    tasks
}

pub(crate) fn read_all(session: &Session, folder: &Path) {
    for table in ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"] {
        let path = folder.join(format!("{table}.parquet")).to_str().unwrap().to_string();
        let files = session.threads().block_on(session.read(&[path], &ReadOptions::default()));
        session.register(table, &files.unwrap()).unwrap();
    }
}

/// A session with two threads.
fn narrow() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

/// Such a session with the tables of TPC-H, and the folder that they lie in.
pub(crate) fn tables() -> (tempfile::TempDir, Session) {
    let (folder, session) = (tempfile::tempdir().unwrap(), narrow());
    tpch::make(folder.path(), "0.01");
    read_all(&session, folder.path());
    (folder, session)
}

#[test]
fn the_queries_of_tpch_stage_by_stage_have_the_same_rows() {
    let (_folder, session) = tables();
    let mut cut = 0;
    for number in 1..=22 {
        let text = std::fs::read_to_string(format!("benches/tpch/q{number:02}.sql")).unwrap();
        let query = session.threads().block_on(session.sql(&text)).unwrap();
        // Three partitions and more have operators that two have not.
        for cpus in [2, 4] {
            let tasks = session.threads().block_on(compare(&session, &query, cpus, &format!("q{number}, {cpus} CPUs")));
            cut += usize::from(tasks > 3);
        }
    }
    assert_eq!(cut, 44, "a query runs in few tasks: nothing was shown by it");
}

#[test]
fn unions_of_several_scans_are_cut_too() {
    let (_folder, session) = tables();
    for text in [
        "SELECT l_orderkey AS k FROM lineitem UNION ALL SELECT o_orderkey FROM orders UNION ALL SELECT ps_partkey FROM partsupp",
        "SELECT k, count(*) AS n FROM (SELECT l_orderkey AS k FROM lineitem UNION ALL SELECT o_orderkey FROM orders) t GROUP BY k",
        "SELECT k FROM (SELECT l_orderkey AS k FROM lineitem UNION ALL SELECT o_orderkey FROM orders) t ORDER BY k LIMIT 10",
        "SELECT l_orderkey AS k FROM lineitem UNION SELECT o_orderkey FROM orders",
    ] {
        let query = session.threads().block_on(session.sql(text)).unwrap();
        assert!(session.threads().block_on(compare(&session, &query, 2, text)) >= 3, "{text}");
    }
}

#[test]
fn rows_in_memory_and_ranges_are_cut_where_they_are_worth_it() {
    let session = narrow();
    let numbers = session.range(0, 100_000).unwrap();
    session.register("made", &numbers).unwrap();
    let kept = session.threads().block_on(numbers.materialize()).unwrap();
    session.register("kept", &kept).unwrap();
    // Each in one partition, which both sides of a join would count on.
    for name in ["one", "other"] {
        let column: ArrayRef = Arc::new((0..50_000).map(|n| (n * 7919) % 50_000).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("id", column)]).unwrap();
        session.register(name, &session.from_batches(batch.schema(), vec![batch]).unwrap()).unwrap();
    }
    for text in [
        "SELECT id % 7 AS g, count(*), sum(id) FROM made GROUP BY 1",
        "SELECT count(*) FROM made",
        "SELECT id % 7 AS g, count(*), sum(id) FROM kept GROUP BY 1",
        "SELECT a.id FROM made a JOIN kept b ON a.id = b.id + 50000",
        "SELECT id FROM kept WHERE id % 1000 = 3",
        "SELECT a.id FROM one a JOIN other b ON a.id = b.id",
        "SELECT id FROM one WHERE id NOT IN (SELECT id FROM other WHERE id % 3 = 0)",
    ] {
        let query = session.threads().block_on(session.sql(text)).unwrap();
        assert!(session.threads().block_on(compare(&session, &query, 2, text)) >= 3, "{text}");
    }
    // What counts on one partition has it.
    for text in ["SELECT id FROM kept ORDER BY id DESC LIMIT 7", "SELECT sum(id) OVER (ORDER BY id) FROM made LIMIT 5"]
    {
        let query = session.threads().block_on(session.sql(text)).unwrap();
        session.threads().block_on(compare(&session, &query, 2, text));
    }
}

#[test]
fn what_is_only_brought_together_is_read_where_it_is() {
    let (_folder, session) = tables();
    let query = session.threads().block_on(session.sql("SELECT l_orderkey FROM lineitem WHERE l_tax > 0")).unwrap();
    let shape = ClusterShape { bytes_per_partition: 16 << 10, ..ClusterShape::new(3, 2) };
    let graph = session.threads().block_on(plan_for(query.logical_plan(), &session.state(), shape)).unwrap();
    assert_eq!((graph.stages.len(), graph.stages[0].tasks), (1, 3), "{graph}");
}

#[test]
fn a_plan_that_is_not_worth_it_is_one_stage_and_a_cluster_without_nodes_is_an_error() {
    let session = narrow();
    let query = session.range(0, 100).unwrap();
    let plan = |shape| session.threads().block_on(plan_for(query.logical_plan(), &session.state(), shape));
    let graph = plan(ClusterShape::new(3, 2)).unwrap();
    assert_eq!((graph.stages.len(), graph.stages[0].tasks), (1, 1));
    let error = plan(ClusterShape::new(0, 2)).unwrap_err();
    assert!(error.to_string().contains("no node"), "{error}");
}

#[test]
fn what_is_gone_is_named_where_it_was_wanted() {
    let (folder, session) = tables();
    let query =
        session.threads().block_on(session.sql("SELECT count(*) AS n FROM lineitem GROUP BY l_orderkey")).unwrap();
    session.threads().block_on(async {
        let shape = ClusterShape { bytes_per_partition: 32 << 10, ..ClusterShape::new(3, 2) };
        let graph = plan_for(query.logical_plan(), &session.state(), shape).await.unwrap();
        let store = Arc::new(Memory::at(folder.path()));
        let reads: Arc<dyn PartInput> = Arc::<Memory>::clone(&store);
        let (number, context) = (1, session.state().task_ctx());
        let source = source_of(&graph, number, 0, &reads);
        let own = SharedSource(Arc::clone(&source)).context(&context);
        let failed = write_parts(graph.stages[number].plan_of(0).unwrap(), own, &store.folder, 1 << 20, silent).await;
        let (object, unread) = source.unread().unwrap();
        assert_eq!(object.task.owner, NodeId(1));
        assert_eq!(unread, Unread { from: NodeId(7), why: "it is gone".to_string() });
        let error = failed.unwrap_err().to_string();
        assert!(error.contains("could not be read from node-7: it is gone"), "{error}");
    });
}

#[test]
fn a_few_rows_of_many_strings_are_written_alone() {
    let folder = tempfile::tempdir().unwrap();
    let session = narrow();
    let text = "SELECT value AS n, repeat('sheaf', 40) || value AS text FROM range(100000)";
    let all = session.threads().block_on(session.sql(text)).unwrap();
    let all = session.threads().block_on(all.collect()).unwrap();
    let held: usize = all.iter().map(RecordBatch::get_array_memory_size).sum();
    session.register("many", &session.from_batches(all[0].schema(), all).unwrap()).unwrap();
    let few = session.threads().block_on(session.sql("SELECT * FROM many WHERE n % 10000 = 7")).unwrap();
    let parts = session.threads().block_on(async {
        let plan = few.physical_plan().await.unwrap();
        write_parts(plan, session.state().task_ctx(), folder.path(), 1 << 20, silent).await.unwrap()
    });
    assert_eq!(parts.index.parts.iter().map(|part| part.rows).sum::<u64>(), 10);
    assert!(parts.size < 20_000 && held > 10_000_000, "{} of {held} bytes", parts.size);
}

#[test]
fn rows_of_both_sides_of_a_join_meet_in_one_task() {
    let (_folder, session) = tables();
    // Both sides go by hash, as large ones do, which is where heavy keys are dealt out in one process.
    for setting in ["hash_join_single_partition_threshold", "hash_join_single_partition_threshold_rows"] {
        let set = session.threads().block_on(session.sql(&format!("SET datafusion.optimizer.{setting} = 0"))).unwrap();
        session.threads().block_on(set.collect()).unwrap();
    }
    for text in [
        "SELECT o_orderpriority, count(*) AS n FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY 1",
        "SELECT o_custkey, l_quantity FROM lineitem RIGHT JOIN orders ON l_orderkey = o_orderkey WHERE o_orderkey < 900",
        "SELECT count(*) AS n FROM orders WHERE o_orderkey NOT IN (SELECT l_orderkey FROM lineitem WHERE l_quantity > 40)",
    ] {
        let query = session.threads().block_on(session.sql(text)).unwrap();
        for cpus in [2, 4] {
            assert!(session.threads().block_on(compare(&session, &query, cpus, text)) > 3, "{text}");
        }
    }
}

#[test]
fn what_counts_on_one_partition_has_it() {
    let (folder, session) = tables();
    // Many row groups, so that each task would have some.
    let grouped = folder.path().join("grouped.parquet").to_str().unwrap().to_string();
    let format = WriteFormat::Parquet(ParquetWriteOptions { row_group_rows: 5_000, ..ParquetWriteOptions::default() });
    let lines = session.threads().block_on(session.sql("SELECT * FROM lineitem")).unwrap();
    let options = WriteOptions { format, ..WriteOptions::default() };
    session.threads().block_on(lines.write(&grouped, options)).unwrap();
    let lines = session.threads().block_on(session.read(&[grouped], &ReadOptions::default())).unwrap();
    session.register("lineitem", &lines).unwrap();
    // A file stays one partition, and nothing is put between it and what wants one.
    for setting in ["repartition_file_scans", "enable_round_robin_repartition"] {
        let set = format!("SET datafusion.optimizer.{setting} = false");
        let set = session.threads().block_on(session.sql(&set)).unwrap();
        session.threads().block_on(set.collect()).unwrap();
    }
    for text in [
        "SELECT l_orderkey % 5 AS g, count(*) AS n FROM (SELECT l_orderkey FROM lineitem LIMIT 30000) GROUP BY 1",
        "SELECT l_orderkey % 5 AS g, count(*) AS n FROM (SELECT l_orderkey FROM lineitem OFFSET 30000) GROUP BY 1",
        "SELECT l_orderkey % 5 AS g, max(r) AS r FROM \
         (SELECT l_orderkey, row_number() OVER (ORDER BY l_orderkey, l_linenumber) AS r FROM lineitem) GROUP BY 1",
        "SELECT g, count(*) AS n FROM (SELECT l_suppkey AS g FROM lineitem ORDER BY l_orderkey, l_linenumber LIMIT 900) \
         GROUP BY g",
        "SELECT n, count(*) AS m FROM (SELECT l_orderkey, count(*) AS n FROM lineitem GROUP BY 1) GROUP BY n",
        "SELECT l_suppkey, sum(n) AS n FROM (SELECT l_suppkey, l_partkey, count(*) AS n FROM lineitem GROUP BY 1, 2) \
         JOIN supplier ON l_suppkey = s_suppkey GROUP BY 1",
    ] {
        let query = session.threads().block_on(session.sql(text)).unwrap();
        for cpus in [2, 4] {
            session.threads().block_on(compare(&session, &query, cpus, text));
        }
    }
}

#[test]
fn files_that_are_read_from_their_start_are_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let session = narrow();
    let numbers =
        session.threads().block_on(session.sql("SELECT value AS n, value % 7 AS g FROM range(60000)")).unwrap();
    for name in ["a.csv.gz", "b.csv.gz", "a.json", "a.arrow"] {
        let target = folder.path().join(name).to_str().unwrap().to_string();
        let format = WriteFormat::from_path(&target).unwrap();
        let options = WriteOptions { format, ..WriteOptions::default() };
        session.threads().block_on(numbers.write(&target, options)).unwrap();
    }
    for files in ["*.csv.gz", "a.json", "a.arrow"] {
        let text =
            format!("SELECT g, count(*) AS c, sum(n) AS s FROM '{}/{files}' GROUP BY g", folder.path().display());
        let query = session.threads().block_on(session.sql(&text)).unwrap();
        session.threads().block_on(compare(&session, &query, 2, &text));
    }
}

#[test]
fn a_leaf_of_the_last_stage_has_all_files() {
    let (folder, session) = tables();
    let lines = folder.path().join("lines");
    std::fs::create_dir(&lines).unwrap();
    for copy in 0..4 {
        std::fs::copy(folder.path().join("lineitem.parquet"), lines.join(format!("{copy}.parquet"))).unwrap();
    }
    let text = format!(
        "SELECT o_orderpriority, count(*) AS n FROM '{}/*.parquet' l JOIN orders ON l_orderkey = o_orderkey GROUP BY 1",
        lines.display()
    );
    let query = session.threads().block_on(session.sql(&text)).unwrap();
    session.threads().block_on(async {
        // Plans of one partition have aggregates in the last stage, and the scans below them, cut for all nodes.
        for partitions in [1, 2] {
            let shape = ClusterShape { bytes_per_partition: 32 << 10, partitions, ..ClusterShape::new(3, 1) };
            let graph = plan_for(query.logical_plan(), &session.state(), shape).await.unwrap();
            let here = rows(&query.collect().await.unwrap());
            assert_eq!(rows(&run(&graph, &session.state().task_ctx(), u64::MAX).await), here, "{graph}");
        }
    });
}

#[test]
fn all_of_many_small_files_are_read() {
    let (folder, session) = tables();
    // Fewer bytes than there are files go into each of as many pieces.
    let nations = folder.path().join("nations");
    std::fs::create_dir(&nations).unwrap();
    for nation in 0..25 {
        std::fs::write(nations.join(format!("{nation}.json")), format!("{{\"k\":{nation}}}\n")).unwrap();
    }
    let text = format!(
        "SELECT k, count(*) AS n FROM '{}/*.json' JOIN customer ON k = c_nationkey GROUP BY k",
        nations.display()
    );
    let query = session.threads().block_on(session.sql(&text)).unwrap();
    for cpus in [2, 24, 25, 60] {
        session.threads().block_on(compare(&session, &query, cpus, &text));
    }
}
