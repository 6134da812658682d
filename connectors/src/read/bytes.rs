//! Bytes of a file as a stream: whole or a range of lines, decompressed, and counted as they come from the store.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::Count;
use datafusion_datasource::boundary_stream::AlignedBoundaryStream;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use sheaf_core::{Error, ErrorKind};

use crate::error::to_datafusion;
use crate::format::Compression;

/// Read from a local file at once: large enough that a call costs little, small enough to stay in the CPU's cache.
const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of a file.
pub(crate) type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Where to read, and who counts.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) location: Path,
    pub(crate) size: u64,
    pub(crate) compression: Compression,
    pub(crate) scanned: Count,
}

impl Input {
    /// The whole file, decompressed.
    pub(crate) async fn whole(&self) -> Result<ByteStream> {
        let raw = self.count(raw(&self.store, &self.location).await?);
        if self.compression == Compression::None {
            return Ok(raw);
        }
        let plain = self.compression.file_type().convert_stream(raw)?;
        Ok(plain.map_err(decompression_error).boxed())
    }

    /// The lines that begin in a range of bytes, with the last one whole.
    pub(crate) async fn lines(&self, start: u64, end: u64) -> Result<ByteStream> {
        let (store, location) = (Arc::clone(&self.store), self.location.clone());
        let lines = AlignedBoundaryStream::new(store, location, start, end, self.size, b'\n').await?;
        Ok(self.count(lines.map_err(DataFusionError::from).boxed()))
    }

    /// Line breaks before a position of the file: what turns a line of a range into a line of the file.
    pub(crate) async fn line_breaks_before(&self, end: u64) -> Result<u64> {
        let mut left = end;
        let mut breaks = 0;
        let mut all = raw(&self.store, &self.location).await?;
        while left > 0 {
            let Some(chunk) = all.try_next().await? else { break };
            let here = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            breaks += chunk[..here].iter().filter(|byte| **byte == b'\n').count() as u64;
            left -= here as u64;
        }
        Ok(breaks)
    }

    fn count(&self, stream: ByteStream) -> ByteStream {
        let scanned = self.scanned.clone();
        stream.inspect_ok(move |chunk| scanned.add(chunk.len())).boxed()
    }
}

async fn raw(store: &Arc<dyn ObjectStore>, location: &Path) -> Result<ByteStream> {
    let found = store.get(location).await?;
    let range = found.range.clone();
    match found.payload {
        // Read here and not by the store, which hands each small chunk through another thread.
        GetResultPayload::File(mut file, _) => {
            file.seek(SeekFrom::Start(range.start))?;
            let chunks = futures::stream::try_unfold(file, |mut file| async move {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
                Ok((read > 0).then(|| (Bytes::from(chunk), file)))
            });
            Ok(chunks.boxed())
        }
        GetResultPayload::Stream(stream) => Ok(stream.map_err(DataFusionError::from).boxed()),
    }
}

/// Tells what came through the decompressor: the store's own error, or that the compressed data is broken.
fn decompression_error(error: DataFusionError) -> DataFusionError {
    let DataFusionError::IoError(io) = error else { return error };
    if io.get_ref().is_some_and(|inner| inner.is::<DataFusionError>()) {
        return match io.into_inner().map(|inner| inner.downcast::<DataFusionError>()) {
            Some(Ok(inner)) => *inner,
            Some(Err(inner)) => DataFusionError::External(inner),
            None => DataFusionError::Internal("an error lost its cause".into()),
        };
    }
    to_datafusion(
        Error::new(ErrorKind::CorruptFile, format!("the compressed data is broken or cut off: {io}")).with_source(io),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    async fn input(body: &[u8], compression: Compression) -> Input {
        let store = InMemory::new();
        let location = Path::from("f");
        store.put(&location, body.to_vec().into()).await.unwrap();
        Input { store: Arc::new(store), location, size: body.len() as u64, compression, scanned: Count::new() }
    }

    async fn text(stream: ByteStream) -> Result<String> {
        let chunks: Vec<Bytes> = stream.try_collect().await?;
        Ok(String::from_utf8(chunks.concat()).unwrap())
    }

    #[tokio::test]
    async fn ranges_of_lines_cover_a_file_once() {
        let body = "one\ntwo\nthree\n\nfive";
        let input = input(body.as_bytes(), Compression::None).await;
        for cut in 0..=body.len() as u64 {
            let first = text(input.lines(0, cut).await.unwrap()).await.unwrap();
            let second = text(input.lines(cut, body.len() as u64).await.unwrap()).await.unwrap();
            if cut > 0 {
                assert_eq!(format!("{first}{second}"), body, "cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_read_is_counted_as_stored() {
        let plain = input(b"abc", Compression::None).await;
        text(plain.whole().await.unwrap()).await.unwrap();
        assert_eq!(plain.scanned.value(), 3);
        assert_eq!(input(b"a\nb\nc", Compression::None).await.line_breaks_before(3).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn broken_compression_is_a_corrupt_file() {
        let input = input(b"\x1f\x8b\x08\x00broken", Compression::Gzip).await;
        let error = text(input.whole().await.unwrap()).await.unwrap_err();
        assert_eq!(crate::error::from_datafusion(error).kind(), ErrorKind::CorruptFile);
    }
}
