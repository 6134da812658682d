//! What a job printed, in one file of bounded size that may be read while it is written. Places in it stay what they
//! are: when the oldest part goes, the file has a hole in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};
use parking_lot::Mutex;

/// What is kept of what one job prints, in bytes.
const LOG_BYTES: u64 = 64 << 20;
/// What goes at once when it is full.
const STEP_BYTES: u64 = 4 << 20;
/// Where holes may begin and end.
const PAGE_BYTES: u64 = 4096;
/// How far the beginning of a line is looked for.
const LINE_BYTES: usize = 64 << 10;

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// The place of its first byte. It is beyond what was asked for where that is not kept any more.
    pub from: u64,
    /// What was printed.
    pub bytes: Vec<u8>,
    /// Where the log ends now.
    pub end: u64,
}

/// The log of one job.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: Option<PathBuf>,
    ends: Mutex<Ends>,
    limit: u64,
}

#[derive(Debug)]
struct Ends {
    start: u64,
    end: u64,
    /// Bytes that the disk had no room for.
    lost: u64,
}

impl Log {
    /// A new one: in a folder, or else in a file without a name.
    pub(super) fn create(folder: Option<&Path>, id: &str) -> io::Result<Self> {
        let path = folder.map(|folder| path(folder, id));
        let file = match &path {
            Some(path) => {
                OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?
            }
            None => tempfile::tempfile()?,
        };
        Ok(Self::of(file, path, Ends { start: 0, end: 0, lost: 0 }))
    }

    /// One that another head left.
    pub(super) fn open(folder: &Path, id: &str) -> io::Result<Self> {
        let path = path(folder, id);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let end = file.metadata()?.len();
        // What went is a hole.
        let start = lseek(&file, 0, Whence::SeekData).map_or(0, |start| u64::try_from(start).unwrap_or_default());
        Ok(Self::of(file, Some(path), Ends { start: start.min(end), end, lost: 0 }))
    }

    fn of(file: File, path: Option<PathBuf>, ends: Ends) -> Self {
        Self { file, path, ends: Mutex::new(ends), limit: LOG_BYTES }
    }

    /// Writes on. A full disk costs what does not fit, and is told in the log when there is room again.
    pub(super) fn append(&self, bytes: &[u8]) {
        let mut ends = self.ends.lock();
        if ends.lost > 0 {
            let words = format!("[{} bytes are missing here: the disk of the head was full]\n", ends.lost);
            if self.file.write_all_at(words.as_bytes(), ends.end).is_err() {
                ends.lost += bytes.len() as u64;
                return;
            }
            (ends.end, ends.lost) = (ends.end + words.len() as u64, 0);
        }
        match self.file.write_all_at(bytes, ends.end) {
            Ok(()) => ends.end += bytes.len() as u64,
            Err(error) => {
                log::warn!("the log of a job cannot be written: {error}");
                ends.lost += bytes.len() as u64;
            }
        }
        if ends.end - ends.start > self.limit {
            let start = self.line_after(ends.end - self.limit + STEP_BYTES.min(self.limit / 2));
            let whole = start / PAGE_BYTES * PAGE_BYTES;
            let holes = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            match fallocate(self.file.as_fd(), holes, 0, whole as i64) {
                Ok(()) | Err(Errno::EOPNOTSUPP) => ends.start = start,
                Err(error) => log::warn!("the log of a job cannot be shortened: {error}"),
            }
        }
    }

    /// Where the next line begins, or this place where that is far.
    fn line_after(&self, place: u64) -> u64 {
        let mut part = vec![0; LINE_BYTES];
        let read = self.file.read_at(&mut part, place).unwrap_or_default();
        part[..read].iter().position(|byte| *byte == b'\n').map_or(place, |at| place + at as u64 + 1)
    }

    /// At most so many bytes from a place on.
    pub(super) fn read(&self, from: u64, limit: usize) -> io::Result<LogPart> {
        // What is read must not go meanwhile.
        let ends = self.ends.lock();
        let (start, end) = (ends.start, ends.end);
        let from = from.clamp(start, end);
        let length = usize::try_from(end - from).unwrap_or(limit).min(limit);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(LogPart { from, bytes, end })
    }

    /// The last lines of it, in at most so many bytes.
    pub(super) fn last(&self, limit: usize) -> String {
        let from = self.ends.lock().end.saturating_sub(limit as u64);
        let Ok(part) = self.read(from, limit) else { return String::new() };
        let text = String::from_utf8_lossy(&part.bytes);
        let whole = if from > 0 { text.split_once('\n').map_or("", |(_, whole)| whole) } else { &text };
        whole.trim_end().to_string()
    }

    /// Removes it; who reads it has it still.
    pub(super) fn remove(&self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
        {
            log::warn!("{} cannot be removed: {error}", path.display());
        }
    }
}

/// The file of a job's log in a folder.
pub(super) fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.log"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn places_stay_what_they_are_when_the_oldest_lines_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(Some(folder.path()), "a").unwrap();
        log.limit = 256 << 10;
        let line = |number: u64| format!("{number:0>99}\n");
        for number in 0..10_000 {
            log.append(line(number).as_bytes());
        }
        let part = log.read(0, 1_000).unwrap();
        assert_eq!((part.end, part.from % 100), (1_000_000, 0), "it begins with a line");
        assert!(part.from > 700_000 && part.from < 900_000, "{}", part.from);
        assert!(part.bytes.starts_with(line(part.from / 100).as_bytes()));
        assert_eq!(log.read(999_900, 1_000).unwrap().bytes, line(9_999).as_bytes());
        assert_eq!(log.last(250).lines().count(), 2);
        let blocks = std::fs::metadata(path(folder.path(), "a")).unwrap().blocks();
        assert!(blocks * 512 < 400 << 10, "{blocks} blocks are taken");

        let again = Log::open(folder.path(), "a").unwrap();
        let first = again.read(0, 10).unwrap().from;
        assert!(part.from - first < 2 * PAGE_BYTES && again.read(0, 10).unwrap().end == 1_000_000, "{first}");
        log.remove();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_log_without_a_folder_has_no_name() {
        let log = Log::create(None, "a").unwrap();
        log.append("grüße".as_bytes());
        assert_eq!(log.last(100), "grüße");
        assert_eq!(log.read(99, 5).unwrap(), LogPart { from: 7, bytes: Vec::new(), end: 7 });
        log.remove();
    }
}
