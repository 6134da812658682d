//! What one side of a join drops by the keys of the other one before it is sent to where both meet.
//!
//! The operators of one process tell their scans which rows still matter, through all that is between. Those of a task
//! tell the scans of that task; where rows come from another stage, that stage can be told too, if it waits: it reads
//! the keys of the other side's stage, of which it drops what they leave out. That costs nothing but time where tasks
//! would run side by side, and spares most of a shuffle where the other side chooses few rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExprRef};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, replace_children_if_necessary};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};

use super::exchange::ExchangeReadExec;
use super::spread::{calls_functions, largest_scan};
use super::stages::{Input, Stage, StageGraph, Way};
use crate::operators::compact::CompactExec;
use crate::operators::float_keys::holds_floats;
use crate::operators::hash_join::SpillingHashJoinExec;
use crate::operators::keys_filter::KeysFilterExec;

/// Stages whose keys one stage reads at the most.
const MOST_READ: usize = 2;

/// A stage that drops rows by the keys of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reducer {
    /// Whose rows are dropped.
    stage: usize,
    /// Whose keys are read.
    by: usize,
    /// Whether the keys are those of a side that is read as it comes, which tends to have more rows.
    by_probe: bool,
    /// Columns of the keys, and of the rows.
    on: Vec<(usize, usize)>,
}

impl StageGraph {
    /// The same with stages that drop what another one leaves out, where they read so many bytes of files at the least.
    #[must_use]
    pub(super) fn reduced(self, least: usize) -> Self {
        self.clone().with_reducers(least).unwrap_or_else(|error| {
            log::warn!("the stages of a query drop nothing by the keys of others: {error}");
            self
        })
    }

    fn with_reducers(mut self, least: usize) -> Result<Self> {
        let mut reducers = Vec::<Reducer>::new();
        for number in 0..self.stages.len() {
            for reducer in self.reducers_in(number) {
                let of_it = reducers.iter().filter(|other| other.stage == reducer.stage);
                let is_new = of_it.clone().all(|other| other.by != reducer.by) && of_it.count() < MOST_READ;
                if is_new && self.is_worth_it(&reducer, least) {
                    self.reduce(&reducer)?;
                    reducers.push(reducer);
                }
            }
        }
        if reducers.is_empty() { Ok(self) } else { self.in_order() }
    }

    /// What the joins of a stage would have others drop.
    fn reducers_in(&self, number: usize) -> Vec<Reducer> {
        let (mut found, stage) = (Vec::<Reducer>::new(), &self.stages[number]);
        // No visit of ours fails.
        let _ = stage.plan.apply(|node| {
            if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                let by_probe = !goes_by_left(join);
                for (by, reduced) in pairs(join) {
                    let by = self.at(stage, by);
                    let (stage, column) = self.deepest(self.at(stage, reduced));
                    match found.iter_mut().find(|other| (other.stage, other.by) == (stage, by.0)) {
                        Some(other) => other.on.push((by.1, column)),
                        None => found.push(Reducer { stage, by: by.0, on: vec![(by.1, column)], by_probe }),
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        found
    }

    /// A column of an input, as one of the stage that it reads.
    fn at(&self, stage: &Stage, (input, column): (usize, usize)) -> (usize, usize) {
        (stage.inputs[input].stage, column)
    }

    /// The stage from which a column of a stage comes as it is, and whose rows can be dropped by it.
    fn deepest(&self, (mut number, mut column): (usize, usize)) -> (usize, usize) {
        while let Some(read) = origin(&self.stages[number].plan, column, true) {
            (number, column) = self.at(&self.stages[number], read);
        }
        (number, column)
    }

    fn is_worth_it(&self, reducer: &Reducer, least: usize) -> bool {
        let stage = &self.stages[reducer.stage];
        // Functions are called for all rows anyhow, and are not to wait for each other.
        let calls = |stage: &Stage| stage.is_fed || calls_functions(&stage.plan);
        let (rows, keys) = (self.rows_of(reducer.stage), self.rows_of(reducer.by));
        let most = |stages: &[&Stage]| stages.iter().map(|stage| largest_scan(&stage.plan)).max().unwrap_or_default();
        let schema = stage.plan.schema();
        // A filter on a name that two columns have goes no further.
        let is_alone = |(_, column): &(usize, usize)| {
            let name = schema.field(*column).name();
            schema.fields().iter().filter(|field| field.name() == name).count() == 1
        };
        // What waits for keys must not be what they are made of.
        !self.below(reducer.by).contains(&reducer.stage)
            && !calls(stage)
            && !keys.iter().any(|stage| calls(stage))
            && keys.iter().any(|stage| chooses(&stage.plan))
            && most(&rows) >= least
            && (!reducer.by_probe || most(&keys) <= most(&rows))
            && reducer.on.iter().all(is_alone)
    }

    /// A stage and all that it is made of, and waits for.
    fn below(&self, number: usize) -> BTreeSet<usize> {
        self.closure(number, |_| true)
    }

    /// A stage and those from which its rows come.
    fn rows_of(&self, number: usize) -> Vec<&Stage> {
        let stages = self.closure(number, |input| input.way != Way::Keys);
        stages.into_iter().map(|number| &self.stages[number]).collect()
    }

    fn closure(&self, number: usize, reads: impl Fn(&Input) -> bool) -> BTreeSet<usize> {
        let (mut found, mut next) = (BTreeSet::new(), vec![number]);
        while let Some(number) = next.pop() {
            if found.insert(number) {
                let inputs = self.stages[number].inputs.iter().filter(|input| reads(input));
                next.extend(inputs.map(|input| input.stage));
            }
        }
        found
    }

    fn reduce(&mut self, reducer: &Reducer) -> Result<()> {
        let keys = &self.stages[reducer.by];
        let (tasks, parts) = (keys.tasks, keys.parts());
        let input = Input { stage: reducer.by, way: Way::Keys, tasks, parts, partitions: tasks };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(keys.plan.schema()),
            Partitioning::UnknownPartitioning(tasks),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let stage = &mut self.stages[reducer.stage];
        let keys = Arc::new(ExchangeReadExec::new(Arc::new(properties), stage.inputs.len(), input));
        let body = Arc::clone(stage.body());
        let filter: Arc<dyn ExecutionPlan> = Arc::new(KeysFilterExec::new(body, keys, reducer.on.clone()));
        stage.plan = match stage.deals {
            true => replace_children_if_necessary(Arc::clone(&stage.plan), vec![filter])?,
            false => filter,
        };
        stage.inputs.push(input);
        Ok(())
    }

    /// The stages with each of them after those that it reads.
    fn in_order(self) -> Result<Self> {
        let mut order = Vec::new();
        for number in 0..self.stages.len() {
            self.add_in_order(number, &mut order);
        }
        let place = |stage: usize| order.iter().position(|other| *other == stage).unwrap_or(stage);
        let moved = order.iter().map(|number| {
            let mut stage = self.stages[*number].clone();
            stage.inputs.iter_mut().for_each(|input| input.stage = place(input.stage));
            let inputs = stage.inputs.clone();
            let read = |node: Arc<dyn ExecutionPlan>| {
                let own = node.downcast_ref::<ExchangeReadExec>();
                let own = own.and_then(|read| Some(read.with_input(*inputs.get(read.number())?)));
                Ok(own.map_or_else(|| Transformed::no(node), |read| Transformed::yes(Arc::new(read) as _)))
            };
            stage.plan = Arc::clone(&stage.plan).transform_up(read).data()?;
            Ok(stage)
        });
        Ok(Self { stages: moved.collect::<Result<_>>()? })
    }

    fn add_in_order(&self, number: usize, order: &mut Vec<usize>) {
        if !order.contains(&number) {
            self.stages[number].inputs.iter().for_each(|input| self.add_in_order(input.stage, order));
            order.push(number);
        }
    }
}

/// The keys of a join by which rows of one side can be dropped, where both come from other stages: for each the input and
/// column that has the keys, and that has the rows.
fn pairs(join: &HashJoinExec) -> Vec<((usize, usize), (usize, usize))> {
    let is_plain = !join.null_aware && join.null_equality() == NullEquality::NullEqualsNothing;
    let by_left = goes_by_left(join);
    let keys = join.on().iter().filter(|_| is_plain && *join.join_type() != JoinType::Full);
    let pair = |(left, right): &(PhysicalExprRef, PhysicalExprRef)| {
        let (left, right) = ((join.left(), left), (join.right(), right));
        let (by, reduced) = if by_left { (left, right) } else { (right, left) };
        let types = [by, reduced].map(|(plan, key)| key.data_type(&plan.schema()).ok());
        let are_alike = types[0] == types[1] && types[0].as_ref().is_some_and(|of| !holds_floats(of));
        let column = |key: &PhysicalExprRef| key.downcast_ref::<Column>().map(Column::index);
        let from = origin(by.0, column(by.1)?, false)?;
        are_alike.then_some((from, origin(reduced.0, column(reduced.1)?, true)?))
    };
    keys.filter_map(pair).collect()
}

/// Whether rows of the right side without a match in the left one, which is built first, are dropped anyway; otherwise it
/// is the other way round, or neither.
fn goes_by_left(join: &HashJoinExec) -> bool {
    !matches!(join.join_type(), JoinType::Right | JoinType::RightAnti | JoinType::RightMark | JoinType::Full)
}

/// The input of a stage, and the column of it, that a column comes from as it is. If it is to be `droppable`, rows of that
/// input whose value is not wanted can be dropped without any other change.
fn origin(plan: &Arc<dyn ExecutionPlan>, column: usize, droppable: bool) -> Option<(usize, usize)> {
    if let Some(read) = plan.downcast_ref::<ExchangeReadExec>() {
        return (read.input().way != Way::Keys).then(|| (read.number(), column));
    }
    if plan.fetch().is_some() {
        return None;
    }
    let children = plan.children();
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let (is_left, column) = side_of(join, column)?;
        let is_kept = match join.join_type() {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => is_left,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => !is_left,
            JoinType::Full | JoinType::LeftMark | JoinType::RightMark => false,
        };
        // Of the other side it may be null besides, which is equal to nothing.
        let is_its_own = is_kept && !join.null_aware;
        let side = if is_left { join.left() } else { join.right() };
        return if is_its_own || !droppable { origin(side, column, droppable) } else { None };
    }
    if let Some(filter) = plan.downcast_ref::<KeysFilterExec>() {
        return origin(filter.input(), column, droppable);
    }
    let [input] = children[..] else { return None };
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let column = filter.projection().as_ref().map_or(Some(column), |columns| columns.get(column).copied())?;
        return origin(input, column, droppable);
    }
    if let Some(project) = plan.downcast_ref::<ProjectionExec>() {
        let own = project.expr().get(column)?.expr.downcast_ref::<Column>()?.index();
        return origin(input, own, droppable);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        // Groups go as a whole, and are what they were without the others.
        let groups = aggregate.group_expr();
        let own = groups.expr().get(column).filter(|_| groups.is_single())?.0.downcast_ref::<Column>()?.index();
        return origin(input, own, droppable);
    }
    let passes = plan.is::<CooperativeExec>()
        || plan.is::<CompactExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<SortExec>()
        || plan.is::<SpillingHashJoinExec>()
        || matches!(plan.name(), "CoalescePartitionsExec" | "SortPreservingMergeExec" | "CoalesceBatchesExec");
    if passes { origin(input, column, droppable) } else { None }
}

/// The side of a join that a column of its output is of, and which one there.
fn side_of(join: &HashJoinExec, column: usize) -> Option<(bool, usize)> {
    let column = join.projection.as_ref().map_or(Some(column), |columns| columns.get(column).copied())?;
    let (left, right) = (join.left().schema().fields().len(), join.right().schema().fields().len());
    match join.join_type() {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (column < left).then_some((true, column)),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (column < right).then_some((false, column)),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full if column < left => Some((true, column)),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => Some((false, column - left)),
    }
}

/// Whether a plan chooses some rows of those that it reads.
fn chooses(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_choice = |node: &Arc<dyn ExecutionPlan>| {
        let join = node.downcast_ref::<HashJoinExec>().map(HashJoinExec::join_type);
        let is_semi = join.is_some_and(|join| {
            matches!(join, JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti | JoinType::RightAnti)
        });
        Ok(node.is::<FilterExec>() || is_semi || node.fetch().is_some())
    };
    plan.exists(is_choice).unwrap_or_default()
}
