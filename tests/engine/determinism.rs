//! What is claimed of stages: another attempt makes the same rows, and where it is said so in the same order, whatever
//! order those come in that it reads.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::repartition::RepartitionExec;
use sheaf::core::env::Random;
use sheaf::core::fragment::{Chunk, PartInput, Unread};
use sheaf::core::ids::ObjectId;
use sheaf::core::parts::Place;
use sheaf::dataset::engines::determinism::{Class, classes};
use sheaf::dataset::engines::input::SharedSource;
use sheaf::dataset::engines::output::write_parts;
use sheaf::dataset::engines::plan::{ClusterShape, plan_for};
use sheaf::dataset::engines::stages::StageGraph;
use sheaf::{Session, SessionSql};
use tokio::sync::mpsc;

use crate::stages::{Memory, lines, output_of, silent, source_of, tables};

/// Bytes before the rows of a part: which attempt wrote it.
const EDITION_BYTES: usize = 8;

/// What tasks wrote, some of it with its rows in another order.
#[derive(Debug)]
struct Shuffled {
    store: Arc<Memory>,
    seed: u64,
    /// What has rows that may come in any order.
    unordered: BTreeSet<ObjectId>,
}

impl PartInput for Shuffled {
    fn read(&self, object: ObjectId, place: &Place, parts: Range<u32>) -> mpsc::Receiver<Result<Chunk, Unread>> {
        let mut chunks = self.store.read(object, place, parts.clone());
        // Rows are read part by part; keys of many parts are in no order that counts.
        if !self.unordered.contains(&object) || parts.len() > 1 {
            return chunks;
        }
        let (part, seed) = (parts.start, self.seed ^ u64::from(parts.start) ^ (object.task.number << 8));
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while let Some(Ok(chunk)) = chunks.recv().await {
                bytes.extend_from_slice(&chunk.bytes);
            }
            for chunk in [Chunk { part, bytes: shuffled(&bytes, &mut Random::new(seed)) }, Chunk::end()] {
                let _ = sender.send(Ok(chunk)).await;
            }
        });
        receiver
    }
}

/// A part with its rows in an order of chance.
fn shuffled(part: &[u8], random: &mut Random) -> Bytes {
    if part.len() <= EDITION_BYTES {
        return Bytes::copy_from_slice(part);
    }
    let batches = decoded(part);
    let Some(first) = batches.first() else { return Bytes::copy_from_slice(part) };
    let whole = concat_batches(&first.schema(), &batches).unwrap();
    let mut order: Vec<u32> = (0..whole.num_rows() as u32).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    let whole = take_record_batch(&whole, &UInt32Array::from(order)).unwrap();
    let mut writer = StreamWriter::try_new(part[..EDITION_BYTES].to_vec(), &whole.schema()).unwrap();
    writer.write(&whole).unwrap();
    writer.into_inner().unwrap().into()
}

fn decoded(part: &[u8]) -> Vec<RecordBatch> {
    match part.get(EDITION_BYTES..) {
        Some(rows) if !rows.is_empty() => StreamReader::try_new(rows, None).unwrap().map(Result::unwrap).collect(),
        _ => Vec::new(),
    }
}

/// The rows of each part of what a task wrote, in the order in which they are there.
async fn rows_of(store: &Memory, object: ObjectId, parts: usize) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for part in 0..parts as u32 {
        let mut chunks = store.read(object, &Place::At(Vec::new()), part..part + 1);
        let mut bytes = Vec::new();
        while let Some(Ok(chunk)) = chunks.recv().await {
            bytes.extend_from_slice(&chunk.bytes);
        }
        rows.push(lines(&decoded(&bytes)));
    }
    rows
}

/// Runs each task, and again over inputs that come otherwise; how many tasks made the same in order, and in any.
async fn hold(graph: &StageGraph, context: &Arc<TaskContext>, seed: u64, what: &str) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (store, again) = (Arc::new(Memory::at(folder.path())), Memory::at(folder.path()));
    let classes = classes(graph);
    let unordered = Shuffled { store: Arc::clone(&store), seed, unordered: BTreeSet::new() };
    let mut other = unordered;
    let mut held = (0, 0);
    for (number, stage) in graph.stages.iter().enumerate() {
        // By keys, each part has rows of its own; otherwise all of them are read together.
        let by_part = stage.plan.is::<RepartitionExec>();
        for task in 0..stage.tasks {
            let object = output_of(number, task);
            let first = source_of(graph, number, task, &(Arc::clone(&store) as Arc<dyn PartInput>));
            let own = SharedSource(first).context(context);
            store.insert(
                object,
                write_parts(stage.plan_of(task).unwrap(), own, &store.folder, u64::MAX, silent).await.unwrap(),
            );
            if classes[number] != Class::Determined {
                other.unordered.insert(object);
            }
        }
        let reads: Arc<dyn PartInput> =
            Arc::new(Shuffled { store: Arc::clone(&store), seed, unordered: other.unordered.clone() });
        for task in 0..stage.tasks {
            let object = output_of(number, task);
            let own = SharedSource(source_of(graph, number, task, &reads)).context(context);
            again.insert(
                object,
                write_parts(stage.plan_of(task).unwrap(), own, &again.folder, u64::MAX, silent).await.unwrap(),
            );
            let mut attempts = Vec::new();
            for store in [&*store, &again] {
                attempts.push(rows_of(store, object, stage.parts()).await);
            }
            if !by_part {
                attempts.iter_mut().for_each(|parts| *parts = vec![parts.concat()]);
            }
            // What is left of rows that nobody needs may differ.
            let drops = stage.plan.exists(|node| Ok(node.name() == "KeysFilterExec")).unwrap();
            match classes[number] {
                _ if drops => continue,
                Class::Determined => held.0 += 1,
                Class::Unordered => {
                    attempts.iter_mut().flatten().for_each(|part| part.sort_unstable());
                    held.1 += 1;
                }
                Class::Undetermined(_) => continue,
            }
            let [first, second] = &attempts[..] else { unreachable!() };
            assert_eq!(
                first, second,
                "{what}, seed {seed}: stage {number} is {}, task {task}\n{graph}",
                classes[number]
            );
        }
    }
    held
}

fn held(session: &Session, text: &str, seed: u64) -> (usize, usize) {
    let query = session.threads().block_on(session.sql(text)).unwrap();
    let shape = ClusterShape { bytes_per_partition: 16 << 10, ..ClusterShape::new(3, 2) };
    let graph = session.threads().block_on(plan_for(query.logical_plan(), &session.state(), shape)).unwrap();
    session.threads().block_on(hold(&graph, &session.state().task_ctx(), seed, text))
}

/// Of which stages choose, or put together, what comes first.
const CHOOSING: [&str; 5] = [
    "SELECT o_orderpriority, string_agg(o_clerk, ',') FROM orders GROUP BY 1",
    "SELECT o_custkey, first_value(o_clerk) FROM orders GROUP BY 1",
    "SELECT o_orderkey FROM orders WHERE o_orderkey % 3 = 0 LIMIT 50",
    "SELECT o_orderkey, row_number() OVER (PARTITION BY o_orderpriority ORDER BY o_orderdate) FROM orders",
    "SELECT random() < 0.5 AS r, count(*) FROM orders GROUP BY 1",
];

#[test]
fn what_is_claimed_of_stages_holds_whatever_order_rows_come_in() {
    let (_folder, session) = tables();
    let (mut in_order, mut in_any) = (0, 0);
    for seed in 0..2 {
        for number in 1..=22 {
            let text = std::fs::read_to_string(format!("benches/tpch/q{number:02}.sql")).unwrap();
            let (determined, unordered) = held(&session, &text, seed);
            (in_order, in_any) = (in_order + determined, in_any + unordered);
        }
        for text in CHOOSING {
            held(&session, text, seed);
        }
    }
    assert!(in_order > 50, "{in_order} tasks are said to make their rows in the same order");
    assert!(in_any > 100, "{in_any} tasks are said to make the same rows");
}
