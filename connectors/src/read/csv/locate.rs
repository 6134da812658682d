//! Where in a CSV file a row is wrong: runs only after an error, reads the same bytes again row by row, and tells
//! the line of the file, the column and the value.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_csv::reader::Decoder;
use datafusion::error::Result;
use futures::TryStreamExt;
use sheaf_core::{Error, ErrorKind};

use super::{Columns, Dialect, text};
use crate::read::scan::Scan;

/// The error of the first wrong row after `good` rows, or nothing when all rows are well this time.
pub(super) async fn locate(
    scan: &Scan,
    dialect: &Dialect,
    columns: &Columns,
    header: bool,
    good: usize,
) -> Result<Option<Error>> {
    let mut walk = Walk {
        // Rows that were good are only walked over: no column of them is parsed.
        decoder: dialect.decoder(&columns.file, &[], 1, header),
        header,
        row: Vec::new(),
        line: first_line(scan, dialect).await?,
        rows: 0,
    };
    let mut parsing = false;
    let mut input = text(scan, dialect).await?;
    loop {
        let chunk = input.try_next().await?;
        let ended = chunk.is_none();
        let chunk = chunk.unwrap_or_default();
        if chunk.is_empty() && !ended {
            continue;
        }
        let mut left = &chunk[..];
        loop {
            if !parsing && walk.rows >= good && !walk.header && walk.row.is_empty() {
                walk.decoder = dialect.decoder(&columns.file, &columns.read, 1, false);
                parsing = true;
            }
            match walk.step(left) {
                Ok(used) => left = &left[used..],
                Err(error) => return Ok(Some(walk.tell(&error.to_string(), dialect, columns, left))),
            }
            if left.is_empty() {
                break;
            }
        }
        if ended {
            return Ok(None);
        }
    }
}

/// The line of the file at which the scan's text begins.
async fn first_line(scan: &Scan, dialect: &Dialect) -> Result<u64> {
    match scan.range {
        // The range's first row follows the first line break at or after the byte before it.
        Some((start, _)) if start > 0 => Ok(scan.input.line_breaks_before(start - 1).await? + 2),
        Some(_) => Ok(1),
        None => Ok(1 + dialect.options.skip_rows as u64),
    }
}

struct Walk {
    decoder: Decoder,
    /// Whether the header is still to come.
    header: bool,
    /// Bytes of the row that is open.
    row: Vec<u8>,
    /// The line on which that row, or what lies before it, begins.
    line: u64,
    rows: usize,
}

impl Walk {
    fn step(&mut self, input: &[u8]) -> std::result::Result<usize, arrow::error::ArrowError> {
        let used = self.decoder.decode(input)?;
        self.row.extend_from_slice(&input[..used]);
        let complete = self.decoder.capacity() == 0;
        if complete {
            self.decoder.flush()?;
            self.rows += 1;
        }
        // The header is decoded by itself: the call that consumes its line break gives no row.
        let header_done = self.header && (complete || (used < input.len() || self.row.ends_with(b"\n")));
        if complete || header_done {
            self.header = false;
            self.line += breaks(&self.row);
            self.row.clear();
        }
        Ok(used)
    }

    /// What is wrong with the row that is open, or begins the input.
    fn tell(mut self, error: &str, dialect: &Dialect, columns: &Columns, input: &[u8]) -> Error {
        let mut left = input;
        while !left.is_empty() && (!self.row.ends_with(b"\n") || is_blank(&self.row, dialect)) {
            let end = left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |at| at + 1);
            self.row.extend_from_slice(&left[..end]);
            left = &left[end..];
        }
        let before = blank_lines(&self.row, dialect);
        let line = self.line + before;
        let counts = error.split_once("number of fields").and_then(|(_, rest)| rest.split_once("expected "));
        if let Some((_, counts)) = counts {
            let (expected, got) = counts.split_once(" got ").unwrap_or((counts, "another number"));
            return Error::new(ErrorKind::Parse, format!("line {line} has {got} fields where {expected} are expected"))
                .with_hint(
                    "check the delimiter and the quotes; truncated_rows=True fills rows that end early, \
                     newlines_in_values=True allows line breaks in quoted values",
                );
        }
        match self.wrong_value(dialect, columns) {
            Some((column, value, kind)) => Error::new(
                ErrorKind::Parse,
                format!("line {line}: {value:?} in the column {column:?} is not of type {kind}"),
            )
            .with_hint(format!(
                "pass dtypes={{{column:?}: \"string\"}}, add {value:?} to null_values, or raise infer_rows"
            )),
            None => Error::new(ErrorKind::Parse, format!("line {line}: {error}")),
        }
    }

    /// The first wanted column of the row whose value does not parse.
    fn wrong_value(&self, dialect: &Dialect, columns: &Columns) -> Option<(String, String, DataType)> {
        let parse = |schema: &SchemaRef, column: usize| {
            let mut decoder = dialect.decoder(schema, &[column], 1, false);
            decoder.decode(&self.row)?;
            if decoder.capacity() > 0 {
                decoder.decode(&[])?;
            }
            decoder.flush()
        };
        let wrong = columns.read.iter().copied().find(|at| parse(&columns.file, *at).is_err())?;
        let field = columns.file.field(wrong);
        let text = |field: &Arc<Field>| field.as_ref().clone().with_data_type(DataType::Utf8).with_nullable(true);
        let plain = Arc::new(Schema::new(columns.file.fields().iter().map(text).collect::<Vec<_>>()));
        let row = parse(&plain, wrong).ok()??;
        let value = row.column(0).as_string_opt::<i32>()?.iter().next()??.to_string();
        Some((field.name().clone(), value, field.data_type().clone()))
    }
}

fn breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Blank lines and comments that lie before the row.
fn blank_lines(row: &[u8], dialect: &Dialect) -> u64 {
    lines(row).take_while(|line| is_blank(line, dialect)).count() as u64
}

/// Whether there is no row in these lines.
fn is_blank(text: &[u8], dialect: &Dialect) -> bool {
    let blank = |line: &[u8]| {
        let plain = line.strip_suffix(b"\r").unwrap_or(line);
        plain.is_empty() || dialect.options.comment.is_some_and(|comment| plain.starts_with(&[comment]))
    };
    lines(text).all(blank)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n')
}
