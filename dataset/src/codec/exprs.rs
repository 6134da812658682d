//! Expressions. Each node is a message of DataFusion's, in which columns of a name that nobody uses stand for the parts
//! that are written before it.
//!
//! DataFusion has no message, or one that says too little, for: names with dots in them, metadata of constants and
//! aliases, and most subqueries. These are parts of a kind of their own.

use std::collections::BTreeMap;

use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{Alias, Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{Expr, Operator, Subquery};
use datafusion_proto::logical_plan::from_proto::parse_expr;
use datafusion_proto::logical_plan::to_proto::serialize_expr;
use datafusion_proto::protobuf;
use prost::Message;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::Result;

use super::functions::Function;
use super::plans;
use crate::encoding::{
    Decoder, Encoder, Made, Name, Part, Table, damaged, json, read_json, read_scalar, scalar, stays,
};

/// A message of DataFusion's.
const MESSAGE: &str = "expr";
/// One of [`Special`].
const SPECIAL: &str = "special";

/// What the name of a column begins with that stands for another part.
const MARK: char = '\u{1}';

/// What DataFusion's messages do not say, or not all of it. The expressions in them are the part's.
#[derive(Serialize, Deserialize)]
enum Special {
    Column(Name),
    Outer { name: Name, schema: u32 },
    Literal { value: Vec<u8>, metadata: Option<BTreeMap<String, String>> },
    Alias { of: Option<Table>, name: String, metadata: Option<BTreeMap<String, String>> },
    ScalarSubquery,
    Exists { negated: bool },
    InSubquery { negated: bool },
    SetComparison { operator: String, all: bool },
}

pub(super) fn is(part: &Part) -> bool {
    part.kind == MESSAGE || part.kind == SPECIAL
}

/// Writes an expression; its number.
pub(super) fn encode(expr: &Expr, to: &mut Encoder) -> Result<u32> {
    let written = expr.clone().transform_up(|node| {
        if stands_by_itself(&node) {
            return Ok(Transformed::no(node));
        }
        let number = encode_node(&node, to).map_err(to_datafusion)?;
        Ok(Transformed::yes(stand_in(number)))
    });
    finished(&written.map_err(from_datafusion)?.data, to)
}

pub(super) fn encode_all<'a>(exprs: impl IntoIterator<Item = &'a Expr>, to: &mut Encoder) -> Result<Vec<u32>> {
    exprs.into_iter().map(|expr| encode(expr, to)).collect()
}

/// Whether the messages of expressions over this one hold it whole.
fn stands_by_itself(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.relation.is_none() && !column.name.starts_with(MARK),
        Expr::Literal(value, None) => is_plain(value),
        _ => false,
    }
}

/// Whether a constant's message is sure to be that constant: nested ones have messages that lose names and metadata.
fn is_plain(value: &ScalarValue) -> bool {
    !value.data_type().is_nested()
}

fn stand_in(number: u32) -> Expr {
    Expr::Column(Column::new_unqualified(format!("{MARK}{number}")))
}

fn stands_for(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => column.name.strip_prefix(MARK),
        _ => None,
    }
}

/// The number of an expression whose nodes are written.
fn finished(expr: &Expr, to: &mut Encoder) -> Result<u32> {
    match stands_for(expr).map(str::parse) {
        Some(Ok(number)) => Ok(number),
        _ => encode_node(expr, to),
    }
}

/// Writes a node, whose children are written.
fn encode_node(node: &Expr, to: &mut Encoder) -> Result<u32> {
    let (special, inputs, exprs) = match node {
        Expr::Column(column) if !stands_by_itself(node) => (Special::Column(Name::from(column)), vec![], vec![]),
        Expr::OuterReferenceColumn(field, column) => {
            let schema = to.schema(&arrow::datatypes::Schema::new(vec![field.clone()]))?;
            (Special::Outer { name: Name::from(column), schema }, vec![], vec![])
        }
        Expr::Literal(value, metadata) if !stands_by_itself(node) => {
            let metadata = metadata.as_ref().map(|metadata| metadata.inner().clone());
            (Special::Literal { value: scalar(value)?, metadata }, vec![], vec![])
        }
        Expr::Alias(Alias { expr, relation, name, metadata }) => {
            let metadata = metadata.as_ref().map(|metadata| metadata.inner().clone());
            let alias = Special::Alias { of: relation.as_ref().map(Table::from), name: name.clone(), metadata };
            (alias, vec![], vec![finished(expr, to)?])
        }
        Expr::ScalarSubquery(query) => subquery(Special::ScalarSubquery, None, query, to)?,
        Expr::Exists(Exists { subquery: query, negated }) => {
            subquery(Special::Exists { negated: *negated }, None, query, to)?
        }
        Expr::InSubquery(InSubquery { expr, subquery: query, negated }) => {
            subquery(Special::InSubquery { negated: *negated }, Some(expr), query, to)?
        }
        Expr::SetComparison(SetComparison { expr, subquery: query, op, quantifier }) => {
            let all = *quantifier == SetQuantifier::All;
            subquery(Special::SetComparison { operator: format!("{op:?}"), all }, Some(expr), query, to)?
        }
        _ => return encode_message(node, to),
    };
    let detail = json(&special)?;
    Ok(to.part(Part { kind: SPECIAL.into(), detail, inputs, exprs, ..Part::default() }))
}

/// A subquery's plan, and its outer references after what it is compared with.
fn subquery(
    special: Special,
    compared: Option<&Expr>,
    query: &Subquery,
    to: &mut Encoder,
) -> Result<(Special, Vec<u32>, Vec<u32>)> {
    let compared = compared.map(|expr| finished(expr, to)).transpose()?;
    let plan = plans::encode(&query.subquery, to)?;
    let outer = encode_all(&query.outer_ref_columns, to)?;
    Ok((special, vec![plan], compared.into_iter().chain(outer).collect()))
}

fn encode_message(node: &Expr, to: &mut Encoder) -> Result<u32> {
    let mut exprs = Vec::new();
    let _ = node.apply_children(|child| {
        exprs.extend(stands_for(child).and_then(|number| number.parse::<u32>().ok()));
        Ok(TreeNodeRecursion::Continue)
    });
    let function = Function::in_expr(node, to)?;
    let message = serialize_expr(node, &function).map_err(|error| {
        stays(format!("the expression {node}: {error}"), "compute it before, and materialize or write the result")
    })?;
    Ok(to.part(Part { kind: MESSAGE.into(), detail: message.encode_to_vec(), exprs, ..Part::default() }))
}

/// The expression of a part.
pub(super) fn decode(part: &Part, from: &mut Decoder<'_>) -> Result<Made> {
    let expr = if part.kind == MESSAGE { decode_message(part, from)? } else { decode_special(part, from)? };
    Ok(Made::Expr(expr))
}

fn decode_message(part: &Part, from: &mut Decoder<'_>) -> Result<Expr> {
    let message = protobuf::LogicalExprNode::decode(&part.detail[..]).map_err(|error| damaged(&error))?;
    let function = Function::in_message(&message, from)?;
    let expr = parse_expr(&message, from.context(), &function);
    let expr = expr.map_err(|error| damaged(format!("an expression: {error}")))?;
    let orders = window_orders(&message);
    let whole = expr.map_children(|child| match stands_for(&child).map(str::parse) {
        Some(Ok(number)) => Ok(Transformed::yes(from.expr(number).map_err(to_datafusion)?)),
        Some(Err(_)) => Err(to_datafusion(damaged("an expression stands for none"))),
        None => Ok(Transformed::no(child)),
    });
    let mut whole = whole.map_err(from_datafusion)?.data;
    if let (Expr::WindowFunction(call), Some(orders)) = (&mut whole, orders) {
        // DataFusion's reader gives a window without an order one.
        call.params.order_by.truncate(orders);
    }
    Ok(whole)
}

fn window_orders(message: &protobuf::LogicalExprNode) -> Option<usize> {
    match message.expr_type.as_ref()? {
        protobuf::logical_expr_node::ExprType::WindowExpr(call) => Some(call.order_by.len()),
        _ => None,
    }
}

fn decode_special(part: &Part, from: &mut Decoder<'_>) -> Result<Expr> {
    let plans = from.plans(&part.inputs)?;
    let mut exprs = from.exprs(&part.exprs)?.into_iter();
    let mut first = || exprs.next().map(Box::new).ok_or_else(|| damaged("an expression lacks its first part"));
    Ok(match read_json(&part.detail)? {
        Special::Column(name) => Expr::Column(name.column()?),
        Special::Outer { name, schema } => {
            let schema = from.schema(schema)?;
            let field = schema.fields().first().ok_or_else(|| damaged("an outer column has no type"))?;
            Expr::OuterReferenceColumn(field.clone(), name.column()?)
        }
        Special::Literal { value, metadata } => Expr::Literal(read_scalar(&value)?, metadata.map(FieldMetadata::new)),
        Special::Alias { of, name, metadata: told } => {
            let of = of.map(Table::reference).transpose()?;
            Expr::Alias(Alias { expr: first()?, relation: of, name, metadata: told.map(FieldMetadata::new) })
        }
        Special::ScalarSubquery => Expr::ScalarSubquery(query(plans, exprs)?),
        Special::Exists { negated } => Expr::Exists(Exists::new(query(plans, exprs)?, negated)),
        Special::InSubquery { negated } => {
            let compared = first()?;
            Expr::InSubquery(InSubquery::new(compared, query(plans, exprs)?, negated))
        }
        Special::SetComparison { operator, all } => {
            let compared = first()?;
            let operator = Operator::from_proto_name(&operator).ok_or_else(|| damaged("an unknown operator"))?;
            let quantifier = if all { SetQuantifier::All } else { SetQuantifier::Any };
            Expr::SetComparison(SetComparison::new(compared, query(plans, exprs)?, operator, quantifier))
        }
    })
}

fn query(plans: Vec<datafusion::logical_expr::LogicalPlan>, outer: impl Iterator<Item = Expr>) -> Result<Subquery> {
    let [plan] = <[_; 1]>::try_from(plans).map_err(|_| damaged("a subquery is one plan"))?;
    let (outer_ref_columns, spans) = (outer.collect(), datafusion::common::Spans::new());
    Ok(Subquery { subquery: std::sync::Arc::new(plan), outer_ref_columns, spans })
}
