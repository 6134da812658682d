//! The rule that keeps running windows from holding the texts that stream through them.
//!
//! DataFusion's window joins each batch to the rows that it still looks at. Of views, joined batches have all the
//! buffers that their parts had, though no row points into them any more, so that all texts of a partition stay in
//! memory. So texts that the window only passes on go through it as plain ones, which are copied row by row.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, cast};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::windows::BoundedWindowAggExec;

/// The rule.
#[derive(Debug)]
pub(super) struct WindowTexts;

impl PhysicalOptimizerRule for WindowTexts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else { return Ok(Transformed::no(node)) };
            let passed = passed_views(window);
            if passed.is_empty() || window.window_expr().iter().any(may_filter) {
                return Ok(Transformed::no(node));
            }
            let (schema, input) = (node.schema(), Arc::clone(window.input()));
            let plain = projected(&input, |at, known| if passed.contains(&at) { plain(known) } else { known.clone() })?;
            let window = replace_children_if_necessary(node, vec![plain])?;
            Ok(Transformed::yes(projected(&window, |at, _| schema.field(at).data_type().clone())?))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "window_texts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The columns of views that no function of the window looks at, nor its keys.
fn passed_views(window: &BoundedWindowAggExec) -> HashSet<usize> {
    let schema = window.input().schema();
    let fields = schema.fields().iter().enumerate();
    let views = fields.filter(|(_, field)| plain(field.data_type()) != *field.data_type()).map(|(at, _)| at);
    let mut views: HashSet<usize> = views.collect();
    for call in window.window_expr() {
        let all = call.all_expressions();
        for expr in all.args.iter().chain(&all.partition_by_exprs).chain(&all.order_by_exprs) {
            for column in collect_columns(expr) {
                views.remove(&column.index());
            }
        }
    }
    views
}

/// Whether the function may look at other columns than it tells: those of its filter. `DataFusion` 55 lets nobody ask
/// for that: `all_expressions` leaves it out, and the trait with `filter_expr` is not public. Of a text that is not as
/// it is now no filter is ruled out, so that the window stays as it is.
fn may_filter(call: &Arc<dyn WindowExpr>) -> bool {
    !call.as_any().is::<StandardWindowExpr>() && !format!("{call:?}").ends_with("filter: None }")
}

/// The type of the same values that are no views.
fn plain(known: &DataType) -> DataType {
    match known {
        DataType::Utf8View => DataType::LargeUtf8,
        DataType::BinaryView => DataType::LargeBinary,
        other => other.clone(),
    }
}

/// The columns of `input`, each as this type.
fn projected(
    input: &Arc<dyn ExecutionPlan>,
    as_type: impl Fn(usize, &DataType) -> DataType,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let column = Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>;
        Ok((cast(column, &schema, as_type(at, field.data_type()))?, field.name().clone()))
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, Arc::clone(input))?))
}
