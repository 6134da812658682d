//! Files of a write in several attempts that are no part of what it committed: an attempt that is killed leaves those
//! that it had not finished, and those that it had and nobody recorded.

use std::collections::HashSet;
use std::path::Path as DiskPath;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use sheaf_core::{Result, ResultExt};

use crate::error::from_store;
use crate::manifest;
use crate::write::job::{relative, remove};

/// Removes the data files below `root` that attempts with these ids made and that the manifest does not list. It is for
/// the end of a write, when none of its attempts runs any more.
///
/// # Errors
/// The store's own.
pub async fn remove_leftovers(store: &Arc<dyn ObjectStore>, root: &Path, attempts: &HashSet<String>) -> Result<()> {
    remove_named(store, root, &|attempt| attempts.contains(attempt)).await
}

/// The same of attempts whose ids are such.
pub(crate) async fn remove_named(
    store: &Arc<dyn ObjectStore>,
    root: &Path,
    is_such: &(dyn Fn(&str) -> bool + Sync),
) -> Result<()> {
    let Some(manifest) = manifest::current(store, root).await? else { return Ok(()) };
    let kept: HashSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    let listed: Vec<Path> = store
        .list(Some(root))
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .map_err(from_store)
        .context("looking for what earlier attempts left")?;
    let left = listed.into_iter().filter(|path| {
        path.filename().is_some_and(|name| is_of(name, is_such))
            && relative(root, path).is_some_and(|path| !kept.contains(path.as_str()))
    });
    remove(store, left.collect()).await;
    Ok(())
}

/// Whether attempts with such ids gave a data file its name.
fn is_of(name: &str, is_such: &dyn Fn(&str) -> bool) -> bool {
    name.strip_prefix("part-").and_then(|rest| rest.split('-').next()).is_some_and(is_such)
}

/// Removes what killed uploads left on local disk below `root`: of attempts with these ids, or whatever it is. A store
/// there uploads to a file whose name ends in `#` and a number, and shows no such file in a listing.
///
/// # Errors
/// Those of the file system.
pub fn remove_unfinished(root: &Path, attempts: Option<&HashSet<String>>) -> Result<()> {
    remove_unfinished_named(root, &|name| {
        attempts.is_none_or(|attempts| attempts.iter().any(|attempt| name.contains(attempt.as_str())))
    })
}

/// The same of files with such names.
pub(crate) fn remove_unfinished_named(root: &Path, is_such: &dyn Fn(&str) -> bool) -> Result<()> {
    let folder = LocalFileSystem::new().path_to_filesystem(root).map_err(from_store)?;
    sweep(&folder, &|name| name.contains('#') && is_such(name))
        .with_context(|| format!("removing unfinished files in {}", folder.display()))
}

fn sweep(folder: &DiskPath, is_garbage: &dyn Fn(&str) -> bool) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sweep(&entry.path(), is_garbage)?;
        } else if entry.file_name().to_str().is_some_and(is_garbage) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
