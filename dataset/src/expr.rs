//! Expressions: DataFusion's, with column names taken as they are written, and the arithmetic of dataframes.

mod arithmetic;
mod user_function;

pub use arithmetic::{add, floor_divide, modulo, subtract, true_divide};
pub use datafusion::logical_expr::{Expr, ExprFunctionExt, ExprSchemable, SortExpr, lit, when};
pub use datafusion::{functions, functions_aggregate, functions_nested, functions_window};
pub use user_function::{ArrayFunction, UserFunction};

use datafusion::common::Column;

/// The column of this name, exactly as it is written: no lower-casing, no splitting at dots.
///
/// ```
/// use sheaf_dataset::expr::{col, lit};
///
/// assert_eq!(col("Dep.Delay").gt(lit(60)).to_string(), "Dep.Delay > Int32(60)");
/// ```
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
