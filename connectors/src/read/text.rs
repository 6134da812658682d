//! Text: each line is a row of the one column `text`, without its line break.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::error::Result;
use futures::{StreamExt, TryStreamExt};
use sheaf_core::{Error, ErrorKind};

use super::bytes::ByteStream;
use super::encoding;
use super::scan::{BatchStream, Scan, assemble};
use crate::error::to_datafusion;

/// The one column.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, false)]))
}

/// Opens a file or a range of it.
pub(crate) async fn open(scan: Scan) -> Result<BatchStream> {
    let input = match scan.range {
        Some((0, end)) => encoding::decode(scan.input.lines(0, end).await?, None).await?,
        Some((start, end)) => scan.input.lines(start, end).await?,
        None => encoding::decode(scan.input.whole().await?, None).await?,
    };
    let state = Lines { input, chunk: Bytes::new(), open: Vec::new(), scan, line: 0, ended: false };
    let batches =
        futures::stream::try_unfold(
            state,
            |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) },
        );
    Ok(batches.boxed())
}

struct Lines {
    input: ByteStream,
    chunk: Bytes,
    /// The start of a line that the chunks so far do not end.
    open: Vec<u8>,
    scan: Scan,
    line: u64,
    ended: bool,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut lines = StringBuilder::new();
        let mut rows = 0;
        while rows < self.scan.batch_size && !self.ended {
            match self.chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let line = self.chunk.split_to(end + 1);
                    if self.open.is_empty() {
                        self.push(&mut lines, &line[..end]).await?;
                    } else {
                        self.open.extend_from_slice(&line[..end]);
                        let whole = std::mem::take(&mut self.open);
                        self.push(&mut lines, &whole).await?;
                    }
                    rows += 1;
                }
                None => {
                    self.open.extend_from_slice(&self.chunk);
                    match self.input.try_next().await? {
                        Some(chunk) => self.chunk = chunk,
                        None => {
                            self.ended = true;
                            if !self.open.is_empty() {
                                let whole = std::mem::take(&mut self.open);
                                self.push(&mut lines, &whole).await?;
                                rows += 1;
                            }
                        }
                    }
                }
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        let text: ArrayRef = Arc::new(lines.finish());
        let columns = self.scan.projection.iter().map(|_| Some(Arc::clone(&text))).collect();
        Ok(Some(assemble(&self.scan.schema, columns, rows)?))
    }

    async fn push(&mut self, lines: &mut StringBuilder, line: &[u8]) -> Result<()> {
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(text) = std::str::from_utf8(line) else {
            let before = match self.scan.range {
                Some((start, _)) if start > 0 => self.scan.input.line_breaks_before(start - 1).await? + 1,
                _ => 0,
            };
            return Err(to_datafusion(
                Error::new(ErrorKind::Parse, format!("line {} is not UTF-8 text", before + self.line))
                    .with_hint("convert the file, or skip it with ignore_errors=True"),
            ));
        };
        lines.append_value(text);
        Ok(())
    }
}
