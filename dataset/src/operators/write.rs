//! `Write`: a plan whose result is files. The node stands in logical plans; the operators are the connectors'.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, StringArray, UInt64Array};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::to_datafusion;
use sheaf_connectors::stores::Stores;
use sheaf_connectors::write::{self, WriteOptions};

/// The logical node: writes its input's rows to `target`; one row of report comes out.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    input: LogicalPlan,
    target: String,
    options: WriteOptions,
    stores: Arc<Stores>,
    schema: DFSchemaRef,
}

impl Write {
    pub(crate) fn new(input: LogicalPlan, target: String, options: WriteOptions, stores: Arc<Stores>) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from(Arc::unwrap_or_clone(write::report_schema()))?);
        Ok(Self { input, target, options, stores, schema })
    }
}

impl PartialEq for Write {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target && self.options == other.options && self.input == other.input
    }
}

impl Eq for Write {}

impl PartialOrd for Write {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for Write {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Write {
    fn name(&self) -> &'static str {
        "Write"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Write: {}, format={}, mode={}", self.target, self.options.format, self.options.mode.name())
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self { input, ..self.clone() }),
            _ => plan_err!("Write has one input"),
        }
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        // Whatever of the report is used, every column is written.
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// Plans [`Write`] nodes.
pub(crate) struct Planner;

#[async_trait]
impl ExtensionPlanner for Planner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<Write>(), physical_inputs) else {
            return Ok(None);
        };
        let plan = write::plan(session, &node.stores, Arc::clone(input), &node.target, node.options.clone());
        plan.await.map(Some).map_err(to_datafusion)
    }
}

/// What a write wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReport {
    /// The target as it was given.
    pub path: String,
    /// New files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl WriteReport {
    /// The report in a batch of a write's plan's result, if it has one.
    #[must_use]
    pub fn read(batch: &RecordBatch) -> Option<Self> {
        let number = |name: &str| {
            let column = batch.column_by_name(name)?.as_any().downcast_ref::<UInt64Array>()?;
            (!column.is_empty()).then(|| column.value(0))
        };
        let path = batch.column_by_name("path")?.as_any().downcast_ref::<StringArray>()?;
        Some(Self {
            path: (!path.is_empty()).then(|| path.value(0).to_string())?,
            files: number("files")?,
            rows: number("rows")?,
            bytes: number("bytes")?,
        })
    }
}
