//! The same for a file that goes up in parts: its writer is killed at the begin of the upload, at each part, at the
//! end, and while it gives up.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::future::join_all;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sheaf_connectors::fault::{Fault, FaultStore};
use sheaf_connectors::write::WriteMode;
use tempfile::TempDir;

use super::{Case, KINDS, Kind, Layout, NEW, check};
use crate::support::large::{blobs, large};
use crate::support::s3::{BUCKET, S3Server};
use crate::support::{Engine, batch};

/// The new rows: 17 MiB.
pub(super) static LARGE: LazyLock<RecordBatch> = LazyLock::new(|| large(&NEW));

/// The calls of their upload.
const UPLOAD: [&str; 5] = ["begin", "part", "part", "part", "complete"];

const CASES: [Case; 3] = [
    Case { layout: Layout::File, mode: WriteMode::Overwrite, before: true, large: true },
    Case { layout: Layout::Folder, mode: WriteMode::Overwrite, before: true, large: true },
    Case { layout: Layout::Folder, mode: WriteMode::Append, before: true, large: true },
];

/// The blobs that a reader finds are those of the new rows, each whole, or none.
pub(super) fn check_blobs(found: &[RecordBatch], is_new: bool) {
    static EXPECTED: LazyLock<BTreeMap<i64, Vec<u8>>> = LazyLock::new(|| blobs(std::slice::from_ref(&LARGE)));
    let found = blobs(found);
    assert!(if is_new { found == *EXPECTED } else { found.is_empty() }, "blobs of {:?}", found.keys());
}

/// A store that places to write to are made in.
enum Site {
    Local(TempDir),
    S3(S3Server),
}

/// A place that holds the old rows.
struct Place {
    case: Case,
    url: String,
    target: String,
    store: Arc<dyn ObjectStore>,
    fresh: Engine,
    folder: std::path::PathBuf,
}

impl Site {
    async fn place(&self, case: Case) -> Place {
        let (folder, url, store): (_, _, Arc<dyn ObjectStore>) = match self {
            Self::Local(folder) => (folder.path().join("x"), "file:///".into(), Arc::new(LocalFileSystem::new())),
            Self::S3(server) => (server.folder().join("x"), format!("s3://{BUCKET}"), Arc::new(server.store())),
        };
        let target = match self {
            Self::Local(_) => folder.join(case.name()).to_str().unwrap().to_string(),
            Self::S3(_) => format!("{url}/x/{}", case.name()),
        };
        let fresh = Engine::with_store(&url, Arc::clone(&store));
        case.write_old(&fresh, &target).await;
        Place { case, url, target, store, fresh, folder }
    }

    /// Kills a writer at each call of its upload, and at each that it makes after one of them was refused.
    async fn kill_everywhere(self, case: Case, kinds: &[Kind]) {
        let calls = upload_calls(&self.place(case).await.write(Fault::Never).await);
        for kind in kinds {
            for call in &calls {
                self.place(case).await.write(kind(*call)).await;
            }
        }
        for refused in [calls[2], calls[4]] {
            let last = self.place(case).await.give_up(refused, Fault::Never).await;
            for call in refused..last {
                self.place(case).await.give_up(refused, Fault::KillBefore(call)).await;
            }
        }
    }
}

impl Place {
    /// Writes with this fault, looks at what is there, and gives the calls that were made.
    async fn write(self, fault: Fault) -> Vec<String> {
        let faulty = FaultStore::new(Arc::clone(&self.store), fault);
        let met = check(self.case, fault, faulty.clone(), &self.url, &self.fresh, &self.target).await;
        assert_eq!(met, fault != Fault::Never, "{:?} {fault:?}: {:#?}", self.case, faulty.calls());
        faulty.calls()
    }

    /// Writes with a call refused, so that the writer gives up, and with a fault in what it does then. The calls of
    /// the fault do not count the refused one. Gives how many there were.
    async fn give_up(self, refused: u64, fault: Fault) -> u64 {
        let Self { case, url, target, store, fresh, .. } = &self;
        let killed = FaultStore::new(Arc::clone(store), fault);
        let refusing = FaultStore::new(Arc::new(killed.clone()), Fault::FailOnce(refused));
        case.write_new(&Engine::with_store(url, Arc::new(refusing)), target).await.unwrap_err();
        wait_for_abort(&killed).await;
        assert_eq!(case.look(fresh, target).await, case.rows_before(), "{case:?} {fault:?}: {:#?}", killed.calls());
        fresh.write(&[vec![batch([7])]], target, case.options(WriteMode::Overwrite)).await.unwrap();
        assert_eq!(case.look(fresh, target).await, Some(vec![7]), "{case:?} {fault:?}");
        killed.calls().len() as u64
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The numbers of the calls that belong to the upload.
fn upload_calls(calls: &[String]) -> Vec<u64> {
    let operation = |call: &str| call.split(' ').next().unwrap_or_default().to_string();
    let found: Vec<_> = calls.iter().map(|call| operation(call)).enumerate().collect();
    let found: Vec<_> = found.into_iter().filter(|(_, name)| UPLOAD.contains(&name.as_str())).collect();
    assert_eq!(found.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), UPLOAD, "{calls:#?}");
    found.into_iter().map(|(at, _)| at as u64).collect()
}

/// An upload is aborted by a task of its own.
async fn wait_for_abort(store: &FaultStore) {
    let aborted = async {
        while !store.calls().iter().any(|call| call.starts_with("abort ")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), aborted).await.expect("the upload is never aborted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_readers_see_old_or_new_rows_wherever_an_upload_is_killed() {
    for case in CASES {
        Site::Local(tempfile::tempdir().unwrap()).kill_everywhere(case, &KINDS).await;
    }
}

/// One kind of fault, and some cases at once, as for small files. Folders have the same upload in both modes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_readers_see_old_or_new_rows_wherever_an_upload_is_killed() {
    let cases = [CASES[0], CASES[2]];
    join_all(cases.map(async |case| Site::S3(S3Server::start().await).kill_everywhere(case, &KINDS[..1]).await)).await;
}
