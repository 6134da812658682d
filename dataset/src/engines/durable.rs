//! The durable exchange: all tasks of all stages as fragments of the runtime, submitted at once. Each begins when what
//! it reads is somewhere; what a dead node had is made again; what no consumer can need any more is freed.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::Count;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::client::{NewFragment, Reply};
use sheaf_core::fragment::PartInput;
use sheaf_core::ids::ObjectId;
use sheaf_core::parts::Place;
use sheaf_core::wire::Reason;
use sheaf_core::{Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::cluster::{Absent, Cluster, placed};
use super::determinism::{Class, classes};
use super::exec::{Chosen, Progress};
use super::here::Here;
use super::input::PartSource;
use super::metrics::{StagesDone, TaskDone};
use super::plan::ClusterShape;
use super::pools::{holds_cpus, processes};
use super::runner::TaskPart;
use super::shipped::Shipped;
use super::stages::{Input, Way};
use super::streaming::{Told, rows_of};
use super::told::{Failed, error_of, failed_of, is_lost};

/// How often a query runs at the most: anew where a result is gone that would not be made again as it was.
const RUNS: u32 = 3;

/// After so long without a result it is told what a query waits for.
const BEFORE_TOLD: Duration = Duration::from_secs(10);

/// The tasks of one run of a query; those that are left are stopped when this goes, and their results with it.
pub(super) struct Tasks {
    cluster: Arc<Cluster>,
    /// The bytes of the plan, without which nothing is made again.
    plan: ObjectId,
    /// Of each stage.
    outputs: Vec<Vec<ObjectId>>,
    /// Whether functions of the user's are called.
    has_functions: bool,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let client = self.cluster.client();
        for output in self.outputs.iter().flatten() {
            // A node that is gone has stopped them.
            let _ = client.cancel(*output, false, false);
        }
        client.drop_ref(self.plan);
        if let Some(last) = self.outputs.last() {
            last.iter().for_each(|output| client.drop_ref(*output));
        }
    }
}

impl Tasks {
    /// Submits all of them. Only the results of the last stage are held: what is between lives for as long as a
    /// consumer may need it.
    fn submit(
        cluster: &Arc<Cluster>,
        shipped: &Shipped,
        classes: &[Class],
        shape: ClusterShape,
        ended: &Count,
    ) -> Result<Self> {
        let client = cluster.client();
        let plan = client.put(&[&shipped.bytes], cluster.held(&shipped.references))?;
        let has_functions = shipped.has_functions;
        let mut tasks = Self { cluster: Arc::clone(cluster), plan, outputs: Vec::new(), has_functions };
        let submitted = tasks.submit_stages(shipped, classes, shape);
        for output in tasks.outputs.iter().flatten() {
            let ended = ended.clone();
            let count = move |reply| ended.add(usize::from(!matches!(reply, Reply::Failed(_) | Reply::Ended)));
            client.when_there(*output, count)?;
        }
        let last = shipped.graph.stages.len() - 1;
        tasks.outputs.iter().take(last).flatten().for_each(|output| client.drop_ref(*output));
        // One that was submitted in part holds nothing either.
        tasks.outputs.resize_with(last + 1, Vec::new);
        submitted.map(|()| tasks)
    }

    fn submit_stages(&mut self, shipped: &Shipped, classes: &[Class], shape: ClusterShape) -> Result<()> {
        let client = Arc::clone(self.cluster.client());
        let asked = self.cluster.cpus_to_ask(shape.cpus)?;
        let has_functions = shipped.has_functions;
        for (number, stage) in shipped.graph.stages.iter().enumerate() {
            // Tasks that wait for processes of their own would keep the CPUs from them.
            let cpus = if processes(&stage.plan).is_empty() { asked } else { 0 };
            let options = self.cluster.options(number, cpus)?;
            // Functions may do more than give rows, and files would be written twice.
            let may_run_twice = !has_functions && !stage.writes();
            let siblings = may_run_twice.then_some(number as u32);
            // What holds no CPUs keeps none from those that feed it.
            let begins_early = stage.is_fed && cpus == 0 && !holds_cpus(&stage.plan);
            let order = shipped.graph.order_of(number);
            self.outputs.push(Vec::new());
            for task in order.iter().copied() {
                let reads = stage.inputs.iter().flat_map(|input| {
                    let outputs = &self.outputs[input.stage];
                    input.sources(task, stage.tasks).filter_map(|from| outputs.get(from).copied())
                });
                let reads = reads.chain(stage.stored_objects(task)?);
                let payload = serde_json::to_vec(&TaskPart { stage: number, task })
                    .map_err(|error| Error::internal(format!("a task: {error}")))?;
                let fragment = NewFragment {
                    options,
                    needs: vec![self.plan],
                    reads: reads.collect(),
                    is_repeatable: classes.get(number).is_none_or(Class::is_repeatable),
                    in_worker: has_functions,
                    siblings,
                    begins_early,
                    payload,
                };
                let output = client.submit_fragment(fragment)?;
                self.outputs[number].push(output);
            }
            let mut outputs: Vec<_> = order.into_iter().zip(self.outputs[number].iter().copied()).collect();
            outputs.sort_unstable();
            self.outputs[number] = outputs.into_iter().map(|(_, output)| output).collect();
        }
        Ok(())
    }

    /// An answer; what the first tasks wait for is told if none of them has begun by then.
    async fn awaited(&self, mut answer: oneshot::Receiver<Reply>, is_told: &mut bool) -> Reply {
        if !*is_told {
            tokio::select! {
                reply = &mut answer => return reply.unwrap_or(Reply::Ended),
                () = tokio::time::sleep(BEFORE_TOLD) => *is_told = true,
            }
            let first = self.outputs.first().cloned().unwrap_or_default();
            let about = self.cluster.speak(move |cluster| cluster.client().about(&first)).await.unwrap_or_default();
            let waits: Vec<String> = about.into_iter().map(|(text, ..)| text).collect();
            if let (Some(text), true) = (waits.first(), waits.iter().all(|text| text.contains(" waits for "))) {
                self.cluster
                    .tell(format!("a query waits, for none of its first {} tasks can begin: {text}", waits.len()));
            }
        }
        answer.await.unwrap_or(Reply::Ended)
    }

    fn failed(&self, reason: Reason) -> Failed {
        let is_lost = is_lost(&reason);
        let error = error_of(reason, self.cluster.functions(), self.has_functions);
        if is_lost { Failed::Lost(error) } else { Failed::Error(error) }
    }

    /// Where the results of the last stage are, once they are.
    async fn results(&self) -> std::result::Result<Vec<(ObjectId, Place)>, Failed> {
        let (mut places, mut is_told) = (Vec::new(), false);
        for output in self.outputs.last().into_iter().flatten() {
            let (sender, answer) = oneshot::channel();
            // One that nobody waits for any more is not told.
            self.cluster.client().when_placed(*output, move |reply| drop(sender.send(reply)))?;
            let place = placed(self.awaited(answer, &mut is_told).await).map_err(|absent| match absent {
                Absent::Unmade(reason) => self.failed(reason),
                Absent::Error(error) => Failed::Error(error),
            });
            places.push((*output, place?));
        }
        Ok(places)
    }
}

/// A query on its way to its rows.
pub(super) struct Query {
    pub(super) cluster: Arc<Cluster>,
    pub(super) shipped: Arc<Shipped>,
    pub(super) shape: ClusterShape,
    pub(super) schema: SchemaRef,
    pub(super) progress: Arc<Progress>,
}

impl Query {
    /// Runs it and sends its rows, in the order of its partitions, until somebody wants no more.
    ///
    /// As long as no row has gone out, a query of which a result is gone that would not be made again as it was begins
    /// anew: its consumers with it.
    pub(super) async fn run(self, exchange: Chosen, context: &TaskContext, to: mpsc::Sender<Result<RecordBatch>>) {
        let run = || {
            let run = async {
                let mut has_begun = false;
                let ended = match exchange {
                    Chosen::Streaming => self.streamed(context, &to, &mut has_begun).await,
                    Chosen::Durable(_) => self.once(&to, &mut has_begun).await,
                };
                ended.map_err(|failed| if has_begun { Failed::Error(failed.into_error()) } else { failed })
            };
            run.boxed()
        };
        let ended = tokio::select! {
            ended = self.until_nothing_is_lost(run) => ended,
            () = to.closed() => return,
        };
        if let Err(error) = ended {
            let _ = to.send(Err(error)).await;
        }
    }

    /// Runs it, and anew where a result is gone that would not be made again as it was, a few times.
    pub(super) async fn until_nothing_is_lost<'a, T>(
        &self,
        run: impl Fn() -> BoxFuture<'a, std::result::Result<T, Failed>>,
    ) -> Result<T> {
        for _ in 1..RUNS {
            match run().await {
                Err(Failed::Lost(error)) => self.cluster.tell(format!("a query begins anew: {error}")),
                ended => return ended.map_err(Failed::into_error),
            }
        }
        run().await.map_err(Failed::into_error)
    }

    async fn once(
        &self,
        to: &mpsc::Sender<Result<RecordBatch>>,
        has_begun: &mut bool,
    ) -> std::result::Result<(), Failed> {
        // They go once all rows have come.
        let (_tasks, results) = self.made().await?;
        let outputs: Vec<ObjectId> = results.iter().map(|(object, _)| *object).collect();
        let source = self.source(results)?;
        let told = self.keep_done(&source).await;
        // What was written is committed as a whole: nothing of it goes out before all is there.
        let (is_write, mut held) = (self.is_write(), Vec::new());
        let parts = outputs.into_iter().zip(told).flat_map(|(object, told)| {
            let sizes = told.map(|told| told.parts);
            let is_empty = move |part: &u32| {
                sizes.as_ref().and_then(|sizes| sizes.get(*part as usize)).is_some_and(|(rows, _)| *rows == 0)
            };
            (0..self.parts() as u32).filter(move |part| !is_empty(part)).map(move |part| (object, part))
        });
        let mut rows = self.reader().read(parts.collect());
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if is_write {
                held.push(batch);
                continue;
            }
            *has_begun = true;
            self.progress.rows.add(batch.num_rows());
            if to.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        *has_begun |= is_write;
        for batch in held {
            if to.send(Ok(batch)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The same by the streaming exchange.
    async fn streamed(
        &self,
        context: &TaskContext,
        to: &mpsc::Sender<Result<RecordBatch>>,
        has_begun: &mut bool,
    ) -> std::result::Result<(), Failed> {
        let (nodes, told) = (self.cluster.speak(|cluster| cluster.look()).await?, Told::default());
        let mut rows = rows_of(&self.cluster, &self.shipped, self.shape, context, (&nodes, &told))?;
        while let Some(batch) = rows.next().await {
            let batch = match batch.map_err(|error| failed_of(error, self.cluster.functions())) {
                Err(Failed::Lost(error)) if !*has_begun => {
                    drop(rows);
                    self.cluster.until_others(&nodes).await?;
                    return Err(Failed::Lost(error));
                }
                batch => batch?,
            };
            *has_begun = true;
            self.progress.rows.add(batch.num_rows());
            if to.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        let (tasks, all) = std::mem::take(&mut *told.lock());
        self.progress.tasks.add(tasks);
        all.tell_skipped(&self.shipped.graph);
        *self.progress.done.lock() = Some(all);
        Ok(())
    }

    /// Has the tasks run; where the results of the last stage are.
    pub(super) async fn made(&self) -> std::result::Result<(Tasks, Vec<(ObjectId, Place)>), Failed> {
        let classes = classes(&self.shipped.graph);
        let (shipped, shape) = (Arc::clone(&self.shipped), self.shape);
        let ended = self.progress.tasks.clone();
        let submit = move |cluster: &Arc<Cluster>| Tasks::submit(cluster, &shipped, &classes, shape, &ended);
        let tasks = self.cluster.speak(submit).await?;
        let results = tasks.results().await?;
        self.cluster.speak(|cluster| cluster.look()).await?;
        Ok((tasks, results))
    }

    /// Keeps what the tasks did, and tells the tables that are read of files that were left out; what each task of the
    /// last stage told.
    pub(super) async fn keep_done(&self, source: &PartSource) -> Vec<Option<TaskDone>> {
        let (told, mut all) = (source.done().await, StagesDone::default());
        told.iter().flatten().for_each(|done| all.add(done.stages.clone()));
        all.tell_skipped(&self.shipped.graph);
        *self.progress.done.lock() = Some(all);
        told
    }

    /// Whether the rows are those of files that were written.
    fn is_write(&self) -> bool {
        self.shipped.graph.stages.last().is_some_and(super::stages::Stage::writes)
    }

    /// What reads the result.
    pub(super) fn reader(&self) -> Here {
        let is_determined = classes(&self.shipped.graph).last() == Some(&Class::Determined);
        Here { cluster: Arc::clone(&self.cluster), is_determined }
    }

    /// Parts that each of them makes.
    fn parts(&self) -> usize {
        self.shipped.graph.stages.last().map_or(0, super::stages::Stage::parts)
    }

    /// What the last stage wrote, as the input of a stage that is here.
    pub(super) fn source(&self, results: Vec<(ObjectId, Place)>) -> Result<Arc<PartSource>> {
        let (stage, parts) = (self.shipped.graph.stages.len() - 1, self.parts());
        let (tasks, partitions) = (results.len(), results.len() * parts);
        let input = Input { stage, way: Way::Coalesce, tasks, parts, partitions };
        let store = Arc::<Cluster>::clone(&self.cluster) as Arc<dyn PartInput>;
        let inputs = vec![(input, Arc::clone(&self.schema))];
        PartSource::new(store, (0, 1), inputs, results).map(Arc::new).map_err(from_datafusion)
    }
}
