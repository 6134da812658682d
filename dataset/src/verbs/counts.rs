//! `value_counts`: how often each value is there.

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, cast, lit};
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::verbs::kinds::{Kind, kind};

/// How `value_counts` counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueCounts {
    /// The most frequent first, equal counts in the order of their values.
    pub sort: bool,
    /// Shares of all rows that are counted, instead of numbers of rows.
    pub normalize: bool,
    /// Whether rows with a null in a column are left out.
    pub dropna: bool,
    /// The column of the counts.
    pub name: String,
}

impl Default for ValueCounts {
    fn default() -> Self {
        Self { sort: true, normalize: false, dropna: false, name: "count".to_string() }
    }
}

impl Dataset {
    /// Each value of these columns together, once, and how many rows have it.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::InvalidInput`] for no column, or one that has
    /// the name of the counts.
    pub fn value_counts(&self, columns: &[&str], options: &ValueCounts) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::invalid("value_counts counts the values of a column").with_hint("name one or several"));
        }
        self.check_columns(columns.iter().copied())?;
        let name = options.name.as_str();
        if columns.contains(&name) {
            let message = format!("value_counts would give two columns the name {name:?}");
            return Err(Error::invalid(message).with_hint("name the counts otherwise: name=\"n\""));
        }
        let rows = if options.dropna { self.drop_null(columns)? } else { self.clone() };
        let keys: Vec<Expr> = columns.iter().map(|column| col(*column)).collect();
        let mut counted = rows.groupby(keys).agg([count(lit(1_i64)).alias(name)])?;
        if options.normalize {
            // Over the groups, not the rows.
            let all = Expr::from(WindowFunction::new(sum_udaf(), vec![col(name)]));
            let share = |count: Expr| cast(count, DataType::Float64);
            counted = counted.with_column(name, share(col(name)) / share(all))?;
        }
        if !options.sort {
            return Ok(counted);
        }
        let schema = self.schema();
        let ordered = schema.fields().iter().filter(|field| kind(field.data_type()) != Kind::Nested);
        let ordered: Vec<&str> = ordered.map(|field| field.name().as_str()).collect();
        let ties =
            columns.iter().filter(|column| ordered.contains(column)).map(|column| col(*column).sort(true, false));
        counted.sort(std::iter::once(col(name).sort(false, false)).chain(ties))
    }
}
