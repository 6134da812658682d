//! Packages: files that drivers leave with the head for jobs and nodes, by the hash of their contents. They lie in the
//! head's folder, where the next head finds them; without one, in files without a name, so that nothing is left of them
//! whatever ends the head. Those that were used last are kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use ring::digest::{Context, SHA256};
use serde_json::json;
use sheaf_core::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::Site;
use super::reply::{Answer, Refusal, json_of};

/// What one package may have, in bytes: code and what it needs beside it. Data goes into objects or stores.
const PACKAGE_BYTES: u64 = 512 << 20;
/// What all of them may have together: beyond it those go whose use is the longest ago.
const ALL_BYTES: u64 = 4 << 30;
/// How many there may be: each has a descriptor.
const PACKAGES: usize = 256;
/// How many are brought at once; more wait.
const UPLOADS: usize = 4;
/// How long one waits for that, and for the next bytes of a package.
const PATIENCE: Duration = Duration::from_secs(30);
/// What names of files begin with that have not come whole.
const DRAFT: &str = ".coming-";
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// The packages of a head.
pub(super) struct Packages {
    folder: Option<PathBuf>,
    shelf: Mutex<Shelf>,
    uploads: Semaphore,
}

#[derive(Default)]
struct Shelf {
    kept: BTreeMap<String, Package>,
    bytes: u64,
    uses: u64,
}

struct Package {
    file: Arc<File>,
    size: u64,
    /// The number of its last use.
    used: u64,
}

impl Packages {
    /// With those that another head left in the folder, if there is one.
    pub(super) fn open(folder: Option<PathBuf>) -> Self {
        let mut shelf = Shelf::default();
        if let Some(folder) = &folder
            && let Err(error) = std::fs::create_dir_all(folder).and_then(|()| shelf.find_in(folder))
        {
            log::warn!("packages cannot be kept in {}: {error}", folder.display());
        }
        Self { folder, shelf: Mutex::new(shelf), uploads: Semaphore::new(UPLOADS) }
    }

    fn draft(&self) -> std::io::Result<Draft> {
        Ok(match &self.folder {
            Some(folder) => {
                let file = tempfile::Builder::new().prefix(DRAFT).tempfile_in(folder)?;
                Draft { file: file.reopen()?, named: Some(file) }
            }
            None => Draft { file: tempfile::tempfile()?, named: None },
        })
    }

    fn keep(&self, sha256: &str, draft: Draft, size: u64) -> std::io::Result<()> {
        let Draft { file, named } = draft;
        if let (Some(named), Some(folder)) = (named, &self.folder) {
            named.persist(folder.join(sha256)).map_err(|error| error.error)?;
        }
        let gone = self.shelf.lock().keep(sha256.to_string(), file, size, ALL_BYTES);
        for (folder, name) in self.folder.iter().flat_map(|folder| gone.iter().map(move |name| (folder, name))) {
            // Who reads one of these has its file still.
            if let Err(error) = std::fs::remove_file(folder.join(name)) {
                log::warn!("the package {name} cannot be removed: {error}");
            }
        }
        Ok(())
    }
}

/// A package that comes. It is gone unless it is kept.
struct Draft {
    file: File,
    named: Option<NamedTempFile>,
}

impl Shelf {
    /// The file of a package and its size; that is a use.
    fn find(&mut self, sha256: &str) -> Option<(Arc<File>, u64)> {
        self.uses += 1;
        let package = self.kept.get_mut(sha256)?;
        package.used = self.uses;
        Some((Arc::clone(&package.file), package.size))
    }

    /// Takes over what lies in a folder, what was stored last as what was used last.
    fn find_in(&mut self, folder: &std::path::Path) -> std::io::Result<()> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let (entry, told) = entry.and_then(|entry| entry.metadata().map(|told| (entry, told)))?;
            match entry.file_name().into_string() {
                Ok(name) if is_hash(&name) => found.push((told.modified()?, name, told.len())),
                // It did not come whole.
                Ok(name) if name.starts_with(DRAFT) => std::fs::remove_file(entry.path())?,
                _ => {}
            }
        }
        found.sort();
        for (_, name, size) in found {
            let file = File::open(folder.join(&name))?;
            self.keep(name, file, size, u64::MAX);
        }
        Ok(())
    }

    /// Keeps one more, and names those that had to go for it.
    fn keep(&mut self, sha256: String, file: File, size: u64, limit: u64) -> Vec<String> {
        let mut gone = Vec::new();
        self.uses += 1;
        let package = Package { file: Arc::new(file), size, used: self.uses };
        if let Some(same) = self.kept.insert(sha256, package) {
            self.bytes -= same.size;
        }
        self.bytes += size;
        while self.bytes > limit || self.kept.len() > PACKAGES {
            let oldest = self.kept.iter().min_by_key(|(_, package)| package.used).map(|(name, _)| name.clone());
            let Some((name, package)) = oldest.and_then(|name| self.kept.remove_entry(&name)) else { break };
            self.bytes -= package.size;
            gone.push(name);
        }
        gone
    }
}

/// `PUT`: takes a package, if its contents are those that it is named by.
pub(super) async fn store(State(site): State<Site>, Path(sha256): Path<String>, request: Request) -> Answer {
    let packages = site.of_head(site.packages.as_ref(), "packages")?;
    let sha256 = hash_of(&sha256)?;
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > PACKAGE_BYTES) {
        return Err(too_large());
    }
    let waited = tokio::time::timeout(PATIENCE, packages.uploads.acquire()).await;
    let Ok(Ok(_one_of_few)) = waited else {
        return Err(Error::new(ErrorKind::Io, "other packages are being stored; try again").into());
    };
    let mut draft = packages.draft().map_err(stored)?;
    let size = receive(request.into_body().into_data_stream(), &mut draft, &sha256).await?;
    packages.keep(&sha256, draft, size).map_err(stored)?;
    let answer = json_of(&json!({ "sha256": sha256, "size": size }))?;
    Ok((StatusCode::CREATED, answer).into_response())
}

/// `GET` and `HEAD`: a package as it was stored.
pub(super) async fn read(State(site): State<Site>, Path(sha256): Path<String>) -> Answer {
    let packages = site.of_head(site.packages.as_ref(), "packages")?;
    let sha256 = hash_of(&sha256)?;
    let (file, size) = packages.shelf.lock().find(&sha256).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no package {sha256}"))
            .with_hint("it was never stored, or others needed the room since: store it again")
    })?;
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream".to_string()), (header::CONTENT_LENGTH, size.to_string())];
    Ok((headers, Body::from_stream(chunks(file, size))).into_response())
}

fn hash_of(sha256: &str) -> Result<String, Refusal> {
    if is_hash(sha256) {
        return Ok(sha256.to_ascii_lowercase());
    }
    Err(Error::invalid(format!("{sha256:?} is no SHA-256, which has 64 hexadecimal digits")).into())
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn stored(error: std::io::Error) -> Error {
    Error::from(error).with_context("storing a package")
}

fn too_large() -> Refusal {
    let error = Error::invalid(format!("a package may have {} MiB", PACKAGE_BYTES >> 20))
        .with_hint("leave data out of it (`excludes`), or put it where all nodes read it");
    Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, error)
}

/// Writes what comes to a file, and looks at its hash.
async fn receive(mut body: BodyDataStream, draft: &mut Draft, sha256: &str) -> Result<u64, Refusal> {
    let mut file = tokio::fs::File::from_std(draft.file.try_clone().map_err(stored)?);
    let (mut hash, mut size) = (Context::new(&SHA256), 0);
    loop {
        let chunk = match tokio::time::timeout(PATIENCE, body.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                return Err(Error::new(ErrorKind::Io, format!("the package broke off: {error}")).into());
            }
            Err(_) => {
                let error = Error::new(ErrorKind::Io, format!("nothing came for {} s", PATIENCE.as_secs()));
                return Err(Refusal::with(StatusCode::REQUEST_TIMEOUT, error));
            }
        };
        size += chunk.len() as u64;
        if size > PACKAGE_BYTES {
            return Err(too_large());
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(stored)?;
    }
    file.flush().await.map_err(stored)?;
    let found: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sha256 {
        return Err(Error::invalid(format!("the contents have the SHA-256 {found}, not {sha256}")).into());
    }
    Ok(size)
}

fn chunks(file: Arc<File>, size: u64) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, 0), move |(file, at)| async move {
        let length = (size - at).min(CHUNK_BYTES as u64);
        if length == 0 {
            return Ok(None);
        }
        let reading = Arc::clone(&file);
        // A disk may be slow, and others have these threads too.
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; length as usize];
            reading.read_exact_at(&mut chunk, at).map(|()| Bytes::from(chunk))
        });
        let chunk = read.await.map_err(std::io::Error::other)??;
        Ok(Some((chunk, (file, at + length))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_used_last_are_kept() {
        let mut shelf = Shelf::default();
        let keep = |shelf: &mut Shelf, name: &str, size| {
            shelf.keep(name.to_string(), tempfile::tempfile().unwrap(), size, 100);
        };
        for name in ["a", "b", "c"] {
            keep(&mut shelf, name, 30);
        }
        assert!(shelf.find("a").is_some(), "it is used");
        keep(&mut shelf, "d", 30);
        assert_eq!(shelf.kept.keys().collect::<Vec<_>>(), ["a", "c", "d"]);
        keep(&mut shelf, "c", 30);
        assert_eq!((shelf.kept.len(), shelf.bytes), (3, 90), "the same again takes no room");
        keep(&mut shelf, "e", 70);
        assert_eq!(
            (shelf.kept.keys().collect::<Vec<_>>(), shelf.bytes),
            (vec![&"c".to_string(), &"e".to_string()], 100)
        );
        for number in 0..=PACKAGES {
            keep(&mut shelf, &format!("{number}"), 0);
        }
        assert_eq!(shelf.kept.len(), PACKAGES);
    }

    #[test]
    fn another_head_finds_what_there_was_and_nothing_that_was_half_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let packages = Packages::open(Some(folder.path().to_path_buf()));
        let name = |letter: &str| letter.repeat(64);
        for letter in ["a", "b"] {
            packages.keep(&name(letter), packages.draft().unwrap(), 2_000_000_000).unwrap();
        }
        // As if the head had been killed while it came.
        let (_, half) = packages.draft().unwrap().named.unwrap().keep().unwrap();
        assert!(half.exists());
        packages.keep(&name("c"), packages.draft().unwrap(), 2_000_000_000).unwrap();
        assert_eq!(there()[1..], [name("b"), name("c")], "the oldest had to go");
        let next = Packages::open(Some(folder.path().to_path_buf()));
        assert_eq!(there(), [name("b"), name("c")]);
        assert_eq!(next.shelf.lock().kept.len(), 2);
    }
}
