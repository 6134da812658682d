//! Columns into rows and rows into columns: `unpivot` and `pivot`.

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue, UnnestOptions};
use datafusion::functions::expr_fn::{get_field, named_struct};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Operator, binary_expr, cast, lit};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::verbs::kinds;
use crate::verbs::nulls::unused;

/// How many columns `pivot` makes of values that it has to look for: past this it is rows that are wanted.
pub const MAX_PIVOT_NAMES: usize = 10_000;

impl Dataset {
    /// One row for each of the columns `on`, with its name and its value, beside those of `index`; other columns go.
    /// For no `on`, all that are not `index`. The rows of one input row follow one another, and the input is read once.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] when the values have no type
    /// in common; [`sheaf_core::ErrorKind::InvalidInput`] when two columns would have one name.
    pub fn unpivot(&self, on: &[&str], index: &[&str], variable_name: &str, value_name: &str) -> Result<Self> {
        self.check_columns(on.iter().chain(index).copied())?;
        let columns = self.columns();
        let rest = columns.iter().map(String::as_str).filter(|name| !index.contains(name));
        let on: Vec<&str> = if on.is_empty() { rest.collect() } else { on.to_vec() };
        let output: Vec<String> =
            index.iter().chain(&[variable_name, value_name]).map(|name| (*name).to_string()).collect();
        if let Some(twice) = output.iter().enumerate().find(|(at, name)| output[..*at].contains(name)) {
            return Err(Error::invalid(format!("unpivot would give two columns the name {:?}", twice.1))
                .with_hint("name its columns otherwise: variable_name and value_name"));
        }
        let held = self.common_type(&on)?;
        let structs =
            on.iter().map(|name| vec![lit(variable_name), lit(*name), lit(value_name), cast(col(*name), held.clone())]);
        let index = index.iter().map(|name| col(*name)).collect();
        self.rows_of_structs(index, structs.collect(), &output[output.len() - 2..])
    }

    /// One row for each value of `index`, and in it for each of `names` that `on` has a column for each aggregate, of
    /// the rows with that name alone. Columns are named after the names, and with several aggregates after both.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a name that `on` cannot
    /// hold; [`sheaf_core::ErrorKind::InvalidInput`] for what is no aggregate, and too many names.
    pub fn pivot(
        &self,
        index: &[&str],
        on: &str,
        aggregates: &[(String, Expr)],
        names: &[ScalarValue],
    ) -> Result<Self> {
        self.check_columns(index.iter().copied().chain([on]))?;
        if aggregates.is_empty() || names.is_empty() {
            return Err(Error::invalid("pivot makes a column of each name and each aggregate, and there is none"));
        }
        if names.len() > MAX_PIVOT_NAMES {
            return Err(too_many(on));
        }
        let schema = self.schema();
        let held = schema.field_with_name(on).map_err(|error| from_datafusion(error.into()))?.data_type();
        let mut cells = Vec::with_capacity(names.len() * aggregates.len());
        for (of, aggregate) in aggregates {
            for name in names {
                let value = match name.is_null() {
                    true => ScalarValue::try_new_null(held).map_err(from_datafusion)?,
                    false => kinds::value_as(name, held).ok_or_else(|| {
                        let message = format!("{name:?} is no value of the column {on:?}, which is {held}");
                        Error::new(ErrorKind::TypeMismatch, message)
                    })?,
                };
                let is_it = binary_expr(col(on), Operator::IsNotDistinctFrom, lit(value));
                let cell = aggregate.clone().unalias().filter(is_it).build().map_err(|_| {
                    Error::invalid(format!("pivot makes one value of many, and {aggregate} is no aggregate"))
                })?;
                let name = if name.is_null() { "null".to_string() } else { name.to_string() };
                cells.push(cell.alias(if aggregates.len() == 1 { name } else { format!("{of}_{name}") }));
            }
        }
        self.groupby(index.iter().map(|name| col(*name))).agg(cells)
    }

    /// The values of a column, sorted, for the columns of [`Dataset::pivot`]. This runs the plan.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::InvalidInput`] when there are more than
    /// [`MAX_PIVOT_NAMES`]; whatever goes wrong while the plan runs.
    pub async fn pivot_names(&self, on: &str) -> Result<Vec<ScalarValue>> {
        let some = self.select_columns(&[on])?.distinct(&[])?.limit(0, Some(MAX_PIVOT_NAMES + 1))?;
        let batches = some.sort([col(on).sort(true, false)])?.collect().await?;
        let mut names = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                names.push(ScalarValue::try_from_array(batch.column(0), row).map_err(from_datafusion)?);
            }
        }
        if names.len() > MAX_PIVOT_NAMES { Err(too_many(on)) } else { Ok(names) }
    }

    /// For each row as many as there are structs (names and values in turn), whose fields `names` become columns beside
    /// those of `kept`.
    pub(crate) fn rows_of_structs(&self, kept: Vec<Expr>, structs: Vec<Vec<Expr>>, names: &[String]) -> Result<Self> {
        let rows = unused("rows", &self.columns());
        let list = make_array(structs.into_iter().map(named_struct).collect()).alias(&rows);
        let listed = self.select(kept.iter().cloned().chain([list]))?;
        let lists = vec![Column::new_unqualified(&rows)];
        let unnested = listed.then(|plan| plan.unnest_columns_with_options(lists, UnnestOptions::new()))?;
        let fields = names.iter().map(|name| get_field(col(&rows), name.as_str()).alias(name));
        unnested.select(kept.into_iter().chain(fields))
    }

    fn common_type(&self, columns: &[&str]) -> Result<DataType> {
        let schema = self.schema();
        let mut held: Option<(&str, DataType)> = None;
        for name in columns {
            let own = schema.field_with_name(name).map_err(|error| from_datafusion(error.into()))?.data_type();
            held = Some(match held {
                None => (*name, own.clone()),
                Some((first, held)) => {
                    let both = kinds::common(&held, own).ok_or_else(|| {
                        let message = format!(
                            "the column {first:?} is {held}, and {name:?} is {own}: one column cannot hold both"
                        );
                        Error::new(ErrorKind::TypeMismatch, message)
                            .with_hint("cast them first, or unpivot fewer columns")
                    })?;
                    (first, both)
                }
            });
        }
        held.map(|(_, held)| held)
            .ok_or_else(|| Error::invalid("unpivot makes rows of columns, and there is none left"))
    }
}

fn too_many(on: &str) -> Error {
    Error::invalid(format!("pivot would make more than {MAX_PIVOT_NAMES} columns of the values of {on:?}"))
        .with_hint("name the ones that are wanted, or keep them as rows: groupby(…).agg(…)")
}
