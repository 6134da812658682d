//! One object on its way to a store: encoded bytes come in, parts go out while more is being encoded. Nothing of it
//! can be seen before [`Upload::finish`]; an upload that is dropped is aborted.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use sheaf_core::{Error, Result};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::error::from_store;

/// The size of a part: above S3's least (5 MiB), and large enough that a request's latency does not count.
const PART_BYTES: usize = 8 << 20;

/// Parts under way at once: enough to fill a fast link, few enough that an upload holds 32 MiB at most.
const PARTS_IN_FLIGHT: usize = 4;

/// S3 takes 10,000 parts. Parts have one size (some stores insist) up to this count, 16 GiB, and grow from there.
const EQUAL_PARTS: usize = 2_000;

/// An object that is being written.
#[derive(Debug)]
pub(crate) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    mode: PutMode,
    buffer: Vec<Bytes>,
    buffered: usize,
    sent: u64,
    parts: usize,
    multipart: Option<Box<dyn MultipartUpload>>,
    tasks: JoinSet<object_store::Result<()>>,
    in_flight: usize,
    // Dropping may happen on a thread of the user's, outside the runtime.
    runtime: Handle,
}

impl Upload {
    /// An upload to this path. With [`PutMode::Create`] an object that fits into one part is created only if there
    /// is none; larger ones replace what is there, as stores do with multipart uploads.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path, mode: PutMode) -> Self {
        Self {
            store,
            path,
            mode,
            buffer: Vec::new(),
            buffered: 0,
            sent: 0,
            parts: 0,
            multipart: None,
            tasks: JoinSet::new(),
            in_flight: 0,
            runtime: Handle::current(),
        }
    }

    /// Where the object will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes taken so far.
    pub(crate) fn size(&self) -> u64 {
        self.sent + self.buffered as u64
    }

    /// Bytes held in memory.
    pub(crate) fn memory(&self) -> usize {
        self.buffered + self.in_flight
    }

    /// Whether the object is more than one part.
    pub(crate) fn is_multipart(&self) -> bool {
        self.multipart.is_some()
    }

    /// Takes bytes; waits while too many parts are under way.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.buffered += bytes.len();
        self.buffer.push(bytes);
        while self.buffered > self.part_bytes() {
            let part = self.cut_part();
            self.send(part).await?;
        }
        Ok(())
    }

    /// Makes the object appear, whole. The last request runs to its end even if nobody waits for it any longer;
    /// `until` is dropped only then.
    pub(crate) async fn finish(mut self, until: impl Send + 'static) -> Result<u64> {
        let size = self.size();
        if self.multipart.is_none() {
            let payload: PutPayload = std::mem::take(&mut self.buffer).into_iter().collect();
            let (store, path, mode) = (Arc::clone(&self.store), self.path.clone(), self.mode.clone());
            let put = self.runtime.spawn(async move {
                let _until = until;
                store.put_opts(&path, payload, mode.into()).await
            });
            put.await.map_err(stopped)?.map_err(|error| self.told(error))?;
            return Ok(size);
        }
        if self.buffered > 0 {
            let last: PutPayload = std::mem::take(&mut self.buffer).into_iter().collect();
            self.buffered = 0;
            self.send(last).await?;
        }
        while let Some(done) = self.tasks.join_next().await {
            done.map_err(stopped)?.map_err(|error| self.told(error))?;
        }
        if let Some(mut multipart) = self.multipart.take() {
            let complete = self.runtime.spawn(async move {
                let _until = until;
                let result = multipart.complete().await;
                if result.is_err() {
                    // The error that matters is the one before; what this leaves the store's own rules remove.
                    let _ = multipart.abort().await;
                }
                result
            });
            complete.await.map_err(stopped)?.map_err(|error| self.told(error))?;
        }
        Ok(size)
    }

    fn part_bytes(&self) -> usize {
        PART_BYTES << (self.parts / EQUAL_PARTS).min(8)
    }

    /// Cuts one part of exactly the right size off the front of the buffer.
    fn cut_part(&mut self) -> PutPayload {
        let mut missing = self.part_bytes();
        let mut part = Vec::new();
        let mut rest = Vec::new();
        for mut bytes in std::mem::take(&mut self.buffer) {
            if missing == 0 {
                rest.push(bytes);
                continue;
            }
            let head = bytes.split_to(missing.min(bytes.len()));
            missing -= head.len();
            part.push(head);
            if !bytes.is_empty() {
                rest.push(bytes);
            }
        }
        self.buffer = rest;
        self.buffered -= self.part_bytes();
        part.into_iter().collect()
    }

    async fn send(&mut self, part: PutPayload) -> Result<()> {
        let size = part.content_length();
        while self.tasks.len() >= PARTS_IN_FLIGHT {
            if let Some(done) = self.tasks.join_next().await {
                done.map_err(stopped)?.map_err(|error| self.told(error))?;
            }
        }
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let begun = self.store.put_multipart(&self.path).await;
                none.insert(begun.map_err(|error| told(error, &self.path))?)
            }
        };
        self.tasks.spawn_on(multipart.put_part(part), &self.runtime);
        self.sent += size as u64;
        self.parts += 1;
        self.in_flight = size * self.tasks.len();
        Ok(())
    }

    fn told(&self, error: object_store::Error) -> Error {
        told(error, &self.path)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut multipart) = self.multipart.take() {
            let mut tasks = std::mem::take(&mut self.tasks);
            self.runtime.spawn(async move {
                tasks.shutdown().await;
                if let Err(error) = multipart.abort().await {
                    log::debug!("an upload could not be aborted: {error}");
                }
            });
        }
    }
}

fn told(error: object_store::Error, path: &Path) -> Error {
    from_store(error).with_context(format!("writing {path}"))
}

fn stopped(error: tokio::task::JoinError) -> Error {
    Error::internal(format!("an upload stopped: {error}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn store() -> Arc<dyn ObjectStore> {
        Arc::new(InMemory::new())
    }

    #[tokio::test]
    async fn parts_are_cut_at_their_size_and_come_together_again() {
        let (store, path) = (store(), Path::from("x"));
        let mut upload = Upload::new(Arc::clone(&store), path.clone(), PutMode::Create);
        let piece = PART_BYTES / 3 * 2;
        for n in 0..5u8 {
            upload.write(Bytes::from(vec![n; piece])).await.unwrap();
            assert!(upload.buffered <= PART_BYTES, "{}", upload.buffered);
        }
        assert!(upload.is_multipart());
        assert_eq!(upload.finish(()).await.unwrap(), 5 * piece as u64);
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes.len(), 5 * piece);
        for n in 0..5u8 {
            assert!(bytes[n as usize * piece..(n as usize + 1) * piece].iter().all(|byte| *byte == n));
        }
    }

    #[tokio::test]
    async fn a_small_object_is_one_put_and_may_insist_on_being_new() {
        let (store, path) = (store(), Path::from("x"));
        for (mode, fails) in [(PutMode::Create, false), (PutMode::Create, true), (PutMode::Overwrite, false)] {
            let mut upload = Upload::new(Arc::clone(&store), path.clone(), mode);
            upload.write(Bytes::from_static(b"abc")).await.unwrap();
            assert!(!upload.is_multipart());
            assert_eq!(upload.finish(()).await.is_err(), fails);
        }
    }
}
