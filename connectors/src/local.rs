//! The store of local disks: `object_store`'s, with reads of its own.
//!
//! A scan reads column chunks of megabytes. `object_store` fills the memory for them with zeros before it reads, which
//! takes about a third of the time of a read that the page cache answers. Here the memory is read into as it is, and
//! what the page cache has is read at once: to hand such a read to another thread and wait for it takes two wakes.
//!
//! A file that must not be there before is given its name when it is whole, and has none until then: `object_store`
//! writes it under another name first, which stays when the process is killed at that moment.

use std::fmt;
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::{IoSliceMut, Write};
use std::ops::Range;
use std::path::Path as FilePath;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// The files of this machine, by their absolute paths.
#[derive(Debug, Default)]
pub(crate) struct LocalStore {
    inner: LocalFileSystem,
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Bytes that are read at once, at the most: a few milliseconds of a thread that others may wait for.
#[cfg(target_os = "linux")]
const AT_ONCE_BYTES: u64 = 16 << 20;
/// How far apart the bytes lie by which the page cache is asked for the rest; the kernel reads ahead as much.
#[cfg(target_os = "linux")]
const PROBE_BYTES: usize = 128 << 10;

/// The bytes of every range, if the page cache has them.
#[cfg(target_os = "linux")]
fn read_cached(path: &FilePath, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
    let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
    let file = (bytes <= AT_ONCE_BYTES).then(|| File::open(path).ok()).flatten()?;
    let is_cached = ranges.iter().all(|range| is_cached(&file, range));
    is_cached.then(|| ranges.iter().map(|range| read_range(&file, range)).collect())?
}

/// Whether reads of the range would not wait for the disk, as far as a few of its bytes tell. A file system that cannot
/// say so is one that may wait.
#[cfg(target_os = "linux")]
fn is_cached(file: &File, range: &Range<u64>) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};

    let last = range.end.saturating_sub(1);
    let mut probes = range.clone().step_by(PROBE_BYTES).chain([last]);
    probes.all(|offset| {
        let mut byte = [0];
        preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) == Ok(1)
    })
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &FilePath, _: &[Range<u64>]) -> Option<Vec<Bytes>> {
    None
}

/// The bytes of every range, or `None` when something is wrong with the file.
#[cfg(unix)]
fn read_ranges(path: &FilePath, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
    let file = File::open(path).ok()?;
    ranges.iter().map(|range| read_range(&file, range)).collect()
}

#[cfg(unix)]
fn read_range(file: &File, range: &Range<u64>) -> Option<Bytes> {
    use rustix::buffer::spare_capacity;
    use rustix::io::{pread, retry_on_intr};

    let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).ok()?;
    while bytes.len() < length {
        let offset = range.start + bytes.len() as u64;
        let read = retry_on_intr(|| pread(file, spare_capacity(&mut bytes), offset)).ok()?;
        if read == 0 {
            return None;
        }
    }
    // The allocator may have given more room than was asked for.
    bytes.truncate(length);
    Some(bytes.into())
}

#[cfg(not(unix))]
fn read_ranges(_: &FilePath, _: &[Range<u64>]) -> Option<Vec<Bytes>> {
    None
}

/// Refuses to write where Linux shows its processes. Nobody can create a file there; `object_store`, told that there is
/// no such folder, makes the folder and tries again, for ever.
#[cfg(target_os = "linux")]
fn refuse_proc(path: &FilePath) -> Result<()> {
    let place = path.ancestors().skip(1).find_map(|folder| rustix::fs::statfs(folder).ok());
    if place.is_some_and(|place| place.f_type == rustix::fs::PROC_SUPER_MAGIC) {
        let source = format!("{}: no file can be created in /proc", path.display()).into();
        return Err(object_store::Error::Generic { store: "local disk", source });
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn refuse_proc(_: &FilePath) -> Result<()> {
    Ok(())
}

/// Creates a file with this content that nobody sees before it is whole; a kill at any moment leaves all of it or
/// nothing. False when there is one. Fails where the file system has no files without names.
#[cfg(target_os = "linux")]
fn create_whole(path: &FilePath, payload: &PutPayload) -> std::io::Result<bool> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

    let folder = path.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let mode = Mode::from_raw_mode(0o666);
    let mut file = File::from(openat(CWD, folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode)?);
    payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Err(rustix::io::Errno::EXIST) => Ok(false),
        linked => linked.map(|()| true).map_err(Into::into),
    }
}

#[cfg(not(target_os = "linux"))]
fn create_whole(_: &FilePath, _: &PutPayload) -> std::io::Result<bool> {
    Err(std::io::ErrorKind::Unsupported.into())
}

impl LocalStore {
    /// What cannot be created here is created again as `object_store` does it: the errors are its own.
    async fn create(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = self.inner.path_to_filesystem(location)?;
        let (place, content) = (path.clone(), payload.clone());
        match tokio::task::spawn_blocking(move || create_whole(&place, &content)).await {
            Ok(Ok(true)) => {
                let e_tag = self.inner.head(location).await.ok().and_then(|meta| meta.e_tag);
                Ok(PutResult { e_tag, version: None })
            }
            Ok(Ok(false)) => {
                let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists).into();
                Err(object_store::Error::AlreadyExists { path: path.display().to_string(), source })
            }
            _ => self.inner.put_opts(location, payload, options).await,
        }
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    /// What cannot be read here is read again as `object_store` does it: the errors are its own.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.inner.path_to_filesystem(location)?;
        if let Some(bytes) = read_cached(&path, ranges) {
            return Ok(bytes);
        }
        let asked = ranges.to_vec();
        match tokio::task::spawn_blocking(move || read_ranges(&path, &asked)).await {
            Ok(Some(bytes)) => Ok(bytes),
            _ => self.inner.get_ranges(location, ranges).await,
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        refuse_proc(&self.inner.path_to_filesystem(location)?)?;
        match options.mode == PutMode::Create && options.attributes.is_empty() {
            true => self.create(location, payload, options).await,
            false => self.inner.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        refuse_proc(&self.inner.path_to_filesystem(location)?)?;
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn path(file: &tempfile::NamedTempFile) -> Path {
        Path::from_absolute_path(file.path()).unwrap()
    }

    #[tokio::test]
    async fn ranges_are_read_as_object_store_reads_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written: Vec<u8> = (0..1_000_003_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(file.path(), &written).unwrap();
        let ranges = [0..1, 7..900_000, 1_000_000..1_000_003, 12..12];
        let ours = LocalStore::default().get_ranges(&path(&file), &ranges).await.unwrap();
        let theirs = LocalFileSystem::new().get_ranges(&path(&file), &ranges).await.unwrap();
        assert_eq!(ours, theirs);
        assert_eq!(ours[1], written[7..900_000]);
        assert_eq!(read_ranges(file.path(), &ranges).unwrap(), theirs, "on another thread");
        if let Some(cached) = read_cached(file.path(), &ranges) {
            assert_eq!(cached, theirs, "at once");
        }
        assert_eq!(LocalStore::default().get(&path(&file)).await.unwrap().bytes().await.unwrap(), written);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_may_wait_for_the_disk_is_not_read_at_once() {
        use std::os::unix::fs::MetadataExt;

        use rustix::fs::{Advice, fadvise};

        let file = tempfile::NamedTempFile::new().unwrap();
        let written = vec![7; 1 << 20];
        std::fs::write(file.path(), &written).unwrap();
        let read = |bytes: u64| read_cached(file.path(), std::slice::from_ref(&(0..bytes)));
        file.as_file().sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let has_disk = file.as_file().metadata().unwrap().dev() >> 8 > 0;
        assert!(!has_disk || read(1 << 20).is_none(), "not in the page cache");
        assert_eq!(read_ranges(file.path(), std::slice::from_ref(&(0..1 << 20))).unwrap()[0], written);
        assert!(!has_disk || read(1 << 20).is_some(), "in it since the last read");
        file.as_file().set_len(2 * AT_ONCE_BYTES).unwrap();
        assert_eq!(read(2 * AT_ONCE_BYTES), None, "long");
    }

    #[tokio::test]
    async fn a_file_is_created_whole_once_and_in_a_new_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::default();
        let path = Path::from_absolute_path(folder.path()).unwrap().join("new").join("1.json");
        let create = |text: &'static str| store.put_opts(&path, text.into(), PutMode::Create.into());
        let created = create("first").await.unwrap();
        assert_eq!(created.e_tag, store.head(&path).await.unwrap().e_tag);
        assert!(matches!(create("second").await, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "first");
        let names: Vec<_> = std::fs::read_dir(folder.path().join("new")).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_has_no_name_before_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.json");
        // A payload of many pieces: the folder is looked at between two of them.
        let bytes = Bytes::from(vec![7; 1 << 20]);
        let payload: PutPayload = (0..64).map(|_| bytes.clone()).collect();
        let writer = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || create_whole(&path, &payload))
        };
        while !writer.is_finished() {
            for entry in std::fs::read_dir(folder.path()).unwrap() {
                assert_eq!(entry.unwrap().metadata().unwrap().len(), 64 << 20, "a part of the file has a name");
            }
        }
        assert!(writer.await.unwrap().unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 64 << 20);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_write_to_proc_fails_at_once() {
        for place in ["proc/sheaf.csv", "proc/no/such/folder/sheaf.csv"] {
            let (store, path) = (LocalStore::default(), Path::from(place));
            let put = tokio::time::timeout(std::time::Duration::from_secs(20), store.put(&path, "1".into()));
            let told = put.await.expect("it must not try for ever").unwrap_err().to_string();
            assert!(told.contains("/sheaf.csv: no file can be created in /proc"), "{told}");
            assert!(store.put_multipart(&path).await.is_err());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_has_the_errors_of_object_store() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"short").unwrap();
        let missing = Path::from("no/such/file");
        let backwards = Range { start: 3, end: 2 };
        for (location, range) in [(path(&file), 2..9), (path(&file), 50..60), (missing, 0..1)] {
            let ours = LocalStore::default().get_ranges(&location, std::slice::from_ref(&range)).await;
            let theirs = LocalFileSystem::new().get_ranges(&location, std::slice::from_ref(&range)).await;
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{location} {range:?}");
        }
        assert!(read_ranges(file.path(), &[backwards]).is_none());
    }
}
