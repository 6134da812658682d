//! `explode`: one row for each element of a list column.

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue, UnnestOptions};
use datafusion::functions_nested::expr_fn::array_empty;
use datafusion::logical_expr::{lit, when};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::col;

impl Dataset {
    /// One row for each element of these list columns; other columns repeat. A null or empty list gives one row
    /// with a null.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a column of another type.
    pub fn explode(&self, columns: &[&str]) -> Result<Self> {
        self.check_columns(columns.iter().copied())?;
        self.check_lists(columns)?;
        let options = UnnestOptions::new().with_preserve_nulls(true);
        let names = columns.iter().map(|name| Column::new_unqualified(*name)).collect();
        self.nulls_for_empty(columns)?.then(|plan| plan.unnest_columns_with_options(names, options))
    }

    fn check_lists(&self, columns: &[&str]) -> Result<()> {
        let schema = self.schema();
        let no_list = schema.fields().iter().find(|field| {
            columns.contains(&field.name().as_str()) && !field.data_type().is_list() && !field.data_type().is_null()
        });
        match no_list {
            Some(field) => {
                let message = format!("explode takes lists, and {:?} is {}", field.name(), field.data_type());
                Err(Error::new(ErrorKind::TypeMismatch, message)
                    .with_hint("text becomes a list by .str.split(…), other columns by make_array"))
            }
            None => Ok(()),
        }
    }

    /// The engine drops the row of an empty list and keeps that of a null one.
    fn nulls_for_empty(&self, columns: &[&str]) -> Result<Self> {
        let schema = self.schema();
        let fields = schema.fields().iter().filter(|field| columns.contains(&field.name().as_str()));
        let is_list = |kind: &DataType| matches!(kind, DataType::List(_) | DataType::LargeList(_));
        let filled = fields.filter(|field| is_list(field.data_type())).map(|field| {
            let null = ScalarValue::try_new_null(field.data_type()).map_err(from_datafusion)?;
            let filled = when(array_empty(col(field.name())), lit(null)).otherwise(col(field.name()));
            Ok((field.name().clone(), filled.map_err(from_datafusion)?))
        });
        self.with_columns(filled.collect::<Result<Vec<_>>>()?)
    }
}
