//! The folder that a session spills into: its own, locked while it lives, gone when it ends or its process exits,
//! and swept by the next session when its process was killed.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

const PREFIX: &str = "sheaf-spill-";
const LOCK: &str = "lock";
/// How often files that come while a folder is removed may keep it from being removed.
const LATE_FILES: usize = 10;

/// The folders of live sessions, with the process that made them: a forked child has this list and not the sessions.
static LIVE: Mutex<BTreeSet<(u32, PathBuf)>> = Mutex::new(BTreeSet::new());

/// Removes the spill folders of all sessions of this process: for the exit of a process whose sessions are not
/// dropped, as Python's are not while a thread holds one.
pub fn remove_spill_folders() {
    let live = std::mem::take(&mut *LIVE.lock());
    for (process, path) in live {
        remove(process, &path);
    }
}

fn remove(process: u32, path: &Path) {
    if process != std::process::id() {
        return;
    }
    match removed(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            log::warn!("cannot remove the spill folder {}: {error}", path.display());
        }
        _ => {}
    }
}

/// At the exit of a process its threads may go on spilling. They do not find the folder under its new name, so that no
/// more comes than the files which they were creating just then.
fn removed(path: &Path) -> std::io::Result<()> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let gone = path.with_file_name(format!("{name}-gone"));
    fs::rename(path, &gone)?;
    let mut result = fs::remove_dir_all(&gone);
    for _ in 0..LATE_FILES {
        match &result {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => result = fs::remove_dir_all(&gone),
            _ => break,
        }
    }
    result
}

/// A session's own folder for spilled data.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    path: PathBuf,
    process: u32,
    // Held for its lock: the system releases it however the process ends, and then the folder counts as left over.
    _lock: File,
}

impl SpillFolder {
    /// Makes a new folder in `parent` and removes what killed sessions left there.
    pub(crate) fn create(parent: &Path, name: &str) -> Result<Self> {
        let context = || format!("spill folder {}", parent.display());
        fs::create_dir_all(parent).with_context(context)?;
        sweep(parent);
        let path = parent.join(format!("{PREFIX}{name}"));
        // The lock is taken before the folder has its final name, so that no sweep meets it unlocked.
        let fresh = parent.join(format!(".{PREFIX}{name}"));
        fs::create_dir(&fresh).with_context(context)?;
        let lock = File::create(fresh.join(LOCK)).with_context(context)?;
        lock.try_lock().map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot lock the spill folder {}: {error}", fresh.display()))
                .with_hint("choose a spill_dir on a local file system")
        })?;
        fs::rename(&fresh, &path).with_context(context)?;
        let process = std::process::id();
        LIVE.lock().insert((process, path.clone()));
        Ok(Self { path, process, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        LIVE.lock().remove(&(self.process, self.path.clone()));
        remove(self.process, &self.path);
    }
}

/// Removes the folders whose sessions are gone: those whose lock can be had.
pub(crate) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && is_left_over(&path) {
            log::info!("removing the spill folder of a session that was killed: {}", path.display());
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_left_over(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        // It has a lock before it has its name: one without was being removed when its process was killed.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lives_with_its_session_and_left_overs_are_swept() {
        let parent = std::env::temp_dir().join(format!("sheaf-sweep-test-{}", std::process::id()));
        let first = SpillFolder::create(&parent, "one").unwrap();
        let left = parent.join("sheaf-spill-killed");
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let half_removed = parent.join("sheaf-spill-half");
        fs::create_dir(&half_removed).unwrap();
        let second = SpillFolder::create(&parent, "two").unwrap();
        assert!(first.path().exists() && second.path().exists());
        assert!(!left.exists() && !half_removed.exists(), "what a killed session left is removed");
        drop((first, second));
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir(&parent).unwrap();
    }

    #[test]
    fn a_folder_goes_while_threads_go_on_spilling() {
        let parent = std::env::temp_dir().join(format!("sheaf-spilling-test-{}", std::process::id()));
        for round in 0..50 {
            let folder = SpillFolder::create(&parent, &round.to_string()).unwrap();
            let inner = folder.path().join("datafusion-x");
            fs::create_dir(&inner).unwrap();
            let spilling = sheaf_core::env::thread("spilling", move || {
                let mut files = 0_u32;
                // Without an end where the folder is still there, but for this bound.
                while files < 20_000 && File::create(inner.join(files.to_string())).is_ok() {
                    files += 1;
                }
                files
            })
            .unwrap();
            while fs::read_dir(folder.path().join("datafusion-x")).unwrap().count() < 20 {}
            drop(folder);
            assert!(spilling.join().unwrap() >= 20);
            assert_eq!(fs::read_dir(&parent).unwrap().count(), 0, "round {round}");
        }
        fs::remove_dir(&parent).unwrap();
    }
}
