//! The folder of cached epochs: a file of rows for each partition, and `epochs.json`, which names them and is written
//! when all are whole. Files that it does not name do not count.
//!
//! Whoever records has a lock on a file of its attempt, and whoever replays a shared one: the kernel takes them back
//! when a process is killed. Files of an attempt that nobody holds are leftovers, and the next attempt removes them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_store;
use sheaf_connectors::location::Location;
use sheaf_connectors::stores::{StorageOptions, Stores};
use sheaf_connectors::write::Attempt as AttemptIds;
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

use crate::operators::recorded::{Records, SegmentWriter, TaskOutput};

/// The file that makes the others count.
const COMMIT: &str = "epochs.json";

/// What the names of all files in the folder begin with.
const OWN: &str = "epoch";

/// The version of the layout of the folder.
const LAYOUT: u32 = 1;

/// How often a reader looks again for a cache that was replaced as it was opened.
const LOOKS: usize = 16;

/// Where the epochs of a plan are kept.
#[derive(Debug, Clone)]
pub(crate) struct EpochsFolder {
    records: Records,
    path: PathBuf,
    label: String,
    overwrite: bool,
}

/// What makes a cache whole.
#[derive(Debug, Serialize, Deserialize)]
struct Commit {
    layout: u32,
    /// What tells the rows from others.
    label: String,
    /// The attempt that recorded them.
    attempt: String,
    partitions: Vec<TaskOutput>,
}

/// A whole cache, whose files stay while this is held.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) partitions: Vec<TaskOutput>,
    _lock: File,
}

impl EpochsFolder {
    /// The folder at `target` for rows with this label; whether those of another label in it are replaced.
    pub(crate) fn at(stores: &Arc<Stores>, target: &str, label: String, overwrite: bool) -> Result<Self> {
        let location = Location::parse(target)?;
        if location.glob().is_some() || !location.is_local() {
            return Err(Error::invalid(format!("{target}: epochs are cached in a folder of this machine"))
                .with_hint("checkpoint keeps rows in a store, for programs of all machines"));
        }
        let resolved = stores.resolve(&location, &StorageOptions::default())?;
        let path = LocalFileSystem::new().path_to_filesystem(&resolved.path).map_err(from_store)?;
        let records = Records { store: resolved.store, folder: resolved.path, attempt: String::new() };
        Ok(Self { records, path, label, overwrite })
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether the epochs of another label are replaced.
    pub(crate) fn overwrites(&self) -> bool {
        self.overwrite
    }

    /// Where it is on this machine.
    pub(crate) fn path(&self) -> &FilePath {
        &self.path
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.records.store
    }

    pub(crate) fn root(&self) -> &Path {
        &self.records.folder
    }

    /// The cached rows, if they are whole. Fails where the folder has those of another plan, which nobody wants
    /// replaced, or files that are no cache.
    pub(crate) async fn kept(&self) -> Result<Option<Kept>> {
        for _ in 0..LOOKS {
            let Some(commit) = self.commit().await? else {
                self.blocking(Self::check_empty).await?;
                return Ok(None);
            };
            if commit.label != self.label {
                return if self.overwrite { Ok(None) } else { Err(self.of_another_plan()) };
            }
            let id = commit.attempt.clone();
            let Some(lock) = self.blocking(move |folder| folder.hold(&id)).await? else { continue };
            // What was replaced before it was held may be gone.
            if self.commit().await?.is_some_and(|now| now.attempt == commit.attempt) {
                return Ok(Some(Kept { partitions: commit.partitions, _lock: lock }));
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("the epochs in {} cannot be read", self.path.display()))
            .with_hint("a file is missing beside epochs.json, or others replace the cache all the time; remove it"))
    }

    /// Begins to record. Removes what killed attempts have left.
    pub(crate) async fn begin(&self, partitions: usize) -> Result<Attempt> {
        let id = AttemptIds::new(None).id;
        let lock = self.blocking(move |folder| folder.lock(&id).map(|lock| (id, lock))).await;
        let (id, lock) = lock.with_context(|| format!("beginning a cache in {}", self.path.display()))?;
        let (lock, outputs) = (Mutex::new(Some(lock)), Mutex::new(vec![None; partitions]));
        let attempt = Attempt { folder: self.clone(), id, lock, outputs, counts: AtomicBool::new(false) };
        self.sweep().await;
        Ok(attempt)
    }

    async fn commit(&self) -> Result<Option<Commit>> {
        let commit: Option<Commit> = self.records.get(&self.records.file(COMMIT)).await?;
        match commit {
            Some(commit) if commit.layout > LAYOUT => {
                let message = format!("the epochs in {} were cached by a newer Sheaf", self.path.display());
                Err(Error::new(ErrorKind::Unsupported, message).with_hint("upgrade sheaf, or choose another folder"))
            }
            commit => Ok(commit),
        }
    }

    async fn blocking<T: Send + 'static>(&self, act: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let folder = self.clone();
        let acted = SpawnedTask::spawn_blocking(move || act(&folder)).await;
        acted.map_err(|error| Error::internal(format!("a task of the engine failed: {error}")))?
    }

    fn of_another_plan(&self) -> Error {
        let message = format!("{} holds the epochs of another plan, or of other inputs", self.path.display());
        Error::new(ErrorKind::AlreadyExists, message)
            .with_hint("choose another folder, or pass overwrite to replace what is there")
    }

    /// Fails where the folder has files that are none of a cache.
    fn check_empty(&self) -> Result<()> {
        let foreign = self.names()?.into_iter().find(|name| !name.starts_with(OWN));
        foreign.map_or(Ok(()), |name| {
            let message = format!("{} is no cache of epochs: it holds {name}", self.path.display());
            Err(Error::new(ErrorKind::AlreadyExists, message).with_hint("choose a folder that is new or empty"))
        })
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("looking into {}", self.path.display()))?,
        };
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()
            .with_context(|| format!("looking into {}", self.path.display()))
    }

    fn lock_file(&self, attempt: &str) -> PathBuf {
        self.path.join(format!("{OWN}-{attempt}.lock"))
    }

    /// A lock that tells others that this attempt is at work.
    fn lock(&self, attempt: &str) -> Result<File> {
        fs::create_dir_all(&self.path)?;
        let path = self.lock_file(attempt);
        loop {
            let lock = File::create(&path)?;
            lock.lock()?;
            // Whoever cleans up may have taken it, before it was locked, for one that was left.
            if path.try_exists()? {
                return Ok(lock);
            }
        }
    }

    /// A lock that keeps the files of an attempt from being removed; none if they are gone.
    fn hold(&self, attempt: &str) -> Result<Option<File>> {
        match File::open(self.lock_file(attempt)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let lock = opened?;
                lock.lock_shared()?;
                Ok(Some(lock))
            }
        }
    }

    /// Removes the files of attempts that nobody holds and that do not count. What cannot be removed stays for the
    /// next.
    async fn sweep(&self) {
        if let Err(error) = self.try_sweep().await {
            log::warn!("what earlier runs left in {} could not be removed: {error}", self.path.display());
        }
    }

    async fn try_sweep(&self) -> Result<()> {
        let attempts = self.names()?.into_iter().filter_map(|name| {
            let id = name.strip_prefix(OWN)?.strip_prefix('-')?.strip_suffix(".lock")?;
            Some(id.to_string())
        });
        for id in attempts {
            let lock = match File::open(self.lock_file(&id)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // An attempt counts before it gives its lock back.
            if self.commit().await?.is_some_and(|commit| commit.attempt == id) {
                continue;
            }
            self.blocking(move |folder| folder.remove(&id)).await?;
        }
        Ok(())
    }

    /// Removes the files of an attempt, the one that tells of it last.
    fn remove(&self, attempt: &str) -> Result<()> {
        let own = format!("{OWN}-{attempt}-");
        for name in self.names()?.into_iter().filter(|name| name.starts_with(&own)) {
            absent(fs::remove_file(self.path.join(name)))?;
        }
        Ok(absent(fs::remove_file(self.lock_file(attempt)))?)
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// An epoch that is recorded. Unless it comes to count, its files go with it.
#[derive(Debug)]
pub(crate) struct Attempt {
    folder: EpochsFolder,
    id: String,
    lock: Mutex<Option<File>>,
    outputs: Mutex<Vec<Option<TaskOutput>>>,
    counts: AtomicBool,
}

impl Attempt {
    /// Writes the rows of a partition.
    pub(crate) fn writer(&self, partition: usize, schema: SchemaRef) -> SegmentWriter {
        let file = format!("{OWN}-{}-part-{partition:05}.arrows", self.id);
        SegmentWriter::new(self.folder.store(), self.folder.root(), file, schema)
    }

    /// Notes that a partition is whole; with the last one the cache is.
    pub(crate) async fn done(&self, partition: usize, output: TaskOutput) -> Result<()> {
        let whole: Option<Vec<TaskOutput>> = {
            let mut outputs = self.outputs.lock();
            outputs[partition] = Some(output);
            outputs.iter().cloned().collect()
        };
        match whole {
            Some(partitions) => self.commit(partitions).await,
            None => Ok(()),
        }
    }

    async fn commit(&self, partitions: Vec<TaskOutput>) -> Result<()> {
        let EpochsFolder { records, label, overwrite, path } = &self.folder;
        let (label, attempt) = (label.clone(), self.id.clone());
        let commit = Commit { layout: LAYOUT, label, attempt, partitions };
        let file = records.file(COMMIT);
        let mut first = records.create(&file, &commit).await?;
        if !first {
            let there = self.folder.commit().await?;
            let same = there.is_some_and(|there| there.label == commit.label);
            if !same && *overwrite {
                let json = serde_json::to_vec(&commit).map_err(|error| Error::internal(format!("{file}: {error}")))?;
                let put = records.store.put(&file, json.into()).await.map_err(from_store);
                put.with_context(|| format!("replacing the epochs in {}", path.display()))?;
                first = true;
            } else if !same {
                log::warn!("this epoch is not cached: another plan has cached its own in {} meanwhile", path.display());
            }
        }
        // Whoever was first, in this process or another, has recorded the same rows.
        self.counts.store(first, Ordering::Release);
        if first {
            drop(self.lock.lock().take());
            self.folder.sweep().await;
        }
        Ok(())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.counts.load(Ordering::Acquire)
            && let Err(error) = self.folder.remove(&self.id)
        {
            log::warn!("an epoch that was not read to its end could not be removed: {error}");
        }
    }
}
