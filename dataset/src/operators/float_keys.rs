//! `FloatKeysExec`: keeps the dynamic filters of joins on floating-point keys from their inputs.
//!
//! To a hash join 0.0 equals -0.0. The dynamic filters that DataFusion 55 makes of its keys compare by total order,
//! where the two differ: rows of one would be dropped, at the scan or with whole row groups, for keys of the other.
//! The same holds for filters from above that a semi join would hand to both sides. This node stands on the inputs of
//! such joins while filters are pushed down, lets none on floating-point columns pass, and goes again.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// Lets no filter on floating-point columns pass.
#[derive(Debug)]
pub(crate) struct FloatKeysExec {
    input: Arc<dyn ExecutionPlan>,
}

impl FloatKeysExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input }
    }

    /// Whether some key of the join's probe side is, or holds, a floating-point number.
    ///
    /// # Errors
    /// A key that does not fit its input.
    pub(crate) fn has_any(join: &HashJoinExec) -> Result<bool> {
        let schema = join.right().schema();
        for (_, key) in join.on() {
            if holds_floats(&key.data_type(&schema)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether values of a type are, or hold, floating-point numbers.
pub(crate) fn holds_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => holds_floats(field.data_type()),
        DataType::Dictionary(_, values) => holds_floats(values),
        DataType::RunEndEncoded(_, values) => holds_floats(values.data_type()),
        data_type => data_type.is_floating(),
    }
}

fn without_floats(schema: &Schema) -> HashSet<usize> {
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| !holds_floats(field.data_type())).map(|(index, _)| index).collect()
}

impl DisplayAs for FloatKeysExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FloatKeysExec")
    }
}

impl ExecutionPlan for FloatKeysExec {
    super::as_its_input!("FloatKeysExec", input);

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input })),
            _ => plan_err!("FloatKeysExec has one input"),
        }
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let passing = without_floats(&self.input.schema());
        let child = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, passing, &self.input)?;
        Ok(FilterDescription::new().with_child(child))
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result).with_updated_node(Arc::clone(&self.input)))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("FloatKeysExec stands in a plan only while filters are pushed down")
    }
}
