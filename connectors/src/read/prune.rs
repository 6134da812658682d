//! Which files a filter leaves, decided by their folders' values and names alone.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::create_physical_expr;

/// Whether a filter needs the partition columns alone.
pub(crate) fn decides(filter: &Expr, columns: &[FieldRef]) -> bool {
    let names: Vec<&str> = columns.iter().map(|column| column.name().as_str()).collect();
    // A filter without columns would drop all files or none; the engine evaluates it once.
    !names.is_empty() && !filter.column_refs().is_empty() && expr_applicable_for_cols(&names, filter)
}

/// For each file, given by its values of the columns, whether the filters leave it.
pub(crate) fn keep(filters: &[Expr], columns: &[FieldRef], files: &[Vec<ScalarValue>]) -> Result<Vec<bool>> {
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(vec![true; files.len()]) };
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let fields: Vec<Field> = columns.iter().map(|column| column.as_ref().clone()).collect();
    let column = |at: usize| ScalarValue::iter_to_array(files.iter().map(|values| values[at].clone()));
    let arrays = (0..columns.len()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    let schema = Arc::new(Schema::new(fields.clone()));
    let batch = RecordBatch::try_new_with_options(schema, arrays, &options)?;
    let schema = DFSchema::from_unqualified_fields(fields.into(), Default::default())?;
    let filter = create_physical_expr(&filter, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    let found = filter.evaluate(&batch)?.into_array(files.len())?;
    let found: &BooleanArray = found.as_boolean();
    Ok(found.iter().map(|keep| keep == Some(true)).collect())
}
