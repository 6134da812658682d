//! Fragments on nodes that speak over loopback: what they write is read in parts, wherever it is; what is lost, broken
//! or stopped leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot begin fails")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sheaf_core::client::{Client, Host, NewFragment, Reply};
use sheaf_core::env::Threads;
use sheaf_core::fragment::{Ended, Executor, Fragment};
use sheaf_core::ids::{Attempt, ObjectId};
use sheaf_core::local::{Local, LocalOptions, Role};
use sheaf_core::parts::{Body, Index, PartsWriter};
use sheaf_core::resources::Resources;
use sheaf_core::schedule::{Failure, Raised};
use sheaf_core::wire::{Answer, CallOptions, Reason, Where, Wish, Work};
use sheaf_flight::cluster::{Access, Port};
use tokio::task::AbortHandle;

const PATIENCE: Duration = Duration::from_secs(20);
/// Where a part begins to go to a file.
const LIMIT: u64 = 1 << 20;

/// What a fragment of these tests does.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Job {
    /// Writes parts of so many bytes each; to a file if they are many. The first attempt may flip one of their bytes.
    Write { parts: u32, bytes: u32, seed: u8, is_flipped: bool },
    /// Reads a part of all that it is given, and writes how many bytes there are of each value.
    Count { part: u32 },
    /// Does nothing for ever.
    Sleep,
    /// Ends without a word.
    Panic,
}

struct Nobody;

impl Host for Nobody {
    fn node_is_gone(&self) {}
    fn stop(&self, _: Attempt, _: bool) {}
}

/// Runs those, and keeps count.
#[derive(Debug)]
struct Runner {
    threads: Arc<Threads>,
    running: Arc<Mutex<BTreeMap<Attempt, AbortHandle>>>,
    begun: Arc<AtomicU32>,
}

impl Executor for Runner {
    fn start(&self, fragment: Fragment) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let (attempt, running) = (fragment.attempt, Arc::clone(&self.running));
        let task = self.threads.handle().spawn(async move {
            let ended = run(&fragment).await;
            running.lock().unwrap().remove(&fragment.attempt);
            fragment.end(ended);
        });
        self.running.lock().unwrap().insert(attempt, task.abort_handle());
    }

    fn stop(&self, attempt: Attempt) {
        if let Some(task) = self.running.lock().unwrap().remove(&attempt) {
            task.abort();
        }
    }
}

fn part_of(seed: u8, part: u32, bytes: u32) -> Vec<u8> {
    vec![seed.wrapping_add(part as u8); bytes as usize]
}

async fn run(fragment: &Fragment) -> Ended {
    let written = match postcard::from_bytes(&fragment.payload).unwrap() {
        Job::Write { parts, bytes, seed, is_flipped } => {
            let mut writer = PartsWriter::new(parts as usize, LIMIT, fragment.store.folder());
            for part in 0..parts {
                // In pieces, so that a part has several extents.
                for piece in part_of(seed, part, bytes).chunks(100_000) {
                    writer.write(part as usize, Bytes::copy_from_slice(piece), 1).unwrap();
                }
            }
            let written = writer.finish().unwrap();
            if let (true, 1, Body::File(file)) = (is_flipped, fragment.attempt.number, &written.body) {
                flip(file, &written.index);
            }
            written
        }
        Job::Count { part } => {
            let mut counts = BTreeMap::<u8, u64>::new();
            for (object, place) in &fragment.reads {
                let mut coming = fragment.store.read(*object, place, part..part + 1);
                loop {
                    match coming.recv().await.unwrap() {
                        Ok(chunk) if chunk.is_end() => break,
                        Ok(chunk) => chunk.bytes.iter().for_each(|byte| *counts.entry(*byte).or_default() += 1),
                        Err(unread) => {
                            return Ended::Failed(Failure::Unread(*object, unread.from, unread.why.into()));
                        }
                    }
                }
            }
            let needed: u64 = fragment.needs.iter().map(|bytes| bytes.len() as u64).sum();
            let mut writer = PartsWriter::new(1, LIMIT, fragment.store.folder());
            writer.write(0, postcard::to_stdvec(&(counts, needed)).unwrap().into(), 1).unwrap();
            writer.finish().unwrap()
        }
        Job::Sleep => std::future::pending().await,
        Job::Panic => panic!("on purpose"),
    };
    match fragment.store.keep(written).await.unwrap() {
        Ok(kept) => Ended::Made(vec![kept]),
        Err(error) => {
            let error = error.to_string().into_bytes().into();
            Ended::Failed(Failure::Error(Raised { error, contains: Vec::new() }))
        }
    }
}

fn flip(file: &File, index: &Index) {
    let place = index.parts[1].extents[0].start + 50;
    file.write_all_at(b"?", place).unwrap();
}

/// A node and what it runs.
struct Member {
    local: Local,
    runner: Arc<Runner>,
    folder: tempfile::TempDir,
}

fn node(head: Option<&str>, slots: f64, store_bytes: u64) -> (Member, String) {
    let port = Port::bind("127.0.0.1:0", None, Access::default()).unwrap();
    let address = port.address().to_string();
    let threads = Threads::start(1).unwrap();
    let runner = Arc::new(Runner { threads, running: Arc::default(), begun: Arc::default() });
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        role: if head.is_some() { Role::Member(address.clone()) } else { Role::Head(address.clone()) },
        resources: Resources::new([("slot", slots)]).unwrap(),
        labels: BTreeMap::new(),
        store_bytes,
        spill_dir: folder.path().to_path_buf(),
        command: ["bash", "-c", "cat <&{fd} >/dev/null"].map(str::to_string).to_vec(),
        state: None,
        query_bytes: 64 << 20,
        executor: Some(Arc::<Runner>::clone(&runner)),
        log_dir: None,
    };
    let head = head.map(str::to_string);
    let local = Local::start_with(options, |inlet| port.open(inlet, head).map(Some)).unwrap();
    (Member { local, runner, folder }, address)
}

/// A head without slots, to which the driver belongs, and so many nodes with two each.
fn cluster(count: usize, store_bytes: u64) -> (Vec<Member>, Arc<Client>) {
    let (head, address) = node(None, 0.0, store_bytes);
    let client = Client::new(head.local.connect().unwrap(), Nobody).unwrap();
    let members = (0..count).map(|_| node(Some(&address), 2.0, store_bytes).0);
    let nodes: Vec<Member> = std::iter::once(head).chain(members).collect();
    becomes_true(|| client.nodes().unwrap().len() == count + 1);
    (nodes, client)
}

fn becomes_true(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "it does not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn options(client: &Client, max_retries: u32) -> u32 {
    options_at(client, max_retries, Where::Spread)
}

fn options_at(client: &Client, max_retries: u32, place: Where) -> u32 {
    let options = CallOptions {
        resources: BTreeMap::from([("slot".to_string(), 1.0)]),
        place,
        fail_if_unschedulable: false,
        returns: 1,
        streams: false,
        max_retries,
        held: BTreeMap::new(),
        concurrency: 1,
        work: Work { name: "a part".into(), ..Work::default() },
    };
    client.define(options).unwrap()
}

fn submit(client: &Client, options: u32, job: &Job, reads: &[ObjectId]) -> ObjectId {
    let payload = postcard::to_stdvec(job).unwrap();
    let fragment = NewFragment {
        options,
        needs: Vec::new(),
        reads: reads.to_vec(),
        is_repeatable: true,
        in_worker: false,
        siblings: None,
        begins_early: false,
        payload,
    };
    client.submit_fragment(fragment).unwrap()
}

fn get(client: &Arc<Client>, object: ObjectId) -> Reply {
    let batch = client.ask(&[object], Wish::Value, false).unwrap();
    assert!(batch.wait(1, PATIENCE), "nothing came");
    batch.take().pop().flatten().unwrap()
}

/// How many bytes of each value were counted, and those of the values that came along.
fn counted(client: &Arc<Client>, object: ObjectId) -> (BTreeMap<u8, u64>, u64) {
    let Reply::Value(value) = get(client, object) else { panic!("no counts") };
    let bytes = value.bytes();
    let read = |at: u64, length: usize| Ok(bytes[at as usize..at as usize + length].to_vec());
    let index = Index::read(bytes.len() as u64, read).unwrap();
    let extent = index.parts[0].extents[0].clone();
    let mut pieces = sheaf_core::parts::Pieces::default();
    let piece = pieces.take(Bytes::copy_from_slice(&bytes[extent.start as usize..extent.end as usize])).unwrap();
    postcard::from_bytes(&piece.concat()).unwrap()
}

/// Waits until it is there, and says on how many nodes; 0 for what is small.
fn copies(client: &Client, object: ObjectId) -> usize {
    let (sender, answer) = std::sync::mpsc::channel();
    client.when_placed(object, move |reply| sender.send(reply).unwrap()).unwrap();
    match answer.recv_timeout(PATIENCE).unwrap() {
        Reply::Other(Answer::At(nodes)) => nodes.len(),
        Reply::Value(_) => 0,
        other => panic!("{other:?}"),
    }
}

fn stored(nodes: &[Member]) -> Vec<bool> {
    let clients = nodes.iter().map(|node| Client::new(node.local.connect().unwrap(), Nobody).unwrap());
    clients.flat_map(|client| client.objects().unwrap()).map(|object| object.is_spilled).collect()
}

#[test]
fn parts_are_read_wherever_they_are_and_what_is_on_disk_stays_there() {
    let (nodes, client) = cluster(3, 64 << 20);
    let options = options(&client, 3);
    // Small ones, some in memory, and some beyond the limit of what a fragment keeps there.
    let with_slots = client.nodes().unwrap().into_iter().filter(|node| node.total.contains_key("slot"));
    let places: Vec<u32> = with_slots.map(|node| options_at(&client, 3, Where::Node(node.id, false))).collect();
    let sizes = [10, 200_000, 700_000, 1_000, 300_000, 900_000];
    let writers: Vec<ObjectId> = (0..6)
        .map(|n| {
            let job = Job::Write { parts: 4, bytes: sizes[n as usize], seed: n * 10, is_flipped: false };
            submit(&client, places[n as usize % places.len()], &job, &[])
        })
        .collect();
    assert_eq!(writers.iter().map(|object| copies(&client, *object)).collect::<Vec<_>>(), [0, 1, 1, 0, 1, 1]);
    for part in 0..4 {
        let reader = submit(&client, options, &Job::Count { part }, &writers);
        let expected = (0..6).map(|n| (n * 10 + part as u8, u64::from(sizes[n as usize]))).collect();
        assert_eq!(counted(&client, reader), (expected, 0), "part {part}");
        client.drop_ref(reader);
    }
    let mut on_disk = stored(&nodes);
    on_disk.sort_unstable();
    assert_eq!(on_disk, [false, true, true, true], "three were beyond the limit; nothing was copied or read back");
    assert!(nodes[1..].iter().all(|node| node.runner.begun.load(Ordering::SeqCst) > 0), "parts crossed over");
    writers.into_iter().for_each(|object| client.drop_ref(object));
    becomes_true(|| stored(&nodes).is_empty());
}

#[test]
fn values_come_along_from_memory() {
    let (_nodes, client) = cluster(1, 64 << 20);
    let options = options(&client, 0);
    let needs = [&b"small"[..], &[1; 3_000_000]].map(|value| client.put(&[value], Vec::new()).unwrap()).to_vec();
    let payload = postcard::to_stdvec(&Job::Count { part: 0 }).unwrap();
    let (is_repeatable, in_worker, siblings, begins_early) = (true, false, None, false);
    let reads = Vec::new();
    let fragment = NewFragment { options, needs, reads, is_repeatable, in_worker, siblings, begins_early, payload };
    let (_, bytes) = counted(&client, client.submit_fragment(fragment).unwrap());
    assert!((3_000_005..3_000_500).contains(&bytes), "{bytes}");
}

#[test]
fn a_flipped_byte_is_found_and_its_part_made_again() {
    let (nodes, client) = cluster(2, 64 << 20);
    let options = options(&client, 3);
    let writer = submit(&client, options, &Job::Write { parts: 3, bytes: 800_000, seed: 5, is_flipped: true }, &[]);
    copies(&client, writer);
    let reader = submit(&client, options, &Job::Count { part: 1 }, &[writer]);
    assert_eq!(counted(&client, reader).0, BTreeMap::from([(6, 800_000)]));
    let begun: u32 = nodes.iter().map(|node| node.runner.begun.load(Ordering::SeqCst)).sum();
    assert_eq!(begun, 4, "the writer and the reader ran twice");
}

#[test]
fn what_a_lost_node_made_is_made_again_and_only_that() {
    let (mut nodes, client) = cluster(3, 64 << 20);
    let options = options(&client, 3);
    let write = |seed| Job::Write { parts: 2, bytes: 400_000, seed, is_flipped: false };
    let writers: Vec<ObjectId> = (0..6).map(|seed| submit(&client, options, &write(seed * 10), &[])).collect();
    writers.iter().for_each(|object| assert_eq!(copies(&client, *object), 1));
    let busiest = (1..4).max_by_key(|node| nodes[*node].runner.begun.load(Ordering::SeqCst)).unwrap();
    let lost = nodes.remove(busiest);
    let made = lost.runner.begun.load(Ordering::SeqCst);
    assert!(made > 0);
    drop(lost.local);
    let before: u32 = nodes.iter().map(|node| node.runner.begun.load(Ordering::SeqCst)).sum();
    let reader = submit(&client, options, &Job::Count { part: 0 }, &writers);
    assert_eq!(counted(&client, reader).0, (0..6).map(|seed| (seed * 10, 400_000)).collect());
    let after: u32 = nodes.iter().map(|node| node.runner.begun.load(Ordering::SeqCst)).sum();
    // The reader may have begun before the loss was known.
    assert!((made + 1..=made + 2).contains(&(after - before)), "{made} were lost, and {} ran", after - before);
}

#[test]
fn what_is_stopped_or_ends_without_a_word_leaves_nothing() {
    let (nodes, client) = cluster(2, 64 << 20);
    let options = options(&client, 0);
    let is_running = || nodes.iter().any(|node| !node.runner.running.lock().unwrap().is_empty());
    let asleep = submit(&client, options, &Job::Sleep, &[]);
    becomes_true(is_running);
    client.cancel(asleep, false, true).unwrap();
    assert!(matches!(get(&client, asleep), Reply::Failed(Reason::Cancelled)));
    becomes_true(|| !is_running());
    let panics = submit(&client, options, &Job::Panic, &[]);
    match get(&client, panics) {
        Reply::Failed(Reason::Crashed(why)) => assert!(why.contains("without a result"), "{why}"),
        other => panic!("{other:?}"),
    }
    // All that they had is free again: as many as there are slots run at once.
    let all: Vec<ObjectId> = (0..4).map(|_| submit(&client, options, &Job::Sleep, &[])).collect();
    let count = || nodes.iter().map(|node| node.runner.running.lock().unwrap().len()).sum::<usize>();
    becomes_true(|| count() >= 4);
    // What nobody wants any more is stopped, too.
    all.into_iter().for_each(|object| client.cancel(object, false, true).unwrap());
    becomes_true(|| count() <= 1);
    assert!(stored(&nodes).is_empty());
    assert!(nodes.iter().all(|node| std::fs::read_dir(node.folder.path()).unwrap().next().is_none()));
}

#[test]
fn a_store_that_is_full_leaves_the_disk() {
    let (nodes, client) = cluster(1, 1 << 20);
    let options = options(&client, 0);
    let write = |seed| Job::Write { parts: 1, bytes: 900_000, seed, is_flipped: false };
    let writers: Vec<ObjectId> = (0..4).map(|seed| submit(&client, options, &write(seed), &[])).collect();
    let reader = submit(&client, options, &Job::Count { part: 0 }, &writers);
    assert_eq!(counted(&client, reader).0, (0..4).map(|seed| (seed, 900_000)).collect());
    assert!(stored(&nodes).iter().filter(|is_spilled| **is_spilled).count() >= 3);
}
