//! CSV and JSON lines on standard output. Each batch becomes text in memory and is written at once, so that an error
//! of the pipe stays an error of the pipe.

use std::io::Write;
use std::sync::Arc;

use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::record_batch::RecordBatch;
use sheaf_core::{Error, ErrorKind};

use super::{More, Sink};
use crate::cli::exit::Stop;

pub(super) struct Csv<'a> {
    to: &'a mut dyn Write,
}

impl<'a> Csv<'a> {
    pub(super) fn new(schema: &SchemaRef, to: &'a mut dyn Write) -> Result<Self, Stop> {
        // The header is there even if no row ever comes.
        let text = csv_text(&RecordBatch::new_empty(Arc::clone(schema)), true)?;
        to.write_all(&text).map_err(Stop::output)?;
        Ok(Self { to })
    }
}

impl Sink for Csv<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<More, Stop> {
        self.to.write_all(&csv_text(batch, false)?).map_err(Stop::output)?;
        Ok(More::Yes)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.to.flush().map_err(Stop::output)
    }
}

fn csv_text(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, Stop> {
    let mut text = Vec::new();
    let mut writer = CsvBuilder::new().with_header(header).build(&mut text);
    writer.write(batch).map_err(|error| refused("CSV", &error))?;
    drop(writer);
    Ok(text)
}

pub(super) struct Json<'a> {
    to: &'a mut dyn Write,
}

impl<'a> Json<'a> {
    pub(super) fn new(to: &'a mut dyn Write) -> Self {
        Self { to }
    }
}

impl Sink for Json<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<More, Stop> {
        let mut text = Vec::new();
        // Nulls are written, so that every line has every name.
        let mut writer = JsonBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
        writer.write(batch).and_then(|()| writer.finish()).map_err(|error| refused("JSON", &error))?;
        drop(writer);
        self.to.write_all(&text).map_err(Stop::output)?;
        Ok(More::Yes)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.to.flush().map_err(Stop::output)
    }
}

fn refused(format: &str, error: &ArrowError) -> Stop {
    Error::new(ErrorKind::Unsupported, format!("{format} cannot hold these rows: {error}"))
        .with_hint("choose another format, or cast the column")
        .into()
}
