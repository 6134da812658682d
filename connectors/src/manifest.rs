//! The manifest: which files of a folder are its data. Writers publish a new one to commit; readers obey the newest.
//!
//! A manifest is one JSON file, `<folder>/_sheaf/<20-digit version>.json`. A writer commits by *creating* the next
//! version, a conditional put that one of several racing writers wins, so that a folder changes in one step. A folder
//! that has no manifest is read as it is listed; before its first write, version 0 pins what was there.
//!
//! Versions below the newest are deleted after each commit, so that a slow writer may create one of them anew. Such a
//! stray is never the newest, and its writer finds out from [`Manifest::history`] that it did not commit.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

use crate::error::from_store;

/// The folder, inside a data folder, that holds its manifests; readers skip names that begin with `_`.
pub const FOLDER: &str = "_sheaf";

/// The version of the manifest's own layout; a reader refuses a newer one.
const LAYOUT: u32 = 1;

/// How often a reader looks again when the manifest that it chose was replaced and deleted before it was read.
const READ_TRIES: usize = 16;

/// How many commits a manifest remembers. A writer that stalls for longer than that cannot tell whether it committed.
const HISTORY: usize = 256;

/// What a folder holds: published whole, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    layout: u32,
    /// Which manifest of its folder this is, from 0; the highest one counts.
    pub version: u64,
    /// Whether the dataset exists. It does not after a first write that never finished.
    pub exists: bool,
    /// The data files, in the order in which they are read.
    pub files: Vec<ManifestFile>,
    /// Files that an overwrite replaced and that are being deleted; the next overwrite deletes what is left of them.
    #[serde(default)]
    pub replaced: Vec<String>,
    /// The latest commits, oldest first: how a writer whose answer was lost learns whether it committed.
    pub history: Vec<Commit>,
}

/// A data file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path relative to the folder, as the store spells it (percent signs are part of the name).
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// How many rows it has, where Sheaf wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// One commit of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The version that it made.
    pub version: u64,
    /// The write that made it.
    pub write_id: String,
    /// What the writer says of the data, such as the plan that a checkpoint is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Manifest {
    /// The manifest that pins what a folder held before Sheaf first wrote to it.
    #[must_use]
    pub fn first(files: Vec<ManifestFile>) -> Self {
        Self { layout: LAYOUT, version: 0, exists: !files.is_empty(), files, replaced: Vec::new(), history: Vec::new() }
    }

    /// The manifest that follows this one, with these files, committed by this write.
    #[must_use]
    pub fn next(&self, files: Vec<ManifestFile>, replaced: Vec<String>, write_id: &str) -> Self {
        let version = self.version + 1;
        let kept = self.history.len().saturating_sub(HISTORY - 1);
        let mut history = self.history[kept..].to_vec();
        history.push(Commit { version, write_id: write_id.to_string(), label: None });
        Self { layout: LAYOUT, version, exists: true, files, replaced, history }
    }

    /// The same with a label on its own commit.
    #[must_use]
    pub fn labelled(mut self, label: Option<&str>) -> Self {
        if let Some(commit) = self.history.last_mut() {
            commit.label = label.map(str::to_string);
        }
        self
    }

    /// What the last writer says of the data; `None` when it says nothing.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let last = self.history.last().filter(|commit| commit.version == self.version)?;
        last.label.as_deref()
    }

    /// Whether this write made one of the commits that led here; `None` when the history does not reach back to
    /// `version`.
    #[must_use]
    pub fn was_committed(&self, version: u64, write_id: &str) -> Option<bool> {
        if self.history.iter().any(|commit| commit.write_id == write_id) {
            return Some(true);
        }
        let oldest = self.history.first().map_or(self.version + 1, |commit| commit.version);
        (version > self.version || version >= oldest).then_some(false)
    }
}

/// The manifest of the folder `root` that counts now; `None` for a folder that Sheaf never wrote to.
///
/// A reader that finds none lists the folder, and asks again afterwards: a first write that began in between has then
/// pinned the state that the reader must see, and its new files may be in the listing.
///
/// # Errors
/// [`ErrorKind::CorruptFile`] for a manifest that cannot be read, [`ErrorKind::Unsupported`] for one of a newer Sheaf,
/// and the store's own errors.
pub async fn current(store: &dyn ObjectStore, root: &Path) -> Result<Option<Manifest>> {
    for _ in 0..READ_TRIES {
        let Some((version, path)) = versions(store, root).await?.pop() else {
            return Ok(None);
        };
        match read(store, &path).await {
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(from_store(error)).context("reading the folder's manifest"),
            Ok(bytes) => return parse(&bytes, version, &path).map(Some),
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("{root} is being written to faster than its manifest can be read"))
        .with_hint("try again when fewer writers are at work on this folder"))
}

/// The versions that are there, lowest first.
pub(crate) async fn versions(store: &dyn ObjectStore, root: &Path) -> Result<Vec<(u64, Path)>> {
    let listed =
        store.list(Some(&root.clone().join(FOLDER))).map_ok(|meta| meta.location).try_collect::<Vec<_>>().await;
    let paths = match listed {
        // A store that cannot list (plain HTTP) cannot be written to by Sheaf either: nothing to obey.
        Err(object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. }) => Vec::new(),
        other => other.map_err(from_store).context("looking for the folder's manifest")?,
    };
    let mut versions: Vec<_> =
        paths.into_iter().filter_map(|path| Some((version_of(path.filename()?)?, path))).collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Creates this version; fails with `AlreadyExists` when another writer was first.
pub(crate) async fn create(store: &dyn ObjectStore, root: &Path, manifest: &Manifest) -> object_store::Result<()> {
    let json = serde_json::to_vec(manifest)
        .map_err(|error| object_store::Error::Generic { store: "manifest", source: error.into() })?;
    store.put_opts(&path_of(root, manifest.version), json.into(), PutMode::Create.into()).await.map(|_| ())
}

/// Where a version of a folder's manifest lies.
pub(crate) fn path_of(root: &Path, version: u64) -> Path {
    root.clone().join(FOLDER).join(format!("{version:020}.json"))
}

fn version_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

async fn read(store: &dyn ObjectStore, path: &Path) -> object_store::Result<bytes::Bytes> {
    store.get(path).await?.bytes().await
}

fn parse(bytes: &[u8], version: u64, path: &Path) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Layout {
        layout: u32,
    }
    let corrupt = |why: String| {
        Error::new(ErrorKind::CorruptFile, format!("the manifest {path} cannot be read: {why}"))
            .with_hint("delete it to read the folder's files as they are listed")
    };
    let Layout { layout } = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    if layout > LAYOUT {
        return Err(Error::new(ErrorKind::Unsupported, format!("the manifest {path} was written by a newer Sheaf"))
            .with_hint("upgrade sheaf to read this folder"));
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    if manifest.version != version {
        return Err(corrupt(format!("it says that it is version {}", manifest.version)));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn file(path: &str) -> ManifestFile {
        ManifestFile { path: path.into(), size: 1, rows: Some(1) }
    }

    #[tokio::test]
    async fn the_newest_manifest_counts_and_only_one_writer_creates_it() {
        let (store, root) = (InMemory::new(), Path::from("data/t"));
        assert_eq!(current(&store, &root).await.unwrap(), None);

        let first = Manifest::first(vec![]);
        assert!(!first.exists);
        create(&store, &root, &first).await.unwrap();
        let second = first.next(vec![file("a"), file("k=%2F/b")], vec!["old".into()], "w1");
        create(&store, &root, &second).await.unwrap();
        assert_eq!(current(&store, &root).await.unwrap(), Some(second.clone()));

        let other = first.next(vec![file("c")], vec![], "w2").labelled(Some("checkpoint"));
        assert_eq!((other.label(), second.label()), (Some("checkpoint"), None));
        assert_eq!(other.next(vec![], vec![], "w3").label(), None, "it is of the data that its writer left");
        assert!(matches!(create(&store, &root, &other).await, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(current(&store, &root).await.unwrap(), Some(second));
    }

    #[tokio::test]
    async fn a_manifest_that_cannot_be_read_is_named() {
        for (json, kind, text) in [
            ("{", ErrorKind::CorruptFile, "EOF"),
            (r#"{"layout":99}"#, ErrorKind::Unsupported, "newer Sheaf"),
            (r#"{"layout":1,"version":7,"exists":true,"files":[],"history":[]}"#, ErrorKind::CorruptFile, "version 7"),
        ] {
            let (store, root) = (InMemory::new(), Path::from("t"));
            store.put(&path_of(&root, 3), json.into()).await.unwrap();
            store.put(&root.clone().join(FOLDER).join("notes.json"), "x".into()).await.unwrap();
            let error = current(&store, &root).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.to_string().contains("t/_sheaf/00000000000000000003.json"), "{error}");
        }
    }

    #[test]
    fn the_history_tells_a_commit_from_a_stray() {
        let mut manifest = Manifest::first(vec![]);
        assert_eq!(manifest.was_committed(1, "w"), Some(false));
        for n in 1..=HISTORY as u64 + 10 {
            manifest = manifest.next(vec![], vec![], &format!("w{n}"));
        }
        assert_eq!(manifest.history.len(), HISTORY);
        assert_eq!(manifest.was_committed(100, "w100"), Some(true));
        assert_eq!(manifest.was_committed(100, "other"), Some(false));
        assert_eq!(manifest.was_committed(5, "w5"), None);
    }
}
