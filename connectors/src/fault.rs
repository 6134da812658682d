//! An object store that fails on command: the seam through which tests kill a writer or reader at every single call.
//!
//! [`FaultStore`] passes calls on to a store, counts them, and at a chosen one does what a [`Fault`] says. It decides
//! nothing at random, so that a failure found once is found again.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use parking_lot::Mutex;

/// What goes wrong, and at which call. Calls are counted from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Never,
    /// The process is killed before this call: it and all later ones fail without being done.
    KillBefore(u64),
    /// The process is killed while it waits for this call's answer: the call is done, later ones are not.
    KillAfter(u64),
    /// This call fails without being done; later ones work.
    FailOnce(u64),
    /// This call is done, and its answer is lost: it is told as an error. Later ones work.
    LoseAnswer(u64),
    /// The data that this call gets breaks off in the middle. Later ones work.
    CutGet(u64),
}

/// A store that fails on command.
#[derive(Debug, Clone)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    fault: Fault,
    calls: Mutex<Vec<String>>,
}

/// What happens to one call.
enum Gate {
    Pass,
    Fail(Error),
    PassThenFail(Error),
    Cut(Error),
}

impl FaultStore {
    /// A store in which this goes wrong.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Fault) -> Self {
        Self { inner, faults: Arc::new(Faults { fault, calls: Mutex::new(Vec::new()) }) }
    }

    /// The calls so far, each with its path, such as `put data/part-0`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.faults.calls.lock().clone()
    }

    /// Whether the call at which something goes wrong was reached.
    #[must_use]
    pub fn was_met(&self) -> bool {
        self.faults.fault.call().is_some_and(|at| at < self.faults.calls.lock().len() as u64)
    }
}

impl Fault {
    fn call(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::KillBefore(at)
            | Self::KillAfter(at)
            | Self::FailOnce(at)
            | Self::LoseAnswer(at)
            | Self::CutGet(at) => Some(at),
        }
    }
}

impl Faults {
    fn gate(&self, operation: &str, path: &str) -> Gate {
        let call = format!("{operation} {path}");
        let number = {
            let mut calls = self.calls.lock();
            calls.push(call.clone());
            calls.len() as u64 - 1
        };
        let error = || Error::Generic { store: "fault", source: format!("injected at call {number}, {call}").into() };
        match self.fault {
            Fault::KillBefore(at) if number >= at => Gate::Fail(error()),
            Fault::KillAfter(at) if number > at => Gate::Fail(error()),
            Fault::KillAfter(at) | Fault::LoseAnswer(at) if number == at => Gate::PassThenFail(error()),
            Fault::FailOnce(at) if number == at => Gate::Fail(error()),
            Fault::CutGet(at) if number == at => Gate::Cut(error()),
            _ => Gate::Pass,
        }
    }

    fn is_killed(&self) -> bool {
        let next = self.calls.lock().len() as u64;
        match self.fault {
            Fault::KillBefore(at) | Fault::KillAfter(at) => next > at,
            _ => false,
        }
    }
}

impl Gate {
    /// Does a call, or not, and tells what it gave, or not.
    async fn run<T>(self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self {
            Self::Pass | Self::Cut(_) => call.await,
            Self::Fail(error) => Err(error),
            Self::PassThenFail(error) => call.await.and(Err(error)),
        }
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.faults.gate("put", location.as_ref()).run(self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let gate = self.faults.gate("begin", location.as_ref());
        let upload = gate.run(self.inner.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(FaultUpload { inner: Some(upload), path: location.to_string(), faults: Arc::clone(&self.faults) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.faults.gate("get", location.as_ref()) {
            Gate::Cut(error) => Ok(cut(self.inner.get_opts(location, options).await?, error)),
            gate => gate.run(self.inner.get_opts(location, options)).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.faults.gate("get", location.as_ref()) {
            Gate::Cut(error) => Err(error),
            gate => gate.run(self.inner.get_ranges(location, ranges)).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let faults = Arc::clone(&self.faults);
        let gated = locations.map(move |location| {
            let location = location?;
            match faults.gate("delete", location.as_ref()) {
                Gate::Fail(error) => Err(error),
                // Bulk deletes have one answer for many paths: a lost one is not told path by path.
                _ => Ok(location),
            }
        });
        self.inner.delete_stream(gated.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let told = prefix.map_or("", |prefix| prefix.as_ref());
        match self.faults.gate("list", told) {
            Gate::Pass => self.inner.list(prefix),
            Gate::Fail(error) | Gate::PassThenFail(error) | Gate::Cut(error) => fail(error),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.faults.gate("list", offset.as_ref()) {
            Gate::Pass => self.inner.list_with_offset(prefix, offset),
            Gate::Fail(error) | Gate::PassThenFail(error) | Gate::Cut(error) => fail(error),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let told = prefix.map_or("", |prefix| prefix.as_ref());
        self.faults.gate("list", told).run(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults.gate("copy", to.as_ref()).run(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.faults.gate("rename", to.as_ref()).run(self.inner.rename_opts(from, to, options)).await
    }
}

fn fail(error: Error) -> BoxStream<'static, Result<ObjectMeta>> {
    futures::stream::once(async move { Err(error) }).boxed()
}

/// The first half of the data, then an error.
fn cut(result: GetResult, error: Error) -> GetResult {
    let half = ((result.range.end - result.range.start) / 2) as usize;
    let GetResult { meta, range, attributes, .. } = &result;
    let (meta, range, attributes) = (meta.clone(), range.clone(), attributes.clone());
    let mut left = half;
    let head = result.into_stream().try_filter_map(move |bytes| {
        let taken = bytes.slice(..left.min(bytes.len()));
        left -= taken.len();
        futures::future::ready(Ok((!taken.is_empty()).then_some(taken)))
    });
    let tail = futures::stream::once(async move { Err(error) });
    GetResult { payload: GetResultPayload::Stream(head.chain(tail).boxed()), meta, range, attributes }
}

/// A multipart upload of a store that fails on command.
#[derive(Debug)]
struct FaultUpload {
    inner: Option<Box<dyn MultipartUpload>>,
    path: String,
    faults: Arc<Faults>,
}

impl FaultUpload {
    fn inner(&mut self) -> Result<&mut Box<dyn MultipartUpload>> {
        self.inner
            .as_mut()
            .ok_or_else(|| Error::Generic { store: "fault", source: "the upload has ended".to_string().into() })
    }
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match (self.faults.gate("part", &self.path), self.inner()) {
            (Gate::Fail(error), _) | (_, Err(error)) => futures::future::ready(Err(error)).boxed(),
            (gate, Ok(inner)) => {
                let part = inner.put_part(data);
                gate.run(part).boxed()
            }
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let gate = self.faults.gate("complete", &self.path);
        gate.run(self.inner()?.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        let gate = self.faults.gate("abort", &self.path);
        gate.run(self.inner()?.abort()).await
    }
}

impl Drop for FaultUpload {
    fn drop(&mut self) {
        // A killed process does not tidy up either: what a store does when an upload is dropped must not happen.
        if self.faults.is_killed() {
            std::mem::forget(self.inner.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    async fn three_puts(fault: Fault) -> (Vec<bool>, Vec<String>, FaultStore) {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = FaultStore::new(Arc::clone(&inner), fault);
        let mut worked = Vec::new();
        for name in ["a", "b", "c"] {
            worked.push(store.put(&Path::from(name), "x".into()).await.is_ok());
        }
        let mut there: Vec<_> = inner.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
        there.sort();
        (worked, there, store)
    }

    #[tokio::test]
    async fn each_fault_does_and_tells_what_it_says() {
        for (fault, worked, there) in [
            (Fault::Never, [true, true, true], vec!["a", "b", "c"]),
            (Fault::KillBefore(1), [true, false, false], vec!["a"]),
            (Fault::KillAfter(1), [true, false, false], vec!["a", "b"]),
            (Fault::FailOnce(1), [true, false, true], vec!["a", "c"]),
            (Fault::LoseAnswer(1), [true, false, true], vec!["a", "b", "c"]),
        ] {
            let (did, found, store) = three_puts(fault).await;
            assert_eq!((did, found), (worked.to_vec(), there.iter().map(ToString::to_string).collect()), "{fault:?}");
            assert_eq!(store.was_met(), fault != Fault::Never);
            assert_eq!(store.calls(), ["put a", "put b", "put c"]);
        }
        assert!(!three_puts(Fault::KillBefore(3)).await.2.was_met());
    }

    #[tokio::test]
    async fn a_cut_get_gives_half_of_the_data_and_an_error() {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("x");
        inner.put(&path, vec![7; 100].into()).await.unwrap();
        let store = FaultStore::new(inner, Fault::CutGet(0));
        let pieces: Vec<_> = store.get(&path).await.unwrap().into_stream().collect().await;
        let got: usize = pieces.iter().filter_map(|piece| piece.as_ref().ok()).map(Bytes::len).sum();
        assert_eq!(got, 50);
        assert!(pieces.last().unwrap().is_err());
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap().len(), 100);
    }
}
