//! Nodes of logical plans. DataFusion's own are made again exactly as they were, by their constructors and not by its
//! builder, which would have another try at resolving names and types.

use std::sync::Arc;

use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, NullHandling, RecursionUnnestOption};
use datafusion::common::{TableReference, UnnestOptions};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::{
    Aggregate, DescribeTable, Distinct, DistinctOn, EmptyRelation, Expr, Filter, Join, Limit, LogicalPlan, Projection,
    RecursiveQuery, Sort, Subquery, SubqueryAlias, TableScan, TableScanBuilder, Union, Unnest, Values, Window,
    projection_schema,
};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::Result;

use super::{exprs, nodes, tables};
use crate::encoding::{
    Decoder, Encoder, Made, Name, Part, Qualified, Table, columns, damaged, json, names, one_input, read_json, stays,
};

/// One of [`Node`].
const NODE: &str = "node";

/// What a node of DataFusion's has besides its inputs and expressions.
#[derive(Serialize, Deserialize)]
enum Node {
    /// With its schema where the expressions do not say it: of a union by name nulls have the types of others.
    Projection {
        schema: Option<Qualified>,
    },
    Filter,
    Window,
    Aggregate {
        keys: usize,
    },
    Sort {
        order: Vec<Direction>,
        fetch: Option<usize>,
    },
    Join {
        keys: usize,
        how: How,
    },
    Union {
        schema: Qualified,
    },
    Scan {
        table: u32,
        name: Table,
        projection: Option<Vec<usize>>,
        fetch: Option<usize>,
    },
    Empty {
        one_row: bool,
        schema: Qualified,
    },
    Subquery,
    Alias {
        name: Table,
    },
    Limit {
        skips: bool,
        fetches: bool,
    },
    Values {
        rows: usize,
        schema: Qualified,
    },
    Distinct,
    DistinctOn {
        keys: usize,
        columns: usize,
        order: Option<Vec<Direction>>,
    },
    Unnest {
        columns: Vec<Name>,
        nulls: Nulls,
        recursions: Vec<(Name, Name, usize)>,
    },
    Describe {
        schema: u32,
        told: Qualified,
    },
    Recursive {
        name: String,
        distinct: bool,
    },
}

/// How an expression is sorted by: ascending, and nulls first.
type Direction = (bool, bool);

#[derive(Serialize, Deserialize)]
struct How {
    kind: String,
    using: bool,
    nulls_are_equal: bool,
    is_null_aware: bool,
}

#[derive(Serialize, Deserialize)]
enum Nulls {
    Drop,
    Preserve,
    PreserveAndExpandEmpty,
}

/// Writes a plan; the number of its last node.
pub(super) fn encode(plan: &LogicalPlan, to: &mut Encoder) -> Result<u32> {
    let mut parents_first = Vec::new();
    let mut found = vec![plan];
    while let Some(node) = found.pop() {
        parents_first.push(node);
        found.extend(node.inputs());
    }
    let mut written: Vec<u32> = Vec::new();
    for node in parents_first.into_iter().rev() {
        let inputs = written.split_off(written.len() - node.inputs().len());
        let part = encode_node(node, inputs, to)?;
        written.push(to.part(part));
    }
    written.pop().ok_or_else(|| damaged("a plan has a node"))
}

fn encode_node(node: &LogicalPlan, inputs: Vec<u32>, to: &mut Encoder) -> Result<Part> {
    if let LogicalPlan::Extension(extension) = node {
        let (kind, detail) = nodes::encode(extension.node.as_ref(), to)?;
        let exprs = exprs::encode_all(&extension.node.expressions(), to)?;
        return Ok(Part { kind: kind.into(), detail, inputs, exprs, ..Part::default() });
    }
    let (detail, used) = described(node, to)?;
    let exprs = exprs::encode_all(used, to)?;
    Ok(Part { kind: NODE.into(), detail: json(&detail)?, inputs, exprs, ..Part::default() })
}

/// What a node has besides its inputs, and its expressions.
fn described<'a>(node: &'a LogicalPlan, to: &mut Encoder) -> Result<(Node, Vec<&'a Expr>)> {
    Ok(match node {
        LogicalPlan::Projection(projection) => projected(projection, to)?,
        LogicalPlan::Filter(Filter { predicate, .. }) => (Node::Filter, vec![predicate]),
        LogicalPlan::Window(Window { window_expr, .. }) => (Node::Window, window_expr.iter().collect()),
        LogicalPlan::Aggregate(Aggregate { group_expr, aggr_expr, .. }) => {
            (Node::Aggregate { keys: group_expr.len() }, group_expr.iter().chain(aggr_expr).collect())
        }
        LogicalPlan::Sort(Sort { expr, fetch, .. }) => {
            (Node::Sort { order: directions(expr), fetch: *fetch }, sorted(expr).collect())
        }
        LogicalPlan::Join(join) => joined(join),
        LogicalPlan::Union(Union { schema, .. }) => {
            (Node::Union { schema: Qualified::encode(schema, to)? }, Vec::new())
        }
        LogicalPlan::TableScan(TableScan { table_name, source, projection, filters, fetch, .. }) => {
            let provider = source_as_provider(source).map_err(from_datafusion)?;
            let (table, projection) = (tables::encode(table_name, &provider, to)?, projection.clone());
            let scan = Node::Scan { table, name: Table::from(table_name), projection, fetch: *fetch };
            (scan, filters.iter().collect())
        }
        LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row, schema }) => {
            (Node::Empty { one_row: *produce_one_row, schema: Qualified::encode(schema, to)? }, Vec::new())
        }
        LogicalPlan::Subquery(Subquery { outer_ref_columns, .. }) => {
            (Node::Subquery, outer_ref_columns.iter().collect())
        }
        LogicalPlan::SubqueryAlias(SubqueryAlias { alias, .. }) => (Node::Alias { name: Table::from(alias) }, vec![]),
        LogicalPlan::Limit(Limit { skip, fetch, .. }) => {
            let exprs = skip.iter().chain(fetch).map(AsRef::as_ref).collect();
            (Node::Limit { skips: skip.is_some(), fetches: fetch.is_some() }, exprs)
        }
        LogicalPlan::Values(Values { schema, values }) => {
            let detail = Node::Values { rows: values.len(), schema: Qualified::encode(schema, to)? };
            (detail, values.iter().flatten().collect())
        }
        LogicalPlan::Distinct(Distinct::All(_)) => (Node::Distinct, Vec::new()),
        LogicalPlan::Distinct(Distinct::On(DistinctOn { on_expr, select_expr, sort_expr, .. })) => {
            let order = sort_expr.as_deref().map(directions);
            let exprs = on_expr.iter().chain(select_expr).chain(sorted(sort_expr.as_deref().unwrap_or_default()));
            (Node::DistinctOn { keys: on_expr.len(), columns: select_expr.len(), order }, exprs.collect())
        }
        LogicalPlan::Unnest(unnest) => (unnested(unnest), Vec::new()),
        LogicalPlan::DescribeTable(DescribeTable { schema, output_schema }) => {
            let (schema, told) = (to.schema(schema)?, Qualified::encode(output_schema, to)?);
            (Node::Describe { schema, told }, Vec::new())
        }
        LogicalPlan::RecursiveQuery(RecursiveQuery { name, is_distinct, .. }) => {
            (Node::Recursive { name: name.clone(), distinct: *is_distinct }, Vec::new())
        }
        other => {
            let node = other.display().to_string();
            let node = node.split([':', ' ']).next().unwrap_or_default();
            let hint = "run it, and go on from its result: materialize, checkpoint or from_arrow";
            return Err(stays(format!("{node} is done where it is asked for"), hint));
        }
    })
}

fn projected<'a>(projection: &'a Projection, to: &mut Encoder) -> Result<(Node, Vec<&'a Expr>)> {
    let Projection { expr, input, schema, .. } = projection;
    let is_told = projection_schema(input, expr).is_ok_and(|told| told == *schema);
    let schema = if is_told { None } else { Some(Qualified::encode(schema, to)?) };
    Ok((Node::Projection { schema }, expr.iter().collect()))
}

fn joined(join: &Join) -> (Node, Vec<&Expr>) {
    let how = How {
        kind: join.join_type.to_string(),
        using: join.join_constraint == JoinConstraint::Using,
        nulls_are_equal: join.null_equality == NullEquality::NullEqualsNull,
        is_null_aware: join.null_aware,
    };
    let keys = join.on.iter().flat_map(|(left, right)| [left, right]);
    (Node::Join { keys: join.on.len(), how }, keys.chain(&join.filter).collect())
}

fn unnested(unnest: &Unnest) -> Node {
    let UnnestOptions { null_handling, recursions } = &unnest.options;
    let nulls = match null_handling {
        NullHandling::Drop => Nulls::Drop,
        NullHandling::Preserve => Nulls::Preserve,
        NullHandling::PreserveAndExpandEmpty => Nulls::PreserveAndExpandEmpty,
    };
    let recursion = |each: &RecursionUnnestOption| (name(&each.input_column), name(&each.output_column), each.depth);
    Node::Unnest { columns: names(&unnest.exec_columns), nulls, recursions: recursions.iter().map(recursion).collect() }
}

fn name(column: &Column) -> Name {
    Name::from(column)
}

fn directions(order: &[SortExpr]) -> Vec<Direction> {
    order.iter().map(|key| (key.asc, key.nulls_first)).collect()
}

fn sorted(order: &[SortExpr]) -> impl Iterator<Item = &Expr> {
    order.iter().map(|key| &key.expr)
}

/// The node of a part.
pub(super) fn decode(part: &Part, from: &mut Decoder<'_>) -> Result<Made> {
    let inputs = from.plans(&part.inputs)?;
    let exprs = from.exprs(&part.exprs)?;
    if part.kind != NODE {
        return nodes::decode(&part.kind, &part.detail, exprs, inputs, from).map(Made::Plan);
    }
    let node = read_json(&part.detail)?;
    remade(node, exprs, inputs, from).map(Made::Plan)
}

fn remade(node: Node, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>, from: &mut Decoder<'_>) -> Result<LogicalPlan> {
    let mut exprs = exprs.into_iter();
    let plan = match node {
        Node::Projection { schema: None } => {
            Projection::try_new(exprs.collect(), one(inputs)?).map(LogicalPlan::Projection)
        }
        Node::Projection { schema: Some(schema) } => {
            let (exprs, schema) = (exprs.collect(), schema.decode(from)?);
            Projection::try_new_with_schema(exprs, one(inputs)?, schema).map(LogicalPlan::Projection)
        }
        Node::Filter => Filter::try_new(first(&mut exprs)?, one(inputs)?).map(LogicalPlan::Filter),
        Node::Window => Window::try_new(exprs.collect(), one(inputs)?).map(LogicalPlan::Window),
        Node::Aggregate { keys } => {
            let keys = some(&mut exprs, keys)?;
            Aggregate::try_new(one(inputs)?, keys, exprs.collect()).map(LogicalPlan::Aggregate)
        }
        Node::Sort { order, fetch } => {
            let expr = ordered(order, &mut exprs)?;
            Ok(LogicalPlan::Sort(Sort { expr, input: one(inputs)?, fetch }))
        }
        Node::Join { keys, how } => return rejoined(keys, &how, exprs, inputs),
        Node::Union { schema } => {
            let schema = schema.decode(from)?;
            Ok(LogicalPlan::Union(Union { inputs: inputs.into_iter().map(Arc::new).collect(), schema }))
        }
        Node::Scan { table, name, projection, fetch } => {
            return scan(tables::decode(table, from)?, name.reference()?, projection, exprs.collect(), fetch);
        }
        Node::Empty { one_row, schema } => {
            Ok(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: one_row, schema: schema.decode(from)? }))
        }
        Node::Subquery => {
            let (subquery, outer_ref_columns) = (one(inputs)?, exprs.collect());
            let spans = datafusion::common::Spans::new();
            Ok(LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, spans }))
        }
        Node::Alias { name } => SubqueryAlias::try_new(one(inputs)?, name.reference()?).map(LogicalPlan::SubqueryAlias),
        Node::Limit { skips, fetches } => {
            let skip = skips.then(|| first(&mut exprs)).transpose()?.map(Box::new);
            let fetch = fetches.then(|| first(&mut exprs)).transpose()?.map(Box::new);
            Ok(LogicalPlan::Limit(Limit { skip, fetch, input: one(inputs)? }))
        }
        Node::Values { rows, schema } => {
            let schema = schema.decode(from)?;
            let width = schema.fields().len();
            let values = (0..rows.min(exprs.len())).map(|_| some(&mut exprs, width)).collect::<Result<_>>()?;
            Ok(LogicalPlan::Values(Values { schema, values }))
        }
        Node::Distinct => Ok(LogicalPlan::Distinct(Distinct::All(one(inputs)?))),
        Node::DistinctOn { keys, columns, order } => {
            let (on, select) = (some(&mut exprs, keys)?, some(&mut exprs, columns)?);
            let order = order.map(|order| ordered(order, &mut exprs)).transpose()?;
            let distinct = DistinctOn::try_new(on, select, order, one(inputs)?);
            distinct.map(|distinct| LogicalPlan::Distinct(Distinct::On(distinct)))
        }
        Node::Unnest { columns: unnested, nulls, recursions } => {
            let options = unnest_options(&nulls, recursions)?;
            Unnest::try_new(one(inputs)?, columns(unnested)?, options).map(LogicalPlan::Unnest)
        }
        Node::Describe { schema, told } => {
            let (schema, output_schema) = (from.schema(schema)?, told.decode(from)?);
            Ok(LogicalPlan::DescribeTable(DescribeTable { schema, output_schema }))
        }
        Node::Recursive { name, distinct } => {
            let [first, next] = two(inputs)?;
            RecursiveQuery::try_new(name, first, next, distinct).map(LogicalPlan::RecursiveQuery)
        }
    };
    plan.map_err(from_datafusion)
}

fn rejoined(
    keys: usize,
    how: &How,
    mut exprs: impl ExactSizeIterator<Item = Expr>,
    inputs: Vec<LogicalPlan>,
) -> Result<LogicalPlan> {
    let kind: JoinType = how.kind.parse().map_err(|_| damaged(format!("there is no join {:?}", how.kind)))?;
    let constraint = if how.using { JoinConstraint::Using } else { JoinConstraint::On };
    let nulls = match how.nulls_are_equal {
        true => NullEquality::NullEqualsNull,
        false => NullEquality::NullEqualsNothing,
    };
    let mut pairs = some(&mut exprs, keys.saturating_mul(2))?.into_iter();
    let mut on = Vec::new();
    while let (Some(left), Some(right)) = (pairs.next(), pairs.next()) {
        on.push((left, right));
    }
    let [left, right] = two(inputs)?;
    let join = Join::try_new(left, right, on, exprs.next(), kind, constraint, nulls, how.is_null_aware);
    join.map(LogicalPlan::Join).map_err(from_datafusion)
}

fn scan(
    table: Arc<dyn datafusion::catalog::TableProvider>,
    name: TableReference,
    projection: Option<Vec<usize>>,
    filters: Vec<Expr>,
    fetch: Option<usize>,
) -> Result<LogicalPlan> {
    let columns = table.schema().fields().len();
    if projection.iter().flatten().any(|column| *column >= columns) {
        return Err(damaged("a scan reads a column that its table has not"));
    }
    let scan = TableScanBuilder::new(name, provider_as_source(table)).with_projection(projection);
    let scan = scan.with_filters(filters).with_fetch(fetch).build();
    scan.map(LogicalPlan::TableScan).map_err(from_datafusion)
}

fn unnest_options(nulls: &Nulls, recursions: Vec<(Name, Name, usize)>) -> Result<UnnestOptions> {
    let null_handling = match nulls {
        Nulls::Drop => NullHandling::Drop,
        Nulls::Preserve => NullHandling::Preserve,
        Nulls::PreserveAndExpandEmpty => NullHandling::PreserveAndExpandEmpty,
    };
    let recursion = |(input, output, depth): (Name, Name, usize)| {
        Ok(RecursionUnnestOption { input_column: input.column()?, output_column: output.column()?, depth })
    };
    let recursions = recursions.into_iter().map(recursion).collect::<Result<_>>()?;
    Ok(UnnestOptions { null_handling, recursions })
}

fn one(inputs: Vec<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
    one_input(inputs).map(Arc::new)
}

fn two(inputs: Vec<LogicalPlan>) -> Result<[Arc<LogicalPlan>; 2]> {
    let inputs: Vec<_> = inputs.into_iter().map(Arc::new).collect();
    inputs.try_into().map_err(|_| damaged("the node has two inputs"))
}

fn first(exprs: &mut impl Iterator<Item = Expr>) -> Result<Expr> {
    exprs.next().ok_or_else(|| damaged("a node lacks an expression"))
}

fn some(exprs: &mut impl ExactSizeIterator<Item = Expr>, count: usize) -> Result<Vec<Expr>> {
    match count <= exprs.len() {
        true => Ok(exprs.by_ref().take(count).collect()),
        false => Err(damaged("a node lacks expressions")),
    }
}

fn ordered(order: Vec<Direction>, exprs: &mut impl ExactSizeIterator<Item = Expr>) -> Result<Vec<SortExpr>> {
    let keys = some(exprs, order.len())?.into_iter().zip(order);
    Ok(keys.map(|(expr, (asc, nulls_first))| SortExpr { expr, asc, nulls_first }).collect())
}
