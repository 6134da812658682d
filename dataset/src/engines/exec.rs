//! `ClusterExec`: the rows of a query that runs on a cluster, here.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties, displayable,
};
use futures::stream;
use parking_lot::Mutex;
use sheaf_connectors::error::to_datafusion;
use sheaf_core::settings::Exchange;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::determinism::classes;
use super::durable::Query;
use super::metrics::StagesDone;
use super::plan::ClusterShape;
use super::shipped::Shipped;
use super::spread::unspread;
use super::streaming::unfit;
use crate::operators::elsewhere::{TASKS, TASKS_ENDED};
use crate::operators::stored::Persisting;
use crate::operators::without_expressions;

/// Batches that wait for the reader of a query's result.
const WAITING_BATCHES: usize = 4;

/// The rows of a plan that runs on a cluster, left on its nodes for the queries of this program.
pub(super) fn persist_there(plan: &Arc<dyn ExecutionPlan>) -> Option<Persisting> {
    let query = plan.downcast_ref::<ClusterExec>()?.query();
    Some(Box::pin(async move { Ok(Arc::new(query.persisted().await?) as Arc<dyn TableProvider>) }))
}

/// The rows of a query that runs on a cluster.
#[derive(Clone)]
pub(super) struct ClusterExec {
    cluster: Arc<Cluster>,
    shipped: Arc<Shipped>,
    shape: ClusterShape,
    exchange: Chosen,
    properties: Arc<PlanProperties>,
    progress: Arc<Progress>,
}

/// The exchange of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    Streaming,
    /// And why, where the other one was asked for.
    Durable(Option<&'static str>),
}

impl Chosen {
    /// Whether the streaming one is wanted for a query whose rows somebody reads as they come, or not.
    pub(super) fn is_wanted(asked: Exchange, as_they_come: bool) -> bool {
        match asked {
            Exchange::Streaming => true,
            Exchange::Auto => as_they_come,
            Exchange::Durable => false,
        }
    }

    /// For a query for which the streaming one is wanted or not, and whose rows are kept or not.
    pub(super) fn of(is_wanted: bool, shipped: &Shipped, is_kept: bool) -> Self {
        match is_wanted.then(|| unfit(shipped, is_kept)) {
            Some(None) => Self::Streaming,
            Some(why) => Self::Durable(why),
            None => Self::Durable(None),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streaming => f.write_str("streaming"),
            Self::Durable(None) => f.write_str("durable"),
            Self::Durable(Some(why)) => write!(f, "durable ({why})"),
        }
    }
}

/// How far a query is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Rows that have come here.
    pub(super) rows: Count,
    /// Tasks that have ended.
    pub(super) tasks: Count,
    /// What all of them did, once they have.
    pub(super) done: Mutex<Option<StagesDone>>,
}

impl ClusterExec {
    pub(super) fn new(cluster: Arc<Cluster>, shipped: Arc<Shipped>, shape: ClusterShape, exchange: Chosen) -> Self {
        let last = shipped.graph.stages.last();
        let schema = last.map_or_else(|| Arc::new(Schema::empty()), |stage| stage.plan.schema());
        // Partitions that follow one another are in no order together.
        let order = match last {
            Some(stage) if stage.tasks == 1 && stage.parts() == 1 => stage.plan.equivalence_properties().clone(),
            _ => EquivalenceProperties::new(schema),
        };
        let partitioning = Partitioning::UnknownPartitioning(1);
        // Rows come through a channel, which lets others run.
        let emission = match exchange {
            Chosen::Streaming => EmissionType::Incremental,
            Chosen::Durable(_) => EmissionType::Final,
        };
        let properties = PlanProperties::new(order, partitioning, emission, Boundedness::Bounded)
            .with_scheduling_type(SchedulingType::Cooperative);
        Self { cluster, shipped, shape, exchange, properties: Arc::new(properties), progress: Arc::default() }
    }

    fn query(&self) -> Query {
        Query {
            cluster: Arc::clone(&self.cluster),
            shipped: Arc::clone(&self.shipped),
            shape: self.shape,
            schema: self.schema(),
            progress: Arc::clone(&self.progress),
        }
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
        let exchange = self.exchange;
        write!(f, "ClusterExec: exchange={exchange}, stages={stages}, tasks={tasks}, nodes={nodes}, cpus={cpus}")?;
        // One stage may be all that it is worth, or all that is right.
        let alone =
            graph.stages.first().filter(|_| stages == 1).and_then(|stage| unspread(&stage.plan, self.shape.there));
        alone.map_or(Ok(()), |operator| write!(f, ", one task because of {operator}"))?;
        if matches!(format, DisplayFormatType::TreeRender) {
            return Ok(());
        }
        let done = self.progress.done.lock();
        for (number, (stage, class)) in graph.stages.iter().zip(classes(graph)).enumerate().rev() {
            write!(f, "\n  Stage {number}: tasks={}, parts={}, {class}", stage.tasks, stage.parts())?;
            let lines = done.as_ref().and_then(|done| done.lines(graph, number)).unwrap_or_else(|| {
                let plan = displayable(stage.plan.as_ref()).indent(false).to_string();
                plan.lines().map(str::to_string).collect()
            });
            lines.into_iter().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        // What is told of the whole stands behind this.
        done.as_ref().map_or(Ok(()), |_| write!(f, "\n  All stages"))
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
        let (sender, rows) = mpsc::channel(WAITING_BATCHES);
        // It ends when its rows are not wanted any more.
        let (query, exchange) = (self.query(), self.exchange);
        tokio::spawn(async move { query.run(exchange, &context, sender).await });
        let rows = stream::unfold(rows, |mut rows| async move {
            let batch = rows.recv().await?;
            Some((batch.map_err(to_datafusion), rows))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { progress: Arc::default(), ..self.as_ref().clone() }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.progress.done.lock().as_ref().map(StagesDone::in_all).unwrap_or_default();
        let tasks = Count::new();
        tasks.add(self.shipped.graph.stages.iter().map(|stage| stage.tasks).sum());
        let counted = [
            MetricValue::OutputRows(self.progress.rows.clone()),
            MetricValue::Count { name: TASKS.into(), count: tasks },
            MetricValue::Count { name: TASKS_ENDED.into(), count: self.progress.tasks.clone() },
        ];
        counted.into_iter().for_each(|value| metrics.push(Arc::new(Metric::new(value, None))));
        Some(metrics)
    }
}
