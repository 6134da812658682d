//! Verbs over rows: filter, sort, limit, distinct.

use datafusion::logical_expr::{Expr, SortExpr};
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::verbs::checks;

impl Dataset {
    /// The rows for which the predicate is true (not false, not null).
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn filter(&self, predicate: Expr) -> Result<Self> {
        let predicate = self.resolve([predicate])?;
        predicate.iter().try_for_each(|expr| checks::predicate(expr, self.logical_plan().schema()))?;
        self.with(|frame| predicate.into_iter().try_fold(frame, datafusion::dataframe::DataFrame::filter))
    }

    /// The rows in the order of these keys.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn sort(&self, keys: impl IntoIterator<Item = SortExpr>) -> Result<Self> {
        let keys: Vec<SortExpr> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(Error::invalid("there is no key to sort by").with_hint("name a column, as in sort(\"delay\")"));
        }
        self.with(|frame| frame.sort(keys))
    }

    /// At most `fetch` rows (all for `None`) after the first `skip`, counted in the order of the input's partitions:
    /// all of the first one, then the second. Keeps that order.
    ///
    /// # Errors
    /// None of its own.
    pub fn limit(&self, skip: usize, fetch: Option<usize>) -> Result<Self> {
        self.with(|frame| frame.limit(skip, fetch))
    }

    /// Each row once. With columns given, one row for each of their values, which one is not said.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn distinct(&self, on: &[&str]) -> Result<Self> {
        if on.is_empty() {
            return self.with(datafusion::dataframe::DataFrame::distinct);
        }
        self.check_columns(on.iter().copied())?;
        let on: Vec<Expr> = on.iter().map(|name| col(*name)).collect();
        let all: Vec<Expr> = self.columns().iter().map(col).collect();
        self.with(|frame| frame.distinct_on(on, all, None))
    }
}
