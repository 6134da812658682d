//! `groupby` and `agg`.

use datafusion::logical_expr::Expr;
use sheaf_core::Result;

use crate::dataset::Dataset;
use crate::verbs::checks;

/// A dataset and the keys it is grouped by; `agg` gives one row for each group.
#[derive(Debug, Clone)]
pub struct GroupedDataset {
    dataset: Dataset,
    keys: Vec<Expr>,
}

impl Dataset {
    /// Groups by these keys; nulls are a group of their own.
    #[must_use]
    pub fn groupby(&self, keys: impl IntoIterator<Item = Expr>) -> GroupedDataset {
        GroupedDataset { dataset: self.clone(), keys: keys.into_iter().collect() }
    }

    /// One row of aggregates over all rows.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn aggregate(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Self> {
        self.groupby([]).agg(aggregates)
    }
}

impl GroupedDataset {
    /// The keys and these aggregates, one row for each group.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Dataset> {
        let keys = self.dataset.resolve(self.keys.clone())?;
        let aggregates = self.dataset.resolve(aggregates)?;
        checks::values_of_groups(&aggregates, &keys, self.dataset.logical_plan().schema())?;
        self.dataset.with(|frame| frame.aggregate(keys, aggregates))
    }
}
