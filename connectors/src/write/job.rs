//! One write, as its two nodes share it: where it goes, what it may find there, the files it has made so far, and how
//! they are removed again when it does not commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use sheaf_core::env::{Clock, SystemClock};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, RwLock};

use crate::error::from_store;
use crate::manifest::{self, Manifest, ManifestFile};
use crate::write::leftovers::{remove_named, remove_unfinished_named};
use crate::write::options::{Attempt, SHARED_DIGITS, WriteFormat, WriteMode, WriteOptions};

/// How long the clean-up of a write that failed waits for files that are just being finished.
const FINISHING_WAIT: Duration = Duration::from_secs(30);

/// How long others may write on for a write that is given up.
const ELSEWHERE_WAIT: Duration = Duration::from_secs(3);

/// Where a write goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The target as the user wrote it.
    pub(crate) text: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    /// One file, or a folder with a manifest.
    pub(crate) single_file: bool,
    /// Whether a single file is written beside its target and renamed: so where renaming is one step.
    pub(crate) renames: bool,
}

/// One write.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// What the names of this attempt's files begin with; the same as the id where there is one attempt.
    attempt: String,
    pub(crate) target: Target,
    pub(crate) options: WriteOptions,
    /// The schema of the rows, partition columns included.
    pub(crate) schema: SchemaRef,
    /// The schema of the files.
    pub(crate) file_schema: SchemaRef,
    /// How many threads may encode one file's columns at once.
    pub(crate) lanes: usize,
    pub(crate) started: Instant,
    /// One for all that are made of the same write, where that has an id which others know.
    ran: Arc<AtomicBool>,
    begun: OnceCell<Begun>,
    next_file: AtomicU32,
    /// Every file that this write began to make visible, until it commits.
    made: Mutex<Vec<Path>>,
    finishing: Arc<RwLock<()>>,
}

/// What a write does after a look at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It writes.
    Go,
    /// The data is there already and `ignore` leaves it.
    Skip,
}

impl Job {
    pub(crate) fn new(
        target: Target,
        options: WriteOptions,
        schema: SchemaRef,
        file_schema: SchemaRef,
        lanes: usize,
    ) -> Self {
        let shared = options.shared_id.as_deref().map(Attempt::sharing);
        let attempt = options.attempt.clone().or(shared).unwrap_or_else(|| Attempt::new(None));
        Self {
            id: attempt.write_id,
            attempt: attempt.id,
            target,
            options,
            schema,
            file_schema,
            lanes,
            started: SystemClock.now(),
            ran: Arc::default(),
            begun: OnceCell::new(),
            next_file: AtomicU32::new(0),
            made: Mutex::new(Vec::new()),
            finishing: Arc::new(RwLock::new(())),
        }
    }

    /// The same write, to be done anew.
    pub(crate) fn fresh(&self) -> Self {
        let mut fresh = Self::new(
            self.target.clone(),
            self.options.clone(),
            Arc::clone(&self.schema),
            Arc::clone(&self.file_schema),
            self.lanes,
        );
        if self.options.shared_id.is_some() {
            fresh.ran = Arc::clone(&self.ran);
        }
        fresh
    }

    /// Takes the one run that a job has.
    pub(crate) fn run(&self) -> Result<()> {
        match self.ran.swap(true, Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::internal(format!("the write to {} was run twice", self.target.text))),
        }
    }

    /// Looks at the target before any input is read; the partitions of a write all wait for the one look.
    pub(crate) async fn begin(&self) -> Result<Begun> {
        let look = async {
            match self.target.single_file {
                true => self.begin_file().await,
                false => self.begin_folder().await,
            }
        };
        self.begun.get_or_try_init(|| look).await.copied().with_context(|| format!("writing {}", self.target.text))
    }

    async fn begin_file(&self) -> Result<Begun> {
        match self.options.mode {
            WriteMode::Overwrite | WriteMode::Append => Ok(Begun::Go),
            mode => match self.target.store.head(&self.target.path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(Begun::Go),
                Err(error) => Err(from_store(error)),
                Ok(_) if mode == WriteMode::Ignore => Ok(Begun::Skip),
                Ok(_) => Err(self.exists()),
            },
        }
    }

    /// Pins what a folder holds in a manifest, unless it has one: until this write commits, readers see that.
    async fn begin_folder(&self) -> Result<Begun> {
        let Target { store, path, .. } = &self.target;
        if self.target.renames && store.head(path).await.is_ok() {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("{} is a file, not a folder", self.target.text))
                .with_hint("remove it, or write to another place"));
        }
        let base = match manifest::current(store, path).await? {
            Some(base) => base,
            None => {
                let first = Manifest::first(list(store, path).await?);
                // What mode `error` or `ignore` leaves alone gets no manifest either.
                if first.exists && self.options.mode == WriteMode::Error {
                    return Err(self.exists());
                }
                if first.exists && self.options.mode == WriteMode::Ignore {
                    return Ok(Begun::Skip);
                }
                let created = manifest::create(store, path, &first).await;
                // Another writer may have been first, or got further; and a put that fails may have worked all the
                // same.
                match (manifest::current(store, path).await?, created) {
                    (Some(base), _) => base,
                    (None, Err(error)) => return Err(manifest_refused(error)),
                    (None, Ok(())) => first,
                }
            }
        };
        match base.was_committed(base.version, &self.id) {
            // An attempt before this one has committed and did not live to say so.
            Some(true) => Ok(Begun::Go),
            _ => self.admit(&base),
        }
    }

    /// Whether this write may replace or extend what a manifest lists.
    pub(crate) fn admit(&self, base: &Manifest) -> Result<Begun> {
        match self.options.mode {
            WriteMode::Error if base.exists => Err(self.exists()),
            WriteMode::Ignore if base.exists => Ok(Begun::Skip),
            WriteMode::Append => self.check_format(base).map(|()| Begun::Go),
            _ => Ok(Begun::Go),
        }
    }

    fn check_format(&self, base: &Manifest) -> Result<()> {
        let ours = self.options.format.name();
        let other = base.files.iter().find_map(|file| {
            let name = WriteFormat::from_path(&file.path)?.name();
            (name != ours).then_some((name, &file.path))
        });
        match other {
            None => Ok(()),
            Some((name, path)) => Err(Error::invalid(format!(
                "{} holds {name} files ({path}), and {ours} files cannot be appended to them",
                self.target.text
            ))
            .with_hint("append in the same format, or overwrite the folder")),
        }
    }

    pub(crate) fn exists(&self) -> Error {
        Error::new(ErrorKind::AlreadyExists, format!("{} exists already", self.target.text))
            .with_hint("choose a mode: overwrite, append or ignore")
    }

    /// The path of the next data file in `folder`, relative to the target.
    pub(crate) fn next_path(&self, folder: &str) -> String {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{number:05}.{}", self.prefix(), self.options.format.extension());
        if folder.is_empty() { name } else { format!("{folder}/{name}") }
    }

    fn prefix(&self) -> String {
        format!("part-{}-", self.attempt)
    }

    /// The same path in the store.
    pub(crate) fn absolute(&self, relative: &str) -> Result<Path> {
        let root = self.target.path.as_ref();
        let whole = if root.is_empty() { relative.to_string() } else { format!("{root}/{relative}") };
        Path::parse(&whole).map_err(|error| Error::invalid(format!("{whole:?} cannot be a path: {error}")))
    }

    /// The file beside a single local target that becomes the target. Its name is hidden from readers of the folder.
    pub(crate) fn staging(&self) -> Path {
        let name = format!(".{}.{}.tmp", self.target.path.filename().unwrap_or_default(), self.id);
        match self.target.path.parent() {
            Some(parent) => parent.join(name),
            None => Path::from(name),
        }
    }

    /// Notes a file that is about to appear. The clean-up waits until the guard is dropped.
    pub(crate) async fn finishing(&self, path: &Path) -> OwnedRwLockReadGuard<()> {
        let guard = Arc::clone(&self.finishing).read_owned().await;
        self.made.lock().push(path.clone());
        guard
    }

    /// Forgets the files that this write has made: they are part of the data now, or may be.
    pub(crate) fn keep(&self) {
        self.made.lock().clear();
    }

    /// Removes the files that this write has made. What cannot be removed is left to a later overwrite. Of a write in
    /// several attempts they stay.
    pub(crate) async fn roll_back(&self) {
        if self.options.attempt.is_some() {
            return self.keep();
        }
        let _all = tokio::time::timeout(FINISHING_WAIT, self.finishing.write()).await;
        let made = std::mem::take(&mut *self.made.lock());
        remove(&self.target.store, made).await;
        self.remove_shared().await;
    }

    /// Removes what those who write elsewhere made after the write was given up: they hear of that a moment later.
    pub(crate) async fn remove_late(&self) {
        if self.options.shared_id.is_some() {
            tokio::time::sleep(ELSEWHERE_WAIT).await;
            self.remove_shared().await;
        }
    }

    /// Removes what all who did this write together have made and is no part of the data: files of those that failed,
    /// or that nobody waited for. What cannot be removed is left to a later overwrite.
    pub(crate) async fn remove_shared(&self) {
        let Some(id) = self.options.shared_id.as_deref() else { return };
        let Target { store, path, renames, text, .. } = &self.target;
        let shared = id.get(..SHARED_DIGITS).unwrap_or(id);
        let removed = async {
            remove_named(store, path, &|attempt| attempt.starts_with(shared)).await?;
            if *renames { remove_unfinished_named(path, &|name| name.contains(shared)) } else { Ok(()) }
        };
        if let Err(error) = removed.await {
            log::warn!("what is left of the write to {text} could not be removed: {error}");
        }
    }
}

/// Removes the files of a write that is dropped before it has an end.
pub(crate) struct Undo {
    job: Option<Arc<Job>>,
    runtime: Handle,
}

impl Undo {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self { job: Some(job), runtime: Handle::current() }
    }

    /// The write has come to its end.
    pub(crate) fn disarm(mut self) {
        self.job = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.runtime.spawn(async move {
                job.roll_back().await;
                job.remove_late().await;
            });
        }
    }
}

/// Removes files as well as it can: they are garbage, and nobody waits for it.
pub(crate) async fn remove(store: &Arc<dyn ObjectStore>, paths: Vec<Path>) {
    let mut results = store.delete_stream(futures::stream::iter(paths.into_iter().map(Ok)).boxed());
    while let Some(result) = results.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => log::warn!("a file that is no longer needed could not be removed: {error}"),
        }
    }
}

/// The data files of a folder as a listing shows them: nothing hidden, nothing empty.
async fn list(store: &Arc<dyn ObjectStore>, root: &Path) -> Result<Vec<ManifestFile>> {
    let all: Vec<_> = store.list(Some(root)).try_collect().await.map_err(from_store).context("listing the folder")?;
    let mut files: Vec<ManifestFile> = all
        .into_iter()
        .filter(|meta| meta.size > 0)
        .filter_map(|meta| Some(ManifestFile { path: relative(root, &meta.location)?, size: meta.size, rows: None }))
        .filter(|file| !file.path.split('/').any(hidden))
        .collect();
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// A path below `root`, relative to it, spelled as the store does.
pub(crate) fn relative(root: &Path, path: &Path) -> Option<String> {
    let rest = path.as_ref().strip_prefix(root.as_ref())?;
    Some(rest.trim_start_matches('/').to_string())
}

/// Names that readers skip. A partition column may begin with an underscore.
fn hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// The store could not create a manifest.
pub(crate) fn manifest_refused(error: object_store::Error) -> Error {
    let told = from_store(error).with_context("creating the folder's manifest");
    match told.kind() {
        ErrorKind::Unsupported => told.with_hint(
            "this store has no conditional put, so that a folder cannot be written in one step: write a single file",
        ),
        _ => told,
    }
}
