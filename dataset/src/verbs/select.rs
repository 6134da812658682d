//! Verbs over columns: select, with_column(s), rename, exclude, cast.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, cast, try_cast};
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::{col, exact};
use crate::verbs::checks;

impl Dataset {
    /// These expressions as the columns.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn select(&self, exprs: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let exprs = self.resolve(exprs)?;
        checks::values_of_rows(&exprs)?;
        let schema = self.logical_plan().schema();
        let exprs = exprs.into_iter().map(|expr| exact(expr, schema)).collect::<Result<Vec<_>>>()?;
        self.with(|frame| frame.select(exprs))
    }

    /// These columns, in this order.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn select_columns(&self, names: &[&str]) -> Result<Self> {
        self.check_columns(names.iter().copied())?;
        self.select(names.iter().map(|name| col(*name)))
    }

    /// All columns, and this expression as column `name`: in place when there is such a column, else last.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn with_column(&self, name: &str, expr: Expr) -> Result<Self> {
        self.with_columns([(name.to_string(), expr)])
    }

    /// All columns, and these expressions as columns. Each sees the input's columns, not the others' results.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn with_columns(&self, columns: impl IntoIterator<Item = (String, Expr)>) -> Result<Self> {
        let mut fresh: Vec<(String, Expr)> = columns.into_iter().collect();
        let mut exprs = Vec::new();
        for name in self.columns() {
            let at = fresh.iter().position(|(fresh, _)| *fresh == name);
            exprs.push(at.map_or_else(|| col(&name), |at| fresh.remove(at).1.alias(&name)));
        }
        exprs.extend(fresh.into_iter().map(|(name, expr)| expr.alias(name)));
        // Window functions stand beside columns only through the frame's own verb.
        self.select(exprs)
    }

    /// The columns under new names: old name → new name. The others keep theirs.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::InvalidInput`] when two columns would have
    /// one name.
    pub fn rename(&self, names: &BTreeMap<String, String>) -> Result<Self> {
        self.check_columns(names.keys().map(String::as_str))?;
        let columns = self.columns();
        let renamed: Vec<&String> = columns.iter().map(|name| names.get(name).unwrap_or(name)).collect();
        if let Some(twice) = renamed.iter().enumerate().find(|(at, name)| renamed[..*at].contains(name)) {
            return Err(Error::invalid(format!("rename would give two columns the name {:?}", twice.1)));
        }
        self.select(columns.iter().zip(&renamed).map(|(old, new)| col(old).alias(*new)))
    }

    /// All columns but these.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn exclude(&self, names: &[&str]) -> Result<Self> {
        self.check_columns(names.iter().copied())?;
        self.select(self.columns().iter().filter(|name| !names.contains(&name.as_str())).map(col))
    }

    /// The same as [`Dataset::exclude`].
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn drop(&self, names: &[&str]) -> Result<Self> {
        self.exclude(names)
    }

    /// These columns as other types. A value that does not fit is an error when the plan runs, or null where `strict`
    /// is false.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn cast(&self, types: &BTreeMap<String, DataType>, strict: bool) -> Result<Self> {
        self.check_columns(types.keys().map(String::as_str))?;
        let cast = if strict { cast } else { try_cast };
        self.with_columns(types.iter().map(|(name, data_type)| (name.clone(), cast(col(name), data_type.clone()))))
    }
}
