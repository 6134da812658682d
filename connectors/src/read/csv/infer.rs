//! The columns of a CSV file, from its header and the types of its first rows.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use futures::TryStreamExt;
use std::sync::Arc;

use super::{Dialect, encoding};
use crate::read::bytes::Input;
use crate::read::scan::Layout;

/// A sample stops growing here, whatever its rows: a row of gigabytes is not read into memory.
const MAX_SAMPLE_BYTES: usize = 64 << 20;

/// What the first rows tell. A column whose rows are all null has the type null.
pub(crate) async fn infer(input: &Input, dialect: &Dialect) -> Result<(SchemaRef, Layout)> {
    let options = &dialect.options;
    let (raw, is_utf8) = encoding::sniff(input.whole().await?, dialect.encoding).await?;
    let mut text = encoding::skip_lines(raw, options.skip_rows);
    let mut sample = Vec::new();
    let mut lines = 0;
    let wanted = options.infer_rows.saturating_add(1 + usize::from(options.has_header));
    while lines < wanted && sample.len() < MAX_SAMPLE_BYTES {
        let Some(chunk) = text.try_next().await? else { break };
        lines += chunk.iter().filter(|byte| **byte == b'\n').count();
        sample.extend_from_slice(&chunk);
    }
    if lines >= wanted {
        // The last row may be cut off, and half a value has another type.
        sample.truncate(sample.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    }
    // Rows of too many or too few fields are told by the scan, with their line.
    let format = dialect.format(options.has_header).with_truncated_rows(true);
    let (inferred, _) = format.infer_schema(&sample[..], Some(options.infer_rows))?;
    let names = unique_names(inferred.fields().iter().map(|field| field.name().trim()));
    let kind = |field: &Field, name: &String| match options.dtypes.get(name) {
        Some(kind) => kind.clone(),
        None if options.infer_rows == 0 => DataType::Utf8,
        None => field.data_type().clone(),
    };
    let fields = inferred.fields().iter().zip(&names).map(|(field, name)| Field::new(name, kind(field, name), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let splits = is_utf8 && !holds_line_break(&sample, dialect);
    Ok((schema, Layout { columns: Some(names.into()), splits }))
}

/// Names as the header has them; an empty one is named by its place, and a second one gets a number.
fn unique_names<'a>(header: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, name) in header.enumerate() {
        let name = if name.is_empty() { format!("column_{}", at + 1) } else { name.to_string() };
        let mut unique = name.clone();
        let mut number = 1;
        while names.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}

/// Whether a quoted value of the sample spans lines.
fn holds_line_break(sample: &[u8], dialect: &Dialect) -> bool {
    let Some(quote) = dialect.options.quote else { return false };
    let mut quoted = false;
    let mut escaped = false;
    for byte in sample {
        match *byte {
            _ if escaped => escaped = false,
            byte if Some(byte) == dialect.options.escape => escaped = true,
            byte if byte == quote => quoted = !quoted,
            b'\n' if quoted => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique() {
        assert_eq!(unique_names(["a", "", "a", "a_1", "a"].into_iter()), ["a", "column_2", "a_1", "a_1_1", "a_2"]);
    }

    #[test]
    fn line_breaks_in_quotes_are_seen() {
        let dialect = Dialect::new(crate::format::CsvOptions::default()).unwrap();
        assert!(holds_line_break(b"a,\"b\nc\"\n", &dialect));
        assert!(!holds_line_break(b"a,\"b\"\"c\"\nd,e\n", &dialect));
    }
}
