//! `sheaf schema`: the columns and types of files, read from their footers and first rows only.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use sheaf_connectors::read::ReadOptions;
use sheaf_core::{Error, Result};

use super::args::SchemaArguments;
use super::console::Console;
use super::exit::Stop;
use super::output::{self, Format};

pub(super) fn run(console: &Console, arguments: &SchemaArguments) -> Result<(), Stop> {
    if arguments.format == Format::Parquet {
        return Err(Error::invalid("a schema is printed as table, csv or json").into());
    }
    let several = arguments.files.len() > 1;
    let mut described = Vec::new();
    for file in &arguments.files {
        let options = ReadOptions::default();
        let paths = [file.clone()];
        let dataset = console.wait(async { Ok(console.session().read(&paths, &options).await?) })?;
        described.push(describe(several.then_some(file.as_str()), &dataset.schema())?);
    }
    let Some(first) = described.first() else { return Ok(()) };
    output::print(arguments.format, &first.schema(), &described)
}

/// One row for each column; the file comes first where there are several.
fn describe(file: Option<&str>, schema: &Schema) -> Result<RecordBatch> {
    let fields = schema.fields();
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(fields.iter().map(|field| field.name())));
    let types = fields.iter().map(|field| field.data_type().to_string());
    let types: ArrayRef = Arc::new(StringArray::from_iter_values(types));
    let nullable: BooleanArray = fields.iter().map(|field| Some(field.is_nullable())).collect();
    let files = file.map(|file| {
        let repeated = std::iter::repeat_n(file, fields.len());
        ("file", Arc::new(StringArray::from_iter_values(repeated)) as ArrayRef)
    });
    let columns = [("column", names), ("type", types), ("nullable", Arc::new(nullable) as ArrayRef)];
    RecordBatch::try_from_iter(files.into_iter().chain(columns))
        .map_err(|error: ArrowError| Error::internal(format!("a schema does not fit a table: {error}")))
}
