//! The last step of a write: its files become the data in one conditional put (a folder) or one rename (a local
//! file). Only after that does anything old go away.
//!
//! A put whose answer is lost may have worked, or may still be on its way to the store. It is made again under the
//! same version until the store gives a definite answer; the history of the manifest then tells whose it was.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, RenameOptions, RenameTargetMode};
use sheaf_core::env::{Clock, SystemClock};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

use crate::error::from_store;
use crate::manifest::{self, Manifest, ManifestFile};
use crate::write::job::{Begun, Job, Target, manifest_refused, relative, remove};
use crate::write::options::WriteMode;

/// How many other writers may get in first before a write gives up. Each lost race means that another one committed.
const RACES: u32 = 200;

/// How often a put is made again when its answer is lost.
const UNANSWERED: u32 = 4;

/// The wait after a lost race, times their number, up to the second bound; a share of it depends on the write's id so
/// that writers do not meet again.
const BACKOFF: Duration = Duration::from_millis(4);
const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// After this long the data files of a write that never committed are garbage to other writers.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// Whether a write changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// Its files are the data now.
    Yes,
    /// Another writer created the data in the meantime, and `ignore` leaves that.
    Skipped,
}

/// Publishes the files of a write, and removes them again if that fails for certain.
pub(crate) async fn publish(job: &Arc<Job>, files: Vec<ManifestFile>) -> Result<Published> {
    let published = match job.target.single_file {
        true => publish_file(job).await,
        false => publish_folder(job, files).await,
    };
    match &published {
        Ok(Published::Yes) => {
            job.keep();
            job.remove_shared().await;
            // An attempt that was given up for dead may still write.
            let job = Arc::clone(job);
            tokio::spawn(async move { job.remove_late().await });
        }
        Ok(Published::Skipped) => job.roll_back().await,
        Err(Failed::ForCertain(_)) => job.roll_back().await,
        // The files may be part of the data: removing them could lose it, keeping them costs room at most.
        Err(Failed::Perhaps(_)) => job.keep(),
    }
    published.map_err(Failed::into_error).with_context(|| format!("writing {}", job.target.text))
}

enum Failed {
    ForCertain(Error),
    Perhaps(Error),
}

impl Failed {
    fn into_error(self) -> Error {
        match self {
            Self::ForCertain(error) | Self::Perhaps(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::ForCertain(error)
    }
}

/// Renames a local file to its target. Elsewhere the upload has put it there already.
async fn publish_file(job: &Job) -> Result<Published, Failed> {
    if !job.target.renames {
        return Ok(Published::Yes);
    }
    let target_mode = match job.options.mode {
        WriteMode::Overwrite | WriteMode::Append => RenameTargetMode::Overwrite,
        WriteMode::Error | WriteMode::Ignore => RenameTargetMode::Create,
    };
    let options = RenameOptions::new().with_target_mode(target_mode);
    match job.target.store.rename_opts(&job.staging(), &job.target.path, options).await {
        Ok(()) => Ok(Published::Yes),
        Err(object_store::Error::AlreadyExists { .. }) if job.options.mode == WriteMode::Ignore => {
            Ok(Published::Skipped)
        }
        Err(object_store::Error::AlreadyExists { .. }) => Err(job.exists().into()),
        Err(error) => Err(from_store(error).into()),
    }
}

async fn publish_folder(job: &Job, files: Vec<ManifestFile>) -> Result<Published, Failed> {
    let Target { store, path: root, .. } = &job.target;
    let (mut races, mut unanswered) = (0, 0);
    loop {
        let looked = manifest::current(store, root).await;
        let base = match looked {
            Ok(base) => base.ok_or_else(|| vanished(job))?,
            // After a put without an answer, not even a failed look is certain.
            Err(error) if unanswered > 0 => return Err(Failed::Perhaps(error)),
            Err(error) => return Err(error.into()),
        };
        // An earlier round's put may have worked although its answer was lost.
        if base.was_committed(base.version, &job.id) == Some(true) {
            clean_up(job, &base).await;
            return Ok(Published::Yes);
        }
        if job.admit(&base)? == Begun::Skip {
            return Ok(Published::Skipped);
        }
        check_still_there(job, &files).await?;
        let next = successor(job, &base, &files);
        match manifest::create(store, root, &next).await {
            Ok(()) => match counts(job, &next).await? {
                true => {
                    clean_up(job, &next).await;
                    return Ok(Published::Yes);
                }
                false => remove(store, vec![manifest::path_of(root, next.version)]).await,
            },
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(error) => {
                let told = manifest_refused(error);
                if told.kind() != ErrorKind::Io {
                    return Err(told.into());
                }
                unanswered += 1;
                if unanswered >= UNANSWERED {
                    return Err(Failed::Perhaps(told.with_hint(
                        "the store did not answer, so that the write may have worked: look before writing again",
                    )));
                }
            }
        }
        races += 1;
        if races >= RACES {
            return Err(Error::new(ErrorKind::Conflict, format!("{RACES} other writes got in first"))
                .with_hint("try again when fewer writers are at work on this folder")
                .into());
        }
        tokio::time::sleep(backoff(races, &job.id)).await;
    }
}

fn backoff(races: u32, id: &str) -> Duration {
    // The last digits of the id are random.
    let share = id.bytes().rev().take(4).fold(0, |sum, byte| sum * 31 + u32::from(byte)) % 16;
    (BACKOFF * races).min(BACKOFF_MAX) * (8 + share) / 16
}

/// The manifest that this write would like to follow `base`.
fn successor(job: &Job, base: &Manifest, files: &[ManifestFile]) -> Manifest {
    let (files, replaced) = match job.options.mode {
        WriteMode::Append => (base.files.iter().chain(files).cloned().collect(), base.replaced.clone()),
        // The others replace what was there; for `error` and `ignore` that is nothing.
        WriteMode::Overwrite | WriteMode::Error | WriteMode::Ignore => {
            let old = base.files.iter().map(|file| file.path.clone());
            (files.to_vec(), base.replaced.iter().cloned().chain(old).collect())
        }
    };
    base.next(files, replaced, &job.id).labelled(job.options.label.as_deref())
}

/// Whether a manifest that was just created counts. Creating it anew after it was deleted makes a stray, which is
/// told from a commit that others have built on by the history of the newest manifest.
async fn counts(job: &Job, created: &Manifest) -> Result<bool, Failed> {
    let newest = manifest::current(&job.target.store, &job.target.path).await.map_err(Failed::Perhaps)?;
    let newest = newest.ok_or_else(|| vanished(job)).map_err(Failed::Perhaps)?;
    newest.was_committed(created.version, &job.id).ok_or_else(|| {
        Failed::Perhaps(Error::new(ErrorKind::Conflict, "so many others have written that the outcome is unknown"))
    })
}

fn vanished(job: &Job) -> Error {
    Error::new(ErrorKind::Conflict, format!("the folder {} was removed while it was being written", job.target.text))
}

/// A write that took so long that others may take its files for leftovers looks whether they did; one in several
/// attempts may have files of any age.
async fn check_still_there(job: &Job, files: &[ManifestFile]) -> Result<()> {
    if job.options.attempt.is_none() && SystemClock.now().duration_since(job.started) < LEFTOVER_AGE / 2 {
        return Ok(());
    }
    for file in files {
        job.target
            .store
            .head(&job.absolute(&file.path)?)
            .await
            .map_err(from_store)
            .with_context(|| format!("the write took so long that another one removed its file {}", file.path))?;
    }
    Ok(())
}

/// Removes what the commit has made superfluous: lower manifests, replaced files, and what killed writers left.
async fn clean_up(job: &Job, committed: &Manifest) {
    if let Err(error) = try_clean_up(job, committed).await {
        log::warn!("what the write to {} replaced could not be removed: {error}", job.target.text);
    }
}

async fn try_clean_up(job: &Job, committed: &Manifest) -> Result<()> {
    let Target { store, path: root, .. } = &job.target;
    let versions = manifest::versions(store, root).await?;
    let lower = versions.into_iter().filter(|(version, _)| *version < committed.version).map(|(_, path)| path);
    remove(store, lower.collect()).await;
    if job.options.mode == WriteMode::Overwrite {
        let kept: HashSet<&str> = committed.files.iter().map(|file| file.path.as_str()).collect();
        let replaced: HashSet<&str> = committed.replaced.iter().map(String::as_str).collect();
        let listed: Vec<ObjectMeta> = store.list(Some(root)).try_collect().await.map_err(from_store)?;
        let now = SystemClock.unix_millis();
        let garbage = listed.into_iter().filter(|meta| {
            let Some(path) = relative(root, &meta.location) else { return false };
            let age = now.saturating_sub(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0));
            let leftover = is_ours(&meta.location) && age > LEFTOVER_AGE.as_millis() as u64;
            !kept.contains(path.as_str()) && (replaced.contains(path.as_str()) || leftover)
        });
        remove(store, garbage.map(|meta| meta.location).collect()).await;
    }
    Ok(())
}

/// Whether a file has a name as [`Job::next_path`] gives it.
fn is_ours(path: &Path) -> bool {
    let Some(rest) = path.filename().and_then(|name| name.strip_prefix("part-")) else { return false };
    let Some((id, rest)) = rest.split_once('-') else { return false };
    let number = rest.split('.').next().unwrap_or_default();
    id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && number.len() >= 5
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_sheaf_gives_are_leftovers() {
        let id = uuid::Uuid::now_v7().simple().to_string();
        assert!(is_ours(&Path::from(format!("t/k=1/part-{id}-00001.csv.gz"))));
        for name in ["part-0.parquet", "part-00000-1b4e28ba-2fa1-11d2-883f-0016d3cca427-c000.parquet", "x.parquet"] {
            assert!(!is_ours(&Path::from(name)), "{name}");
        }
    }

    #[test]
    fn the_wait_is_bounded_and_differs() {
        assert!(backoff(RACES, "ffff") <= BACKOFF_MAX * 2);
        assert_ne!(backoff(10, "0001"), backoff(10, "0002"));
    }
}
