//! Windows that go by a named one: `OVER (w ROWS …)` and `WINDOW w2 AS (w ORDER BY …)`. DataFusion 55 forgets what `w`
//! says, so it is written out here as the standard means it (SQL:2016, 7.15, and PostgreSQL's `WINDOW` clause): the
//! partition is `w`'s, the order is `w`'s or, where `w` has none, the one given, and `w` has no frame.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Select, VisitorMut, WindowSpec, WindowType,
};
use sheaf_core::Error;

/// Writes windows out that go by another one.
#[derive(Default)]
pub(super) struct NamedWindows {
    /// What each `SELECT` around the place defines, the innermost last.
    scopes: Vec<Vec<NamedWindowDefinition>>,
}

impl VisitorMut for NamedWindows {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        let mut known: Vec<NamedWindowDefinition> = Vec::new();
        for definition in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &mut definition.1 {
                write_out(spec, &known)?;
            }
            known.push(definition.clone());
        }
        self.scopes.push(known);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<Error> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Function(function) => match &mut function.over {
                Some(WindowType::WindowSpec(spec)) => {
                    write_out(spec, self.scopes.last().map(Vec::as_slice).unwrap_or_default())
                }
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

fn write_out(spec: &mut WindowSpec, known: &[NamedWindowDefinition]) -> ControlFlow<Error> {
    let Some(name) = spec.window_name.take() else { return ControlFlow::Continue(()) };
    let refused = |what: String, hint: &str| ControlFlow::Break(Error::invalid(what).with_hint(hint));
    let Some(base) = found(&name, known) else {
        return refused(
            format!("there is no window {name} here"),
            "define it after FROM: WINDOW w AS (PARTITION BY …)",
        );
    };
    if !spec.partition_by.is_empty() {
        return refused(format!("PARTITION BY beside the window {name}"), "the partition is the named window's");
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return refused(format!("ORDER BY beside the window {name}"), "the named window has an order already");
    }
    if base.window_frame.is_some() {
        return refused(
            format!("the window {name} has a frame"),
            "write OVER w to use it as it is, or leave its frame out",
        );
    }
    spec.partition_by.clone_from(&base.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    ControlFlow::Continue(())
}

/// What the window of this name says.
fn found<'a>(name: &Ident, known: &'a [NamedWindowDefinition]) -> Option<&'a WindowSpec> {
    let at = known.iter().rposition(|definition| folded(&definition.0) == folded(name))?;
    match &known[at].1 {
        NamedWindowExpr::WindowSpec(spec) => Some(spec),
        // It names one that is defined before it.
        NamedWindowExpr::NamedWindow(other) => found(other, &known[..at]),
    }
}

/// Names without quotes are of no case.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use crate::script::parse_one;

    #[test]
    fn what_a_named_window_says_is_written_out() {
        let pairs = [
            (
                "(w ROWS 1 PRECEDING) FROM t WINDOW w AS (PARTITION BY k ORDER BY x)",
                "(PARTITION BY k ORDER BY x ROWS 1",
            ),
            ("(W ORDER BY x) FROM t WINDOW w AS (PARTITION BY k)", "(PARTITION BY k ORDER BY x)"),
            ("(w) FROM t WINDOW w AS (ORDER BY x)", "(ORDER BY x)"),
            ("(w) FROM t WINDOW v AS (PARTITION BY k), w AS (v ORDER BY x)", "(PARTITION BY k ORDER BY x)"),
            ("(w) FROM t WINDOW v AS (PARTITION BY k), w AS v", "(PARTITION BY k)"),
            (
                "(w) + (SELECT max(sum(x) OVER (w)) FROM u WINDOW w AS (ORDER BY z)) FROM t WINDOW w AS (ORDER BY x)",
                "(ORDER BY x) + (SELECT max(sum(x) OVER (ORDER BY z)) FROM u",
            ),
        ];
        for (given, meant) in pairs {
            let told = parse_one(&format!("SELECT sum(x) OVER {given}")).unwrap().to_string();
            assert!(told.starts_with(&format!("SELECT sum(x) OVER {meant}")), "{given}: {told}");
        }
    }

    #[test]
    fn windows_that_do_not_fit_together_are_refused() {
        let cases = [
            ("(v ROWS 1 PRECEDING) FROM t WINDOW w AS (ORDER BY x)", "there is no window v here"),
            ("(w PARTITION BY k) FROM t WINDOW w AS (ORDER BY x)", "PARTITION BY beside the window w"),
            ("(w ORDER BY y) FROM t WINDOW w AS (ORDER BY x)", "ORDER BY beside the window w"),
            ("(w ORDER BY y) FROM t WINDOW w AS (ROWS 1 PRECEDING)", "the window w has a frame"),
            ("(w) FROM t WINDOW w AS (v), v AS (ORDER BY x)", "there is no window v here"),
        ];
        for (given, told) in cases {
            let error = parse_one(&format!("SELECT sum(x) OVER {given}")).unwrap_err();
            assert_eq!(error.to_string().lines().next().unwrap(), told, "{given}");
        }
    }
}
