//! CSV: a dialect, its inference, and its decoding into batches, in ranges of bytes where that is safe.
//!
//! Columns are found by the names in each file's header, so that files may have them in any order.

mod infer;
mod locate;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::{Decoder, Format as ArrowFormat};
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use encoding_rs::{Encoding, UTF_8};
use futures::{StreamExt, TryStreamExt};
use regex::Regex;
use sheaf_core::{Error, ErrorKind};

pub(crate) use infer::infer;

use super::bytes::ByteStream;
use super::encoding;
use super::scan::{BatchStream, Layout, Scan, assemble};
use crate::error::{from_datafusion, to_datafusion};
use crate::format::CsvOptions;

/// A byte that no UTF-8 text has: it stands for «no quote».
const NO_QUOTE: u8 = 0xff;

/// CSV options, checked and compiled.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) options: CsvOptions,
    pub(crate) encoding: Option<&'static Encoding>,
    nulls: Option<Regex>,
}

impl Dialect {
    pub(crate) fn new(options: CsvOptions) -> sheaf_core::Result<Self> {
        let encoding = options.encoding.as_deref().map(encoding::named).transpose()?;
        for (name, byte) in [("quote", options.quote), ("escape", options.escape), ("comment", options.comment)] {
            if byte == Some(options.delimiter) {
                return Err(Error::invalid(format!("the CSV {name} and the delimiter are the same character")));
            }
        }
        let nulls = match &options.null_values[..] {
            [] => None,
            values => {
                let values: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
                let pattern = format!("^(?:|{})$", values.join("|"));
                Some(Regex::new(&pattern).map_err(|error| Error::invalid(format!("null_values: {error}")))?)
            }
        };
        Ok(Self { options, encoding, nulls })
    }

    /// Whether a file may be read in ranges: a line break always ends a row, and a byte is a byte.
    pub(crate) fn splits(&self, layout: Option<&Layout>) -> bool {
        let options = &self.options;
        let utf8 = self.encoding.is_none_or(|encoding| encoding == UTF_8);
        options.skip_rows == 0 && utf8 && !options.newlines_in_values && layout.is_none_or(|layout| layout.splits)
    }

    fn format(&self, header: bool) -> ArrowFormat {
        let options = &self.options;
        let mut format = ArrowFormat::default()
            .with_header(header)
            .with_delimiter(options.delimiter)
            .with_quote(options.quote.unwrap_or(NO_QUOTE))
            .with_truncated_rows(options.truncated_rows);
        if let Some(escape) = options.escape {
            format = format.with_escape(escape);
        }
        if let Some(comment) = options.comment {
            format = format.with_comment(comment);
        }
        if let Some(nulls) = &self.nulls {
            format = format.with_null_regex(nulls.clone());
        }
        format
    }

    fn decoder(&self, schema: &SchemaRef, projection: &[usize], batch_size: usize, header: bool) -> Decoder {
        ReaderBuilder::new(Arc::clone(schema))
            .with_format(self.format(header))
            .with_projection(projection.to_vec())
            .with_batch_size(batch_size)
            .build_decoder()
    }
}

/// A file's columns against the table's.
struct Columns {
    /// The file's columns, in the table's types.
    file: SchemaRef,
    /// Places in `file` of the wanted columns that the file has.
    read: Vec<usize>,
    /// For each wanted column its place in `read`.
    places: Vec<Option<usize>>,
}

impl Columns {
    fn new(scan: &Scan) -> Self {
        let Some(names) = scan.layout.as_ref().and_then(|layout| layout.columns.as_ref()) else {
            let places = (0..scan.projection.len()).map(Some).collect();
            return Self { file: Arc::clone(&scan.table), read: scan.projection.clone(), places };
        };
        let field = |name: &String| match scan.table.field_with_name(name) {
            Ok(field) => field.clone(),
            Err(_) => Field::new(name, DataType::Utf8, true),
        };
        let file = Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()));
        let mut read = Vec::new();
        let place = |field: &Arc<Field>| {
            let at = names.iter().position(|name| name == field.name())?;
            read.push(at);
            Some(read.len() - 1)
        };
        let places = scan.schema.fields().iter().map(place).collect();
        Self { file, read, places }
    }
}

/// Opens a file or a range of it.
pub(crate) async fn open(scan: Scan, dialect: Arc<Dialect>) -> Result<BatchStream> {
    let input = text(&scan, &dialect).await?;
    let columns = Columns::new(&scan);
    let header = dialect.options.has_header && scan.range.is_none_or(|(start, _)| start == 0);
    let decoder = dialect.decoder(&columns.file, &columns.read, scan.batch_size, header);
    let state = Rows { input, chunk: Bytes::new(), decoder, columns, scan, dialect, header, rows: 0, ended: false };
    let batches = futures::stream::try_unfold(state, |mut state| async move {
        match state.next().await {
            Ok(Some(batch)) => Ok(Some((batch, state))),
            Ok(None) => Ok(None),
            Err(error) => Err(state.explain(error).await),
        }
    });
    Ok(batches.boxed())
}

/// The text that a scan reads: decoded, without byte-order mark and skipped lines.
async fn text(scan: &Scan, dialect: &Dialect) -> Result<ByteStream> {
    match scan.range {
        Some((0, end)) => encoding::decode(scan.input.lines(0, end).await?, dialect.encoding).await,
        Some((start, end)) => scan.input.lines(start, end).await,
        None => {
            let text = encoding::decode(scan.input.whole().await?, dialect.encoding).await?;
            Ok(encoding::skip_lines(text, dialect.options.skip_rows))
        }
    }
}

/// The decoding of one file or range under way.
struct Rows {
    input: ByteStream,
    /// What of the input is not yet decoded.
    chunk: Bytes,
    decoder: Decoder,
    columns: Columns,
    scan: Scan,
    dialect: Arc<Dialect>,
    header: bool,
    /// Rows given so far.
    rows: usize,
    ended: bool,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended && self.decoder.capacity() > 0 {
            if self.chunk.is_empty() {
                match self.input.try_next().await? {
                    Some(chunk) if chunk.is_empty() => continue,
                    Some(chunk) => self.chunk = chunk,
                    None => {
                        self.finish()?;
                        break;
                    }
                }
            }
            let used = self.decoder.decode(&self.chunk)?;
            self.chunk = self.chunk.slice(used..);
        }
        let Some(batch) = self.decoder.flush()? else { return Ok(None) };
        self.rows += batch.num_rows();
        let column = |place: &Option<usize>| -> Option<ArrayRef> { place.map(|at| Arc::clone(batch.column(at))) };
        let columns = self.columns.places.iter().map(column).collect();
        Ok(Some(assemble(&self.scan.schema, columns, batch.num_rows())?))
    }

    /// Tells the decoder that the input has ended. A range ends with a line break: a row that is still open there
    /// has a line break inside a quoted value, and the file was cut in the wrong place.
    fn finish(&mut self) -> Result<()> {
        self.ended = true;
        let before = self.decoder.capacity();
        self.decoder.decode(&[])?;
        let cut = self.scan.range.is_some_and(|(_, end)| end < self.scan.input.size);
        if cut && self.decoder.capacity() < before {
            return Err(to_datafusion(
                Error::new(ErrorKind::Parse, "a quoted value holds a line break, but the file is read in parts")
                    .with_hint("pass newlines_in_values=True"),
            ));
        }
        Ok(())
    }

    /// An error of the decoder with the line of the file, found by reading again row by row.
    async fn explain(self, error: DataFusionError) -> DataFusionError {
        let own = from_datafusion(error);
        if own.kind() != ErrorKind::Parse || own.hint().is_some() {
            return to_datafusion(own);
        }
        match locate::locate(&self.scan, &self.dialect, &self.columns, self.header, self.rows).await {
            Ok(Some(found)) => to_datafusion(found.with_source(own)),
            Ok(None) => to_datafusion(own),
            Err(error) => error,
        }
    }
}
