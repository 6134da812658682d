//! The aggregates that DataFusion has not: each a function that SQL, expressions and Python find by its name.
//!
//! All of them have partial states that merge, so that DataFusion aggregates before it exchanges and spills what it
//! holds, and tell the bytes they hold, so that it knows when.

mod counts;
mod frequent;
mod histogram;
mod moments;
mod null_count;
mod product;
mod single_value;
pub(crate) mod user;

use std::sync::{Arc, LazyLock};

use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, ScalarValue, not_impl_err, plan_err};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, DocSection, Documentation};

pub use user::{GroupStates, UserAggregate};

/// Every aggregate of ours.
#[must_use]
pub fn all() -> Vec<Arc<AggregateUDF>> {
    [
        frequent::functions(),
        histogram::functions(),
        moments::functions(),
        null_count::functions(),
        product::functions(),
        single_value::functions(),
    ]
    .concat()
}

/// The aggregate that takes the value of the only row.
pub(crate) fn single_value() -> Arc<AggregateUDF> {
    static FUNCTION: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(single_value::functions);
    Arc::clone(&FUNCTION[0])
}

/// A session that knows them beside those that it has.
#[must_use]
pub fn install(mut state: SessionStateBuilder) -> SessionStateBuilder {
    state.aggregate_functions().get_or_insert_default().extend(all());
    state
}

/// The argument that most of them have.
const NUMBERS: (&str, &str) = ("expression", "Numbers; nulls are left out.");

/// What is told of a function, to SQL and to Python.
fn told(description: &str, syntax: &str, arguments: &[(&str, &str)]) -> Documentation {
    let documentation = Documentation::builder(DocSection::default(), description, syntax);
    arguments.iter().fold(documentation, |told, (name, about)| told.with_argument(*name, *about)).build()
}

/// Refuses `DISTINCT`, which would be left out without a word.
fn all_values(name: &str, args: &AccumulatorArgs<'_>) -> Result<()> {
    match args.is_distinct {
        true => not_impl_err!("{name}(DISTINCT …): make the rows distinct first"),
        false => Ok(()),
    }
}

/// The constant that is the argument of this number.
fn constant(name: &str, args: &AccumulatorArgs<'_>, at: usize) -> Result<ScalarValue> {
    let none = RecordBatch::new_empty(Arc::new(args.schema.clone()));
    match args.exprs.get(at).map(|expr| expr.evaluate(&none)).transpose()? {
        Some(ColumnarValue::Scalar(value)) => Ok(value),
        _ => plan_err!("argument {} of {name} is a constant", at + 1),
    }
}
