//! Expressions as people read them: for `repr`, and as the names of columns that were given none.

use std::fmt::Write;

use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, Case, InList, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{Expr, Operator, SortExpr, WindowFrame};

/// How tightly a piece of text holds together; a looser one inside a tighter one gets parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Loose,
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Sign,
    Atom,
}

/// The expression as text.
pub(crate) fn text(expr: &Expr) -> String {
    write_bound(expr, Binding::Loose, true)
}

/// The name of the column that the expression gives: an alias's or a column's own, else its text. A cast keeps the
/// name of what it casts.
pub(crate) fn output_name(expr: &Expr) -> String {
    match expr {
        Expr::Alias(alias) => alias.name.clone(),
        Expr::Column(column) => column.name.clone(),
        Expr::Cast(cast) => output_name(&cast.expr),
        Expr::TryCast(cast) => output_name(&cast.expr),
        other => write_bound(other, Binding::Loose, false),
    }
}

fn write_bound(expr: &Expr, least: Binding, casts: bool) -> String {
    let (binding, text) = Writer { casts }.write(expr);
    if binding < least { format!("({text})") } else { text }
}

struct Writer {
    casts: bool,
}

impl Writer {
    fn within(&self, expr: &Expr, least: Binding) -> String {
        write_bound(expr, least, self.casts)
    }

    fn list(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.within(expr, Binding::Loose)).collect::<Vec<_>>().join(", ")
    }

    fn write(&self, expr: &Expr) -> (Binding, String) {
        use Binding::{Atom, Compare, Not, Sign};
        let suffix = |inner: &Expr, words: &str| (Compare, format!("{} {words}", self.within(inner, Binding::Sum)));
        match expr {
            Expr::Column(column) => (Atom, column.flat_name()),
            Expr::Literal(value, _) => (Atom, literal(value)),
            Expr::Alias(alias) => {
                (Binding::Loose, format!("{} AS {}", self.within(&alias.expr, Binding::Or), alias.name))
            }
            Expr::Cast(cast) => self.cast("CAST", &cast.expr, &cast.field.data_type().to_string()),
            Expr::TryCast(cast) => self.cast("TRY_CAST", &cast.expr, &cast.field.data_type().to_string()),
            Expr::BinaryExpr(binary) => self.infix(&binary.left, binary.op, &binary.op.to_string(), &binary.right),
            Expr::Not(inner) => (Not, format!("NOT {}", self.within(inner, Not))),
            Expr::Negative(inner) => (Sign, format!("-{}", self.within(inner, Sign))),
            Expr::IsNull(inner) => suffix(inner, "IS NULL"),
            Expr::IsNotNull(inner) => suffix(inner, "IS NOT NULL"),
            Expr::Like(like) => {
                let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
                let not = if like.negated { "NOT " } else { "" };
                suffix(&like.expr, &format!("{not}{word} {}", self.within(&like.pattern, Binding::Sum)))
            }
            Expr::InList(list) => self.in_list(list),
            Expr::Case(case) => (Atom, self.case(case)),
            Expr::ScalarFunction(call) => self.call(call),
            Expr::HigherOrderFunction(call) => (Atom, format!("{}({})", call.func.name(), self.list(&call.args))),
            Expr::Lambda(lambda) => {
                let body = self.within(&lambda.body, Binding::Loose);
                (Binding::Loose, format!("({}) -> {body}", lambda.params.join(", ")))
            }
            Expr::LambdaVariable(variable) => (Atom, variable.name.clone()),
            Expr::AggregateFunction(call) => (Atom, self.aggregate(call)),
            Expr::WindowFunction(call) => (Atom, self.window(call)),
            other => (Atom, other.human_display().to_string()),
        }
    }

    fn cast(&self, word: &str, inner: &Expr, to: &str) -> (Binding, String) {
        if self.casts {
            return (Binding::Atom, format!("{word}({} AS {to})", self.within(inner, Binding::Loose)));
        }
        self.write(inner)
    }

    fn infix(&self, left: &Expr, operator: Operator, symbol: &str, right: &Expr) -> (Binding, String) {
        let binding = match operator {
            Operator::Or => Binding::Or,
            Operator::And => Binding::And,
            Operator::Plus | Operator::Minus | Operator::StringConcat => Binding::Sum,
            Operator::Multiply | Operator::Divide | Operator::Modulo | Operator::IntegerDivide => Binding::Product,
            _ => Binding::Compare,
        };
        // Operators of one strength are read from the left, comparisons not at all.
        let tighter = match binding {
            Binding::Or => Binding::And,
            Binding::And => Binding::Not,
            Binding::Sum => Binding::Product,
            Binding::Product => Binding::Sign,
            _ => Binding::Sum,
        };
        let chains = matches!(operator, Operator::Or | Operator::And);
        let left = self.within(left, if binding == Binding::Compare { tighter } else { binding });
        let right = self.within(right, if chains { binding } else { tighter });
        (binding, format!("{left} {symbol} {right}"))
    }

    fn call(&self, call: &ScalarFunction) -> (Binding, String) {
        match (call.func.name(), call.args.as_slice()) {
            ("add", [left, right]) => self.infix(left, Operator::Plus, "+", right),
            ("subtract", [left, right]) => self.infix(left, Operator::Minus, "-", right),
            ("true_divide", [left, right]) => self.infix(left, Operator::Divide, "/", right),
            ("floor_divide", [left, right]) => self.infix(left, Operator::Divide, "//", right),
            ("modulo", [left, right]) => self.infix(left, Operator::Modulo, "%", right),
            ("get_field", [of, Expr::Literal(field, _)]) => {
                let of = self.within(of, Binding::Atom);
                let field = field.try_as_str().flatten().map_or_else(|| literal(field), ToString::to_string);
                (Binding::Atom, format!("{of}[{field}]"))
            }
            (name, args) => (Binding::Atom, format!("{name}({})", self.list(args))),
        }
    }

    fn in_list(&self, list: &InList) -> (Binding, String) {
        let not = if list.negated { "NOT " } else { "" };
        let value = self.within(&list.expr, Binding::Sum);
        (Binding::Compare, format!("{value} {not}IN ({})", self.list(&list.list)))
    }

    fn case(&self, case: &Case) -> String {
        if let Some(guarded) = guarded(case) {
            return self.within(guarded, Binding::Atom);
        }
        let mut text = String::from("CASE");
        if let Some(expr) = &case.expr {
            let _ = write!(text, " {}", self.within(expr, Binding::Loose));
        }
        for (when, then) in &case.when_then_expr {
            let (when, then) = (self.within(when, Binding::Loose), self.within(then, Binding::Loose));
            let _ = write!(text, " WHEN {when} THEN {then}");
        }
        if let Some(otherwise) = &case.else_expr {
            let _ = write!(text, " ELSE {}", self.within(otherwise, Binding::Loose));
        }
        text + " END"
    }

    fn aggregate(&self, call: &AggregateFunction) -> String {
        let params = &call.params;
        let mut text = self.function(call.func.name(), params.distinct, &params.args, &params.order_by);
        if let Some(filter) = &params.filter {
            let _ = write!(text, " FILTER (WHERE {})", self.within(filter, Binding::Loose));
        }
        text
    }

    fn window(&self, call: &WindowFunction) -> String {
        let params = &call.params;
        let mut text = self.function(call.fun.name(), params.distinct, &params.args, &[]);
        if let Some(filter) = &params.filter {
            let _ = write!(text, " FILTER (WHERE {})", self.within(filter, Binding::Loose));
        }
        let mut parts = Vec::new();
        if !params.partition_by.is_empty() {
            parts.push(format!("PARTITION BY {}", self.list(&params.partition_by)));
        }
        if !params.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.sort_keys(&params.order_by)));
        }
        let default = WindowFrame::new((!params.order_by.is_empty()).then_some(false));
        if params.window_frame != default {
            parts.push(params.window_frame.to_string());
        }
        format!("{text} OVER ({})", parts.join(" "))
    }

    fn function(&self, name: &str, distinct: bool, args: &[Expr], order_by: &[SortExpr]) -> String {
        let distinct = if distinct { "DISTINCT " } else { "" };
        let everything = name == "count" && matches!(args, [Expr::Literal(ScalarValue::Int64(Some(1)), _)]);
        let args = if everything { "*".to_string() } else { self.list(args) };
        let order = if order_by.is_empty() { String::new() } else { format!(" ORDER BY {}", self.sort_keys(order_by)) };
        format!("{name}({distinct}{args}{order})")
    }

    fn sort_keys(&self, keys: &[SortExpr]) -> String {
        let key = |key: &SortExpr| sort_key(&self.within(&key.expr, Binding::Loose), key);
        keys.iter().map(key).collect::<Vec<_>>().join(", ")
    }
}

/// The call in `CASE WHEN x IS NOT NULL THEN f(x, …) END`, which keeps the nulls of `x` where `f` alone would not.
fn guarded(case: &Case) -> Option<&Expr> {
    match (case.when_then_expr.as_slice(), &case.expr, &case.else_expr) {
        ([(when, then)], None, None) => match (&**when, &**then) {
            (Expr::IsNotNull(value), Expr::ScalarFunction(call)) if call.args.first() == Some(&**value) => Some(then),
            (Expr::IsNotNull(value), Expr::WindowFunction(call)) if call.params.args.first() == Some(&**value) => {
                Some(then)
            }
            _ => None,
        },
        _ => None,
    }
}

/// A key of a sort as text; nulls are last unless it says otherwise.
pub(crate) fn sort_key(expr: &str, key: &SortExpr) -> String {
    let direction = if key.asc { "ASC" } else { "DESC" };
    let nulls = if key.nulls_first { " NULLS FIRST" } else { "" };
    format!("{expr} {direction}{nulls}")
}

fn literal(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".to_string();
    }
    let shown = || value.to_array().ok().and_then(|array| array_value_to_string(&array, 0).ok());
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        other => shown().unwrap_or_else(|| other.to_string()),
    }
}
