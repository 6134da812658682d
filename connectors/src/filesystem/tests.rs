//! A store over a file system keeps the promises of stores as far as the file system does, and does not wait for ever.

use std::collections::BTreeMap;

use object_store::ObjectStoreExt;

use super::*;

/// Files in memory, with faults.
#[derive(Debug, Default)]
struct Memory {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Calls of paths that begin so do not come back for a while.
    slow: &'static str,
    /// Reads of paths that begin so give a byte less.
    short: &'static str,
}

impl Memory {
    fn wait(&self, path: &str) {
        if !self.slow.is_empty() && path.starts_with(self.slow) {
            std::thread::sleep(Duration::from_millis(400));
        }
    }
}

fn info(path: &str, bytes: &[u8]) -> FileInfo {
    FileInfo { path: path.into(), size: bytes.len() as u64, modified: Some(1), e_tag: None }
}

fn missing(path: &str) -> Error {
    Error::NotFound { path: path.into(), source: "it is not there".into() }
}

impl Filesystem for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn info(&self, path: &str) -> Result<FileInfo> {
        self.wait(path);
        self.files.lock().get(path).map(|bytes| info(path, bytes)).ok_or_else(|| missing(path))
    }

    fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let less = u64::from(!self.short.is_empty() && path.starts_with(self.short));
        let files = self.files.lock();
        let bytes = files.get(path).ok_or_else(|| missing(path))?;
        Ok(Bytes::copy_from_slice(&bytes[range.start as usize..(range.end - less) as usize]))
    }

    fn list(&self, folder: &str) -> Result<Vec<FileInfo>> {
        let files = self.files.lock();
        Ok(files.iter().filter(|(path, _)| path.starts_with(folder)).map(|(path, bytes)| info(path, bytes)).collect())
    }

    fn list_folder(&self, _: &str) -> Result<(Vec<String>, Vec<FileInfo>)> {
        Ok((vec!["folder".into()], self.list("")?))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<()> {
        if self.files.lock().contains_key(path) {
            return Err(Error::AlreadyExists { path: path.into(), source: "it is there".into() });
        }
        self.files.lock().insert(path.into(), bytes.into());
        Ok(())
    }

    fn begin(&self, path: &str) -> Result<Box<dyn FileWriter>> {
        Ok(Box::new(MemoryFile { files: Arc::clone(&self.files), path: path.into(), bytes: Vec::new() }))
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.files.lock().remove(path).map(|_| ()).ok_or_else(|| missing(path))
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        let bytes = self.files.lock().get(from).cloned().ok_or_else(|| missing(from))?;
        self.files.lock().insert(to.into(), bytes);
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    path: String,
    bytes: Vec<u8>,
}

impl FileWriter for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.starts_with(b"fail") {
            return Err(generic("no room".into()));
        }
        // Parts that come at once would change their places here.
        std::thread::sleep(Duration::from_millis(u64::from(20 / (self.bytes.len() as u32 + 1))));
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.files.lock().insert(self.path.clone(), std::mem::take(&mut self.bytes));
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        self.bytes.clear();
        Ok(())
    }
}

fn store(memory: Memory) -> FilesystemStore {
    FilesystemStore::new(Arc::new(memory), Duration::from_millis(150))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_come_together_in_their_order() {
    let store = store(Memory::default());
    let path = Path::from("a/x");
    let mut upload = store.put_multipart(&path).await.unwrap();
    let parts: Vec<_> = (0..8_u8).map(|part| upload.put_part(vec![part; 3].into())).collect();
    // The last ones are asked for first.
    for done in futures::future::join_all(parts.into_iter().rev()).await {
        done.unwrap();
    }
    assert!(store.head(&path).await.is_err(), "nothing is to be seen yet");
    upload.complete().await.unwrap();
    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes, (0..8_u8).flat_map(|part| [part; 3]).collect::<Vec<_>>());
    let ranges = store.get_ranges(&path, &[3..5, 20..24, 0..1]).await.unwrap();
    assert_eq!(ranges, [&[1_u8, 1][..], &[6, 7, 7, 7], &[0]]);
}

#[tokio::test]
async fn a_part_that_fails_fails_those_after_it() {
    let store = store(Memory::default());
    let mut upload = store.put_multipart(&Path::from("x")).await.unwrap();
    let parts = ["a", "fail", "b"].map(|part| upload.put_part(part.into()));
    let done = futures::future::join_all(parts).await;
    assert_eq!(done.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    assert!(done[2].as_ref().unwrap_err().to_string().contains("a part before was not written"));
    upload.abort().await.unwrap();
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
}

#[tokio::test]
async fn files_are_created_listed_copied_and_deleted() {
    let store = store(Memory::default());
    let path = Path::from("a/x");
    store.put_opts(&path, "one".into(), PutMode::Create.into()).await.unwrap();
    let again = store.put_opts(&path, "two".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
    store.put(&path, "three".into()).await.unwrap();
    store.copy(&path, &Path::from("b/y")).await.unwrap();
    assert!(store.copy_if_not_exists(&path, &Path::from("c")).await.is_err());
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(
        listed.iter().map(|meta| (meta.location.as_ref(), meta.size)).collect::<Vec<_>>(),
        [("a/x", 5), ("b/y", 5)]
    );
    store.delete(&path).await.unwrap();
    assert!(matches!(store.delete(&path).await.unwrap_err(), Error::NotFound { .. }));
    assert!(matches!(store.get(&path).await.unwrap_err(), Error::NotFound { .. }));
    assert_eq!(store.list_with_delimiter(None).await.unwrap().common_prefixes, [Path::from("folder")]);
}

#[tokio::test]
async fn what_does_not_answer_and_what_answers_in_part_are_told() {
    let store = store(Memory { slow: "slow", short: "short", ..Memory::default() });
    for path in ["slow", "short"] {
        store.put(&Path::from(path), "text".into()).await.unwrap();
    }
    let slow = store.head(&Path::from("slow")).await.unwrap_err().to_string();
    assert!(slow.contains("memory: looking at slow took longer than 0.15 s"), "{slow}");
    let short = store.get(&Path::from("short")).await.unwrap().bytes().await.unwrap_err().to_string();
    assert!(short.contains("memory: reading short gave 3 bytes of 4 from 0"), "{short}");
}
