//! Batches in, bytes of a file out, for each format. An encoder holds no more than what its format needs to hold: a
//! row group of Parquet, a file of NumPy, nothing of the others.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions as ArrowIpcOptions};
use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use async_trait::async_trait;
use bytes::Bytes;
use sheaf_core::{Error, ErrorKind, Result};
use tokio::io::AsyncWriteExt;

use crate::format::Compression;
use crate::write::numpy::NumpyEncoder;
use crate::write::options::{CsvWriteOptions, IpcCompression, IpcWriteOptions, WriteFormat};
use crate::write::parquet::ParquetEncoder;

/// Encodes the batches of one file.
#[async_trait]
pub(crate) trait Encoder: Send {
    /// Encodes a batch.
    async fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// The bytes that are ready to be uploaded.
    fn take(&mut self) -> Bytes;

    /// Bytes held in memory that [`Self::take`] does not give yet.
    fn memory(&self) -> usize {
        0
    }

    /// About how many bytes [`Self::memory`] will be in the file.
    fn pending(&self) -> usize {
        0
    }

    /// Whether nothing of a file can be given before its last row has come. Such a file ends early where memory is
    /// short.
    fn holds_all(&self) -> bool {
        false
    }

    /// Gives up memory at the cost of a worse layout.
    async fn shrink(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends the file and gives the rest of its bytes.
    async fn finish(&mut self) -> Result<Bytes>;
}

/// An encoder for a file of this format. `lanes` is how many threads may encode its columns at once.
pub(crate) fn encoder(format: &WriteFormat, schema: &SchemaRef, lanes: usize) -> Result<Box<dyn Encoder>> {
    Ok(match format {
        WriteFormat::Parquet(options) => Box::new(ParquetEncoder::new(options, schema, lanes)?),
        WriteFormat::Csv(options) => Box::new(TextEncoder::csv(options, schema)?),
        WriteFormat::Json(options) => Box::new(TextEncoder::json(options.compression.unwrap_or_default())),
        WriteFormat::Ipc(options) => Box::new(IpcEncoder::new(options, schema)?),
        WriteFormat::Numpy => Box::new(NumpyEncoder::new(schema)?),
    })
}

/// CSV and JSON: each batch becomes text at once.
struct TextEncoder {
    text: Text,
    out: Compressor,
}

enum Text {
    Csv(CsvWriteOptions),
    Json,
}

impl TextEncoder {
    fn csv(options: &CsvWriteOptions, schema: &SchemaRef) -> Result<Self> {
        let mut out = Compressor::new(options.compression.unwrap_or_default());
        if options.has_header {
            // The header is there even if no row ever comes.
            let mut header = Vec::new();
            csv_text(options, true, &RecordBatch::new_empty(schema.clone()), &mut header).map_err(refused)?;
            out.stage(header);
        }
        Ok(Self { text: Text::Csv(options.clone()), out })
    }

    fn json(compression: Compression) -> Self {
        Self { text: Text::Json, out: Compressor::new(compression) }
    }
}

fn csv_text(
    options: &CsvWriteOptions,
    header: bool,
    batch: &RecordBatch,
    into: &mut Vec<u8>,
) -> std::result::Result<(), ArrowError> {
    arrow_csv::WriterBuilder::new()
        .with_header(header)
        .with_delimiter(options.delimiter)
        .with_quote(options.quote)
        .with_null(options.null_value.clone())
        .build(into)
        .write(batch)
}

fn json_text(batch: &RecordBatch, into: &mut Vec<u8>) -> std::result::Result<(), ArrowError> {
    let mut writer =
        arrow_json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow_json::writer::LineDelimited>(into);
    writer.write(batch)?;
    writer.finish()
}

#[async_trait]
impl Encoder for TextEncoder {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut text = Vec::new();
        match &self.text {
            Text::Csv(options) => csv_text(options, false, batch, &mut text),
            Text::Json => json_text(batch, &mut text),
        }
        .map_err(refused)?;
        self.out.write(text).await
    }

    fn take(&mut self) -> Bytes {
        self.out.take()
    }

    async fn finish(&mut self) -> Result<Bytes> {
        self.out.finish().await?;
        Ok(self.out.take())
    }
}

/// Compresses the text of one file. Its inner writer is memory, so that nothing here ever waits.
struct Compressor {
    // What was staged before the first write, which cannot be compressed outside an async function.
    staged: Vec<u8>,
    codec: Codec,
}

enum Codec {
    None(Vec<u8>),
    Gzip(GzipEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<Vec<u8>>),
    Bzip2(BzEncoder<Vec<u8>>),
    Xz(XzEncoder<Vec<u8>>),
}

impl Compressor {
    fn new(compression: Compression) -> Self {
        let codec = match compression {
            Compression::None => Codec::None(Vec::new()),
            Compression::Gzip => Codec::Gzip(GzipEncoder::new(Vec::new())),
            Compression::Zstd => Codec::Zstd(ZstdEncoder::new(Vec::new())),
            Compression::Bzip2 => Codec::Bzip2(BzEncoder::new(Vec::new())),
            Compression::Xz => Codec::Xz(XzEncoder::new(Vec::new())),
        };
        Self { staged: Vec::new(), codec }
    }

    fn stage(&mut self, text: Vec<u8>) {
        self.staged = text;
    }

    async fn write(&mut self, text: Vec<u8>) -> Result<()> {
        let staged = std::mem::take(&mut self.staged);
        for bytes in [staged, text] {
            match &mut self.codec {
                Codec::None(out) if out.is_empty() => *out = bytes,
                Codec::None(out) => out.extend_from_slice(&bytes),
                Codec::Gzip(encoder) => encoder.write_all(&bytes).await?,
                Codec::Zstd(encoder) => encoder.write_all(&bytes).await?,
                Codec::Bzip2(encoder) => encoder.write_all(&bytes).await?,
                Codec::Xz(encoder) => encoder.write_all(&bytes).await?,
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        let out = match &mut self.codec {
            Codec::None(out) => out,
            Codec::Gzip(encoder) => encoder.get_mut(),
            Codec::Zstd(encoder) => encoder.get_mut(),
            Codec::Bzip2(encoder) => encoder.get_mut(),
            Codec::Xz(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    async fn finish(&mut self) -> Result<()> {
        self.write(Vec::new()).await?;
        match &mut self.codec {
            Codec::None(_) => {}
            Codec::Gzip(encoder) => encoder.shutdown().await?,
            Codec::Zstd(encoder) => encoder.shutdown().await?,
            Codec::Bzip2(encoder) => encoder.shutdown().await?,
            Codec::Xz(encoder) => encoder.shutdown().await?,
        }
        Ok(())
    }
}

/// Arrow IPC: each batch becomes one message at once.
struct IpcEncoder {
    writer: FileWriter<Vec<u8>>,
}

impl IpcEncoder {
    fn new(options: &IpcWriteOptions, schema: &SchemaRef) -> Result<Self> {
        let compression = match options.compression {
            IpcCompression::None => None,
            IpcCompression::Lz4 => Some(CompressionType::LZ4_FRAME),
            IpcCompression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = ArrowIpcOptions::default().try_with_compression(compression).map_err(refused)?;
        let writer = FileWriter::try_new_with_options(Vec::new(), schema, options).map_err(refused)?;
        Ok(Self { writer })
    }
}

#[async_trait]
impl Encoder for IpcEncoder {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(refused)
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.writer.get_mut()).into()
    }

    async fn finish(&mut self) -> Result<Bytes> {
        self.writer.finish().map_err(refused)?;
        Ok(self.take())
    }
}

/// An encoder refuses what its format cannot hold.
fn refused(error: ArrowError) -> Error {
    Error::new(ErrorKind::TypeMismatch, format!("the format cannot hold the data: {error}")).with_source(error)
}
