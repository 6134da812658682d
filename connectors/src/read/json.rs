//! JSON lines: one object per line, read by the table's columns; what a line lacks is null.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::{Decoder, infer_json_schema};
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt};
use sheaf_core::{Error, ErrorKind};

use super::bytes::{ByteStream, Input};
use super::encoding;
use super::scan::{BatchStream, Scan};
use crate::error::{from_datafusion, to_datafusion};
use crate::format::JsonOptions;

/// A sample stops growing here, whatever its lines.
const MAX_SAMPLE_BYTES: usize = 64 << 20;

/// The schema of a file's first lines. A field that is always null has the type null.
pub(crate) async fn infer(input: &Input, options: &JsonOptions) -> Result<SchemaRef> {
    let mut text = encoding::decode(input.whole().await?, None).await?;
    let mut sample = Vec::new();
    let mut lines = 0;
    let mut ended = false;
    while lines < options.infer_rows.max(1) && sample.len() < MAX_SAMPLE_BYTES {
        let Some(chunk) = text.try_next().await? else {
            ended = true;
            break;
        };
        lines += chunk.iter().filter(|byte| **byte == b'\n').count();
        sample.extend_from_slice(&chunk);
    }
    if sample.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(to_datafusion(
            Error::new(ErrorKind::Unsupported, "the file is one JSON array, and not one object per line")
                .with_hint("write one object per line, for instance with jq -c '.[]'"),
        ));
    }
    if !ended {
        sample.truncate(sample.iter().rposition(|byte| *byte == b'\n').map_or(sample.len(), |at| at + 1));
    }
    let (schema, _) = infer_json_schema(&sample[..], Some(options.infer_rows.max(1)))?;
    Ok(Arc::new(schema))
}

/// Opens a file or a range of it.
pub(crate) async fn open(scan: Scan) -> Result<BatchStream> {
    let input = text(&scan).await?;
    let decoder = decoder(&scan, scan.batch_size)?;
    let state = Rows { input, chunk: Bytes::new(), decoder, scan, ended: false };
    let batches = futures::stream::try_unfold(state, |mut state| async move {
        match state.next().await {
            Ok(Some(batch)) => Ok(Some((batch, state))),
            Ok(None) => Ok(None),
            Err(error) => Err(explain(&state.scan, error).await),
        }
    });
    Ok(batches.boxed())
}

async fn text(scan: &Scan) -> Result<ByteStream> {
    match scan.range {
        Some((0, end)) => encoding::decode(scan.input.lines(0, end).await?, None).await,
        Some((start, end)) => scan.input.lines(start, end).await,
        None => encoding::decode(scan.input.whole().await?, None).await,
    }
}

fn decoder(scan: &Scan, batch_size: usize) -> Result<Decoder> {
    Ok(ReaderBuilder::new(Arc::clone(&scan.schema)).with_batch_size(batch_size).build_decoder()?)
}

struct Rows {
    input: ByteStream,
    chunk: Bytes,
    decoder: Decoder,
    scan: Scan,
    ended: bool,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended {
            if self.chunk.is_empty() {
                match self.input.try_next().await? {
                    Some(chunk) => self.chunk = chunk,
                    None => {
                        self.ended = true;
                        break;
                    }
                }
                continue;
            }
            let used = self.decoder.decode(&self.chunk)?;
            let full = used < self.chunk.len();
            self.chunk = self.chunk.slice(used..);
            if full {
                break;
            }
        }
        Ok(self.decoder.flush()?)
    }
}

/// An error of the decoder with the line of the file, found by reading again line by line.
async fn explain(scan: &Scan, error: DataFusionError) -> DataFusionError {
    let own = from_datafusion(error);
    if own.kind() != ErrorKind::Parse {
        return to_datafusion(own);
    }
    match locate(scan).await {
        Ok(Some((line, why))) => {
            let why = why.strip_prefix("Json error: ").unwrap_or(&why);
            to_datafusion(Error::new(ErrorKind::Parse, format!("line {line}: {why}")).with_source(own))
        }
        Ok(None) => to_datafusion(own),
        Err(error) => error,
    }
}

async fn locate(scan: &Scan) -> Result<Option<(u64, String)>> {
    let mut line = match scan.range {
        Some((start, _)) if start > 0 => scan.input.line_breaks_before(start - 1).await? + 2,
        _ => 1,
    };
    let mut input = text(scan).await?;
    let mut open = Vec::new();
    loop {
        let chunk = input.try_next().await?;
        let ended = chunk.is_none();
        open.extend_from_slice(&chunk.unwrap_or_default());
        while let Some(end) =
            open.iter().position(|byte| *byte == b'\n').or((ended && !open.is_empty()).then_some(open.len()))
        {
            let rest = open.split_off((end + 1).min(open.len()));
            if let Some(why) = wrong(scan, &open) {
                return Ok(Some((line, why)));
            }
            line += 1;
            open = rest;
        }
        if ended {
            return Ok(None);
        }
    }
}

/// Why a line is no row of the table.
fn wrong(scan: &Scan, line: &[u8]) -> Option<String> {
    let mut decoder = decoder(scan, 1).ok()?;
    match decoder.decode(line) {
        Ok(_) if decoder.has_partial_record() => Some("the object does not end on its line".to_string()),
        Ok(_) => decoder.flush().err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}
