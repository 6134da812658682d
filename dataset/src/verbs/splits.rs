//! Splits: datasets that have each row of this one once, between them.

use datafusion::functions::expr_fn::coalesce;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::{ExprSchemable, col, lit, stable_hash};
use crate::verbs::sample::SampleSize;

/// How [`Dataset::train_test_split`] parts the rows.
#[derive(Debug, Clone, Default)]
pub struct SplitOptions {
    /// Whether the rows are put into a random order first.
    pub shuffle: bool,
    /// What decides where chance does, and the seed of the hash.
    pub seed: u64,
    /// Columns by whose values the rows are told apart: of each kind both parts have their share.
    pub stratify: Vec<String>,
    /// A column whose values decide by their hash: rows of one value are in one part, in every run and of any dataset.
    pub hash_column: Option<String>,
}

impl Dataset {
    /// So many datasets of rows that follow one another. Their numbers of rows differ by one at the most; with `equal`
    /// not at all, and the last rows, fewer than there are datasets, are in none. The plan runs once now, to count.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for none; whatever goes wrong while the rows are counted.
    pub async fn split(&self, parts: usize, equal: bool) -> Result<Vec<Self>> {
        if parts == 0 {
            return Err(Error::invalid("there is at least one split, and none was asked for"));
        }
        let rows = self.count().await?;
        let (parts, all) = (parts as u64, if equal { rows - rows % parts as u64 } else { rows });
        // The first ones have a row more each, while there are any.
        let bounds = (0..=parts).map(|part| part * (all / parts) + part.min(all % parts));
        self.between(&bounds.collect::<Vec<_>>(), false)
    }

    /// Datasets that begin at the first row and at these, and go as far as the next begins.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for indices that do not ascend, or none.
    pub fn split_at_indices(&self, indices: &[u64]) -> Result<Vec<Self>> {
        if indices.is_empty() {
            return Err(Error::invalid("there is no index to split at").with_hint("give at least one row's number"));
        }
        if let Some(pair) = indices.windows(2).find(|pair| pair[0] > pair[1]) {
            return Err(Error::invalid(format!("the indices do not ascend: {} is before {}", pair[0], pair[1])));
        }
        let bounds: Vec<u64> = [0].into_iter().chain(indices.iter().copied()).collect();
        self.between(&bounds, true)
    }

    /// Datasets of rows that follow one another, each with its share of all, and one with the rest. The plan runs once
    /// now, to count.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for shares that are not above 0 or leave no rest; whatever goes wrong
    /// while the rows are counted.
    pub async fn split_proportionately(&self, shares: &[f64]) -> Result<Vec<Self>> {
        if let Some(share) = shares.iter().find(|share| !(**share > 0.0 && **share < 1.0)) {
            return Err(Error::invalid(format!("a share lies between 0 and 1, not at {share}")));
        }
        if shares.is_empty() {
            return Err(Error::invalid("there is no share to split by").with_hint("give at least one, as in [0.8]"));
        }
        if shares.iter().sum::<f64>() >= 1.0 {
            return Err(Error::invalid("the shares leave no rest, which is a part of its own")
                .with_hint("leave out the last share: [0.8] gives two parts"));
        }
        let rows = self.count().await?;
        let mut sum = 0.0;
        let indices = shares.iter().map(|share| {
            sum += share;
            share_of(rows, sum)
        });
        self.split_at_indices(&indices.collect::<Vec<_>>())
    }

    /// Two datasets that have each row once, between them: the first to train with, the second to test.
    ///
    /// - By default the last rows are the test: the share of all, to the nearest row, or so many. The plan runs once
    ///   now, to count; with `shuffle` the rows are put into a random order first.
    /// - With `stratify`, of the rows of each kind the share is drawn, to the nearest row.
    /// - With `hash_column`, rows whose value has a [`stable_hash`] within the share are the test; null is in the
    ///   training.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a share that is not between 0 and 1, more rows than there are, a
    /// number of rows where the share is needed, and options that exclude each other;
    /// [`sheaf_core::ErrorKind::UnknownColumn`].
    pub async fn train_test_split(&self, test: SampleSize, options: &SplitOptions) -> Result<(Self, Self)> {
        let share = match test {
            SampleSize::Fraction(share) if !(share > 0.0 && share < 1.0) => {
                let error = Error::invalid(format!("the share of the test lies between 0 and 1, not at {share}"));
                return Err(error.with_hint("a whole number above 0 is a number of rows"));
            }
            SampleSize::Fraction(share) => Some(share),
            SampleSize::Rows(_) => None,
        };
        let of_share = |name: &str| {
            let error = Error::invalid(format!("with {name} the test is a share of the rows, not a number of them"));
            share.ok_or_else(|| error.with_hint("give test_size as a number between 0 and 1"))
        };
        let (train, test) = match (&options.hash_column, options.stratify.as_slice()) {
            (Some(column), []) => self.hashed(column, of_share("hash_column")?, options.seed)?,
            (None, []) => return self.last_rows(test, options).await,
            (None, columns) => {
                let share = of_share("stratify")?;
                let train = self.stratified(share, options.seed, columns, std::ops::Not::not)?;
                (train, self.stratified(share, options.seed, columns, |is_drawn| is_drawn)?)
            }
            (Some(_), _) => {
                return Err(Error::invalid("either the hash of a column decides, or chance within each stratum")
                    .with_hint("give hash_column= or stratify=, not both"));
            }
        };
        let shuffled = |part: Self| if options.shuffle { part.random_shuffle(options.seed) } else { part };
        Ok((shuffled(train), shuffled(test)))
    }

    async fn last_rows(&self, test: SampleSize, options: &SplitOptions) -> Result<(Self, Self)> {
        let rows = self.count().await?;
        let test = match test {
            SampleSize::Fraction(share) => share_of(rows, share),
            SampleSize::Rows(test) if test as u64 > rows => {
                return Err(Error::invalid(format!("a test of {test} rows, and there are {rows}")));
            }
            SampleSize::Rows(test) => test as u64,
        };
        let ordered = if options.shuffle { self.random_shuffle(options.seed) } else { self.clone() };
        let mut parts = ordered.split_at_indices(&[rows - test])?.into_iter();
        parts.next().zip(parts.next()).ok_or_else(|| Error::internal("a split in two has not two parts"))
    }

    fn hashed(&self, column: &str, share: f64, seed: u64) -> Result<(Self, Self)> {
        self.check_columns([column])?;
        // 2^64 hashes there are, and the share of them is test.
        let bound = (share * 2_f64.powi(64)) as u64;
        let hash = stable_hash(col(column), seed);
        hash.get_type(self.logical_plan().schema()).map_err(from_datafusion)?;
        let is_test = coalesce(vec![hash.lt(lit(bound)), lit(false)]);
        Ok((self.filter(!is_test.clone())?, self.filter(is_test)?))
    }

    /// The rows from each bound to before the next one, and with `rest` those from the last one on.
    fn between(&self, bounds: &[u64], rest: bool) -> Result<Vec<Self>> {
        let place = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        let ends = bounds[1..].iter().map(|end| Some(*end)).chain(rest.then_some(None));
        let parts = bounds.iter().zip(ends);
        parts.map(|(start, end)| self.limit(place(*start), end.map(|end| place(end - start)))).collect()
    }
}

/// The share of so many rows, to the nearest one.
fn share_of(rows: u64, share: f64) -> u64 {
    (rows as f64 * share).round() as u64
}
