//! From locations to files: globs and folders are listed, single files are looked up, hidden and empty files are
//! left out, and a folder that Sheaf wrote shows the files that its manifest names.

use std::collections::HashSet;

use chrono::DateTime;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use sheaf_core::{Error, ErrorKind, Result};
use std::sync::Arc;

use super::ReadOptions;
use super::hive::{self, Pair};
use crate::error::from_store;
use crate::format::Format;
use crate::location::{Location, Scheme};
use crate::manifest::{self, ManifestFile};
use crate::stores::{Resolved, Stores};

/// Locations looked up at once: enough to hide the latency of a store, few enough to be welcome there.
pub(crate) const LOOKUPS: usize = 32;

/// A file to read.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) url: ObjectStoreUrl,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) meta: ObjectMeta,
    /// The path as users know it: absolute, or a URL.
    pub(crate) full: String,
    /// Keys and values of the folders that the file is in.
    pub(crate) pairs: Vec<Pair>,
}

/// Which folders' names make columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hive {
    /// None.
    Off,
    /// Those below the folder that was named.
    BelowRoot,
    /// All of the path.
    WholePath,
}

/// Lists all files of all locations, in the order of the locations and of the paths in each, each file once.
pub(crate) async fn list(
    stores: &Stores,
    locations: &[Location],
    options: &ReadOptions,
    format: Option<&Format>,
    hive: Hive,
) -> Result<Vec<Listed>> {
    let ignore_missing = options.ignore_missing_paths;
    let one = |location: &Location| {
        let resolved = stores.resolve(location, &options.storage_options);
        let location = location.clone();
        async move {
            match list_location(&location, &resolved?, format, hive).await {
                Err(error) if ignore_missing && error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                listed => listed,
            }
        }
    };
    // Collected first: the futures own what they need, and the closure's borrows end here.
    let lookups: Vec<_> = locations.iter().map(one).collect();
    let found: Vec<Vec<Listed>> = stream::iter(lookups).buffered(LOOKUPS).try_collect().await?;
    let mut seen = HashSet::new();
    let new = |file: &Listed| seen.insert((file.url.as_str().to_string(), file.meta.location.clone()));
    let files: Vec<Listed> = found.into_iter().flatten().filter(new).collect();
    chosen(files, options).await
}

/// The files that the options leave.
async fn chosen(mut files: Vec<Listed>, options: &ReadOptions) -> Result<Vec<Listed>> {
    if !options.file_extensions.is_empty() {
        let ends: Vec<String> = options.file_extensions.iter().map(|extension| ending(extension)).collect();
        files.retain(|file| ends.iter().any(|end| file.full.to_ascii_lowercase().ends_with(end)));
    }
    let Some(filter) = options.partition_filter.clone() else { return Ok(files) };
    // A user's filter may wait, as for the GIL.
    let filtered = SpawnedTask::spawn_blocking(move || {
        let kept = |file: Listed| match filter.keeps(&file.full, &file.pairs) {
            Ok(keeps) => keeps.then_some(Ok(file)),
            Err(error) => Some(Err(error)),
        };
        files.into_iter().filter_map(kept).collect()
    });
    filtered.await.map_err(|error| Error::internal(format!("the filter of files failed: {error}")))?
}

/// The end of a name with this extension, with its dot.
fn ending(extension: &str) -> String {
    format!(".{}", extension.trim_start_matches('.').to_ascii_lowercase())
}

async fn list_location(
    location: &Location,
    resolved: &Resolved,
    format: Option<&Format>,
    hive: Hive,
) -> Result<Vec<Listed>> {
    let path = &resolved.path;
    let (root, mut found) = if location.glob().is_some() {
        (path.clone(), list_glob(location, resolved).await?)
    } else if location.is_folder() {
        (path.clone(), list_folder(location, resolved, format).await?)
    } else {
        match resolved.store.head(path).await {
            Ok(meta) => (path.parent().unwrap_or_default(), vec![meta]),
            Err(object_store::Error::NotFound { .. }) if location.scheme() != Scheme::Http => {
                (path.clone(), list_folder(location, resolved, format).await?)
            }
            Err(object_store::Error::NotFound { .. }) => return Err(missing(location)),
            Err(error) => return Err(named(location, from_store(error))),
        }
    };
    found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
    let below = |file: &Path| file.as_ref().strip_prefix(root.as_ref()).map_or(String::new(), str::to_string);
    let pairs = |file: &Path| match hive {
        Hive::Off => Vec::new(),
        Hive::BelowRoot => hive::pairs(&below(file)),
        Hive::WholePath => hive::pairs(file.as_ref()),
    };
    let listed = |meta: ObjectMeta| Listed {
        url: resolved.url.clone(),
        store: Arc::clone(&resolved.store),
        full: location.full_path(&meta.location),
        pairs: pairs(&meta.location),
        meta,
    };
    Ok(found.into_iter().map(listed).collect())
}

async fn list_glob(location: &Location, resolved: &Resolved) -> Result<Vec<ObjectMeta>> {
    let Some(glob) = location.glob() else { return Ok(Vec::new()) };
    let all = list_below(location, resolved).await?;
    let mut found: Vec<_> = all.iter().filter(|meta| glob.matches(meta.location.as_ref())).cloned().collect();
    if found.is_empty() {
        // A glob that matches folders stands for what is in them.
        let inside = |meta: &&ObjectMeta| {
            let path = meta.location.as_ref();
            glob.folder_of(path).is_some_and(|folder| !is_hidden(&path[folder.len()..]))
        };
        found = all.iter().filter(inside).cloned().collect();
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("no file matches {location}"))
            .with_hint("check the path; hidden and empty files are left out"));
    }
    Ok(found)
}

async fn list_folder(location: &Location, resolved: &Resolved, format: Option<&Format>) -> Result<Vec<ObjectMeta>> {
    let mut found = list_below(location, resolved).await?;
    let root = resolved.path.as_ref();
    found.retain(|meta| !is_hidden(meta.location.as_ref().strip_prefix(root).unwrap_or_default()));
    // Files of another kind beside the data, such as a README, are left out where names tell them apart.
    let wanted = format.cloned().or_else(|| found.iter().find_map(|meta| Format::from_path(meta.location.as_ref())));
    let fits = |meta: &ObjectMeta| {
        let guess = Format::from_path(meta.location.as_ref());
        guess.is_some_and(|guess| wanted.as_ref().is_some_and(|wanted| wanted.name() == guess.name()))
    };
    if found.iter().any(fits) {
        found.retain(fits);
    }
    if found.is_empty() {
        return Err(missing(location));
    }
    Ok(found)
}

/// All files below the location's path that are not empty: those of its manifest where Sheaf wrote it.
async fn list_below(location: &Location, resolved: &Resolved) -> Result<Vec<ObjectMeta>> {
    if location.scheme() == Scheme::Http {
        return Err(Error::new(ErrorKind::Unsupported, format!("{location}: folders cannot be listed over HTTP"))
            .with_hint("name each file"));
    }
    if let Some(files) = pinned(location, resolved).await? {
        return Ok(files);
    }
    let prefix = Some(&resolved.path).filter(|path| !path.is_root());
    let all: Vec<ObjectMeta> = match resolved.store.list(prefix).try_collect().await {
        Ok(all) => all,
        Err(object_store::Error::NotFound { .. }) if location.is_local() => Vec::new(),
        Err(error) => return Err(named(location, from_store(error))),
    };
    // A first write that began meanwhile has pinned what was there; its new files may be in the listing.
    if let Some(files) = pinned(location, resolved).await? {
        return Ok(files);
    }
    Ok(all.into_iter().filter(|meta| meta.size > 0).collect())
}

/// The files that the folder's manifest names, where there is one.
async fn pinned(location: &Location, resolved: &Resolved) -> Result<Option<Vec<ObjectMeta>>> {
    let root = &resolved.path;
    let manifest = manifest::current(&*resolved.store, root).await.map_err(|error| named(location, error))?;
    let Some(manifest) = manifest else { return Ok(None) };
    let meta = |file: ManifestFile| {
        let path = if root.is_root() { file.path } else { format!("{root}/{}", file.path) };
        let location = Path::parse(&path)
            .map_err(|error| Error::new(ErrorKind::CorruptFile, format!("the manifest of {location}: {error}")))?;
        // A data file is never written again: its name alone tells it from others.
        Ok(ObjectMeta { location, last_modified: DateTime::UNIX_EPOCH, size: file.size, e_tag: None, version: None })
    };
    let files = if manifest.exists { manifest.files } else { Vec::new() };
    files.into_iter().filter(|file| file.size > 0).map(meta).collect::<Result<Vec<_>>>().map(Some)
}

/// Whether a segment of the path starts with `.` or `_`; a column's name may.
fn is_hidden(below: &str) -> bool {
    below.split('/').any(|segment| segment.starts_with('.') || (segment.starts_with('_') && !segment.contains('=')))
}

fn missing(location: &Location) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no file or folder with data at {location}"))
        .with_hint("check the path; hidden and empty files are left out")
}

fn named(location: &Location, error: Error) -> Error {
    let hint = error.hint().map(str::to_string);
    let told = Error::new(error.kind(), format!("{location}: {}", error.message())).with_source(error);
    match hint {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::StorageOptions;
    use object_store::PutPayload;
    use object_store::memory::InMemory;

    async fn stores(paths: &[&str]) -> Arc<Stores> {
        use datafusion::execution::object_store::ObjectStoreRegistry;
        let memory = Arc::new(InMemory::new());
        for path in paths {
            let body = if path.ends_with("empty.csv") { "" } else { "x" };
            memory.put(&Path::from(*path), PutPayload::from(body)).await.unwrap();
        }
        let stores = Stores::new();
        stores.register_store(&"s3://b/".parse().unwrap(), memory);
        stores
    }

    async fn names(stores: &Stores, texts: &[&str], format: Option<&Format>) -> Result<Vec<String>> {
        let locations: Vec<_> = texts.iter().map(|text| Location::parse(text).unwrap()).collect();
        let listed = list(stores, &locations, &ReadOptions::default(), format, Hive::BelowRoot).await?;
        Ok(listed.into_iter().map(|file| file.full.trim_start_matches("s3://b/").to_string()).collect())
    }

    #[tokio::test]
    async fn folders_leave_out_hidden_empty_and_other_files() {
        let stores =
            stores(&["t/b.csv", "t/a.csv", "t/.x.csv", "t/_temp/c.csv", "t/_k=1/d.csv", "t/empty.csv", "t/README.md"])
                .await;
        let expected = ["t/_k=1/d.csv", "t/a.csv", "t/b.csv"];
        for text in ["s3://b/t", "s3://b/t/"] {
            assert_eq!(names(&stores, &[text], None).await.unwrap(), expected, "{text}");
        }
        assert_eq!(names(&stores, &["s3://b/t/.x.csv"], None).await.unwrap(), ["t/.x.csv"], "named outright");
    }

    #[tokio::test]
    async fn globs_match_files_and_else_folders() {
        let stores = stores(&["t/y=1/a.csv", "t/y=2/b.csv", "t/c.csv"]).await;
        assert_eq!(names(&stores, &["s3://b/t/*.csv"], None).await.unwrap(), ["t/c.csv"]);
        assert_eq!(names(&stores, &["s3://b/t/y=*"], None).await.unwrap(), ["t/y=1/a.csv", "t/y=2/b.csv"]);
        let error = names(&stores, &["s3://b/t/*.json"], None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("s3://b/t/*.json"), "{error}");
    }

    #[tokio::test]
    async fn a_file_named_twice_is_read_once_and_order_is_kept() {
        let stores = stores(&["t/a.csv", "t/b.csv"]).await;
        let found = names(&stores, &["s3://b/t/b.csv", "s3://b/t/*.csv"], None).await.unwrap();
        assert_eq!(found, ["t/b.csv", "t/a.csv"]);
    }

    #[tokio::test]
    async fn a_manifest_hides_all_that_it_does_not_name() {
        let stores = stores(&["t/k=1/a.csv", "t/k=1/unfinished.csv"]).await;
        let put = async |version: u64, json: &str| {
            let resolved = stores.resolve(&Location::parse("s3://b/t").unwrap(), &StorageOptions::new()).unwrap();
            let path = Path::from(format!("t/_sheaf/{version:020}.json"));
            resolved.store.put(&path, PutPayload::from(json.to_string())).await.unwrap();
        };
        put(0, r#"{"layout":1,"version":0,"exists":false,"files":[],"history":[]}"#).await;
        assert_eq!(names(&stores, &["s3://b/t"], None).await.unwrap_err().kind(), ErrorKind::NotFound);
        put(1, r#"{"layout":1,"version":1,"exists":true,"files":[{"path":"k=1/a.csv","size":1}],"history":[]}"#).await;
        for text in ["s3://b/t", "s3://b/t/**/*.csv", "s3://b/t/k=*"] {
            assert_eq!(names(&stores, &[text], None).await.unwrap(), ["t/k=1/a.csv"], "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let stores = stores(&["t/a.csv"]).await;
        let error = names(&stores, &["s3://b/nowhere/x.csv"], None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("s3://b/nowhere/x.csv"), "{error}");
    }
}
