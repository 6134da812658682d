//! `SkewedExchangeExec`: the exchange by hash below a hash join in which one key may have most of the rows.
//!
//! By hash alone all rows of a key go to one partition, and one core joins them. Here both sides agree on the heavy
//! keys (`heavy`), which the first rows of the probe side show: rows of the build side with such a key go to all
//! partitions, those of the probe side to one after another. All other rows go by hash, so that every row of the probe
//! side still meets all rows of the build side with its key, in the one partition that it is in.
//!
//! Two of these below one join are paired by the node around the join (`operators/hash_join`), anew for each copy of
//! the plan. One that is not paired is an exchange by hash like any other. Rows move through DataFusion's
//! `RepartitionExec`, which spills: `router` repeats rows before it, and `route` tells it where they go.

mod heavy;
mod route;
mod router;

use std::fmt;
use std::sync::Arc;

use datafusion::common::{NullEquality, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};

use heavy::Agreement;
use route::RouteExpr;
use router::RouterExec;

/// The metric that counts the keys whose rows are dealt out to all partitions.
pub const HEAVY_KEYS: &str = "heavy_keys";

/// The inputs of a hash join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Build,
    Probe,
}

/// An exchange by hash, but for heavy keys.
#[derive(Debug)]
pub(crate) struct SkewedExchangeExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<PhysicalExprRef>,
    partitions: usize,
    side: Side,
    router: Option<Arc<RouterExec>>,
    exchange: RepartitionExec,
    properties: Arc<PlanProperties>,
}

impl SkewedExchangeExec {
    /// In the place of an exchange of `input` by the hash of `keys`.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<PhysicalExprRef>,
        partitions: usize,
        side: Side,
    ) -> Result<Self> {
        let by_hash = Partitioning::Hash(keys.clone(), partitions);
        let exchange = RepartitionExec::try_new(Arc::clone(&input), by_hash)?;
        Ok(Self::of(input, keys, side, None, exchange))
    }

    /// The same exchange, with the heavy keys of this agreement.
    fn agreed(&self, agreement: &Arc<Agreement>) -> Result<Self> {
        let router = Arc::new(RouterExec::new(
            Arc::clone(&self.input),
            self.keys.clone(),
            self.partitions,
            self.side,
            Arc::clone(agreement),
        ));
        let route = RouteExpr::new(self.keys.clone(), self.partitions, Arc::clone(agreement))?;
        let partitioning = Partitioning::Hash(vec![Arc::new(route)], self.partitions);
        let exchange = RepartitionExec::try_new(Arc::clone(&router) as _, partitioning)?;
        Ok(Self::of(Arc::clone(&self.input), self.keys.clone(), self.side, Some(router), exchange))
    }

    fn of(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<PhysicalExprRef>,
        side: Side,
        router: Option<Arc<RouterExec>>,
        exchange: RepartitionExec,
    ) -> Self {
        let partitions = exchange.partitioning().partition_count();
        // As the join asks for: its rows meet as they do by hash. What is above the join is told otherwise by the node
        // around it.
        let properties = PlanProperties::new(
            exchange.properties().eq_properties.clone(),
            Partitioning::Hash(keys.clone(), partitions),
            exchange.properties().emission_type,
            exchange.properties().boundedness,
        );
        Self { input, keys, partitions, side, router, exchange, properties: Arc::new(properties) }
    }
}

/// The hash join with the two exchanges below it agreed on heavy keys, if they are of this kind.
pub(crate) fn paired(join: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(hash_join) = join.downcast_ref::<HashJoinExec>() else { return Ok(None) };
    let build = hash_join.left().downcast_ref::<SkewedExchangeExec>();
    let probe = hash_join.right().downcast_ref::<SkewedExchangeExec>();
    let (Some(build), Some(probe)) = (build, probe) else { return Ok(None) };
    let agreement = Arc::new(Agreement::new(
        probe.keys.clone(),
        probe.input.output_partitioning().partition_count(),
        probe.partitions,
        hash_join.null_equality() == NullEquality::NullEqualsNull,
    ));
    let sides = vec![Arc::new(build.agreed(&agreement)?) as _, Arc::new(probe.agreed(&agreement)?) as _];
    replace_children_if_necessary(Arc::clone(join), sides).map(Some)
}

impl DisplayAs for SkewedExchangeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heavy = match self.side {
            Side::Build => "to all partitions",
            Side::Probe => "in turn",
        };
        let by_hash = Partitioning::Hash(self.keys.clone(), self.partitions);
        let of = self.input.output_partitioning().partition_count();
        write!(f, "SkewedExchangeExec: partitioning={by_hash}, heavy keys={heavy}, input_partitions={of}")
    }
}

impl ExecutionPlan for SkewedExchangeExec {
    fn name(&self) -> &'static str {
        "SkewedExchangeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.keys.clone(), self.partitions, self.side)?)),
            _ => plan_err!("SkewedExchangeExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.exchange.execute(partition, context)
    }

    /// Those of the exchange, and how many keys are heavy.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.exchange.metrics().unwrap_or_default();
        let routed = self.router.iter().flat_map(|router| router.metrics());
        routed.for_each(|routed| routed.iter().for_each(|metric| metrics.push(Arc::clone(metric))));
        Some(metrics)
    }
}
