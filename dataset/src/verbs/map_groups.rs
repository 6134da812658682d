//! `map_groups`, and `map_batches` of groups: a function of the user's over the rows of each group.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::functions::expr_fn::nanvl;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::operators::map_batches::{BatchFunction, BatchPosition, call_blocking};
use crate::operators::map_groups::{GroupCalls, GroupColumns, MapGroups, first_group};
use crate::verbs::checks;
use crate::verbs::groupby::GroupedDataset;

impl GroupedDataset {
    /// What `function` makes of each group: of a whole one in one call, or of its rows in several. Nulls are a group of
    /// their own, and so are NaNs; 0.0 and -0.0 are one. Rows of a group come in no order.
    ///
    /// With `schema` the result has that schema. Without, the function is called once now, on rows of one group that
    /// come first (none if the input has no rows), and the schema is that of what it returned.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`] for a key that is not there; without a schema, whatever goes wrong
    /// while the first rows are read and mapped.
    pub async fn map_groups(
        &self,
        function: Arc<dyn BatchFunction>,
        calls: GroupCalls,
        schema: Option<SchemaRef>,
    ) -> Result<Dataset> {
        if calls == GroupCalls::Rows(0) {
            return Err(Error::invalid("batch_size must be at least 1"));
        }
        self.check_one_set("a function")?;
        let (input, columns) = self.with_keys()?;
        let schema = match schema {
            Some(schema) => schema,
            None => tried(&input, &columns, &function).await?,
        };
        input.through(MapGroups::new(columns, function, &schema, calls).map_err(from_datafusion)?)
    }

    /// The columns that functions are given, and after them the keys that are none of these.
    pub(crate) fn with_keys(&self) -> Result<(Dataset, GroupColumns)> {
        let plan = self.dataset.logical_plan();
        let keys = self.dataset.resolve(self.keys.clone())?;
        checks::values_of_rows(&keys)?;
        checks::comparable(&keys, plan.schema())?;
        let is_given = |name: &str| !self.hidden.iter().any(|hidden| hidden == name);
        let given = plan.schema().iter().filter(|(_, field)| is_given(field.name()));
        let mut exprs: Vec<Expr> = given.map(Expr::from).collect();
        let mut columns = GroupColumns { keys: Vec::new(), given: exprs.len() };
        for key in keys {
            let key_type = key.get_type(plan.schema()).map_err(from_datafusion)?;
            let place = match &key {
                Expr::Column(column) if !key_type.is_floating() => exprs[..columns.given]
                    .iter()
                    .position(|given| matches!(given, Expr::Column(given) if given.name == column.name)),
                _ => None,
            };
            columns.keys.push(place.unwrap_or(exprs.len()));
            if place.is_none() {
                let name = free_name(plan, exprs.len());
                exprs.push(one_of_equals(key, &key_type)?.alias(name));
            }
        }
        let plan = LogicalPlanBuilder::from(plan.clone()).project(exprs).and_then(LogicalPlanBuilder::build);
        let plan = plan.map_err(from_datafusion)?;
        Ok((Dataset::new(self.dataset.session().clone(), plan), columns))
    }
}

/// A name that no column of the plan has.
fn free_name(plan: &LogicalPlan, at: usize) -> String {
    let mut name = format!("__key_{at}");
    while plan.schema().fields().iter().any(|field| field.name() == &name) {
        name.insert(0, '_');
    }
    name
}

/// The key with one zero and one NaN.
fn one_of_equals(key: Expr, key_type: &DataType) -> Result<Expr> {
    let (zero, nan) = match key_type {
        DataType::Float32 => (lit(0.0_f32), lit(f32::NAN)),
        DataType::Float64 => (lit(0.0_f64), lit(f64::NAN)),
        _ => return Ok(key),
    };
    Ok(nanvl(key + zero, nan))
}

/// The schema of what the function returns for rows of one group.
async fn tried(input: &Dataset, columns: &GroupColumns, function: &Arc<dyn BatchFunction>) -> Result<SchemaRef> {
    let batch = first_rows(input).await?;
    let batch = first_group(&batch, columns).map_err(from_datafusion)?;
    let (called, at) = (Arc::clone(function), BatchPosition { partition: 0, batch: 0, row: 0 });
    let output = input.session().run(async move { call_blocking(&called, batch, at).await }).await?;
    // These rows' nulls say nothing of the others': every column may have them.
    let fields: Vec<_> =
        output.schema_ref().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, output.schema_ref().metadata().clone())))
}

/// The first batch that has rows; an empty one if there are none.
pub(crate) async fn first_rows(input: &Dataset) -> Result<RecordBatch> {
    let rows = input.session().settings().batch_size;
    let mut first = input.limit(0, Some(rows))?.start().await?;
    let mut batch = RecordBatch::new_empty(first.schema());
    while let Some(next) = first.next().await? {
        if next.num_rows() > 0 {
            batch = next;
            break;
        }
    }
    Ok(batch)
}
