//! Files with what workers print, written by a thread of their own: a slow or full disk keeps neither node nor worker.
//!
//! Each worker that prints has `worker-<pid>.out` and `.err` in the `logs` of its session, each of at most
//! [`FILE_BYTES`], with the older ones beside it as `.1`, `.2` and so on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use crate::client::Lines;
use crate::{Error, ErrorKind, Result, env};

/// A file that would be longer is put aside.
const FILE_BYTES: u64 = 100 << 20;
/// How many are kept that were put aside.
const KEPT: u32 = 5;
/// Lines on their way to the disk: if it is too slow for more they are left out.
const MAX_LINES: usize = 10_000;
/// How long the last lines may take to be written.
const LAST: Duration = Duration::from_secs(1);
/// Leads to the session that began last.
const LATEST: &str = "session_latest";

#[derive(Debug)]
enum Entry {
    Line(u32, bool, String),
    /// The worker is gone.
    End(u32),
}

/// The log files of a session.
#[derive(Debug)]
pub(super) struct Logs {
    folder: PathBuf,
    entries: Option<SyncSender<Entry>>,
    left_out: Arc<AtomicU64>,
    ended: Receiver<()>,
}

impl Logs {
    /// Makes a folder for the session below this one.
    pub(super) fn start(root: &Path, lines: Arc<Lines>) -> Result<Self> {
        let folder = new_session(root).map_err(|error| {
            Error::new(ErrorKind::Io, format!("logs cannot be written to {}: {error}", root.display()))
        })?;
        let (entries, coming) = sync_channel(MAX_LINES);
        let (ends, ended) = sync_channel(1);
        let left_out = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            folder: folder.clone(),
            files: BTreeMap::new(),
            left_out: Arc::clone(&left_out),
            lines,
            file_bytes: FILE_BYTES,
            is_broken: false,
        };
        env::thread("sheaf-logs", move || {
            writer.run(&coming);
            let _ = ends.send(());
        })?;
        Ok(Self { folder, entries: Some(entries), left_out, ended })
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log of one worker.
    pub(super) fn of_worker(&self, pid: u32) -> Option<WorkerLog> {
        Some(WorkerLog { pid, entries: self.entries.clone()?, left_out: Arc::clone(&self.left_out) })
    }

    /// Waits until all is written, for a short time. All workers are gone.
    pub(super) fn end(mut self) {
        self.entries = None;
        let _ = self.ended.recv_timeout(LAST);
    }
}

/// Where the lines of one worker go.
#[derive(Debug)]
pub(super) struct WorkerLog {
    pid: u32,
    entries: SyncSender<Entry>,
    left_out: Arc<AtomicU64>,
}

impl WorkerLog {
    pub(super) fn write(&self, is_error: bool, text: &str) {
        if self.entries.try_send(Entry::Line(self.pid, is_error, text.to_string())).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        // Where there is no room for it the files stay open until the session ends.
        let _ = self.entries.try_send(Entry::End(self.pid));
    }
}

/// The folder for the logs of a session that begins now; `session_latest` leads to the session.
fn new_session(root: &Path) -> io::Result<PathBuf> {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = format!("session_{}.{:06}_{}", began.as_secs(), began.subsec_micros(), std::process::id());
    let folder = root.join(&name).join("logs");
    std::fs::create_dir_all(&folder)?;
    // Put in place whole: another driver may look.
    let fresh = root.join(format!("{name}.link"));
    std::os::unix::fs::symlink(&name, &fresh)?;
    std::fs::rename(&fresh, root.join(LATEST))?;
    Ok(folder)
}

/// What the thread has.
struct Writer {
    folder: PathBuf,
    files: BTreeMap<(u32, bool), LogFile>,
    left_out: Arc<AtomicU64>,
    lines: Arc<Lines>,
    file_bytes: u64,
    /// The last line could not be written, and that was said.
    is_broken: bool,
}

impl Writer {
    fn run(mut self, coming: &Receiver<Entry>) {
        for entry in coming {
            match entry {
                Entry::Line(pid, is_error, text) => self.write(pid, is_error, &text),
                Entry::End(pid) => {
                    self.files.remove(&(pid, false));
                    self.files.remove(&(pid, true));
                }
            }
        }
    }

    fn write(&mut self, pid: u32, is_error: bool, text: &str) {
        let path = || self.folder.join(format!("worker-{pid}.{}", if is_error { "err" } else { "out" }));
        let file = self.files.entry((pid, is_error)).or_insert_with(|| LogFile { path: path(), open: None });
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let written = if left_out == 0 {
            file.write(text, self.file_bytes)
        } else {
            file.write(&format!("[sheaf: {left_out} lines of this node's are left out here]\n{text}"), self.file_bytes)
        };
        match written {
            Ok(()) => self.is_broken = false,
            Err(error) if !self.is_broken => {
                self.is_broken = true;
                let path = file.path.display();
                self.lines
                    .say(format!("what workers print cannot be written to {path}, and is left out there: {error}"));
            }
            Err(_) => {}
        }
    }
}

struct LogFile {
    path: PathBuf,
    /// The file and its bytes.
    open: Option<(File, u64)>,
}

impl LogFile {
    fn write(&mut self, text: &str, limit: u64) -> io::Result<()> {
        let length = text.len() as u64 + 1;
        if self.opened()?.1 + length > limit && self.opened()?.1 > 0 {
            self.open = None;
            self.put_aside();
        }
        let (file, size) = self.opened()?;
        *size += length;
        file.write_all(format!("{text}\n").as_bytes())
    }

    fn opened(&mut self) -> io::Result<&mut (File, u64)> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                let size = file.metadata()?.len();
                (file, size)
            }
        };
        Ok(self.open.insert(open))
    }

    /// Makes way for a new file; the oldest one goes.
    fn put_aside(&self) {
        let older = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        // What is not there need not be moved.
        for number in (1..KEPT).rev() {
            let _ = std::fs::rename(older(number), older(number + 1));
        }
        let _ = std::fs::rename(&self.path, older(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(folder: &Path, file_bytes: u64) -> Writer {
        let (left_out, lines) = (Arc::default(), Arc::default());
        Writer { folder: folder.to_path_buf(), files: BTreeMap::new(), left_out, lines, file_bytes, is_broken: false }
    }

    #[test]
    fn files_are_put_aside_when_they_are_long_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), 20);
        for number in 0..20 {
            writer.write(7, false, &format!("line {number:03}"));
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("worker-7.out"), "line 018\nline 019\n");
        assert_eq!(read("worker-7.out.1"), "line 016\nline 017\n");
        assert_eq!(read("worker-7.out.5"), "line 008\nline 009\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 6);
    }

    #[test]
    fn a_full_disk_is_said_once_and_costs_only_lines() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("worker-7.out")).unwrap();
        let mut writer = writer(folder.path(), FILE_BYTES);
        writer.write(7, false, "lost");
        writer.write(7, false, "lost too");
        let said = writer.lines.take(Duration::ZERO).unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].text.contains("worker-7.out"), "{said:?}");
        writer.write(8, true, "kept");
        assert_eq!(std::fs::read_to_string(folder.path().join("worker-8.err")).unwrap(), "kept\n");
    }

    #[test]
    fn a_session_has_its_folder_and_the_last_one_is_found() {
        let root = tempfile::tempdir().unwrap();
        let logs = Logs::start(root.path(), Arc::default()).unwrap();
        let log = logs.of_worker(7).unwrap();
        log.left_out.store(3, Ordering::Relaxed);
        log.write(false, "hello");
        drop(log);
        logs.end();
        let told = std::fs::read_to_string(root.path().join("session_latest/logs/worker-7.out")).unwrap();
        assert_eq!(told, "[sheaf: 3 lines of this node's are left out here]\nhello\n");
    }
}
