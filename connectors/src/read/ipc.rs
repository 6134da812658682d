//! Arrow IPC, as file or as stream: batches are taken as they are, and their columns matched by name.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamDecoder, StreamReader, read_footer_length};
use arrow_ipc::{Block, root_as_footer};
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use sheaf_core::{Error, ErrorKind};
use std::ops::Range;

use super::bytes::Input;
use super::scan::{BatchStream, Scan, assemble};
use crate::error::to_datafusion;

const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic after it.
const TRAILER_BYTES: u64 = 10;
/// The schema message of a stream is at its start; a larger one is asked for again.
const HEAD_BYTES: u64 = 64 << 10;
/// A stream whose schema is larger than this is none.
const MAX_HEAD_BYTES: u64 = 16 << 20;

/// The schema, and whether the file has a footer, by which its batches can be read apart.
pub(crate) async fn infer(input: &Input) -> Result<(SchemaRef, bool)> {
    if is_file(input).await? {
        return Ok((Footer::read(input).await?.schema, true));
    }
    let mut length = HEAD_BYTES;
    loop {
        let end = length.min(input.size);
        let head = input.store.get_range(&input.location, 0..end).await?;
        match StreamReader::try_new(Cursor::new(head), None) {
            Ok(reader) => return Ok((reader.schema(), false)),
            Err(_) if end < input.size && length < MAX_HEAD_BYTES => length *= 4,
            Err(error) => return Err(corrupt(&format!("it is no Arrow IPC file or stream: {error}"))),
        }
    }
}

async fn is_file(input: &Input) -> Result<bool> {
    let end = (MAGIC.len() as u64).min(input.size);
    Ok(input.store.get_range(&input.location, 0..end).await? == MAGIC)
}

/// Opens a file, or the batches that begin in a range of it.
pub(crate) async fn open(scan: Scan) -> Result<BatchStream> {
    let file = match &scan.layout {
        Some(layout) => layout.splits,
        None => is_file(&scan.input).await?,
    };
    if file { open_file(scan).await } else { open_stream(scan).await }
}

async fn open_stream(scan: Scan) -> Result<BatchStream> {
    let input = scan.input.whole().await?;
    let state = (input, StreamDecoder::new(), Buffer::from(Bytes::new()), scan);
    let batches = futures::stream::try_unfold(state, |(mut input, mut decoder, mut chunk, scan)| async move {
        loop {
            if chunk.is_empty() {
                match input.try_next().await? {
                    Some(next) => chunk = Buffer::from(next),
                    None => {
                        decoder.finish().map_err(|error| corrupt(&error.to_string()))?;
                        return Ok::<_, DataFusionError>(None);
                    }
                }
                continue;
            }
            if let Some(batch) = decoder.decode(&mut chunk)? {
                let batch = adapt(&scan, &batch)?;
                return Ok(Some((batch, (input, decoder, chunk, scan))));
            }
        }
    });
    Ok(batches.boxed())
}

async fn open_file(scan: Scan) -> Result<BatchStream> {
    let footer = Footer::read(&scan.input).await?;
    let wanted = |block: &Block| {
        let at = u64::try_from(block.offset()).unwrap_or(u64::MAX);
        scan.range.is_none_or(|(start, end)| (start..end).contains(&at))
    };
    let blocks: Vec<Block> = footer.batches.iter().copied().filter(wanted).collect();
    let decoder = footer.decoder(&scan).await?;
    let state = (blocks.into_iter(), decoder, scan);
    let batches = futures::stream::try_unfold(state, |(mut blocks, decoder, scan)| async move {
        let Some(block) = blocks.next() else { return Ok(None) };
        let data = fetch(&scan.input, &block).await?;
        match decoder.read_record_batch(&block, &Buffer::from(data))? {
            Some(batch) => {
                let batch = adapt(&scan, &batch)?;
                Ok::<_, DataFusionError>(Some((batch, (blocks, decoder, scan))))
            }
            None => Err(corrupt("a batch is missing")),
        }
    });
    Ok(batches.boxed())
}

async fn fetch(input: &Input, block: &Block) -> Result<Bytes> {
    let range = extent(block, input.size)?;
    let data = input.store.get_range(&input.location, range).await?;
    input.scanned.add(data.len());
    Ok(data)
}

fn extent(block: &Block, size: u64) -> Result<Range<u64>> {
    let number = |number: i64| u64::try_from(number).map_err(|_| corrupt("its footer is broken"));
    let start = number(block.offset())?;
    let length = number(block.bodyLength())?.saturating_add(number(i64::from(block.metaDataLength()))?);
    let end = start.saturating_add(length);
    if end > size { Err(corrupt("it is cut off")) } else { Ok(start..end) }
}

struct Footer {
    schema: SchemaRef,
    version: arrow_ipc::MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
}

impl Footer {
    async fn read(input: &Input) -> Result<Self> {
        let cut = || corrupt("it is cut off: the Arrow footer is missing");
        let at = input.size.checked_sub(TRAILER_BYTES).ok_or_else(cut)?;
        let trailer = input.store.get_range(&input.location, at..input.size).await?;
        let trailer: [u8; 10] = trailer[..].try_into().map_err(|_| cut())?;
        let length = read_footer_length(trailer).map_err(|_| cut())? as u64;
        let start = at.checked_sub(length).ok_or_else(cut)?;
        let bytes = input.store.get_range(&input.location, start..at).await?;
        input.scanned.add(bytes.len());
        let footer = root_as_footer(&bytes).map_err(|error| corrupt(&format!("its footer is broken: {error}")))?;
        let schema = footer.schema().ok_or_else(|| corrupt("its footer has no schema"))?;
        Ok(Self {
            schema: Arc::new(fb_to_schema(schema)),
            version: footer.version(),
            dictionaries: footer.dictionaries().iter().flatten().copied().collect(),
            batches: footer.recordBatches().iter().flatten().copied().collect(),
        })
    }

    /// A decoder of the wanted columns, with the file's dictionaries.
    async fn decoder(&self, scan: &Scan) -> Result<FileDecoder> {
        let mut decoder = FileDecoder::new(Arc::clone(&self.schema), self.version);
        let fields = self.schema.fields();
        let wanted = scan.schema.fields().iter();
        let mut columns: Vec<usize> =
            wanted.filter_map(|field| fields.iter().position(|other| other.name() == field.name())).collect();
        columns.sort_unstable();
        decoder = decoder.with_projection(columns);
        for block in &self.dictionaries {
            let data = fetch(&scan.input, block).await?;
            decoder.read_dictionary(block, &Buffer::from(data))?;
        }
        Ok(decoder)
    }
}

/// A batch of the file in the table's columns and types.
fn adapt(scan: &Scan, batch: &RecordBatch) -> Result<RecordBatch> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<Option<ArrayRef>> {
        let Some(column) = batch.column_by_name(field.name()) else { return Ok(None) };
        if column.data_type() == field.data_type() {
            return Ok(Some(Arc::clone(column)));
        }
        Ok(Some(cast(column, field.data_type())?))
    };
    let columns = scan.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    assemble(&scan.schema, columns, batch.num_rows())
}

fn corrupt(why: &str) -> DataFusionError {
    to_datafusion(Error::new(ErrorKind::CorruptFile, why))
}
