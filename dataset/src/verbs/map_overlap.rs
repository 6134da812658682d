//! `map_overlap`: a function of the user's over ordered rows, which sees the rows before and after as well.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use super::rolling::Reach;
use crate::dataset::Dataset;
use crate::expr::col;
use crate::operators::map_batches::{BatchFunction, MapBatchesOptions};
use crate::operators::overlap::{Cut, Margin, Overlap};
use crate::verbs::checks;

/// A run is so many times as long as its margins, which are read again for each, unless a size is given.
const RUN_TO_MARGIN: usize = 4;

/// How rows are handed to the function.
#[derive(Debug, Clone)]
pub struct OverlapOptions {
    /// The column that orders the rows; those without a value come last. `None` for the order in which they are.
    pub on: Option<String>,
    /// How far the function looks back from the first row of a call.
    pub before: Reach,
    /// How far it looks ahead from the last.
    pub after: Reach,
    /// Rows of each call but the last, without the margins; `None` lets Sheaf choose.
    pub batch_size: Option<usize>,
}

impl Dataset {
    /// What `function` makes of runs of rows in the order of a column, or as they are, each with the rows around it.
    /// The function returns a row for each that it is given; those for the margins are cut off, so that there are as
    /// many rows as before, in their order. A margin along the column has all rows that are equal to its end.
    ///
    /// Without `schema`, the function is called once now, on the first rows of the order, and the schema is that of
    /// what it returned.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a reach that does not suit
    /// the column; without a schema, whatever goes wrong while the first rows are read and mapped.
    pub async fn map_overlap(
        &self,
        function: Arc<dyn BatchFunction>,
        options: OverlapOptions,
        schema: Option<SchemaRef>,
    ) -> Result<Self> {
        self.check_columns(options.on.as_deref())?;
        let on: Vec<_> = options.on.iter().map(col).collect();
        checks::comparable(&on, self.logical_plan().schema())?;
        if options.batch_size == Some(0) {
            return Err(Error::invalid("batch_size must be at least 1"));
        }
        let before = self.margin("before", options.on.as_deref(), options.before)?;
        let after = self.margin("after", options.on.as_deref(), options.after)?;
        let rows = |margin: Margin| if let Margin::Rows(rows) = margin { rows } else { 0 };
        let margins = rows(before).saturating_add(rows(after));
        let usual = self.session().settings().batch_size.max(margins.saturating_mul(RUN_TO_MARGIN));
        let run = options.batch_size.unwrap_or(usual);
        let schema = match schema {
            Some(schema) => schema,
            None => {
                let ordered = match &options.on {
                    Some(on) => self.sort([col(on).sort(true, false)])?,
                    None => self.clone(),
                };
                ordered
                    .mapped_schema(
                        &function,
                        &MapBatchesOptions { batch_size: Some(run), ..MapBatchesOptions::default() },
                    )
                    .await?
            }
        };
        let cut = Cut { on: options.on, before, after, run };
        self.through(Overlap::new(function, &schema, cut).map_err(from_datafusion)?)
    }

    fn margin(&self, name: &str, on: Option<&str>, reach: Reach) -> Result<Margin> {
        let negative = |what: String| Error::invalid(format!("{name} is a distance, and {what} is none"));
        match reach {
            Reach::Rows(rows) => usize::try_from(rows).map(Margin::Rows).map_err(|_| negative(rows.to_string())),
            Reach::Span(span) => {
                let Some(on) = on else {
                    return Err(Error::invalid(format!("{name} is a distance along a column, and none is named"))
                        .with_hint("name it: on=\"time\"; or give a number of rows"));
                };
                let axis = self.axis(on)?;
                if *axis.data_type() == DataType::UInt64 {
                    return Err(Error::invalid(format!(
                        "{on:?} has unsigned integers of 64 bits, which are not measured"
                    ))
                    .with_hint("cast it to int64, or give a number of rows"));
                }
                let steps = axis.count(span)?.ok_or_else(|| {
                    Error::invalid("months have no one length")
                        .with_hint(format!("give {name} in days, and more of them"))
                })?;
                if steps < 0 { Err(negative(span.to_string())) } else { Ok(Margin::Steps(steps)) }
            }
        }
    }
}
