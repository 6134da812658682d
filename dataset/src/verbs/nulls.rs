//! Missing values: rows that have them leave, or others take their place.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn::{coalesce, isnan};
use datafusion::functions_aggregate::expr_fn::{avg, max, min};
use datafusion::functions_window::expr_fn::last_value;
use datafusion::logical_expr::expr::NullTreatment;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, JoinType, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, cast, lit, when,
};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::verbs::kinds::{self, Kind, kind};

/// What takes the place of nulls.
#[derive(Debug, Clone, PartialEq)]
pub enum NullFill {
    /// This value. Without columns named, in those that hold values of its kind: numbers for a number.
    Value(ScalarValue),
    /// For each column a value of its own.
    Values(BTreeMap<String, ScalarValue>),
    /// The last value before, in this order.
    Forward(Vec<SortExpr>),
    /// The next value after, in this order.
    Backward(Vec<SortExpr>),
    /// The mean of the column's numbers: a column of integers becomes one of `Float64`.
    Mean,
    /// The column's smallest value.
    Min,
    /// The column's largest value.
    Max,
}

impl Dataset {
    /// The rows without a null in these columns, or in any for none named.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn drop_null(&self, columns: &[&str]) -> Result<Self> {
        self.check_columns(columns.iter().copied())?;
        let fields = self.fields_of(columns, |_| true);
        self.filter_all(fields.iter().map(|field| col(field.name()).is_not_null()))
    }

    /// The rows without a NaN in these columns, or in any column of floats for none named. Null is not NaN, and stays.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a column that is named and
    /// holds no floats.
    pub fn drop_nan(&self, columns: &[&str]) -> Result<Self> {
        let fields = self.floats(columns, "drop_nan")?;
        self.filter_all(fields.iter().map(|field| isnan(col(field.name())).is_not_true()))
    }

    /// The rows with nulls of these columns filled. For none named: with a value, the columns that hold values of its
    /// kind; with `Mean` those of numbers; with `Min` and `Max` those that have an order; else all.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] where a column cannot hold the
    /// value as it is; [`sheaf_core::ErrorKind::InvalidInput`] for a fill by order without one.
    pub fn fill_null(&self, fill: &NullFill, columns: &[&str]) -> Result<Self> {
        self.check_columns(columns.iter().copied())?;
        match fill {
            NullFill::Value(value) => {
                let fits = kind(&value.data_type());
                let fields = self.fields_of(columns, |field| field.is_nullable() && kind(field.data_type()) == fits);
                self.fill_values(fields.iter().map(|field| (field, value)))
            }
            NullFill::Values(values) => {
                if !columns.is_empty() {
                    let error = Error::invalid("fill_null takes columns with a value each, or columns and one value");
                    return Err(error.with_hint("fill_null({\"a\": 0, \"b\": \"\"}), or fill_null(0, \"a\")"));
                }
                self.check_columns(values.keys().map(String::as_str))?;
                let fields = self.fields_of(&[], |field| values.contains_key(field.name()));
                self.fill_values(fields.iter().filter_map(|field| Some((field, values.get(field.name())?))))
            }
            NullFill::Forward(order) => self.fill_along(columns, order, "forward"),
            NullFill::Backward(order) => {
                let back =
                    order.iter().map(|key| key.expr.clone().sort(!key.asc, !key.nulls_first)).collect::<Vec<_>>();
                self.fill_along(columns, &back, "backward")
            }
            NullFill::Mean | NullFill::Min | NullFill::Max => self.fill_statistic(columns, fill),
        }
    }

    /// The rows with this value for NaN in these columns, or in all columns of floats for none named. A null value
    /// makes NaN null.
    ///
    /// # Errors
    /// As [`Dataset::drop_nan`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a value that is no number.
    pub fn fill_nan(&self, value: &ScalarValue, columns: &[&str]) -> Result<Self> {
        let fields = self.floats(columns, "fill_nan")?;
        let filled = fields.iter().map(|field| {
            let value = match value.is_null() {
                true => ScalarValue::try_new_null(field.data_type()).map_err(from_datafusion)?,
                false => kinds::value_as(value, field.data_type()).ok_or_else(|| unfit(value, field))?,
            };
            let filled = when(isnan(col(field.name())), lit(value)).otherwise(col(field.name()));
            Ok((field.name().clone(), filled.map_err(from_datafusion)?))
        });
        self.with_columns(filled.collect::<Result<Vec<_>>>()?)
    }

    /// The fields of these columns, or for none named those that `is_meant` is true for.
    fn fields_of(&self, columns: &[&str], is_meant: impl Fn(&Field) -> bool) -> Vec<Field> {
        let schema = self.schema();
        let fields = schema.fields().iter().filter(|field| match columns {
            [] => is_meant(field),
            named => named.contains(&field.name().as_str()),
        });
        fields.map(|field| field.as_ref().clone()).collect()
    }

    fn floats(&self, columns: &[&str], verb: &str) -> Result<Vec<Field>> {
        self.check_columns(columns.iter().copied())?;
        let fields = self.fields_of(columns, |field| kinds::is_float(field.data_type()));
        match fields.iter().find(|field| !kinds::is_float(field.data_type())) {
            Some(field) => {
                let message =
                    format!("{verb} takes columns of floats, and {:?} is {}", field.name(), field.data_type());
                Err(Error::new(ErrorKind::TypeMismatch, message).with_hint("other types have no NaN"))
            }
            None => Ok(fields),
        }
    }

    fn filter_all(&self, predicates: impl Iterator<Item = Expr>) -> Result<Self> {
        predicates.reduce(Expr::and).map_or_else(|| Ok(self.clone()), |all| self.filter(all))
    }

    fn fill_values<'a>(&self, values: impl Iterator<Item = (&'a Field, &'a ScalarValue)>) -> Result<Self> {
        let filled = values.map(|(field, value)| {
            if value.is_null() {
                return Err(Error::invalid("fill_null puts a value in the place of nulls, and null is none"));
            }
            let value = match field.data_type() {
                DataType::Null => value.clone(),
                held => kinds::value_as(value, held).ok_or_else(|| unfit(value, field))?,
            };
            Ok((field.name().clone(), coalesce(vec![col(field.name()), lit(value)])))
        });
        self.with_columns(filled.collect::<Result<Vec<_>>>()?)
    }

    /// The last value up to each row, in this order.
    fn fill_along(&self, columns: &[&str], order: &[SortExpr], direction: &str) -> Result<Self> {
        if order.is_empty() {
            let message = format!("fill_null with the strategy {direction:?} follows an order of the rows");
            return Err(Error::invalid(message).with_hint("name it: order_by=\"time\""));
        }
        let up_to_here = WindowFrame::new_bounds(
            WindowFrameUnits::Rows,
            WindowFrameBound::Preceding(ScalarValue::Null),
            WindowFrameBound::CurrentRow,
        );
        let filled = self.fields_of(columns, Field::is_nullable).into_iter().map(|field| {
            let last = last_value(col(field.name())).null_treatment(NullTreatment::IgnoreNulls);
            let last = last.order_by(order.to_vec()).window_frame(up_to_here.clone()).build();
            Ok((field.name().clone(), last.map_err(from_datafusion)?))
        });
        self.with_columns(filled.collect::<Result<Vec<_>>>()?)
    }

    /// One statistic of each column, computed in a first pass over the plan: a window over all rows would hold them.
    fn fill_statistic(&self, columns: &[&str], fill: &NullFill) -> Result<Self> {
        let is_meant = |field: &Field| match fill {
            NullFill::Mean => kind(field.data_type()) == Kind::Number,
            _ => kind(field.data_type()).is_ordered(),
        };
        let fields = self.fields_of(columns, |field| field.is_nullable() && is_meant(field));
        if let Some(field) = fields.iter().find(|field| !is_meant(field)) {
            let message = format!("{:?} is {}, which has no such statistic", field.name(), field.data_type());
            return Err(Error::new(ErrorKind::TypeMismatch, message));
        }
        if fields.is_empty() {
            return Ok(self.clone());
        }
        let statistic = |field: &Field| match fill {
            NullFill::Mean => avg(col(field.name())),
            NullFill::Min => min(col(field.name())),
            _ => max(col(field.name())),
        };
        let taken = self.columns();
        let names: Vec<String> =
            fields.iter().map(|field| unused(&format!("{}_filled", field.name()), &taken)).collect();
        let statistics = self.aggregate(fields.iter().zip(&names).map(|(field, name)| statistic(field).alias(name)))?;
        let both = statistics.then(|plan| plan.join_on(self.logical_plan().clone(), JoinType::Inner, []))?;
        let schema = self.schema();
        let output = schema.fields().iter().map(|field| {
            let column = col(field.name());
            let Some(at) = fields.iter().position(|filled| filled.name() == field.name()) else { return column };
            let value = match field.data_type() {
                whole if whole.is_integer() && *fill == NullFill::Mean => col(&names[at]),
                held => cast(col(&names[at]), held.clone()),
            };
            coalesce(vec![column, value]).alias(field.name())
        });
        both.select(output.collect::<Vec<_>>())
    }
}

/// A name that is not among those taken.
pub(crate) fn unused(name: &str, taken: &[String]) -> String {
    let mut unused = name.to_string();
    while taken.contains(&unused) {
        unused.push('_');
    }
    unused
}

fn unfit(value: &ScalarValue, field: &Field) -> Error {
    let message = format!("{value:?} is no value of the column {:?}, which is {}", field.name(), field.data_type());
    Error::new(ErrorKind::TypeMismatch, message)
        .with_hint("give a value that the column holds as it is, cast the column first, or name the columns to fill")
}
