//! The store of local disks: `object_store`'s, with reads of its own.
//!
//! A scan reads column chunks of megabytes. `object_store` fills the memory for them with zeros before it reads, which
//! takes about a third of the time of a read that the page cache answers. Here the memory is read into as it is.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path as FilePath;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
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

#[async_trait]
impl ObjectStore for LocalStore {
    /// What cannot be read here is read again as `object_store` does it: the errors are its own.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.inner.path_to_filesystem(location)?;
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
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
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
        assert_eq!(LocalStore::default().get(&path(&file)).await.unwrap().bytes().await.unwrap(), written);
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
