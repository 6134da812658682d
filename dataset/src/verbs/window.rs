//! `window`, and the verbs that look at the rows before: `shift`, `diff`, `pct_change` and running totals.

use datafusion::logical_expr::Expr;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::{self, Running, Window, col};

impl Dataset {
    /// All columns, and these expressions as columns, each computed for every row over the rows around it. A column
    /// of a name that is there is replaced.
    ///
    /// # Errors
    /// As [`Window::over`]; [`sheaf_core::ErrorKind::UnknownColumn`], [`sheaf_core::ErrorKind::TypeMismatch`].
    pub fn window(&self, window: &Window, columns: impl IntoIterator<Item = (String, Expr)>) -> Result<Self> {
        let windowed = columns.into_iter().map(|(name, expr)| Ok((name, window.over(expr)?)));
        self.with_columns(windowed.collect::<Result<Vec<_>>>()?)
    }

    /// The dataset with the values of these columns that are so many rows before in the window's order, and `fill`
    /// where there is no such row. A negative number looks ahead.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a window without an order; [`sheaf_core::ErrorKind::UnknownColumn`].
    pub fn shift(&self, columns: &[&str], rows: i64, fill: Option<&Expr>, window: &Window) -> Result<Self> {
        self.in_order("shift", columns, window, |column| expr::shift(column, rows, fill.cloned()))
    }

    /// The dataset with these columns less their values so many rows before in the window's order.
    ///
    /// # Errors
    /// As [`Dataset::shift`].
    pub fn diff(&self, columns: &[&str], rows: i64, window: &Window) -> Result<Self> {
        self.in_order("diff", columns, window, |column| expr::diff(column, rows))
    }

    /// The dataset with the changes of these columns since so many rows before, as shares of the values there.
    ///
    /// # Errors
    /// As [`Dataset::shift`].
    pub fn pct_change(&self, columns: &[&str], rows: i64, window: &Window) -> Result<Self> {
        self.in_order("pct_change", columns, window, |column| expr::pct_change(column, rows))
    }

    /// The dataset with the running totals of these columns in the window's order.
    ///
    /// # Errors
    /// As [`Dataset::shift`].
    pub fn running(&self, columns: &[&str], total: Running, window: &Window) -> Result<Self> {
        let name = match total {
            Running::Sum => "cumsum",
            Running::Product => "cumprod",
            Running::Max => "cummax",
            Running::Min => "cummin",
            Running::Count => "cumcount",
        };
        self.in_order(name, columns, window, |column| expr::running(column, total))
    }

    /// The dataset with each of these columns replaced by what is computed of it over the window.
    fn in_order(&self, verb: &str, columns: &[&str], window: &Window, of: impl Fn(Expr) -> Expr) -> Result<Self> {
        if !window.is_ordered() {
            return Err(Error::invalid(format!("{verb} looks at the rows before, and no order says which they are"))
                .with_hint("name the column that orders them: order_by=\"time\""));
        }
        if columns.is_empty() {
            return Err(Error::invalid(format!("{verb} takes at least one column")));
        }
        self.check_columns(columns.iter().copied())?;
        self.window(window, columns.iter().map(|name| ((*name).to_string(), of(col(*name)))))
    }
}
