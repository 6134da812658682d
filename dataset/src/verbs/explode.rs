//! `explode`: one row for each element of a list column.

use sheaf_core::Result;

use crate::dataset::Dataset;

impl Dataset {
    /// One row for each element of these list columns; other columns repeat. A null or empty list gives one row
    /// with a null.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a column of another type.
    pub fn explode(&self, columns: &[&str]) -> Result<Self> {
        self.check_columns(columns.iter().copied())?;
        let options = datafusion::common::UnnestOptions::new().with_preserve_nulls(true);
        self.with(|frame| frame.unnest_columns_with_options(columns, options))
    }
}
