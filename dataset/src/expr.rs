//! Expressions: DataFusion's, with column names taken as they are written, the arithmetic of dataframes, and windows.

mod arithmetic;
mod axis;
mod product;
mod running;
mod sliding;
mod span;
mod stable_hash;
mod user_function;
mod window;

pub(crate) use arithmetic::arithmetic_named;
pub use arithmetic::{add, floor_divide, modulo, subtract, true_divide};
pub(crate) use axis::Axis;
pub use datafusion::logical_expr::{Expr, ExprFunctionExt, ExprSchemable, SortExpr, lit, when};
pub use datafusion::{functions, functions_aggregate, functions_nested, functions_window};
pub(crate) use running::running_product;
pub use running::{Running, diff, pct_change, running, shift};
pub(crate) use sliding::{exact, sliding_named};
pub(crate) use span::DAY;
pub use span::Span;
pub use stable_hash::stable_hash;
pub use user_function::{ArrayFunction, UserFunction};
pub use window::Window;
pub(crate) use window::lacks_order;

use datafusion::common::Column;
use datafusion::execution::SessionStateBuilder;

/// A session that knows the functions of ours beside those that it has.
#[must_use]
pub fn install(mut state: SessionStateBuilder) -> SessionStateBuilder {
    state.scalar_functions().get_or_insert_default().push(stable_hash::function());
    state
}

/// What the sides of a join are called, in plans and in predicates over both.
pub(crate) const LEFT: &str = "left";
pub(crate) const RIGHT: &str = "right";

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

/// The column of this name of the left side of a join, in a predicate over both sides.
#[must_use]
pub fn left(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new(Some(LEFT), name))
}

/// The column of this name of the right side of a join, in a predicate over both sides.
///
/// ```
/// use sheaf_dataset::expr::{left, right};
///
/// assert_eq!(left("start").lt(right("end")).to_string(), "left.start < right.end");
/// ```
#[must_use]
pub fn right(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new(Some(RIGHT), name))
}
