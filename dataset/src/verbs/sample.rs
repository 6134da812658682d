//! `sample`: rows drawn at random.

use arrow::datatypes::DataType;
use datafusion::functions::expr_fn::floor;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::{col, lit};
use crate::operators::draw::Draw;
use crate::operators::random_key::RandomKey;
use crate::operators::sample::Sample;
use crate::verbs::nulls::unused;

/// With replacement a row comes so often at the most, on average: more is a union of the dataset with itself.
const MOST_TIMES: f64 = 100.0;

/// How many rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleSize {
    /// Of each row this is the probability; with replacement, how often it is drawn on average.
    Fraction(f64),
    /// Exactly so many; all of them where there are no more.
    Rows(usize),
}

/// How [`Dataset::sample`] draws.
#[derive(Debug, Clone, Default)]
pub struct SampleOptions {
    /// What decides: the same seed draws the same rows of the same partitions.
    pub seed: u64,
    /// Whether a row may be drawn more than once.
    pub replace: bool,
    /// Columns by whose values the rows are told apart: of each kind the fraction is drawn, to the nearest row.
    pub stratify_by: Vec<String>,
}

impl Dataset {
    /// Rows drawn at random.
    ///
    /// - A fraction: each row by a throw of its own, so that the number of rows is about the fraction of all.
    /// - A number: exactly so many. They are held in memory, and so are as many again.
    /// - A fraction with `stratify_by`: of the rows of each kind exactly the fraction, to the nearest row. The rows are
    ///   sorted for that, and spill.
    ///
    /// A row is drawn by the seed, the number of its partition and its number there, so that the rows drawn are the
    /// same while the input has the same rows in the same partitions. Without `stratify_by` the order of rows stays.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a fraction outside of 0 to 1, or of 0 to 100 with replacement, and
    /// for `stratify_by` with a number or with replacement; [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn sample(&self, size: SampleSize, options: &SampleOptions) -> Result<Self> {
        let SampleOptions { seed, replace, ref stratify_by } = *options;
        if let SampleSize::Fraction(fraction) = size {
            check_fraction(fraction, replace)?;
        }
        match (size, stratify_by.is_empty()) {
            (SampleSize::Fraction(fraction), true) => self.through(Sample { fraction, seed, replace }),
            (SampleSize::Rows(rows), true) => self.through(Draw { rows, seed, replace }),
            (SampleSize::Fraction(fraction), false) if !replace => {
                self.stratified(fraction, seed, stratify_by, |is_drawn| is_drawn)
            }
            _ => Err(Error::invalid("of each stratum a fraction is drawn, without replacement")
                .with_hint("with stratify_by= give the fraction, and neither n= nor replace=")),
        }
    }

    /// The rows for which `keep` of whether they are drawn is true: of those of equal values in the columns the
    /// fraction, to the nearest row. Nulls are values here.
    ///
    /// Rows of one kind are numbered in a random order, and those are drawn at which the rounded share of the rows so
    /// far goes up by one: so it is known of each row before the last one has come.
    pub(crate) fn stratified(
        &self,
        fraction: f64,
        seed: u64,
        columns: &[String],
        keep: impl FnOnce(Expr) -> Expr,
    ) -> Result<Self> {
        self.check_columns(columns.iter().map(String::as_str))?;
        let own = self.columns();
        let keyed = self.through(RandomKey { seed })?;
        let number = row_number()
            .partition_by(columns.iter().map(col).collect())
            .order_by(vec![col(RandomKey::COLUMN).sort(true, false)])
            .build()
            .map_err(from_datafusion)?;
        let numbered = unused("number", &own);
        let share = |rows: Expr| floor(cast(rows, DataType::Float64) * lit(fraction) + lit(0.5));
        let is_drawn = share(col(&numbered)).gt(share(col(&numbered) - lit(1_u64)));
        keyed.with_column(&numbered, number)?.filter(keep(is_drawn))?.select(own.iter().map(col))
    }
}

fn check_fraction(fraction: f64, replace: bool) -> Result<()> {
    let most = if replace { MOST_TIMES } else { 1.0 };
    if (0.0..=most).contains(&fraction) {
        return Ok(());
    }
    let error = Error::invalid(format!("the fraction of a sample lies between 0 and {most}, not at {fraction}"));
    Err(if replace {
        error
    } else {
        error.with_hint("for a number of rows say n=; for rows more than once, replace=True")
    })
}
