//! What the parser reads wrongly is put right, and what the planner would answer wrongly is written out or refused.

mod windows;

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, Query, SetExpr, SetOperator, SetQuantifier, TableFactor,
    TableWithJoins, UnaryOperator, Visit, VisitMut, Visitor, VisitorMut,
};
use sheaf_core::{Error, ErrorKind, Result};

/// The statement as it was meant.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a `RIGHT` or `FULL` join that names its keys once, `INTERSECT ALL` and `EXCEPT ALL`;
/// [`ErrorKind::InvalidInput`] for a window that does not fit the named one that it goes by.
pub(crate) fn mend(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => mend_tree(&mut **statement),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => mend_tree(&mut **query),
            CopyToSource::Relation(_) => Ok(()),
        },
        Statement::Explain(explain) => mend(&mut explain.statement),
        _ => Ok(()),
    }
}

fn mend_tree(tree: &mut (impl Visit + VisitMut)) -> Result<()> {
    if let ControlFlow::Break(error) = Visit::visit(tree, &mut Joins) {
        return Err(error);
    }
    if let ControlFlow::Break(error) = VisitMut::visit(tree, &mut windows::NamedWindows::default()) {
        return Err(error);
    }
    let ControlFlow::Continue(()) = VisitMut::visit(tree, &mut Operands);
    Ok(())
}

/// `a IS DISTINCT FROM b AND c`, which sqlparser 0.62 reads as `a IS DISTINCT FROM (b AND c)`.
struct Operands;

impl VisitorMut for Operands {
    type Break = std::convert::Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let taken = std::mem::replace(expr, Expr::Tuple(Vec::new()));
        *expr = bound(taken);
        ControlFlow::Continue(())
    }
}

/// The expression with operands bound as their operators' ranks say. What stands in brackets is a node of its own, so
/// that a looser operator right below a tighter one is a misreading.
fn bound(expr: Expr) -> Expr {
    match expr {
        Expr::IsDistinctFrom(left, right) => {
            with_first(*right, &|first| Expr::IsDistinctFrom(left.clone(), Box::new(first)))
        }
        Expr::IsNotDistinctFrom(left, right) => {
            with_first(*right, &|first| Expr::IsNotDistinctFrom(left.clone(), Box::new(first)))
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            with_first(*expr, &|first| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(first) })
        }
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => match *right {
            Expr::BinaryOp { left: middle, op: BinaryOperator::Or, right } => {
                let left = bound(Expr::BinaryOp { left, op: BinaryOperator::And, right: middle });
                Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Or, right }
            }
            right => Expr::BinaryOp { left, op: BinaryOperator::And, right: Box::new(right) },
        },
        other => other,
    }
}

/// `make` of the first operand alone, the others beside it.
fn with_first(expr: Expr, make: &dyn Fn(Expr) -> Expr) -> Expr {
    match expr {
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            Expr::BinaryOp { left: Box::new(with_first(*left, make)), op, right }
        }
        first => make(first),
    }
}

/// Joins whose rows may lack the left side, and whose key is then the right side's: DataFusion 55 gives null.
struct Joins;

impl Visitor for Joins {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        check_set(&query.body)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => check_joins(std::slice::from_ref(&**table_with_joins)),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn check_set(set: &SetExpr) -> ControlFlow<Error> {
    match set {
        SetExpr::Select(select) => check_joins(&select.from),
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            // DataFusion 55 makes semi and anti joins of them, which forget how often a row is there.
            if *set_quantifier == SetQuantifier::All && *op != SetOperator::Union {
                let verb = if *op == SetOperator::Intersect { "intersect" } else { "except_" };
                return ControlFlow::Break(
                    Error::new(ErrorKind::Unsupported, format!("{op} ALL"))
                        .with_hint(format!("leave ALL out, or use the verb: {verb}(other, distinct=False)")),
                );
            }
            check_set(left)?;
            check_set(right)
        }
        _ => ControlFlow::Continue(()),
    }
}

fn check_joins(tables: &[TableWithJoins]) -> ControlFlow<Error> {
    for table in tables {
        for join in &table.joins {
            if let Some(name) = unsound(join) {
                return ControlFlow::Break(
                    Error::new(ErrorKind::Unsupported, format!("a {name} JOIN with USING, or NATURAL"))
                        .with_hint("name the keys: ON l.key = r.key, and select coalesce(l.key, r.key) AS key"),
                );
            }
        }
    }
    ControlFlow::Continue(())
}

fn unsound(join: &Join) -> Option<&'static str> {
    let (name, constraint) = match &join.join_operator {
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => ("RIGHT", constraint),
        JoinOperator::FullOuter(constraint) => ("FULL", constraint),
        _ => return None,
    };
    matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::parse_one;

    #[test]
    fn distinct_from_takes_one_operand() {
        let pairs = [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            ("a IS NOT DISTINCT FROM b OR c AND d", "(a IS NOT DISTINCT FROM b) OR (c AND d)"),
            (
                "a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e",
                "((a IS DISTINCT FROM b) AND (c IS DISTINCT FROM d)) OR e",
            ),
            ("NOT a IS DISTINCT FROM b AND c", "(NOT (a IS DISTINCT FROM b)) AND c"),
            ("a IS DISTINCT FROM (b AND c)", "a IS DISTINCT FROM (b AND c)"),
        ];
        for (condition, meant) in pairs {
            // Text does not show how operands are bound: both are told as trees, without the brackets' own nodes.
            assert_eq!(tree(condition), tree(meant), "{condition}");
        }
    }

    fn tree(condition: &str) -> String {
        let Ok(Statement::Statement(mut statement)) = parse_one(&format!("SELECT 1 WHERE {condition}")) else {
            panic!()
        };
        let mut bare = Unnested;
        let ControlFlow::Continue(()) = VisitMut::visit(&mut *statement, &mut bare);
        let text = format!("{statement:?}");
        // Places in the text differ with brackets.
        let start = text.find("selection").unwrap();
        let mut told = String::new();
        let mut rest = &text[start..];
        while let Some(at) = rest.find("span: Span(") {
            told.push_str(&rest[..at]);
            rest = &rest[at + rest[at..].find("))").map_or(rest.len() - at, |end| end + 2)..];
        }
        told + rest
    }

    struct Unnested;

    impl VisitorMut for Unnested {
        type Break = std::convert::Infallible;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
            if let Expr::Nested(inner) = expr {
                *expr = (**inner).clone();
            }
            ControlFlow::Continue(())
        }
    }

    #[test]
    fn joins_whose_keys_would_be_lost_are_refused() {
        let refused = [
            "SELECT a FROM l RIGHT JOIN r USING (a)",
            "SELECT 1 UNION ALL SELECT a FROM l NATURAL FULL JOIN r",
            "SELECT * FROM (SELECT a FROM x JOIN (l FULL OUTER JOIN r USING (a)) ON true)",
            "COPY (SELECT a FROM l FULL JOIN r USING (a)) TO 'x.csv'",
        ];
        for text in refused {
            let error = parse_one(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
            assert!(error.hint().is_some_and(|hint| hint.contains("coalesce")));
        }
        for text in ["SELECT a FROM l LEFT JOIN r USING (a)", "SELECT l.a FROM l FULL JOIN r ON l.a = r.a"] {
            assert!(parse_one(text).is_ok(), "{text}");
        }
    }
}
