//! The engine's functions by name: every scalar, aggregate, window and higher-order function, with its documentation.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::expr::{HigherOrderFunction, NullTreatment, WindowFunction};
use datafusion::logical_expr::utils::COUNT_STAR_EXPANSION;
use datafusion::logical_expr::{AggregateUDF, Documentation, HigherOrderUDF, ScalarUDF, WindowUDF};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use sheaf::expr::{Expr, SortExpr};

use crate::expr::PyExpr;
use crate::expr::operand::{Operand, SortKeys};

enum Function {
    Scalar(Arc<ScalarUDF>),
    Aggregate(Arc<AggregateUDF>),
    Window(Arc<WindowUDF>),
    HigherOrder(Arc<HigherOrderUDF>),
}

/// Every function under its name and under each of its other names. An aggregate comes before a window function of its
/// name: `over` makes the one into the other.
static FUNCTIONS: LazyLock<BTreeMap<String, Function>> = LazyLock::new(|| {
    let state = SessionStateBuilder::new().with_default_features();
    let state = sheaf::expr::install(sheaf::dataset::aggregates::install(state)).build();
    let mut functions = BTreeMap::new();
    for (name, function) in state.window_functions() {
        functions.insert(name.clone(), Function::Window(Arc::clone(function)));
    }
    for (name, function) in state.scalar_functions() {
        functions.insert(name.clone(), Function::Scalar(Arc::clone(function)));
    }
    for (name, function) in state.higher_order_functions() {
        functions.insert(name.clone(), Function::HigherOrder(Arc::clone(function)));
    }
    for (name, function) in state.aggregate_functions() {
        functions.insert(name.clone(), Function::Aggregate(Arc::clone(function)));
    }
    functions
});

/// The call of a function that takes nothing but values.
pub(crate) fn call(name: &str, args: Vec<Expr>) -> PyResult<Expr> {
    Ok(match find(name)? {
        Function::Scalar(function) => function.call(args),
        Function::Aggregate(function) if function.name() == "count" && args.is_empty() => {
            function.call(vec![Expr::Literal(COUNT_STAR_EXPANSION, None)])
        }
        Function::Aggregate(function) => function.call(args),
        Function::Window(function) => Expr::from(WindowFunction::new(Arc::clone(function), args)),
        Function::HigherOrder(function) => {
            Expr::HigherOrderFunction(HigherOrderFunction::new(Arc::clone(function), args))
        }
    })
}

fn find(name: &str) -> PyResult<&'static Function> {
    FUNCTIONS.get(name).ok_or_else(|| PyValueError::new_err(format!("there is no function {name:?}")))
}

/// What an aggregate may be told beside its arguments.
#[derive(Default)]
pub(crate) struct Modifiers {
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Expr>,
    pub(crate) order_by: Vec<SortExpr>,
    pub(crate) ignore_nulls: Option<bool>,
}

impl Modifiers {
    fn is_empty(&self) -> bool {
        !self.distinct && self.filter.is_none() && self.order_by.is_empty() && self.ignore_nulls.is_none()
    }
}

/// The aggregate or window function with these modifiers set; those that it has stay.
pub(crate) fn modified(expr: Expr, modifiers: Modifiers) -> PyResult<Expr> {
    if modifiers.is_empty() {
        return Ok(expr);
    }
    let nulls =
        modifiers.ignore_nulls.map(|yes| if yes { NullTreatment::IgnoreNulls } else { NullTreatment::RespectNulls });
    match expr {
        Expr::AggregateFunction(mut call) => {
            let params = &mut call.params;
            params.distinct |= modifiers.distinct;
            params.filter = both(params.filter.take(), modifiers.filter);
            if !modifiers.order_by.is_empty() {
                params.order_by = modifiers.order_by;
            }
            params.null_treatment = nulls.or(params.null_treatment);
            Ok(Expr::AggregateFunction(call))
        }
        Expr::WindowFunction(mut call) if modifiers.order_by.is_empty() && !modifiers.distinct => {
            call.params.filter = both(call.params.filter.take(), modifiers.filter);
            call.params.null_treatment = nulls.or(call.params.null_treatment);
            Ok(Expr::WindowFunction(call))
        }
        other => Err(PyTypeError::new_err(format!(
            "distinct, filter, order_by and ignore_nulls belong to aggregates, not to {}",
            crate::expr::text::text(&other)
        ))),
    }
}

fn both(first: Option<Box<Expr>>, second: Option<Expr>) -> Option<Box<Expr>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(Box::new(first.and(second))),
        (first, second) => first.or(second.map(Box::new)),
    }
}

/// Calls a function of the engine by its name. Strings are values.
#[pyfunction]
#[pyo3(signature = (name, arguments, distinct=false, filter=None, order_by=None, ignore_nulls=None))]
pub(crate) fn call_function(
    name: &str,
    arguments: Vec<Operand>,
    distinct: bool,
    filter: Option<PyRef<'_, PyExpr>>,
    order_by: Option<SortKeys>,
    ignore_nulls: Option<bool>,
) -> PyResult<PyExpr> {
    let call = call(name, arguments.into_iter().map(|argument| argument.0).collect())?;
    let modifiers = Modifiers {
        distinct,
        filter: filter.map(|filter| filter.inner.clone()),
        order_by: order_by.map_or_else(Vec::new, |keys| keys.0),
        ignore_nulls,
    };
    modified(call, modifiers).map(PyExpr::from)
}

/// The function `(parameters) -> body` that a higher-order function takes.
#[pyfunction]
pub(crate) fn lambda_function(parameters: Vec<String>, body: Operand) -> PyExpr {
    datafusion::logical_expr::expr_fn::lambda(parameters, body.0).into()
}

/// A parameter of such a function.
#[pyfunction]
pub(crate) fn lambda_variable(name: String) -> PyExpr {
    datafusion::logical_expr::expr_fn::lambda_var(name).into()
}

/// A function of the engine, told to Python.
#[pyclass(name = "FunctionInfo", module = "sheaf", frozen, get_all)]
pub(crate) struct PyFunctionInfo {
    /// The name it is called by.
    name: String,
    /// `scalar`, `aggregate`, `window` or `higher-order`.
    kind: &'static str,
    /// The name it is known by, where `name` is another.
    alias_of: Option<String>,
    /// What it does.
    description: Option<String>,
    /// How SQL calls it.
    syntax: Option<String>,
    /// An example in SQL.
    example: Option<String>,
    /// Names and descriptions of its arguments.
    arguments: Vec<(String, String)>,
}

/// Every function of the engine, sorted by name.
#[pyfunction]
pub(crate) fn list_functions() -> Vec<PyFunctionInfo> {
    FUNCTIONS.iter().map(|(name, function)| info(name, function)).collect()
}

fn info(name: &str, function: &Function) -> PyFunctionInfo {
    let (kind, own_name, documentation): (_, _, Option<&Documentation>) = match function {
        Function::Scalar(function) => ("scalar", function.name(), function.documentation()),
        Function::Aggregate(function) => ("aggregate", function.name(), function.documentation()),
        Function::Window(function) => ("window", function.name(), function.documentation()),
        Function::HigherOrder(function) => ("higher-order", function.name(), function.documentation()),
    };
    PyFunctionInfo {
        name: name.to_string(),
        kind,
        alias_of: (own_name != name).then(|| own_name.to_string()),
        description: documentation.map(|told| told.description.trim().to_string()),
        syntax: documentation.map(|told| told.syntax_example.clone()),
        example: documentation.and_then(|told| told.sql_example.clone()),
        arguments: documentation.and_then(|told| told.arguments.clone()).unwrap_or_default(),
    }
}
