//! `groupby` and `agg`; `rollup`, `cube` and `grouping_sets`.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, expr_fn};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::aggregates::{UserAggregate, user};
use crate::dataset::Dataset;
use crate::expr::col;
use crate::operators::map_groups::{GroupColumns, first_group};
use crate::verbs::checks;
use crate::verbs::grouping_sets;
use crate::verbs::map_groups::first_rows;

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

/// Which combinations of keys make groups, without the keys.
#[derive(Serialize, Deserialize)]
pub(crate) enum Shape {
    All,
    Rollup,
    Cube,
    Listed { keys: usize, sets: Vec<usize> },
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

    /// Its keys, and then those of its sets.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let sets = if let Sets::Listed(sets) = &self.sets { sets.as_slice() } else { &[] };
        self.keys.iter().chain(sets.iter().flatten())
    }

    /// How [`Self::exprs`] make groups.
    pub(crate) fn shape(&self) -> Shape {
        match &self.sets {
            Sets::All => Shape::All,
            Sets::Rollup => Shape::Rollup,
            Sets::Cube => Shape::Cube,
            Sets::Listed(sets) => Shape::Listed { keys: self.keys.len(), sets: sets.iter().map(Vec::len).collect() },
        }
    }

    /// The groups of these; `None` where they do not fit together.
    pub(crate) fn of_parts(dataset: Dataset, shape: Shape, exprs: Vec<Expr>, hidden: Vec<String>) -> Option<Self> {
        let (keys, sets) = match shape {
            Shape::All => (exprs, Sets::All),
            Shape::Rollup => (exprs, Sets::Rollup),
            Shape::Cube => (exprs, Sets::Cube),
            Shape::Listed { keys, sets } => {
                let mut rest = exprs.into_iter();
                let mut some = |count| {
                    let some: Vec<Expr> = rest.by_ref().take(count).collect();
                    (some.len() == count).then_some(some)
                };
                let keys = some(keys)?;
                (keys, Sets::Listed(sets.into_iter().map(some).collect::<Option<_>>()?))
            }
        };
        Some(Self { dataset, keys, sets, hidden })
    }

    /// The keys and these aggregates, one row for each group.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Dataset> {
        let keys = self.dataset.resolve(self.keys.clone())?;
        let aggregates = self.dataset.resolve(aggregates)?;
        checks::values_of_groups(&aggregates, &keys, self.dataset.logical_plan().schema())?;
        if let Some(sets) = self.key_sets()?
            && !keys.is_empty()
            && grouping_sets::asks_user(&aggregates)?
        {
            return grouping_sets::aggregate(&self.dataset, &keys, &sets, &aggregates);
        }
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

    /// The sets of keys, by their places, where there are several.
    fn key_sets(&self) -> Result<Option<Vec<Vec<usize>>>> {
        let place = |key: &Expr| self.keys.iter().position(|known| known == key);
        Ok(match &self.sets {
            Sets::All => None,
            Sets::Rollup => Some(grouping_sets::rollup(self.keys.len())),
            Sets::Cube => Some(grouping_sets::cube(self.keys.len())?),
            Sets::Listed(sets) => Some(sets.iter().map(|set| set.iter().filter_map(place).collect()).collect()),
        })
    }

    /// The aggregate that a function of the user's is of these columns, or of all that functions are given, for
    /// [`GroupedDataset::agg`]. It is given the keys too, after the columns; a key that a group of `rollup`, `cube` or
    /// `grouping_sets` is not of is null.
    ///
    /// Without the type of its results the function is called once now, on rows of one group that come first.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`] for a column that is not there; without a type, whatever goes wrong
    /// while the first rows are read and aggregated, and [`sheaf_core::ErrorKind::TypeMismatch`] when their result is
    /// null.
    pub async fn user_aggregate(
        &self,
        function: Arc<dyn UserAggregate>,
        columns: Option<Vec<String>>,
        result: Option<DataType>,
    ) -> Result<Expr> {
        let (input, kept) = self.with_keys()?;
        let given = input.columns()[..kept.given].to_vec();
        let columns = columns.unwrap_or(given);
        self.dataset.check_columns(columns.iter().map(String::as_str))?;
        if columns.is_empty() {
            return Err(Error::invalid(format!("the aggregate {} has no columns", function.name())));
        }
        let result = match result {
            Some(result) => result,
            None => self.result_of(&function, &columns).await?,
        };
        let keys = self.dataset.resolve(self.keys.clone())?;
        let names = self.argument_names(&columns);
        let name = function.name().to_string();
        Ok(user::call(&function, columns.into_iter().map(col).collect(), keys, names, result).alias(name))
    }

    fn argument_names(&self, columns: &[String]) -> Vec<String> {
        let keys = (0..self.keys.len()).map(|at| format!("__key_{at}"));
        columns.iter().cloned().chain(keys).collect()
    }

    /// The type of what the function makes of the rows of one group.
    async fn result_of(&self, function: &Arc<dyn UserAggregate>, columns: &[String]) -> Result<DataType> {
        let (input, kept) = self.with_keys()?;
        let batch = first_rows(&input).await?;
        let rows = first_group(&batch, &GroupColumns { given: batch.num_columns(), ..kept.clone() });
        let rows = rows.map_err(from_datafusion)?;
        let place = |name: &String| rows.schema().index_of(name).map_err(|error| from_datafusion(error.into()));
        let mut places = columns.iter().map(place).collect::<Result<Vec<_>>>()?;
        places.extend(&kept.keys);
        let rows = rows.project(&places).map_err(|error| from_datafusion(error.into()))?;
        let (called, names) = (Arc::clone(function), self.argument_names(columns));
        let told = tokio::task::spawn_blocking(move || user::of_one_group(&called, &rows, &names)).await;
        let told = told.unwrap_or_else(|error| Err(Error::internal(format!("the call failed: {error}"))))?;
        if told.data_type().is_null() {
            let message = format!(
                "the aggregate {} gave no value for the first group, so that its type is not known",
                function.name()
            );
            return Err(Error::new(ErrorKind::TypeMismatch, message).with_hint("say it: return_type=\"float64\""));
        }
        Ok(told.data_type().clone())
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
