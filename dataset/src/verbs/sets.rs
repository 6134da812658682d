//! Datasets as sets of rows: union, intersect, except.
//!
//! Repeated rows count where `distinct` is false: the engine's own `INTERSECT ALL` and `EXCEPT ALL` are semi and anti
//! joins, which forget how often a row is there. Here the copies of a row are numbered on both sides first.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, NullEquality};
use datafusion::functions::expr_fn::abs;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, JoinType, LogicalPlan, Union, cast, lit, when};
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::objects::is_object;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::verbs::kinds;
use crate::verbs::nulls::unused;

impl Dataset {
    /// The rows of both, this one's first. Columns are matched by position, or with `by_name` by name, missing ones as
    /// nulls.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::TypeMismatch`] when columns do not fit.
    pub fn union(&self, other: &Self, by_name: bool) -> Result<Self> {
        Self::concat(&[self.clone(), other.clone()], by_name)
    }

    /// The rows of all, in the order of the datasets; as [`Dataset::union`] in everything else.
    ///
    /// Materialized or persisted datasets with an index, each of which ends before the next begins, make one with that
    /// index: known partitions, sorted, without an exchange or a sort.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::TypeMismatch`] when columns do not fit; [`sheaf_core::ErrorKind::InvalidInput`] for no
    /// dataset at all.
    pub fn concat(datasets: &[Self], by_name: bool) -> Result<Self> {
        let [first, others @ ..] = datasets else {
            return Err(Error::invalid("there is no dataset to concat").with_hint("give at least one"));
        };
        if others.is_empty() {
            return Ok(first.clone());
        }
        let mut columns: Vec<(String, DataType)> = types(first);
        for other in others {
            check_objects(first, other, by_name)?;
            match by_name {
                true => merge_by_name(&mut columns, types(other))?,
                false => merge_by_position(&mut columns, &types(other), "union")?,
            }
        }
        let wanted = |at: usize, name: &str| match by_name {
            true => columns.iter().find(|(column, _)| column == name).map(|(_, held)| held),
            false => columns.get(at).map(|(_, held)| held),
        };
        let inputs = datasets.iter().map(|dataset| Ok(Arc::new(dataset.widened(wanted)?.logical_plan().clone())));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let union = if by_name { Union::try_new_by_name(inputs) } else { Union::try_new_with_loose_types(inputs) };
        Ok(Self::new(first.session().clone(), LogicalPlan::Union(union.map_err(from_datafusion)?)))
    }

    /// The rows that both have: once each with `distinct`, else as often as the side that has fewer of them. Null equals
    /// null, and columns are matched by position.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::TypeMismatch`] when columns do not fit.
    pub fn intersect(&self, other: &Self, distinct: bool) -> Result<Self> {
        self.matched(other, distinct, JoinType::LeftSemi, "intersect")
    }

    /// The rows that the other has not: once each with `distinct`, else each copy that the other has no copy for. Null
    /// equals null, and columns are matched by position.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::TypeMismatch`] when columns do not fit.
    pub fn except_(&self, other: &Self, distinct: bool) -> Result<Self> {
        self.matched(other, distinct, JoinType::LeftAnti, "except")
    }

    /// The columns as these types: the engine would widen them too, but only when the plan runs.
    fn widened<'a>(&self, wanted: impl Fn(usize, &str) -> Option<&'a DataType>) -> Result<Self> {
        let schema = self.schema();
        let fields = schema.fields().iter().enumerate();
        let casts: Vec<(String, Expr)> = fields
            .filter_map(|(at, field)| {
                let held = wanted(at, field.name()).filter(|held| *held != field.data_type())?;
                Some((field.name().clone(), cast(col(field.name()), held.clone())))
            })
            .collect();
        if casts.is_empty() { Ok(self.clone()) } else { self.with_columns(casts) }
    }

    fn matched(&self, other: &Self, distinct: bool, how: JoinType, verb: &str) -> Result<Self> {
        let names = self.columns();
        if names.is_empty() {
            return Err(Error::invalid(format!("{verb} compares rows, and these have no columns")));
        }
        let mut columns = types(self);
        merge_by_position(&mut columns, &types(other), verb)?;
        let copy = unused("copy", &names);
        let left_names: Vec<String> = names.clone();
        let right_names: Vec<String> = (0..names.len()).map(|at| format!("other_{at}")).collect();
        let left = self.counted(&columns, &left_names, distinct, &copy)?;
        let right = other.counted(&columns, &right_names, distinct, "other_copy")?;
        let numbered = |names: Vec<String>, copy: &str| {
            let copy = (!distinct).then(|| copy.to_string());
            names.into_iter().chain(copy).map(Column::new_unqualified).collect::<Vec<_>>()
        };
        let keys = (numbered(left_names, &copy), numbered(right_names, "other_copy"));
        let right = right.logical_plan().clone();
        let joined = left.then(|plan| plan.join_detailed(right, how, keys, None, NullEquality::NullEqualsNull))?;
        joined.select(names.iter().map(col))
    }

    /// Rows of these types and names, each once: made distinct, or with the number of its copy.
    fn counted(&self, columns: &[(String, DataType)], names: &[String], distinct: bool, copy: &str) -> Result<Self> {
        let own = self.columns();
        let schema = self.schema();
        let renamed = columns.iter().enumerate().map(|(at, (_, wanted))| {
            let column = col(&own[at]);
            let column = if schema.field(at).data_type() == wanted { column } else { cast(column, wanted.clone()) };
            column.alias(&names[at])
        });
        let renamed = self.select(renamed.collect::<Vec<_>>())?;
        if distinct {
            return renamed.distinct(&[]);
        }
        let all = columns.iter().zip(names).map(|((_, held), name)| match kinds::is_float(held) {
            true => one_zero(col(name)),
            false => Ok(col(name)),
        });
        let all = all.collect::<Result<Vec<Expr>>>()?;
        let number = row_number().partition_by(all).build().map_err(from_datafusion)?;
        renamed.with_column(copy, number)
    }
}

/// Negative zero as zero: the join takes them for equal, and the windows do not.
pub(crate) fn one_zero(value: Expr) -> Result<Expr> {
    when(abs(value.clone()).eq(lit(0.0)), lit(0.0)).otherwise(value).map_err(from_datafusion)
}

/// Python objects are pickled bytes, and bytes are no objects.
fn check_objects(first: &Dataset, other: &Dataset, by_name: bool) -> Result<()> {
    let (ours, theirs) = (first.schema(), other.schema());
    for (at, field) in ours.fields().iter().enumerate() {
        let with = if by_name {
            theirs.field_with_name(field.name()).ok()
        } else {
            theirs.fields().get(at).map(AsRef::as_ref)
        };
        if let Some(with) = with
            && is_object(field) != is_object(with)
            && !field.data_type().is_null()
            && !with.data_type().is_null()
        {
            let message = format!("the column {:?} holds Python objects in one dataset alone", field.name());
            return Err(Error::new(ErrorKind::TypeMismatch, message)
                .with_hint("make objects of the other's values too: map(…, schema={…: sf.object_()})"));
        }
    }
    Ok(())
}

fn types(dataset: &Dataset) -> Vec<(String, DataType)> {
    let schema = dataset.schema();
    schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

fn merge_by_position(columns: &mut [(String, DataType)], other: &[(String, DataType)], verb: &str) -> Result<()> {
    if columns.len() != other.len() {
        let list = |columns: &[(String, DataType)]| {
            columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let message =
            format!("{verb} of {} columns ({}) with {} ({})", columns.len(), list(columns), other.len(), list(other));
        let hint = match verb {
            "union" => "select the same columns on both sides, or match them with by_name",
            _ => "select the same columns on both sides",
        };
        return Err(Error::new(ErrorKind::TypeMismatch, message).with_hint(hint));
    }
    for ((name, own), (other_name, theirs)) in columns.iter_mut().zip(other) {
        *own = kinds::common(own, theirs).ok_or_else(|| unfit(name, own, other_name, theirs))?;
    }
    Ok(())
}

fn merge_by_name(columns: &mut Vec<(String, DataType)>, other: Vec<(String, DataType)>) -> Result<()> {
    for (name, theirs) in other {
        match columns.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => *own = kinds::common(own, &theirs).ok_or_else(|| unfit(&name, own, &name, &theirs))?,
            None => columns.push((name, theirs)),
        }
    }
    Ok(())
}

fn unfit(name: &str, own: &DataType, other_name: &str, theirs: &DataType) -> Error {
    let message = format!("the column {name:?} is {own}, and {other_name:?} of the other dataset is {theirs}");
    Error::new(ErrorKind::TypeMismatch, message).with_hint("cast one of them: cast({\"column\": type})")
}
