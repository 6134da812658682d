//! What the tasks of a query did: the metrics of their operators and the files that they left out, on their way to the
//! driver.
//!
//! Each task writes what it did behind the parts of its output, together with what it has read of the tasks before it: so
//! that it comes along with the rows, once for each task whose rows are in the result, however often some were run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::metrics::{Count, Gauge, Metric, MetricValue, MetricsSet, PruningMetrics, Time};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use serde::{Deserialize, Serialize};
use sheaf_connectors::read::skipped_by;

use super::exchange::ExchangeReadExec;
use super::stages::StageGraph;
use crate::operators::elsewhere::{BYTES_SCANNED, ROWS_SCANNED};
use crate::operators::map_batches::FAILED_ROWS;

/// The operator by which rows are dealt out to the tasks of the next stage.
const DEALS: &str = "RepartitionExec";

/// What a task did, and what it knows of the tasks before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskDone {
    /// The rows and bytes of each part of its output.
    pub(crate) parts: Vec<(u64, u64)>,
    /// By stage.
    pub(crate) stages: StagesDone,
}

/// What tasks did, by stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagesDone(BTreeMap<usize, StageDone>);

/// What some tasks of a stage did, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StageDone {
    tasks: usize,
    /// The operators of its plan, each before those below it.
    operators: Vec<OperatorDone>,
}

/// What an operator did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OperatorDone {
    name: String,
    /// Whether rows come from outside the query here.
    is_source: bool,
    counted: BTreeMap<(Kind, String), (u64, u64)>,
    skipped: BTreeSet<String>,
}

/// What a metric is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    Rows,
    Bytes,
    Batches,
    Compute,
    Spills,
    SpilledBytes,
    SpilledRows,
    Count,
    Gauge,
    Peak,
    Time,
    Pruned,
}

/// The metrics that the operators of a plan have before it runs: leaves share them with other runs.
pub(crate) struct Before(Vec<Arc<Metric>>);

impl Before {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let metrics = flat(plan).into_iter().filter_map(|(_, plan)| plan.metrics());
        Self(metrics.flat_map(|metrics| metrics.iter().cloned().collect::<Vec<_>>()).collect())
    }

    fn has(&self, metric: &Arc<Metric>) -> bool {
        self.0.iter().any(|own| Arc::ptr_eq(own, metric))
    }
}

impl TaskDone {
    /// What a plan has done in one run, as a task of a stage, with the sizes of its output.
    pub(crate) fn of(stage: usize, plan: &Arc<dyn ExecutionPlan>, before: &Before, parts: Vec<(u64, u64)>) -> Self {
        let operators = flat(plan).into_iter().map(|(_, plan)| done_by(&plan, before)).collect();
        Self { parts, stages: StagesDone(BTreeMap::from([(stage, StageDone { tasks: 1, operators })])) }
    }

    /// The same where the rows are dealt out by an operator above the plan, of which nothing is known.
    pub(crate) fn dealt_out(mut self) -> Self {
        for stage in self.stages.0.values_mut() {
            stage.operators.insert(0, OperatorDone { name: DEALS.to_string(), ..OperatorDone::default() });
        }
        self
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Texts and numbers can always be written down.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// `None` for what is none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

fn done_by(plan: &Arc<dyn ExecutionPlan>, before: &Before) -> OperatorDone {
    let mut metrics = MetricsSet::new();
    let all = plan.metrics().unwrap_or_default();
    all.iter().filter(|metric| !before.has(metric)).for_each(|metric| metrics.push(Arc::clone(metric)));
    let metrics = metrics.aggregate_by_name();
    OperatorDone {
        name: plan.name().to_string(),
        is_source: plan.children().is_empty() && !plan.is::<ExchangeReadExec>(),
        counted: metrics.iter().filter_map(|metric| counted(metric.value())).collect(),
        skipped: skipped_by(plan.as_ref()).map(|skipped| skipped.files().into_iter().collect()).unwrap_or_default(),
    }
}

fn counted(value: &MetricValue) -> Option<((Kind, String), (u64, u64))> {
    let kind = match value {
        MetricValue::OutputRows(_) => Kind::Rows,
        MetricValue::OutputBytes(_) => Kind::Bytes,
        MetricValue::OutputBatches(_) => Kind::Batches,
        MetricValue::ElapsedCompute(_) => Kind::Compute,
        MetricValue::SpillCount(_) => Kind::Spills,
        MetricValue::SpilledBytes(_) => Kind::SpilledBytes,
        MetricValue::SpilledRows(_) => Kind::SpilledRows,
        MetricValue::Count { .. } => Kind::Count,
        MetricValue::Gauge { .. } => Kind::Gauge,
        MetricValue::PeakMemoryUsage { .. } => Kind::Peak,
        MetricValue::Time { .. } => Kind::Time,
        MetricValue::PruningMetrics { name, pruning_metrics } => {
            let counts = (pruning_metrics.pruned() as u64, pruning_metrics.matched() as u64);
            return Some(((Kind::Pruned, name.to_string()), counts));
        }
        // What is a moment, or a ratio, is nothing to add up.
        _ => return None,
    };
    Some(((kind, value.name().to_string()), (value.as_usize() as u64, 0)))
}

impl Kind {
    fn metric(self, name: &str, (one, other): (u64, u64)) -> MetricValue {
        let name = || name.to_string().into();
        let count = Count::new();
        count.add(one as usize);
        match self {
            Self::Rows => MetricValue::OutputRows(count),
            Self::Bytes => MetricValue::OutputBytes(count),
            Self::Batches => MetricValue::OutputBatches(count),
            Self::Compute => MetricValue::ElapsedCompute(time(one)),
            Self::Spills => MetricValue::SpillCount(count),
            Self::SpilledBytes => MetricValue::SpilledBytes(count),
            Self::SpilledRows => MetricValue::SpilledRows(count),
            Self::Count => MetricValue::Count { name: name(), count },
            Self::Gauge => MetricValue::Gauge { name: name(), gauge: gauge(one) },
            Self::Peak => MetricValue::PeakMemoryUsage { name: name(), gauge: gauge(one) },
            Self::Time => MetricValue::Time { name: name(), time: time(one) },
            Self::Pruned => {
                let pruning_metrics = PruningMetrics::new();
                pruning_metrics.add_pruned(one as usize);
                pruning_metrics.add_matched(other as usize);
                MetricValue::PruningMetrics { name: name(), pruning_metrics }
            }
        }
    }
}

fn time(nanoseconds: u64) -> Time {
    let time = Time::new();
    if nanoseconds > 0 {
        time.add_duration(Duration::from_nanos(nanoseconds));
    }
    time
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::new();
    gauge.add(value as usize);
    gauge
}

impl OperatorDone {
    fn add(&mut self, other: Self) {
        for ((kind, name), (one, more)) in other.counted {
            // One process's most is no part of all processes' most.
            let is_peak = kind == Kind::Peak || name.contains("peak");
            let own = self.counted.entry((kind, name)).or_default();
            own.0 = if is_peak { own.0.max(one) } else { own.0 + one };
            own.1 += more;
        }
        self.skipped.extend(other.skipped);
    }

    fn count(&self, name: &str) -> u64 {
        self.counted.iter().filter(|((_, own), _)| own == name).map(|(_, (count, _))| count).sum()
    }

    fn metrics(&self) -> MetricsSet {
        let mut metrics = MetricsSet::new();
        for ((kind, name), counts) in &self.counted {
            metrics.push(Arc::new(Metric::new(kind.metric(name, *counts), None)));
        }
        metrics.sorted_for_display()
    }
}

impl StagesDone {
    /// Adds what other tasks did.
    pub(crate) fn add(&mut self, other: Self) {
        for (number, stage) in other.0 {
            let own = self.0.entry(number).or_default();
            if own.operators.is_empty() {
                *own = stage;
                continue;
            }
            own.tasks += stage.tasks;
            for (place, operator) in stage.operators.into_iter().enumerate() {
                // A task whose plan has other operators is one of a leaf that is empty there.
                let same = own.operators.get(place).is_some_and(|own| own.name == operator.name);
                let found = own.operators.iter().position(|own| own.name == operator.name);
                match if same { Some(place) } else { found } {
                    Some(place) => own.operators[place].add(operator),
                    None => own.operators.push(operator),
                }
            }
        }
    }

    fn operators(&self) -> impl Iterator<Item = &OperatorDone> {
        self.0.values().flat_map(|stage| &stage.operators)
    }

    /// What all tasks did together, under the names that operators of one process count by.
    pub(crate) fn in_all(&self) -> MetricsSet {
        let mut metrics = MetricsSet::new();
        let mut push = |kind: Kind, name: &str, count: u64| {
            if count > 0 {
                metrics.push(Arc::new(Metric::new(kind.metric(name, (count, 0)), None)));
            }
        };
        push(Kind::SpilledBytes, "", self.operators().map(|operator| operator.count("spilled_bytes")).sum());
        for name in [FAILED_ROWS, BYTES_SCANNED] {
            push(Kind::Count, name, self.operators().map(|operator| operator.count(name)).sum());
        }
        let sources = self.operators().filter(|operator| operator.is_source);
        push(Kind::Count, ROWS_SCANNED, sources.map(|operator| operator.count("output_rows")).sum());
        metrics
    }

    /// Tells the tables of this process which files were left out.
    pub(crate) fn tell_skipped(&self, graph: &StageGraph) {
        for (number, done) in &self.0 {
            let is_any = done.operators.iter().any(|operator| !operator.skipped.is_empty());
            let plan = graph.stages.get(*number).filter(|_| is_any).and_then(|stage| stage.plan_of(0).ok());
            let Some(plan) = plan else { continue };
            let scans: Vec<_> = flat(&plan).iter().map(|(_, plan)| skipped_by(plan.as_ref())).collect();
            for (place, operator) in done.operators.iter().enumerate() {
                // A task whose plan has other operators tells of its scan elsewhere.
                let own = scans.get(place).and_then(Option::as_ref).or_else(|| scans.iter().flatten().next());
                own.iter().for_each(|own| operator.skipped.iter().for_each(|file| own.note(file)));
            }
        }
    }

    /// The operators of a stage, a line each, with what they did.
    pub(crate) fn lines(&self, graph: &StageGraph, number: usize) -> Option<Vec<String>> {
        let done = self.0.get(&number)?;
        let plan = graph.stages.get(number)?.plan_of(0).ok()?;
        let lines = flat(&plan).into_iter().enumerate().map(|(place, (depth, plan))| {
            let line = displayable(plan.as_ref()).one_line().to_string();
            let own = done.operators.get(place).filter(|own| own.name == plan.name());
            let metrics = own.map(OperatorDone::metrics).unwrap_or_default();
            format!("{:width$}{}, metrics=[{metrics}]", "", line.trim_end(), width = depth * 2)
        });
        Some(lines.collect())
    }
}

/// The operators of a plan with how deep they stand, each before those below it.
fn flat(plan: &Arc<dyn ExecutionPlan>) -> Vec<(usize, Arc<dyn ExecutionPlan>)> {
    fn add(plan: &Arc<dyn ExecutionPlan>, depth: usize, to: &mut Vec<(usize, Arc<dyn ExecutionPlan>)>) {
        to.push((depth, Arc::clone(plan)));
        plan.children().into_iter().for_each(|child| add(child, depth + 1, to));
    }
    let mut operators = Vec::new();
    add(plan, 0, &mut operators);
    operators
}
