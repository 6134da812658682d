//! Where rows go: a table for people, CSV or JSON lines for programs. All take batches as they come.

mod table;
mod text;

use std::io::{IsTerminal, Write, stdout};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use clap::ValueEnum;

use super::exit::Stop;

use self::table::Table;
pub(super) use self::table::TableOptions;
use self::text::{Csv, Json};

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table with as many columns as the terminal is wide.
    #[default]
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object per line.
    Json,
    /// Parquet, with --output only.
    Parquet,
}

/// Whether a sink wants more rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
}

/// Takes the batches of one result.
pub(super) trait Sink {
    /// The next batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<More, Stop>;
    /// The end, of all rows or of those that were wanted.
    fn finish(&mut self) -> Result<(), Stop>;
}

/// A sink that prints rows of this schema.
pub(super) fn sink<'a>(
    format: Format,
    schema: &SchemaRef,
    table: TableOptions,
    to: &'a mut dyn Write,
) -> Result<Box<dyn Sink + 'a>, Stop> {
    Ok(match format {
        Format::Csv => Box::new(Csv::new(schema, to)?),
        Format::Json => Box::new(Json::new(to)),
        Format::Table | Format::Parquet => Box::new(Table::new(schema, table, to)),
    })
}

/// Prints batches that are there already.
pub(super) fn print(format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), Stop> {
    let mut to = stdout().lock();
    let mut sink = sink(format, schema, TableOptions { max_rows: 0, ..TableOptions::of_terminal(None) }, &mut to)?;
    for batch in batches {
        sink.write(batch)?;
    }
    sink.finish()
}

/// Whether a person reads standard output.
pub(super) fn is_terminal() -> bool {
    stdout().is_terminal()
}
