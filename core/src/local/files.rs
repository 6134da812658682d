//! The files with what workers printed, listed and read in parts for people. A thread of its own reads: a slow disk
//! keeps no node waiting. Only plain files of the log folder are read, by their names.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot::Sender;

use crate::env;

/// Bytes that are read at once.
const PART_BYTES: u64 = 256 << 10;
/// Files that are listed at most: each worker that printed has two, and the older ones.
const MAX_FILES: usize = 10_000;

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The name of the file.
    pub file: String,
    /// Where it begins.
    pub from: From,
}

/// Where a part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum From {
    /// With that byte of the file.
    Byte(u64),
    /// With the first of its last lines, of which there are so many.
    Last(u64),
}

/// Lists the files of a folder.
pub(super) fn list(folder: Option<PathBuf>, answer: Sender<String>) {
    answer_elsewhere(folder, answer, |folder| Ok(json!({ "files": listed(folder)? })));
}

/// Reads a part of a file, up to [`PART_BYTES`].
pub(super) fn read(folder: Option<PathBuf>, part: Part, answer: Sender<String>) {
    answer_elsewhere(folder, answer, move |folder| read_part(folder, &part));
}

fn answer_elsewhere(
    folder: Option<PathBuf>,
    answer: Sender<String>,
    work: impl FnOnce(&Path) -> io::Result<Value> + Send + 'static,
) {
    // Who waits is told by the end of its answer when there is no thread for it.
    let _ = env::thread("sheaf-files", move || {
        let told = match folder {
            None => json!({ "files": [], "error": "this node keeps no files with what its workers print (--log-dir)" }),
            Some(folder) => work(&folder).unwrap_or_else(|error| json!({ "error": error.to_string() })),
        };
        let _ = answer.send(told.to_string());
    });
}

fn listed(folder: &Path) -> io::Result<Value> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MAX_FILES) {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(json!({ "file": name, "bytes": about.len(), "changed": about.mtime() }));
        }
    }
    Ok(files.into())
}

fn read_part(folder: &Path, part: &Part) -> io::Result<Value> {
    let file = opened(folder, &part.file)?;
    let about = file.metadata()?;
    let begin = match part.from {
        From::Byte(byte) => byte.min(about.len()),
        From::Last(lines) => begin_of_last(&file, about.len(), lines)?,
    };
    let mut bytes = vec![0; PART_BYTES.min(about.len() - begin) as usize];
    file.read_exact_at(&mut bytes, begin)?;
    // A character that ends in the next part comes with that.
    let whole = match std::str::from_utf8(&bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    bytes.truncate(whole);
    Ok(json!({
        "text": String::from_utf8_lossy(&bytes),
        "from": begin,
        "next": begin + whole as u64,
        "size": about.len(),
        // Another file may come in its place, under its name.
        "file": about.ino(),
    }))
}

/// A file of the folder, and of no other: a name with a way in it, and what leads elsewhere, is refused.
fn opened(folder: &Path, name: &str) -> io::Result<File> {
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name) {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("{name:?} is no name of a file of the log folder"),
        ));
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(folder.join(name));
    let file = file.map_err(|error| io::Error::new(error.kind(), format!("{name:?} cannot be read: {error}")))?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, format!("{name:?} is no plain file"))),
    }
}

/// Where the last lines begin.
fn begin_of_last(file: &File, size: u64, lines: u64) -> io::Result<u64> {
    let (mut end, mut found) = (size, 0);
    // The end of the last line begins no other.
    let mut is_last_byte = true;
    while end > 0 {
        let begin = end.saturating_sub(PART_BYTES);
        let mut bytes = vec![0; (end - begin) as usize];
        file.read_exact_at(&mut bytes, begin)?;
        for (at, byte) in bytes.iter().enumerate().rev() {
            if *byte == b'\n' && !is_last_byte {
                found += 1;
                if found == lines {
                    return Ok(begin + at as u64 + 1);
                }
            }
            is_last_byte = false;
        }
        end = begin;
    }
    Ok(if lines == 0 { size } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(folder: &Path, file: &str, from: From) -> io::Result<(String, u64, u64)> {
        let told = read_part(folder, &Part { file: file.to_string(), from })?;
        let number = |name: &str| told[name].as_u64().unwrap();
        Ok((told["text"].as_str().unwrap().to_string(), number("next"), number("size")))
    }

    #[test]
    fn files_are_read_in_parts_that_join_and_from_any_of_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        // Characters of three bytes, so that a part does not end with one.
        let whole: String = (0..60_000).map(|line| format!("zeile € {line}\n")).collect();
        std::fs::write(folder.path().join("worker-1.out"), &whole).unwrap();
        let (mut read, mut at, mut parts) = (String::new(), 0, 0);
        loop {
            let (text, next, size) = text_of(folder.path(), "worker-1.out", From::Byte(at)).unwrap();
            assert!(text.len() as u64 <= PART_BYTES && size == whole.len() as u64);
            (read, at, parts) = (read + &text, next, parts + 1);
            if next == size {
                break;
            }
        }
        assert!(parts > 3 && read == whole);
        let last = |lines| text_of(folder.path(), "worker-1.out", From::Last(lines)).unwrap();
        assert_eq!(last(2).0, "zeile € 59998\nzeile € 59999\n");
        assert_eq!(last(0).0, "");
        let (text, next, _) = last(40_000);
        assert!(text.starts_with("zeile € 20000\n") && next < whole.len() as u64);
        assert!(last(60_000).0.starts_with("zeile € 0\n") && last(70_000).0.starts_with("zeile € 0\n"));
    }

    #[test]
    fn nothing_but_plain_files_of_the_folder_is_read() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("logs");
        std::fs::create_dir_all(folder.join("deeper")).unwrap();
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        std::fs::write(folder.join("deeper/file"), "file").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("leads.out")).unwrap();
        for name in
            ["../secret", "leads.out", "deeper", "deeper/file", "./leads.out", "", ".", "..", "/etc/hostname", "none"]
        {
            let told = text_of(&folder, name, From::Byte(0));
            assert!(told.is_err(), "{name:?}: {told:?}");
        }
        assert!(listed(&folder).unwrap().as_array().unwrap().is_empty());
    }
}
