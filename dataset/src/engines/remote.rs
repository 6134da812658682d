//! `Remote` and `ClusterExec`: the part of a plan that runs on a cluster, and its rows here.
//!
//! A session on a cluster has another planner; all else is as in one process. What a statement does here, such as
//! writing files or explaining a plan, stands above the part that runs there.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use async_trait::async_trait;
use datafusion::catalog::Session as EngineSession;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties, displayable,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream;
use sheaf_connectors::error::to_datafusion;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::determinism::classes;
use super::durable::Query;
use super::plan::{ClusterShape, for_tasks};
use super::shipped::Shipped;
use super::spread::unspread;
use crate::operators::determined::Settled;
use crate::operators::node::OperatorNode;
use crate::operators::partition::Partition;
use crate::operators::write::Write;
use crate::operators::{plan_of, without_expressions};
use crate::planner::SheafPlanner;
use crate::session::Session;

/// Batches that wait for the reader of a query's result.
const WAITING_BATCHES: usize = 4;

/// The planner of a session on a cluster.
pub(crate) struct ClusterPlanner(SheafPlanner);

impl ClusterPlanner {
    /// Plans what runs on this cluster; `session` is the same without it.
    pub(crate) fn new(cluster: Arc<Cluster>, session: Session) -> Self {
        Self(SheafPlanner::with(Arc::new(RemotePlanner { cluster, session })))
    }
}

impl fmt::Debug for ClusterPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterPlanner")
    }
}

#[async_trait]
impl QueryPlanner for ClusterPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn EngineSession,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match session.config().get_extension::<Settled>() {
            Some(_) => self.0.create_physical_plan(plan, session).await,
            None => self.0.create_physical_plan(&sent(plan.clone())?, session).await,
        }
    }
}

impl Session {
    /// This session with its queries on a cluster: another handle on its settings, stores and catalog. What statements do
    /// besides, such as writing files, is still done here.
    ///
    /// A dataset belongs to the session that it was made by: one of this session's runs in this process.
    #[must_use]
    pub fn on(&self, cluster: &Arc<Cluster>) -> Self {
        let planner = ClusterPlanner::new(Arc::clone(cluster), self.clone());
        let state = SessionStateBuilder::new_from_existing(for_tasks(&self.state()));
        self.with_state(state.with_query_planner(Arc::new(planner)).build())
    }
}

/// The plan with what can run on a cluster in [`Remote`] nodes.
fn sent(plan: LogicalPlan) -> Result<LogicalPlan> {
    if let Some(plan) = written_there(&plan)? {
        return Ok(plan);
    }
    let is_done_here = match &plan {
        LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::DescribeTable(_) => true,
        // The partitions that come out are those that the user chose.
        LogicalPlan::Extension(Extension { node }) => {
            OperatorNode::<Write, 1>::parts(node.as_ref()).is_some()
                || OperatorNode::<Partition, 1>::parts(node.as_ref()).is_some()
        }
        _ => false,
    };
    if is_done_here {
        return plan.map_children(|child| sent(child).map(Transformed::yes)).map(|plan| plan.data);
    }
    if !reads_tables(&plan)? {
        return Ok(plan);
    }
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(Remote { plan }) }))
}

/// A write of a folder with its files written by the nodes, and committed here.
fn written_there(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Extension(Extension { node }) = plan else { return Ok(None) };
    let Some((write, [input])) = OperatorNode::<Write, 1>::parts(node.as_ref()) else { return Ok(None) };
    if !reads_tables(input)? {
        return Ok(None);
    }
    let shared = write.shared(Arc::clone(input.schema().inner())).map_err(to_datafusion)?;
    let Some((files, commit)) = shared else { return Ok(None) };
    let files = plan_of(OperatorNode::try_new(files, [input.clone()])?);
    let there = LogicalPlan::Extension(Extension { node: Arc::new(Remote { plan: files }) });
    Ok(Some(plan_of(OperatorNode::try_new(commit, [there])?)))
}

/// Whether there is anything in the plan that nodes would read: the catalog and constants are here.
fn reads_tables(plan: &LogicalPlan) -> Result<bool> {
    let mut reads = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let is_of_catalog = scan.table_name.schema() == Some("information_schema");
            reads |= !is_of_catalog && source_as_provider(&scan.source).is_ok();
        }
        Ok(if reads { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(reads)
}

/// The part of a logical plan that runs on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Remote {
    plan: LogicalPlan,
}

impl PartialOrd for Remote {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Remote {
    fn name(&self) -> &'static str {
        "Remote"
    }

    /// None: what it stands for is not planned here.
    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        self.plan.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")?;
        let plan = self.plan.display_indent().to_string();
        plan.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match exprs.is_empty() && inputs.is_empty() {
            true => Ok(self.clone()),
            false => plan_err!("what runs on a cluster has no inputs here"),
        }
    }
}

struct RemotePlanner {
    cluster: Arc<Cluster>,
    session: Session,
}

#[async_trait]
impl ExtensionPlanner for RemotePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        _physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn EngineSession,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(Remote { plan }) = node.as_any().downcast_ref() else { return Ok(None) };
        let session = self.session.meaning_like(session.config_options()).map_err(to_datafusion)?;
        match self.planned(plan, &session).await {
            Ok(planned) => Ok(Some(Arc::new(planned))),
            Err(error) if self.cluster.falls_back_from(&error) => {
                self.cluster.tell(format!("a query runs in this process: {error}"));
                let state = session.state();
                state.query_planner().create_physical_plan(plan, &state).await.map(Some)
            }
            Err(error) => Err(to_datafusion(error)),
        }
    }
}

impl RemotePlanner {
    async fn planned(&self, plan: &LogicalPlan, session: &Session) -> sheaf_core::Result<ClusterExec> {
        let shape = self.cluster.speak(|cluster| cluster.shape()).await?;
        let shipped = Shipped::of(session, plan, shape).await?;
        Ok(ClusterExec::new(Arc::clone(&self.cluster), Arc::new(shipped), shape))
    }
}

/// The rows of a query that runs on a cluster.
#[derive(Clone)]
pub struct ClusterExec {
    cluster: Arc<Cluster>,
    shipped: Arc<Shipped>,
    shape: ClusterShape,
    properties: Arc<PlanProperties>,
}

impl ClusterExec {
    fn new(cluster: Arc<Cluster>, shipped: Arc<Shipped>, shape: ClusterShape) -> Self {
        let last = shipped.graph.stages.last();
        let schema = last.map_or_else(|| Arc::new(Schema::empty()), |stage| stage.plan.schema());
        // Partitions that follow one another are in no order together.
        let order = match last {
            Some(stage) if stage.tasks == 1 && stage.parts() == 1 => stage.plan.equivalence_properties().clone(),
            _ => EquivalenceProperties::new(schema),
        };
        let partitioning = Partitioning::UnknownPartitioning(1);
        let properties = PlanProperties::new(order, partitioning, EmissionType::Final, Boundedness::Bounded);
        Self { cluster, shipped, shape, properties: Arc::new(properties) }
    }
}

impl fmt::Debug for ClusterExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterExec").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl DisplayAs for ClusterExec {
    /// One line, and in plans that are lists of lines the stages below it, the last one first.
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (graph, ClusterShape { nodes, cpus, .. }) = (&self.shipped.graph, self.shape);
        let tasks: usize = graph.stages.iter().map(|stage| stage.tasks).sum();
        let stages = graph.stages.len();
        write!(f, "ClusterExec: exchange=durable, stages={stages}, tasks={tasks}, nodes={nodes}, cpus={cpus}")?;
        // One stage may be all that it is worth, or all that is right.
        let alone = graph.stages.first().filter(|_| stages == 1).and_then(|stage| unspread(&stage.plan, nodes));
        alone.map_or(Ok(()), |operator| write!(f, ", one task because of {operator}"))?;
        if matches!(format, DisplayFormatType::TreeRender) {
            return Ok(());
        }
        for (number, (stage, class)) in graph.stages.iter().zip(classes(graph)).enumerate().rev() {
            write!(f, "\n  Stage {number}: tasks={}, parts={}, {class}", stage.tasks, stage.parts())?;
            let plan = displayable(stage.plan.as_ref()).indent(false).to_string();
            plan.lines().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &'static str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => plan_err!("what runs on a cluster has no children here"),
        }
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let query = Query {
            cluster: Arc::clone(&self.cluster),
            shipped: Arc::clone(&self.shipped),
            shape: self.shape,
            schema: Arc::clone(&schema),
        };
        let (sender, rows) = mpsc::channel(WAITING_BATCHES);
        // It ends when its rows are not wanted any more.
        tokio::spawn(query.run(context, sender));
        let rows = stream::unfold(rows, |mut rows| async move {
            let batch = rows.recv().await?;
            Some((batch.map_err(to_datafusion), rows))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
