//! Rows of text, as a table, CSV or JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use serde_json::Value;
use sheaf_core::{Error, Result};

use super::super::exit::Stop;
use super::super::output::{self, Format};

/// Rows of text under names.
pub(super) struct Table {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// A row for each value.
    pub(super) fn of(names: &[&str], values: &[Value], row: impl Fn(&Value) -> Vec<String>) -> Self {
        Self { names: names.iter().map(ToString::to_string).collect(), rows: values.iter().map(row).collect() }
    }

    /// Prints it on standard output.
    pub(super) fn print(&self, format: Format) -> Result<(), Stop> {
        let batch = self.batch()?;
        output::print(format, &batch.schema(), &[batch])
    }

    fn batch(&self) -> Result<RecordBatch> {
        let column = |index: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| row[index].as_str())))
        };
        let columns = self.names.iter().enumerate().map(|(index, name)| (name.as_str(), column(index)));
        RecordBatch::try_from_iter(columns)
            .map_err(|error: ArrowError| Error::internal(format!("rows do not fit a table: {error}")))
    }
}
