//! `groupby` and `agg`; `rollup`, `cube` and `grouping_sets`.

use datafusion::logical_expr::{Expr, expr_fn};
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::verbs::checks;

/// A dataset and the keys it is grouped by; `agg` gives one row for each group.
#[derive(Debug, Clone)]
pub struct GroupedDataset {
    pub(crate) dataset: Dataset,
    pub(crate) keys: Vec<Expr>,
    sets: Sets,
    /// Columns that were made for the keys, and that functions over groups are not given.
    pub(crate) hidden: Vec<String>,
}

/// Which combinations of the keys make groups.
#[derive(Debug, Clone)]
enum Sets {
    /// The keys as they are.
    All,
    Rollup,
    Cube,
    Listed(Vec<Vec<Expr>>),
}

impl Dataset {
    /// Groups by these keys; nulls are a group of their own. Without keys the whole dataset is one group.
    #[must_use]
    pub fn groupby(&self, keys: impl IntoIterator<Item = Expr>) -> GroupedDataset {
        self.grouped(keys.into_iter().collect(), Sets::All)
    }

    /// Groups by these keys, by these without the last one, and so on: subtotals, and with no key the total. A key that
    /// a row is not grouped by is null in it; `grouping(key)` is 1 there.
    #[must_use]
    pub fn rollup(&self, keys: impl IntoIterator<Item = Expr>) -> GroupedDataset {
        self.grouped(keys.into_iter().collect(), Sets::Rollup)
    }

    /// Groups by every subset of these keys; see [`Dataset::rollup`].
    #[must_use]
    pub fn cube(&self, keys: impl IntoIterator<Item = Expr>) -> GroupedDataset {
        self.grouped(keys.into_iter().collect(), Sets::Cube)
    }

    /// Groups by each of these sets of keys; see [`Dataset::rollup`].
    #[must_use]
    pub fn grouping_sets(&self, sets: Vec<Vec<Expr>>) -> GroupedDataset {
        let mut keys: Vec<Expr> = Vec::new();
        for key in sets.iter().flatten() {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        self.grouped(keys, Sets::Listed(sets))
    }

    fn grouped(&self, keys: Vec<Expr>, sets: Sets) -> GroupedDataset {
        GroupedDataset { dataset: self.clone(), keys, sets, hidden: Vec::new() }
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
    /// The dataset that is grouped.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The keys and these aggregates, one row for each group.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Dataset> {
        let keys = self.dataset.resolve(self.keys.clone())?;
        let aggregates = self.dataset.resolve(aggregates)?;
        checks::values_of_groups(&aggregates, &keys, self.dataset.logical_plan().schema())?;
        let keys = match &self.sets {
            Sets::All => keys,
            _ if keys.is_empty() => return Err(Error::invalid("rollup, cube and grouping_sets need a key")),
            Sets::Rollup => vec![expr_fn::rollup(keys)],
            Sets::Cube => vec![expr_fn::cube(keys)],
            Sets::Listed(sets) => {
                let sets = sets.iter().map(|set| self.dataset.resolve(set.clone()));
                vec![expr_fn::grouping_set(sets.collect::<Result<_>>()?)]
            }
        };
        self.dataset.with(|frame| frame.aggregate(keys, aggregates))
    }

    /// The same groups, where these columns of the dataset are keys alone: functions over groups are not given them.
    #[must_use]
    pub fn hiding(mut self, columns: impl IntoIterator<Item = String>) -> Self {
        self.hidden.extend(columns);
        self
    }

    /// Fails where the keys make more than one set of groups.
    pub(crate) fn check_one_set(&self, verb: &str) -> Result<()> {
        match self.sets {
            Sets::All => Ok(()),
            _ => {
                Err(Error::invalid(format!("{verb} is of the groups of groupby, not of rollup, cube or grouping_sets")))
            }
        }
    }
}
