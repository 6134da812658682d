//! Verbs over rows: filter, sort, limit, distinct, sample.

use datafusion::logical_expr::{Expr, Extension, LogicalPlan, SortExpr};
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::operators::sample::Sample;
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

    /// Each row with probability `fraction`; the same rows for the same seed and partitions.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a fraction outside 0..=1.
    pub fn sample(&self, fraction: f64, seed: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Error::invalid(format!("the fraction of a sample lies between 0 and 1, not at {fraction}")));
        }
        let node = Sample::new(self.logical_plan().clone(), fraction, seed);
        let plan = LogicalPlan::Extension(Extension { node: std::sync::Arc::new(node) });
        Ok(Self::new(self.session().clone(), plan))
    }
}
