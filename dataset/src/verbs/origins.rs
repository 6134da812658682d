//! Where rows come from: their files and their numbers in them, carried along as two more columns.
//!
//! They are there from the scan on, through what leaves rows as they are, leaves some out, or puts them in another
//! order: filters, projections, limits, sorts, windows, samples and repartitions. A row that is made of others (of a
//! join, a group, a function) comes from no one place in a file, and has none.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, TableScanBuilder, Union};
use sheaf_connectors::read::FilesTable;

/// The two columns, the last ones of a plan that has them.
const FILE: &str = "__source_file";
const ROW: &str = "__source_row";

/// How many they are.
pub(crate) const PLACES: usize = 2;

/// The nodes of Sheaf that leave rows as they are, or leave some out.
const KEEPING: [&str; 3] = ["Sample", "Partition", "RowIndex"];

/// The plan with the two columns after its own; `None` where its rows come from no one place each.
pub(crate) fn with_origins(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::TableScan(scan) => of_scan(scan),
        LogicalPlan::Projection(projection) => {
            let Some(input) = with_origins(&projection.input)? else { return Ok(None) };
            let exprs: Vec<Expr> = projection.expr.iter().cloned().chain(places(&input)).collect();
            LogicalPlanBuilder::from(input).project(exprs)?.build().map(Some)
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Window(_) => over(plan, plan.inputs()[0]),
        LogicalPlan::Extension(extension) if KEEPING.contains(&extension.node.name()) => over(plan, plan.inputs()[0]),
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| with_origins(input)).collect::<Result<Vec<_>>>()?;
            if inputs.iter().all(Option::is_none) {
                return Ok(None);
            }
            let known = inputs.into_iter().zip(&union.inputs);
            let inputs = known.map(|(known, input)| Ok(Arc::new(known.map_or_else(|| of_nothing(input), Ok)?)));
            Union::try_new(inputs.collect::<Result<_>>()?).map(LogicalPlan::Union).map(Some)
        }
        _ => Ok(None),
    }
}

/// The same node over its input with the columns.
fn over(plan: &LogicalPlan, input: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let Some(input) = with_origins(input)? else { return Ok(None) };
    let over = plan.with_new_exprs(plan.expressions(), vec![input])?;
    // What the node adds comes after them.
    let (places, own): (Vec<_>, Vec<_>) =
        over.schema().columns().into_iter().partition(|column| [FILE, ROW].contains(&column.name.as_str()));
    if over.schema().columns().ends_with(&places) {
        return Ok(Some(over));
    }
    let exprs: Vec<Expr> = own.into_iter().chain(places).map(Expr::Column).collect();
    LogicalPlanBuilder::from(over).project(exprs)?.build().map(Some)
}

/// The scan of files with the columns.
fn of_scan(scan: &TableScan) -> Result<Option<LogicalPlan>> {
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let Some(files) = provider.downcast_ref::<FilesTable>().filter(|files| !files.is_numbered()) else {
        return Ok(None);
    };
    let taken = |name: &str| files.locations().is_empty() || scan.source.schema().field_with_name(name).is_ok();
    if taken(FILE) || taken(ROW) {
        return Ok(None);
    }
    let (table, path) = files.with_places(FILE, ROW);
    let source = provider_as_source(Arc::new(table));
    let own: Vec<Column> = scan.projected_schema.columns();
    let place = |name: &str| source.schema().index_of(name);
    let mut wanted = own.iter().map(|column| place(&column.name)).collect::<std::result::Result<Vec<_>, _>>()?;
    wanted.extend([place(ROW)?]);
    let path_place = place(&path)?;
    if !wanted.contains(&path_place) {
        wanted.push(path_place);
    }
    let scan = TableScanBuilder::new(scan.table_name.clone(), source)
        .with_projection(Some(wanted))
        .with_filters(scan.filters.clone())
        .with_fetch(scan.fetch)
        .build()?;
    let qualified = |name: &str| Expr::Column(Column::new(Some(scan.table_name.clone()), name));
    let places = [qualified(&path).alias(FILE), qualified(ROW).alias(ROW)];
    let exprs: Vec<Expr> = own.into_iter().map(Expr::Column).chain(places).collect();
    LogicalPlanBuilder::from(LogicalPlan::TableScan(scan)).project(exprs)?.build().map(Some)
}

/// The plan whose rows have no place.
fn of_nothing(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let null = |kind: &DataType| ScalarValue::try_from(kind).map(|value| Expr::Literal(value, None));
    let places = [null(&DataType::Utf8)?.alias(FILE), null(&DataType::Int64)?.alias(ROW)];
    let own = plan.schema().columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(plan.clone()).project(own.chain(places).collect::<Vec<_>>())?.build()
}

/// The two columns of a plan that has them.
fn places(plan: &LogicalPlan) -> Vec<Expr> {
    let columns = plan.schema().columns();
    columns[columns.len() - PLACES..].iter().cloned().map(Expr::Column).collect()
}
