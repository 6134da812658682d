//! Sums, means and variances of floats over windows that slide, without what has left the window.
//!
//! The engine subtracts the values that leave: after a NaN or an infinity every later window is NaN, and after a large
//! value the small ones are lost. Here a window is two stacks, of which one holds the totals of what is left when the
//! oldest values go: each total is made of the values in the window and of no other.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::utils::take_function_args;
use datafusion::common::{DFSchema, ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, Signature, Volatility, WindowFrameBound,
    WindowFunctionDefinition,
};
use sheaf_connectors::error::from_datafusion;

/// The engine's names of the aggregates, which these keep.
const KINDS: [(&str, Kind); 6] = [
    ("sum", Kind::Sum),
    ("avg", Kind::Mean),
    ("var", Kind::Variance(1)),
    ("var_pop", Kind::Variance(0)),
    ("stddev", Kind::Deviation(1)),
    ("stddev_pop", Kind::Deviation(0)),
];

static FUNCTIONS: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
    let function = |(name, kind)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Sliding { name, kind, signature }))
    };
    KINDS.into_iter().map(function).collect()
});

/// The expression with the aggregates of floats over windows that slide replaced by those which forget.
///
/// # Errors
/// None of its own.
pub(crate) fn exact(expr: Expr, schema: &DFSchema) -> sheaf_core::Result<Expr> {
    let replaced = expr.transform_up(|node| match node {
        Expr::WindowFunction(mut call) => match replacement(&call, schema) {
            Some(function) => {
                call.fun = WindowFunctionDefinition::AggregateUDF(function);
                Ok(Transformed::yes(Expr::WindowFunction(call)))
            }
            None => Ok(Transformed::no(Expr::WindowFunction(call))),
        },
        other => Ok(Transformed::no(other)),
    });
    Ok(replaced.map_err(from_datafusion)?.data)
}

/// The function of these that has the name.
pub(crate) fn sliding_named(name: &str) -> Option<Arc<AggregateUDF>> {
    FUNCTIONS.iter().find(|function| function.name() == name).map(Arc::clone)
}

fn replacement(call: &WindowFunction, schema: &DFSchema) -> Option<Arc<AggregateUDF>> {
    let slides = match &call.params.window_frame.start_bound {
        WindowFrameBound::Preceding(distance) => !distance.is_null(),
        WindowFrameBound::CurrentRow | WindowFrameBound::Following(_) => true,
    };
    let (WindowFunctionDefinition::AggregateUDF(function), true, false, [value]) =
        (&call.fun, slides, call.params.distinct, call.params.args.as_slice())
    else {
        return None;
    };
    // What has no type yet is told when the plan is made.
    let is_float = value.get_type(schema).is_ok_and(|data_type| data_type.is_floating());
    FUNCTIONS.iter().find(|sliding| is_float && sliding.name() == function.name()).map(Arc::clone)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Mean,
    /// With so many degrees of freedom less than values.
    Variance(u8),
    Deviation(u8),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sliding {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Sliding {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [_] = take_function_args(self.name, types)?;
        Ok(vec![DataType::Float64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Queue { kind: self.kind, old: Vec::new(), fresh: Vec::new(), total: Moments::default() }))
    }
}

/// Count, sum, mean and the sum of squared distances from it (Chan, Golub and LeVeque, 1979).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of(value: f64) -> Self {
        Self { count: 1.0, sum: value, mean: value, squares: 0.0 }
    }

    fn with(self, other: Self) -> Self {
        if self.count == 0.0 || other.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        Self {
            count,
            sum: self.sum + other.sum,
            mean: self.mean + apart * other.count / count,
            squares: self.squares + other.squares + apart * apart * self.count * other.count / count,
        }
    }

    fn value(self, kind: Kind) -> Option<f64> {
        // No distance from an infinite mean is a number.
        let squares = if self.mean.is_finite() { self.squares } else { f64::NAN };
        let variance = |less: u8| (self.count > f64::from(less)).then(|| squares / (self.count - f64::from(less)));
        match kind {
            Kind::Sum => (self.count > 0.0).then_some(self.sum),
            Kind::Mean => (self.count > 0.0).then(|| self.sum / self.count),
            Kind::Variance(less) => variance(less),
            Kind::Deviation(less) => variance(less).map(f64::sqrt),
        }
    }
}

/// The values in the window, the oldest first to go.
#[derive(Debug)]
struct Queue {
    kind: Kind,
    /// The last is the total of all old values, the one before it that without the oldest, and so on.
    old: Vec<Moments>,
    /// Younger values, and their total.
    fresh: Vec<f64>,
    total: Moments,
}

impl Queue {
    fn push(&mut self, value: f64) {
        self.fresh.push(value);
        self.total = self.total.with(Moments::of(value));
    }

    fn pop(&mut self) {
        if self.old.is_empty() {
            let mut total = Moments::default();
            for value in self.fresh.drain(..).rev() {
                total = Moments::of(value).with(total);
                self.old.push(total);
            }
            self.total = Moments::default();
        }
        self.old.pop();
    }
}

impl Accumulator for Queue {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            values.as_primitive::<Float64Type>().iter().flatten().for_each(|value| self.push(value));
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            values.as_primitive::<Float64Type>().iter().flatten().for_each(|_| self.pop());
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let old = self.old.last().copied().unwrap_or_default();
        Ok(ScalarValue::Float64(old.with(self.total).value(self.kind)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.old.capacity() * size_of::<Moments>() + self.fresh.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("windows that slide have no partial aggregates")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        not_impl_err!("windows that slide have no partial aggregates")
    }
}
