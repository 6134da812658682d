//! File systems of other libraries as object stores: each call waits in a thread of its own, and not for ever.
//!
//! [`Filesystem`] is the seam: blocking calls over paths. [`FilesystemStore`] makes an [`ObjectStore`] of one, whose
//! guarantees are those of the file system: what is created only if it is new is so as exactly as
//! [`Filesystem::create`] is, and a file appears whole as far as [`FileWriter::commit`] makes it so.

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

/// Calls that wait at once: enough for a link that is slow to answer, few enough that a file system that hangs does not
/// take all of the threads that others wait in.
const CALLS_AT_ONCE: usize = 32;

/// Bytes that one call reads of a file that is read from end to end.
const CHUNK_BYTES: u64 = 8 << 20;

/// Files that are deleted at once.
const DELETES_AT_ONCE: usize = 8;

/// What a file system says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The path, without a slash before it.
    pub path: String,
    /// Bytes of the file.
    pub size: u64,
    /// When it was last written, in microseconds since 1970, where that is known.
    pub modified: Option<i64>,
    /// What changes when the file does, where there is such a thing.
    pub e_tag: Option<String>,
}

/// A file system, by calls that wait. Paths have no slash before them.
pub trait Filesystem: Debug + Send + Sync + 'static {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// What there is to know of a file; [`Error::NotFound`] for a folder.
    ///
    /// # Errors
    /// Whatever the file system meets, as of all calls.
    fn info(&self, path: &str) -> Result<FileInfo>;

    /// The bytes of the range.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes>;

    /// All files below a folder, in any order; none where there is no such folder.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn list(&self, folder: &str) -> Result<Vec<FileInfo>>;

    /// The folders and files that are in a folder itself.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn list_folder(&self, folder: &str) -> Result<(Vec<String>, Vec<FileInfo>)>;

    /// Creates a file; [`Error::AlreadyExists`] where there is one, as exactly as the file system can tell.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Begins to write a file that replaces what is there.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn begin(&self, path: &str) -> Result<Box<dyn FileWriter>>;

    /// Deletes a file; [`Error::NotFound`] where there is none.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn delete(&self, path: &str) -> Result<()>;

    /// Copies a file over what is there.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn copy(&self, from: &str, to: &str) -> Result<()>;
}

/// A file that is being written.
pub trait FileWriter: Debug + Send {
    /// Writes the bytes that follow.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Ends the file, which appears now if the file system can hold it back.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn commit(&mut self) -> Result<()>;

    /// Takes away what was written.
    ///
    /// # Errors
    /// Whatever the file system meets.
    fn abort(&mut self) -> Result<()>;
}

/// A file system as a store.
#[derive(Debug, Clone)]
pub struct FilesystemStore {
    files: Arc<dyn Filesystem>,
    calls: Arc<Semaphore>,
    limit: Duration,
}

impl FilesystemStore {
    /// The store over a file system. A call that takes longer than the limit is an error, and its thread is left to
    /// wait.
    #[must_use]
    pub fn new(files: Arc<dyn Filesystem>, limit: Duration) -> Self {
        Self { files, calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)), limit }
    }

    /// Runs a call in a thread that may wait.
    async fn call<T: Send + 'static>(
        &self,
        what: String,
        call: impl FnOnce(&dyn Filesystem) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (files, calls) = (Arc::clone(&self.files), Arc::clone(&self.calls));
        let told = |why: String| generic(format!("{}: {why}", self.files.name()));
        let done = async {
            let permit = calls.acquire_owned().await.map_err(|error| told(error.to_string()))?;
            let waiting = tokio::task::spawn_blocking(move || {
                // Held for as long as the thread waits, even when nobody waits for it any longer.
                let _permit = permit;
                call(&*files)
            });
            waiting.await?
        };
        match tokio::time::timeout(self.limit, done).await {
            Ok(done) => done,
            Err(_) => Err(told(format!("{what} took longer than {} s", self.limit.as_secs_f64()))),
        }
    }

    async fn meta(&self, path: &Path) -> Result<ObjectMeta> {
        let asked = path.to_string();
        meta(self.call(format!("looking at {path}"), move |files| files.info(&asked)).await?)
    }

    async fn read(&self, path: &Path, range: Range<u64>) -> Result<Bytes> {
        let asked = (path.to_string(), range.clone());
        let bytes = self.call(format!("reading {path}"), move |files| files.read(&asked.0, asked.1)).await?;
        if bytes.len() as u64 != range.end - range.start {
            let (got, wanted) = (bytes.len(), range.end - range.start);
            let name = self.files.name();
            return Err(generic(format!("{name}: reading {path} gave {got} bytes of {wanted} from {}", range.start)));
        }
        Ok(bytes)
    }
}

impl fmt::Display for FilesystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.files.name())
    }
}

#[async_trait]
impl ObjectStore for FilesystemStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = location.to_string();
        let bytes = Bytes::from(payload);
        let what = format!("writing {location}");
        match options.mode {
            PutMode::Create => self.call(what, move |files| files.create(&path, &bytes)).await?,
            PutMode::Overwrite => {
                self.call(what, move |files| {
                    let mut file = files.begin(&path)?;
                    let written = file.write(&bytes).and_then(|()| file.commit());
                    if written.is_err() {
                        // The error that matters is the one before.
                        let _ = file.abort();
                    }
                    written
                })
                .await?;
            }
            PutMode::Update(_) => return Err(unsupported("updates of the version that was read")),
        }
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = location.to_string();
        let file = self.call(format!("writing {location}"), move |files| files.begin(&path)).await?;
        let file = Arc::new(Mutex::new(file));
        Ok(Box::new(FilesystemUpload { store: self.clone(), path: location.clone(), file, before: None }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = self.meta(location).await?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|error| generic(format!("{location}: {error}")))?,
            None => 0..meta.size,
        };
        let bytes = match options.head {
            true => stream::empty().boxed(),
            false => {
                let (store, path, end) = (self.clone(), location.clone(), range.end);
                stream::try_unfold(range.start, move |at| {
                    let (store, path, next) = (store.clone(), path.clone(), end.min(at + CHUNK_BYTES));
                    async move {
                        match at < next {
                            true => Ok(Some((store.read(&path, at..next).await?, next))),
                            false => Ok(None),
                        }
                    }
                })
                .boxed()
            }
        };
        let payload = GetResultPayload::Stream(bytes);
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        object_store::coalesce_ranges(
            ranges,
            |range| self.read(location, range),
            object_store::OBJECT_STORE_COALESCE_DEFAULT,
        )
        .await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.map(move |location| {
            let store = store.clone();
            async move {
                let location = location?;
                let path = location.to_string();
                store.call(format!("deleting {location}"), move |files| files.delete(&path)).await?;
                Ok(location)
            }
        });
        deleted.buffered(DELETES_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, folder) = (self.clone(), prefix.map(Path::to_string).unwrap_or_default());
        let listed = async move {
            let asked = folder.clone();
            let found = store.call(format!("listing {folder}"), move |files| files.list(&asked)).await?;
            Ok::<_, Error>(stream::iter(found.into_iter().map(meta)))
        };
        listed.into_stream().try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = prefix.map(Path::to_string).unwrap_or_default();
        let asked = folder.clone();
        let (folders, files) = self.call(format!("listing {folder}"), move |files| files.list_folder(&asked)).await?;
        Ok(ListResult {
            common_prefixes: folders.iter().map(|folder| Ok(Path::parse(folder)?)).collect::<Result<_>>()?,
            objects: files.into_iter().map(meta).collect::<Result<_>>()?,
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if options.mode == CopyMode::Create {
            return Err(unsupported("copies to where nothing is"));
        }
        let (source, target) = (from.to_string(), to.to_string());
        self.call(format!("copying {from} to {to}"), move |files| files.copy(&source, &target)).await
    }
}

/// Parts on their way into one file, in their order.
#[derive(Debug)]
struct FilesystemUpload {
    store: FilesystemStore,
    path: Path,
    file: Arc<Mutex<Box<dyn FileWriter>>>,
    /// Comes when the part before is written.
    before: Option<oneshot::Receiver<()>>,
}

impl FilesystemUpload {
    async fn with_file(
        store: FilesystemStore,
        what: String,
        file: Arc<Mutex<Box<dyn FileWriter>>>,
        call: impl FnOnce(&mut dyn FileWriter) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        store.call(what, move |_| call(&mut **file.lock())).await
    }
}

#[async_trait]
impl MultipartUpload for FilesystemUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (done, after) = oneshot::channel();
        let before = self.before.replace(after);
        let (store, file, what) = (self.store.clone(), Arc::clone(&self.file), format!("writing {}", self.path));
        Box::pin(async move {
            if let Some(before) = before {
                before.await.map_err(|_| generic(format!("{what}: a part before was not written")))?;
            }
            let bytes = Bytes::from(data);
            Self::with_file(store, what, file, move |file| file.write(&bytes)).await?;
            // Nobody waits after the last part.
            let _ = done.send(());
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let what = format!("finishing {}", self.path);
        Self::with_file(self.store.clone(), what, Arc::clone(&self.file), |file| file.commit()).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let what = format!("taking back {}", self.path);
        Self::with_file(self.store.clone(), what, Arc::clone(&self.file), |file| file.abort()).await
    }
}

fn meta(file: FileInfo) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: Path::parse(&file.path)?,
        last_modified: file.modified.and_then(DateTime::from_timestamp_micros).unwrap_or(DateTime::UNIX_EPOCH),
        size: file.size,
        e_tag: file.e_tag,
        version: None,
    })
}

fn generic(text: String) -> Error {
    Error::Generic { store: "filesystem", source: text.into() }
}

fn unsupported(what: &str) -> Error {
    Error::NotSupported { source: format!("file systems have no {what}").into() }
}

#[cfg(test)]
mod tests;
