//! `Remote`: the part of a plan that runs on a cluster.
//!
//! A session on a cluster has another planner; all else is as in one process. What a statement does here, such as
//! writing files or explaining a plan, stands above the part that runs there.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session as EngineSession;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::future::BoxFuture;
use sheaf_connectors::error::to_datafusion;
use sheaf_core::ErrorKind;

use super::cluster::Cluster;
use super::exec::{Chosen, ClusterExec, persist_there};
use super::persist::only_reads;
use super::plan::{ClusterShape, for_tasks};
use super::shipped::Shipped;
use crate::operators::determined::Settled;
use crate::operators::elsewhere::AsTheyCome;
use crate::operators::node::OperatorNode;
use crate::operators::partition::Partition;
use crate::operators::plan_of;
use crate::operators::stored::{ForPersist, PersistThere};
use crate::operators::write::Write;
use crate::planner::SheafPlanner;
use crate::session::Session;

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
            None => {
                let is_kept = session.config().get_extension::<ForPersist>().is_some();
                self.0.create_physical_plan(&sent(plan.clone(), is_kept)?, session).await
            }
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
        let state = for_tasks(&self.state());
        let config = state.config().clone().with_extension(Arc::new(PersistThere(persist_there)));
        let state = SessionStateBuilder::new_from_existing(state).with_config(config);
        self.with_state(state.with_query_planner(Arc::new(planner)).build())
    }
}

/// The plan with what can run on a cluster in [`Remote`] nodes. Where its rows are to be kept there, all of it does.
fn sent(plan: LogicalPlan, is_kept: bool) -> Result<LogicalPlan> {
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
        let is_shown = matches!(plan, LogicalPlan::Explain(_));
        let below = |child| sent(child, false).map(|child| if is_shown { shown(child) } else { child });
        return plan.map_children(|child| below(child).map(Transformed::yes)).map(|plan| plan.data);
    }
    if !reads_tables(&plan)? || (!is_kept && only_reads(&plan)) {
        return Ok(plan);
    }
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(Remote { plan, is_shown: false }) }))
}

/// What runs on a cluster, to be shown alone.
fn shown(plan: LogicalPlan) -> LogicalPlan {
    let LogicalPlan::Extension(Extension { node }) = &plan else { return plan };
    let Some(Remote { plan: there, .. }) = node.as_any().downcast_ref() else { return plan };
    LogicalPlan::Extension(Extension { node: Arc::new(Remote { plan: there.clone(), is_shown: true }) })
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
    let there = LogicalPlan::Extension(Extension { node: Arc::new(Remote { plan: files, is_shown: false }) });
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
    /// It is planned and never run.
    is_shown: bool,
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

/// What becomes of the rows of a plan.
#[derive(Debug, Clone, Copy)]
struct ForWhom {
    /// There are none: it is planned and never run.
    is_shown: bool,
    as_they_come: bool,
    /// Where they would not come so, there is no plan.
    or_none: bool,
    is_kept: bool,
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
        let Some(Remote { plan, is_shown }) = node.as_any().downcast_ref() else { return Ok(None) };
        let config = session.config();
        let whom = ForWhom {
            is_shown: *is_shown,
            as_they_come: config.get_extension::<AsTheyCome>().is_some(),
            or_none: config.get_extension::<AsTheyCome>().is_some_and(|asked| asked.or_none),
            is_kept: config.get_extension::<ForPersist>().is_some(),
        };
        let session = self.session.planning_like(session.config_options()).map_err(to_datafusion)?;
        match self.planned(plan, whom, &session).await {
            Ok(planned) => Ok(Some(Arc::new(planned))),
            Err(error) if !whom.or_none && self.cluster.falls_back_from(&error) => {
                self.cluster.tell(format!("a query runs in this process: {error}"));
                let state = session.state();
                state.query_planner().create_physical_plan(plan, &state).await.map(Some)
            }
            Err(error) => Err(to_datafusion(error)),
        }
    }
}

impl RemotePlanner {
    /// The plan, cut for a cluster of that shape.
    fn shipped<'a>(
        &'a self,
        plan: &'a LogicalPlan,
        shape: ClusterShape,
        session: &'a Session,
    ) -> BoxFuture<'a, sheaf_core::Result<Shipped>> {
        Box::pin(Shipped::of(session, plan, shape, self.cluster.notes()))
    }

    async fn planned(&self, plan: &LogicalPlan, whom: ForWhom, session: &Session) -> sheaf_core::Result<ClusterExec> {
        let shapes = self.cluster.speak(|cluster| cluster.shapes()).await?;
        // Tasks of the streaming exchange run at once, on what is there.
        let wants = Chosen::is_wanted(session.settings().exchange, whom.as_they_come);
        let all = ClusterShape { is_kept: whom.is_kept, ..shapes.all };
        let there = shapes.there.filter(|_| wants).map(ClusterShape::at_once);
        self.cluster.has_all(plan)?;
        let is_only_shown = whom.is_shown || (whom.or_none && shapes.there.is_some());
        let plan = self.cluster.uploaded(plan, is_only_shown, session.spill_folder()).await?;
        let mut shape = there.unwrap_or(all);
        let mut shipped = self.shipped(&plan, shape, session).await?;
        let exchange = match shapes.there {
            None if wants => Chosen::Durable(Some("its nodes are still to come")),
            _ => Chosen::of(wants, &shipped, whom.is_kept),
        };
        // Where its nodes are still to come the first rows take their time anyhow.
        if whom.or_none && exchange != Chosen::Streaming && shapes.there.is_some() {
            let why = format!("the rows do not come as they are made: exchange={exchange}");
            return Err(sheaf_core::Error::new(ErrorKind::Unsupported, why));
        }
        if there.is_some() && exchange != Chosen::Streaming {
            shape = all;
            shipped = self.shipped(&plan, shape, session).await?;
        }
        Ok(ClusterExec::new(Arc::clone(&self.cluster), Arc::new(shipped), shape, exchange))
    }
}
