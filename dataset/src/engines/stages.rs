//! The stages of a plan as plain data: what each task reads, what it runs, and in how many parts its output lies.
//!
//! A task writes one object with a part for each partition of its output. Which parts a task of the next stage reads is
//! arithmetic on numbers ([`Input::parts`]), so that neither the plan nor the protocol lists them.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use datafusion_distributed::{
    BroadcastExec, DistributedExec, DistributedLeafExec, MaybeEncoded, NetworkBoundary, NetworkBoundaryExt,
    NetworkBroadcastExec, NetworkCoalesceExec, ProducerHead, Stage as Boundary,
};
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::write::WriteFilesExec;
use sheaf_core::Result;
use sheaf_core::ids::ObjectId;

use super::exchange::ExchangeReadExec;
use super::pools::FeedingExec;
use crate::operators::hash_join::{can_fall_back, is_spread};
use crate::operators::own_files;
use crate::operators::stored::StoredExec;
use crate::rules::within_task::within_task;

/// How a stage reads another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Each task has parts of its own of all tasks: rows that hash alike meet.
    Shuffle,
    /// Each task has all parts of all tasks.
    Broadcast,
    /// Each task has all parts of tasks of its own.
    Coalesce,
    /// Each task has all parts of all tasks, those of a task as one partition, to know which keys there are: their rows go
    /// elsewhere.
    Keys,
}

/// What a stage reads of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// The number of that stage in the graph.
    pub stage: usize,
    /// How it is read.
    pub way: Way,
    /// The tasks of that stage.
    pub tasks: usize,
    /// The parts that each of them writes.
    pub parts: usize,
    /// The partitions that a task reads them as.
    pub partitions: usize,
}

impl Input {
    /// What a task of the reading stage reads as one of its partitions: tasks of the stage that is read, and the part
    /// of each, or, for their keys, the first of all parts. `of` is how many tasks the reading stage has.
    #[must_use]
    pub fn parts(&self, task: usize, of: usize, partition: usize) -> Vec<(usize, usize)> {
        match self.way {
            Way::Shuffle => (0..self.tasks).map(|from| (from, task * self.partitions + partition)).collect(),
            Way::Broadcast => (0..self.tasks).map(|from| (from, partition)).collect(),
            Way::Keys => {
                if partition < self.tasks {
                    vec![(partition, 0)]
                } else {
                    Vec::new()
                }
            }
            Way::Coalesce => {
                let (first, count) = group(self.tasks, task, of);
                // Runs of all that the largest of the groups has, one part each where there are enough partitions.
                let most = self.tasks.div_ceil(of.max(1)) * self.parts;
                let each = most.div_ceil(self.partitions.max(1));
                let own = partition * each..((partition + 1) * each).min(count * self.parts);
                own.map(|at| (first + at / self.parts, at % self.parts)).collect()
            }
        }
    }

    /// The tasks of the stage that is read of which a task reads anything.
    #[must_use]
    pub fn sources(&self, task: usize, of: usize) -> std::ops::Range<usize> {
        match self.way {
            Way::Shuffle | Way::Broadcast | Way::Keys => 0..self.tasks,
            Way::Coalesce => {
                let (first, count) = group(self.tasks, task, of);
                first..first + count
            }
        }
    }
}

/// The first of those of `all` that belong to one of `of` groups, and how many there are: the first groups have one
/// more where it does not come out even.
fn group(all: usize, number: usize, of: usize) -> (usize, usize) {
    let (each, more) = (all / of.max(1), all % of.max(1));
    (number * each + number.min(more), each + usize::from(number < more))
}

/// The part of a plan between exchanges.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What runs, for all tasks: leaves that differ between them are `DistributedLeafExec`.
    pub plan: Arc<dyn ExecutionPlan>,
    /// How many tasks it has.
    pub tasks: usize,
    /// What it reads; [`ExchangeReadExec`] has the place here.
    pub inputs: Vec<Input>,
    /// The same as datafusion-distributed has them, each with all that is below it.
    pub(super) boundaries: Vec<Arc<dyn ExecutionPlan>>,
    /// Whether its first operator deals the rows out to the tasks of the reading stage.
    pub(super) deals: bool,
    /// Whether some of a task's parts may be read of one attempt and others of another one.
    pub(super) in_parts: bool,
    /// Whether it is fed by another stage while that runs.
    pub(super) is_fed: bool,
}

impl Stage {
    /// The plan of one task: of leaves that differ its own, and fresh state throughout, for a plan runs once.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Internal`] when a leaf has none for it.
    pub fn plan_of(&self, task: usize) -> Result<Arc<dyn ExecutionPlan>> {
        self.own(&self.plan, task, |join| !self.keeps_parts() || !is_spread(join))
    }

    /// What runs, without the operator that deals the rows out.
    pub(super) fn body(&self) -> &Arc<dyn ExecutionPlan> {
        let dealt = self.plan.downcast_ref::<RepartitionExec>().filter(|_| self.deals);
        dealt.map_or(&self.plan, RepartitionExec::input)
    }

    /// As [`Stage::plan_of`], without the operator that deals the rows out, for a task that has one attempt.
    pub(super) fn body_of(&self, task: usize) -> Result<Arc<dyn ExecutionPlan>> {
        self.own(self.body(), task, |_| true)
    }

    /// A task's plan. Joins that `may_go_on` give rows in other partitions when they go on from disk.
    fn own(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        task: usize,
        may_go_on: impl Fn(&HashJoinExec) -> bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let own = |plan: Arc<dyn ExecutionPlan>| {
            let Some(leaf) = plan.downcast_ref::<DistributedLeafExec>() else { return Ok(Transformed::no(plan)) };
            let leaves = leaves_of(leaf, self.tasks)?;
            let own = leaves.get(task).map(Arc::clone);
            own.map(Transformed::yes).ok_or_else(|| unplanned(&format!("a leaf has nothing for task {task}")))
        };
        let plan = Arc::clone(plan).transform_up(own).data();
        // Which rows are in which part is decided before it runs.
        let plan = plan.and_then(own_files::everywhere);
        plan.and_then(|plan| within_task(plan, may_go_on)).map_err(from_datafusion)
    }

    /// Whether each attempt has to put the same rows into the same parts, and that does not follow from the rows.
    pub(super) fn keeps_parts(&self) -> bool {
        self.in_parts && !self.goes_by_keys()
    }

    /// Whether which part a row is in follows from the row alone, whichever way it came.
    pub(super) fn goes_by_keys(&self) -> bool {
        let exchange = self.plan.downcast_ref::<RepartitionExec>().map(RepartitionExec::partitioning);
        matches!(exchange, Some(Partitioning::Hash(..))) || self.parts() == 1
    }

    /// The objects of stored rows that a task reads.
    ///
    /// # Errors
    /// As [`Stage::plan_of`].
    pub fn stored_objects(&self, task: usize) -> Result<Vec<ObjectId>> {
        let mut stored = Vec::new();
        let added = self.plan.apply(|node| {
            let leaf = node.downcast_ref::<DistributedLeafExec>();
            let own = leaf.map(|leaf| leaves_of(leaf, self.tasks)).transpose()?;
            match own.and_then(|own| own.get(task)) {
                Some(own) => own.apply(|node| add_stored(node, &mut stored)).map(|_| TreeNodeRecursion::Jump),
                None => add_stored(node, &mut stored),
            }
        });
        added.map_err(from_datafusion)?;
        stored.sort_unstable();
        stored.dedup();
        Ok(stored)
    }

    /// Whether its rows are those of files that it writes.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.plan.exists(|node| Ok(node.is::<WriteFilesExec>())).unwrap_or_default()
    }

    /// The parts of the output of each task.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.plan.output_partitioning().partition_count()
    }
}

fn add_stored(node: &Arc<dyn ExecutionPlan>, to: &mut Vec<ObjectId>) -> EngineResult<TreeNodeRecursion> {
    let reads = node.downcast_ref::<StoredExec>().into_iter().flat_map(StoredExec::reads);
    to.extend(reads);
    Ok(TreeNodeRecursion::Continue)
}

/// What each of so many tasks has of a leaf: one task has all of it, also where it is cut for more.
pub(super) fn leaves_of(leaf: &DistributedLeafExec, tasks: usize) -> EngineResult<&[Arc<dyn ExecutionPlan>]> {
    match leaf.variants() {
        _ if tasks == 1 => Ok(std::slice::from_ref(leaf.original())),
        variants if variants.len() == tasks => Ok(variants),
        variants => Err(unplanned(&format!("a leaf is cut for {} tasks, and its stage has {tasks}", variants.len()))),
    }
}

/// All stages of a plan, each after those that it reads. The last one gives the result, its tasks one after the other.
#[derive(Debug, Clone)]
pub struct StageGraph {
    /// In that order.
    pub stages: Vec<Stage>,
}

impl StageGraph {
    /// The stages of a plan of datafusion-distributed's; of any other plan, one stage of one task.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Internal`] for a plan that was cut in a way that is not known here.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        let root = match plan.downcast_ref::<DistributedExec>() {
            Some(root) => root.children().first().map_or(plan, |child| *child),
            None => plan,
        };
        let mut stages = Vec::new();
        let last = cut(root, 1, &mut stages).map_err(from_datafusion)?;
        // What would only be brought together is read where it is.
        if stages.is_empty() || !only_gathers(&last) {
            stages.push(last);
        }
        mark_parts(&mut stages);
        Ok(Self { stages })
    }

    /// The tasks of a stage in the order in which they are to run: of what feeds others while it runs, the first one of
    /// each reader comes first.
    pub(super) fn order_of(&self, number: usize) -> Vec<usize> {
        let tasks = self.stages[number].tasks;
        let reads = |stage: &&Stage| stage.is_fed && stage.inputs.iter().any(|input| input.stage == number);
        let readers = self.stages.iter().find(reads).map_or(1, |stage| stage.tasks);
        let mut order: Vec<_> = (0..readers)
            .flat_map(|reader| {
                let (first, count) = group(tasks, reader, readers);
                (0..count).map(move |at| (at, first + at))
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, task)| task).collect()
    }

    /// The same for a result that is read once, part after part.
    #[must_use]
    pub fn read_once(mut self) -> Self {
        if let Some(last) = self.stages.last_mut() {
            gather_joined(last);
        }
        mark_parts(&mut self.stages);
        self
    }
}

/// A result is read part after part: in one, its rows may be dealt out otherwise by each attempt, as those of a join with
/// one build side for all partitions are that goes on from disk.
fn gather_joined(last: &mut Stage) {
    let goes_on = |join: &HashJoinExec| is_spread(join) && can_fall_back(join);
    let goes_on = |node: &Arc<dyn ExecutionPlan>| Ok(node.downcast_ref::<HashJoinExec>().is_some_and(goes_on));
    if last.keeps_parts() && last.plan.exists(goes_on).unwrap_or_default() {
        last.plan = Arc::new(CoalescePartitionsExec::new(Arc::clone(&last.plan)));
    }
}

/// Which stages are read in parts: the last one, those whose rows are dealt out, and what is read whole by a stage that has
/// to put rows where they were before.
fn mark_parts(stages: &mut [Stage]) {
    for number in (0..stages.len()).rev() {
        let keeps_parts = stages[number].keeps_parts();
        // Keys are asked for all together.
        for input in stages[number].inputs.clone().iter().filter(|input| input.way != Way::Keys) {
            stages[input.stage].in_parts = input.way == Way::Shuffle || keeps_parts;
        }
    }
}

/// Whether a stage does nothing but bring the rows of the one before it together, in no order.
fn only_gathers(stage: &Stage) -> bool {
    let Some(gather) = stage.plan.downcast_ref::<CoalescePartitionsExec>() else { return false };
    gather.fetch().is_none()
        && gather.input().is::<ExchangeReadExec>()
        && matches!(stage.inputs[..], [Input { way: Way::Coalesce, .. }])
}

/// A stage of so many tasks, after those below it.
fn cut(plan: &Arc<dyn ExecutionPlan>, tasks: usize, stages: &mut Vec<Stage>) -> EngineResult<Stage> {
    let (mut inputs, mut boundaries) = (Vec::new(), Vec::new());
    let mut is_fed = false;
    let read = |plan: Arc<dyn ExecutionPlan>| {
        let input = match (plan.as_network_boundary(), plan.downcast_ref::<FeedingExec>()) {
            (Some(boundary), _) => below(&plan, boundary, tasks, stages)?,
            (None, Some(feeding)) => {
                is_fed = true;
                input_of(cut(&feeding.input, feeding.tasks, stages)?, Way::Coalesce, &plan, stages)
            }
            (None, None) => return Ok(Transformed::no(plan)),
        };
        let read = ExchangeReadExec::new(Arc::clone(plan.properties()), inputs.len(), input);
        inputs.push(input);
        boundaries.push(plan);
        Ok(Transformed::new(Arc::new(read) as Arc<dyn ExecutionPlan>, true, TreeNodeRecursion::Jump))
    };
    let plan = Arc::clone(plan).transform_down(read)?.data;
    Ok(Stage { plan, tasks, inputs, boundaries, deals: false, in_parts: true, is_fed })
}

/// Cuts what is below a boundary, which a stage of so many tasks reads.
fn below(
    plan: &Arc<dyn ExecutionPlan>,
    boundary: &dyn NetworkBoundary,
    readers: usize,
    stages: &mut Vec<Stage>,
) -> EngineResult<Input> {
    let Boundary::Local(input) = boundary.input_stage() else {
        return Err(unplanned("a stage below is elsewhere already"));
    };
    let head = headless(&input.plan);
    let (head, way) = match boundary.producer_head(readers)? {
        ProducerHead::RepartitionExec { partitioning: MaybeEncoded::Decoded(partitioning) } => {
            (Arc::new(RepartitionExec::try_new(head, partitioning)?) as Arc<dyn ExecutionPlan>, Way::Shuffle)
        }
        ProducerHead::RepartitionExec { .. } => return Err(unplanned("a partitioning is encoded")),
        // What every task reads is kept once, and not once for each.
        ProducerHead::BroadcastExec { .. } if plan.is::<NetworkBroadcastExec>() => (head, Way::Broadcast),
        ProducerHead::None if plan.is::<NetworkCoalesceExec>() => (head, Way::Coalesce),
        _ => return Err(unplanned(&format!("{} is not known", plan.name()))),
    };
    // The rows of several tasks come as they are ready.
    if way == Way::Shuffle && input.tasks > 1 && plan.output_ordering().is_some() {
        return Err(unplanned("rows are to be in order behind an exchange"));
    }
    let stage = Stage { deals: way == Way::Shuffle, ..cut(&head, input.tasks, stages)? };
    Ok(input_of(stage, way, plan, stages))
}

/// A stage as what is read of it in that way, as the partitions of an operator.
fn input_of(stage: Stage, way: Way, reads: &Arc<dyn ExecutionPlan>, stages: &mut Vec<Stage>) -> Input {
    let (tasks, parts) = (stage.tasks, stage.parts());
    stages.push(stage);
    Input { stage: stages.len() - 1, way, tasks, parts, partitions: reads.output_partitioning().partition_count() }
}

/// A stage without the operator that deals its rows out: that depends on who reads them.
pub(super) fn headless(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let repartition = plan.downcast_ref::<RepartitionExec>().map(RepartitionExec::input);
    let broadcast = plan.downcast_ref::<BroadcastExec>().map(BroadcastExec::input);
    Arc::clone(repartition.or(broadcast).unwrap_or(plan))
}

pub(super) fn unplanned(why: &str) -> DataFusionError {
    DataFusionError::Internal(format!("a plan was cut into stages in an unknown way: {why}"))
}

impl fmt::Display for StageGraph {
    /// One line for each stage, the last one first, with its plan below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, stage) in self.stages.iter().enumerate().rev() {
            writeln!(f, "Stage {number}: tasks={}, parts={}", stage.tasks, stage.parts())?;
            let plan = datafusion::physical_plan::displayable(stage.plan.as_ref()).indent(true).to_string();
            plan.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;

    /// How often each part of each task of the stage that is read is read, by all tasks of the reading one.
    fn read(input: &Input, readers: usize) -> Vec<Vec<usize>> {
        let mut times = vec![vec![0; input.parts]; input.tasks];
        for task in 0..readers {
            for partition in 0..input.partitions {
                for (from, part) in input.parts(task, readers, partition) {
                    assert!(input.sources(task, readers).contains(&from));
                    times[from][part] += 1;
                }
            }
        }
        times
    }

    /// A stage with so many parts, by keys or not, that reads these stages.
    fn stage(parts: usize, by_keys: bool, reads: &[(usize, Way)]) -> Stage {
        let schema = Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]));
        let rows: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(schema).with_partitions(parts));
        let keys = || Partitioning::Hash(vec![Arc::new(Column::new("k", 0))], parts);
        let plan = if by_keys { Arc::new(RepartitionExec::try_new(rows, keys()).unwrap()) } else { rows };
        let input = |(stage, way): &(usize, Way)| Input { stage: *stage, way: *way, tasks: 2, parts: 2, partitions: 2 };
        let (inputs, boundaries) = (reads.iter().map(input).collect(), Vec::new());
        Stage { plan, tasks: 2, inputs, boundaries, deals: by_keys, in_parts: true, is_fed: false }
    }

    #[test]
    fn rows_are_to_be_in_the_parts_they_were_in_where_another_reader_may_see_the_others() {
        for (way, last_parts, deals, expected) in [
            // What is read whole by a task of which the parts are read one by one.
            (Way::Coalesce, 2, false, [true, true, true]),
            (Way::Broadcast, 2, false, [true, true, true]),
            // The result is one part: nobody reads another one of it.
            (Way::Coalesce, 1, false, [false, false, false]),
            // Where they go follows from the rows.
            (Way::Shuffle, 2, true, [false, false, true]),
            (Way::Shuffle, 1, true, [false, false, false]),
        ] {
            let first = stage(2, false, &[]);
            let second = stage(2, deals, &[(0, Way::Coalesce)]);
            let mut stages = [first, second, stage(last_parts, false, &[(1, way)])];
            mark_parts(&mut stages);
            assert_eq!(stages.each_ref().map(Stage::keeps_parts), expected, "{way:?}, {last_parts} parts, {deals}");
        }
    }

    #[test]
    fn every_part_is_read_as_often_as_it_is_wanted() {
        for readers in 1..=7 {
            for tasks in 1..=7 {
                for each in 1..=4 {
                    let input = |way, parts, partitions| Input { stage: 0, way, tasks, parts, partitions };
                    let shuffle = input(Way::Shuffle, each * readers, each);
                    assert!(read(&shuffle, readers).iter().flatten().all(|times| *times == 1));
                    let broadcast = input(Way::Broadcast, each, each);
                    assert!(read(&broadcast, readers).iter().flatten().all(|times| *times == readers));
                    let coalesce = input(Way::Coalesce, each, each * tasks.div_ceil(readers));
                    assert!(read(&coalesce, readers).iter().flatten().all(|times| *times == 1));
                }
            }
        }
    }
}
