//! A writer is killed at every call that it makes to its store. Whatever the mode and the layout, a reader then finds
//! the old rows or the new ones, and the next writer goes on from there.

mod parts;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sheaf_connectors::fault::{Fault, FaultStore};
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::stores::StorageOptions;
use sheaf_connectors::write::{WriteFormat, WriteMode, WriteOptions};
use sheaf_core::ErrorKind;

use crate::support::large::uncompressed;
use crate::support::s3::{BUCKET, S3Server};
use crate::support::{Engine, batch, numbers_of};

const OLD: [i64; 4] = [1, 2, 3, 14];
const NEW: [i64; 5] = [21, 22, 23, 31, 32];

/// How a dataset lies in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    File,
    Folder,
    Partitioned,
}

/// One thing that a writer may be doing when it is killed.
#[derive(Debug, Clone, Copy)]
struct Case {
    layout: Layout,
    mode: WriteMode,
    /// Whether there is data before the write.
    before: bool,
    /// Whether the new rows are so large that their file goes up in parts.
    large: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for layout in [Layout::File, Layout::Folder, Layout::Partitioned] {
            for (mode, before) in [
                (WriteMode::Error, false),
                (WriteMode::Ignore, false),
                (WriteMode::Overwrite, false),
                (WriteMode::Overwrite, true),
                (WriteMode::Append, false),
                (WriteMode::Append, true),
            ] {
                if mode != WriteMode::Append || layout != Layout::File {
                    cases.push(Self { layout, mode, before, large: false });
                }
            }
        }
        cases
    }

    fn name(self) -> &'static str {
        if self.layout == Layout::File { "data.parquet" } else { "data" }
    }

    fn options(self, mode: WriteMode) -> WriteOptions {
        let partition_by = if self.layout == Layout::Partitioned { vec!["k".to_string()] } else { Vec::new() };
        let format = if self.large { uncompressed() } else { WriteFormat::default() };
        WriteOptions { mode, partition_by, format, ..WriteOptions::default() }
    }

    fn rows_before(self) -> Option<Vec<i64>> {
        self.before.then(|| OLD.to_vec())
    }

    fn rows_after(self) -> Vec<i64> {
        match (self.mode, self.before) {
            (WriteMode::Append, true) => OLD.iter().chain(&NEW).copied().collect(),
            _ => NEW.to_vec(),
        }
    }

    async fn write_old(self, engine: &Engine, target: &str) {
        if self.before {
            engine.write(&[vec![batch(OLD)]], target, self.options(WriteMode::Error)).await.unwrap();
        }
    }

    async fn write_new(self, engine: &Engine, target: &str) -> sheaf_core::Result<()> {
        let (left, right) = NEW.split_at(2);
        let input = match self.large {
            true => vec![vec![parts::LARGE.clone()]],
            false => vec![vec![batch(left.iter().copied())], vec![batch(right.iter().copied())]],
        };
        engine.write(&input, target, self.options(self.mode)).await.map(|_| ())
    }

    /// The rows that a reader with stores of its own finds; `None` where there is no dataset.
    async fn look(self, engine: &Engine, target: &str) -> Option<Vec<i64>> {
        // Large rows have a column more than what they are appended to.
        match engine.read_with(target, &ReadOptions { union_by_name: self.large, ..ReadOptions::default() }).await {
            Ok(batches) => {
                let rows = numbers_of(&batches);
                if self.large {
                    parts::check_blobs(&batches, rows.contains(&NEW[0]));
                }
                Some(rows)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{self:?}: {error:?}"),
        }
    }
}

/// What a case looked like after one fault.
async fn check(case: Case, fault: Fault, faulty: FaultStore, url: &str, fresh: &Engine, target: &str) -> bool {
    let writer = Engine::with_store(url, Arc::new(faulty.clone()));
    let told = case.write_new(&writer, target).await;
    let found = case.look(fresh, target).await;
    let calls = faulty.calls();
    let is_new = found == Some(case.rows_after());
    assert!(is_new || found == case.rows_before(), "{case:?} {fault:?}: {found:?} after {calls:#?}");
    assert!(is_new || told.is_err(), "{case:?} {fault:?}: told as done, but {found:?} after {calls:#?}");
    if !faulty.was_met() {
        told.unwrap_or_else(|error| panic!("{case:?} without a fault: {error:?}"));
        return false;
    }
    // The next writer is not hindered by what the killed one left.
    let next = [vec![batch([7])]];
    fresh.write(&next, target, case.options(WriteMode::Overwrite)).await.unwrap();
    assert_eq!(case.look(fresh, target).await, Some(vec![7]), "{case:?} {fault:?}");
    true
}

type Kind = fn(u64) -> Fault;
const KINDS: [Kind; 4] = [Fault::KillBefore, Fault::KillAfter, Fault::FailOnce, Fault::LoseAnswer];
/// No write of these makes as many calls: a test that came here would go on for ever.
const MANY_CALLS: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_readers_see_old_or_new_rows_whatever_call_fails() {
    for case in Case::all() {
        for kind in KINDS {
            for call in 0.. {
                assert!(call < MANY_CALLS, "{case:?} never ends");
                let folder = tempfile::tempdir().unwrap();
                let target = folder.path().join(case.name()).to_str().unwrap().to_string();
                let fresh = Engine::new();
                case.write_old(&fresh, &target).await;
                let fault = kind(call);
                let faulty = FaultStore::new(Arc::new(LocalFileSystem::new()), fault);
                if !check(case, fault, faulty, "file:///", &fresh, &target).await {
                    break;
                }
            }
        }
    }
}

/// On a server each call takes milliseconds: one kind of fault there, and some cases at once, each on a server of its
/// own. What a writer leaves in its store does not depend on whether it learns of its last call's success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_readers_see_old_or_new_rows_wherever_the_writer_is_killed() {
    const AT_ONCE: usize = 4;
    let kill_everywhere = async |case: Case| {
        let server = S3Server::start().await;
        for call in 0.. {
            assert!(call < MANY_CALLS, "{case:?} never ends");
            if !kill_on_s3(&server, case, call).await {
                break;
            }
        }
    };
    futures::stream::iter(Case::all()).for_each_concurrent(AT_ONCE, kill_everywhere).await;
}

async fn kill_on_s3(server: &S3Server, case: Case, call: u64) -> bool {
    let store: Arc<dyn ObjectStore> = Arc::new(server.store());
    let url = format!("s3://{BUCKET}");
    let prefix = call.to_string();
    let target = format!("{url}/{prefix}/{}", case.name());
    let fresh = Engine::with_store(&url, Arc::clone(&store));
    case.write_old(&fresh, &target).await;
    let fault = Fault::KillBefore(call);
    let met = check(case, fault, FaultStore::new(store, fault), &url, &fresh, &target).await;
    // The server walks its whole disk for each listing.
    std::fs::remove_dir_all(server.folder().join(prefix)).unwrap();
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("data").to_str().unwrap().to_string();
    let case = Case { layout: Layout::Folder, mode: WriteMode::Append, before: true, large: false };
    let fresh = Engine::new();
    case.write_old(&fresh, &target).await;
    let mut lost = 0;
    for call in 0..MANY_CALLS {
        let faulty = FaultStore::new(Arc::new(LocalFileSystem::new()), Fault::LoseAnswer(call));
        let writer = Engine::with_store("file:///", Arc::new(faulty.clone()));
        let before = fresh.numbers(&target, &StorageOptions::new()).await.unwrap().len();
        let told = case.write_new(&writer, &target).await;
        let calls = faulty.calls();
        let Some(met) = calls.get(call as usize) else { break };
        if met.starts_with("put") && met.contains("_sheaf") {
            told.unwrap();
            lost += 1;
            let after = fresh.numbers(&target, &StorageOptions::new()).await.unwrap().len();
            assert_eq!(after, before + NEW.len(), "{calls:#?}");
        }
    }
    assert_eq!(lost, 1, "a write puts one manifest");
}

/// Many writers add to one folder at once: each row is there once.
async fn append_at_once(engines: Vec<Engine>, target: &str, options: &StorageOptions) {
    const WRITES: i64 = 3;
    let writers = engines.len() as i64;
    join_all(engines.iter().enumerate().map(|(writer, engine)| async move {
        for write in 0..WRITES {
            let first = (writer as i64 * WRITES + write) * 10;
            let options =
                WriteOptions { mode: WriteMode::Append, storage_options: options.clone(), ..WriteOptions::default() };
            engine.write(&[vec![batch(first..first + 10)]], target, options).await.unwrap();
        }
    }))
    .await;
    let found = Engine::new().numbers(target, options).await.unwrap();
    assert_eq!(found, (0..writers * WRITES * 10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_appenders_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("data").to_str().unwrap().to_string();
    append_at_once((0..8).map(|_| Engine::new()).collect(), &target, &StorageOptions::new()).await;

    let server = S3Server::start().await;
    let target = format!("s3://{BUCKET}/data");
    append_at_once((0..8).map(|_| Engine::new()).collect(), &target, &server.options()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_that_must_be_first_one_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["data", "data.parquet"] {
        let target = folder.path().join(name).to_str().unwrap().to_string();
        let engines: Vec<Engine> = (0..8).map(|_| Engine::new()).collect();
        let results = join_all(engines.iter().enumerate().map(|(writer, engine)| {
            let target = target.clone();
            async move { engine.write(&[vec![batch([writer as i64])]], &target, WriteOptions::default()).await }
        }))
        .await;
        let won: Vec<i64> = (0..8).filter(|writer| results[*writer as usize].is_ok()).collect();
        assert_eq!(won.len(), 1, "{name}: {results:?}");
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(Engine::new().numbers(&target, &StorageOptions::new()).await.unwrap(), won);
    }
}

/// Rows of each dataset that the child process writes.
const CHILD_ROWS: usize = 5_000;
/// Tells the child where to write; without it the child's test does nothing.
const CHILD_TARGET: &str = "SHEAF_TEST_KILLED_WRITER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "how a test talks to the child that it starts")]
async fn killed_writer_child() {
    let Ok(target) = std::env::var(CHILD_TARGET) else { return };
    let engine = Engine::new();
    // An end even if the parent dies first.
    for round in 0..2_000 {
        let options = WriteOptions {
            mode: WriteMode::Overwrite,
            partition_by: if target.ends_with("parquet") { vec![] } else { vec!["k".to_string()] },
            ..WriteOptions::default()
        };
        // Each dataset is one number, again and again, spread over the folders by its index.
        let n = arrow::array::Int64Array::from(vec![round; CHILD_ROWS]);
        let k = (0..CHILD_ROWS as i64).map(|at| at % 7).collect::<arrow::array::Int64Array>();
        let rows = arrow::array::RecordBatch::try_new(batch([]).schema(), vec![Arc::new(n), Arc::new(k)]).unwrap();
        engine.write(&[vec![rows.clone()]], &target, options).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_writes_leaves_one_whole_dataset() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["data", "data.parquet"] {
        let target = folder.path().join(name);
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..6u64 {
            seen.insert(kill_writer(&target, 100 + round * 37).await);
        }
        assert!(seen.len() > 1, "the writer never got to write: {seen:?}");
    }
}

/// Runs a writer, kills it some time after its first dataset is there, and gives the number that its last one holds.
async fn kill_writer(target: &Path, after_millis: u64) -> i64 {
    let text = target.to_str().unwrap();
    let _ = std::fs::remove_dir_all(target);
    let _ = std::fs::remove_file(target);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "write_faults::killed_writer_child", "--nocapture"])
        .env(CHILD_TARGET, text)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let engine = Engine::new();
    let mut waited = 0;
    while engine.numbers(text, &StorageOptions::new()).await.is_err() {
        waited += 1;
        assert!(waited < 600, "the writer never wrote");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(after_millis)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let rows = engine.numbers(text, &StorageOptions::new()).await.unwrap();
    assert_eq!(rows.len(), CHILD_ROWS);
    assert!(rows.iter().all(|row| *row == rows[0]), "rows of two datasets: {} and {}", rows[0], rows[CHILD_ROWS - 1]);
    rows[0]
}
