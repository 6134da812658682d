//! The durable exchange: all tasks of all stages as fragments of the runtime, submitted at once. Each begins when what
//! it reads is somewhere; what a dead node had is made again; what no consumer can need any more is freed.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::TaskContext;
use futures::StreamExt;
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::write::WriteFilesExec;
use sheaf_core::client::{NewFragment, Reply};
use sheaf_core::fragment::PartInput;
use sheaf_core::ids::ObjectId;
use sheaf_core::parts::Place;
use sheaf_core::wire::{Answer, Reason};
use sheaf_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use super::cluster::Cluster;
use super::determinism::{Class, classes};
use super::exchange::ExchangeSource;
use super::input::{PartSource, SharedSource};
use super::plan::ClusterShape;
use super::runner::TaskPart;
use super::shipped::Shipped;
use super::spread::processes;
use super::stages::{Input, Way};
use super::told::{error_of, is_lost};

/// How often a whole query begins anew because a result is gone that would not be made again as it was.
const ROLL_BACKS: u32 = 3;

/// After so long without a result it is told what a query waits for.
const BEFORE_TOLD: Duration = Duration::from_secs(10);

/// The tasks of one run of a query; those that are left are stopped when this goes.
struct Tasks {
    cluster: Arc<Cluster>,
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
        if let Some(last) = self.outputs.last() {
            last.iter().for_each(|output| client.drop_ref(*output));
        }
    }
}

impl Tasks {
    /// Submits all of them. Only the results of the last stage are held: what is between lives for as long as a
    /// consumer may need it.
    fn submit(cluster: &Arc<Cluster>, shipped: &Shipped, classes: &[Class], shape: ClusterShape) -> Result<Self> {
        let client = cluster.client();
        let plan = client.put(&[&shipped.bytes], Vec::new())?;
        let has_functions = shipped.has_functions;
        let mut tasks = Self { cluster: Arc::clone(cluster), outputs: Vec::new(), has_functions };
        let submitted = tasks.submit_stages(shipped, plan, classes, shape);
        client.drop_ref(plan);
        let last = shipped.graph.stages.len() - 1;
        tasks.outputs.iter().take(last).flatten().for_each(|output| client.drop_ref(*output));
        // One that was submitted in part holds nothing either.
        tasks.outputs.resize_with(last + 1, Vec::new);
        submitted.map(|()| tasks)
    }

    fn submit_stages(
        &mut self,
        shipped: &Shipped,
        plan: ObjectId,
        classes: &[Class],
        shape: ClusterShape,
    ) -> Result<()> {
        let client = Arc::clone(self.cluster.client());
        let asked = self.cluster.cpus_to_ask(shape.cpus)?;
        for (number, stage) in shipped.graph.stages.iter().enumerate() {
            // Tasks that wait for processes of their own would keep the CPUs from them.
            let cpus = if processes(&stage.plan).is_some() { 0 } else { asked };
            let options = self.cluster.options(number, cpus)?;
            self.outputs.push(Vec::new());
            for task in 0..stage.tasks {
                let reads = stage.inputs.iter().flat_map(|input| {
                    let outputs = &self.outputs[input.stage];
                    input.sources(task, stage.tasks).filter_map(|from| outputs.get(from).copied())
                });
                let payload = serde_json::to_vec(&TaskPart { stage: number, task })
                    .map_err(|error| Error::internal(format!("a task: {error}")))?;
                let fragment = NewFragment {
                    options,
                    needs: vec![plan],
                    reads: reads.collect(),
                    is_repeatable: classes.get(number).is_none_or(Class::is_repeatable),
                    in_worker: shipped.has_functions,
                    payload,
                };
                let output = client.submit_fragment(fragment)?;
                self.outputs[number].push(output);
            }
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
            let place = match self.awaited(answer, &mut is_told).await {
                Reply::Other(Answer::At(nodes)) => Place::At(nodes),
                Reply::Value(value) => Place::Inline(value.bytes().to_vec().into()),
                Reply::Failed(reason) => return Err(self.failed(reason)),
                _ => return Err(Failed::Error(gone())),
            };
            places.push((*output, place));
        }
        Ok(places)
    }
}

/// Why a run of a query ended before its end.
enum Failed {
    /// What is gone would be made otherwise: all begins anew.
    Lost(Error),
    Error(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the node that this program belongs to is gone")
}

/// A query on its way to its rows.
pub(super) struct Query {
    pub(super) cluster: Arc<Cluster>,
    pub(super) shipped: Arc<Shipped>,
    pub(super) shape: ClusterShape,
    pub(super) schema: SchemaRef,
}

impl Query {
    /// Runs it and sends its rows, in the order of its partitions, until somebody wants no more.
    ///
    /// As long as no row has gone out, a query of which a result is gone that would not be made again as it was begins
    /// anew: its consumers with it.
    pub(super) async fn run(self, context: Arc<TaskContext>, to: mpsc::Sender<Result<RecordBatch>>) {
        for left in (0..ROLL_BACKS).rev() {
            let mut has_begun = false;
            let ended = tokio::select! {
                ended = self.once(&context, &to, &mut has_begun) => ended,
                () = to.closed() => return,
            };
            match ended {
                Ok(()) => return,
                Err(Failed::Lost(error)) if left > 0 && !has_begun => {
                    self.cluster.tell(format!("a query begins anew: {error}"));
                }
                Err(Failed::Lost(error) | Failed::Error(error)) => {
                    let _ = to.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    async fn once(
        &self,
        context: &Arc<TaskContext>,
        to: &mpsc::Sender<Result<RecordBatch>>,
        has_begun: &mut bool,
    ) -> std::result::Result<(), Failed> {
        let classes = classes(&self.shipped.graph);
        let (shipped, shape) = (Arc::clone(&self.shipped), self.shape);
        let submit = move |cluster: &Arc<Cluster>| Tasks::submit(cluster, &shipped, &classes, shape);
        let tasks = self.cluster.speak(submit).await?;
        let results = tasks.results().await?;
        self.cluster.speak(|cluster| cluster.look()).await?;
        let source = self.source(results)?;
        // What was written is committed as a whole: nothing of it goes out before all is there.
        let (is_write, mut held) = (self.is_write(), Vec::new());
        for partition in 0..self.parts() * self.tasks() {
            let mut rows = SharedSource(Arc::clone(&source)).read(0, partition, context).map_err(from_datafusion)?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|error| match source.unread() {
                    Some((object, unread)) => {
                        let why =
                            format!("{object}, a result of the query, is gone with {}: {}", unread.from, unread.why);
                        Failed::Lost(Error::new(ErrorKind::Io, why).with_hint("run the query again"))
                    }
                    None => Failed::Error(from_datafusion(error)),
                })?;
                if is_write {
                    held.push(batch);
                    continue;
                }
                *has_begun = true;
                if to.send(Ok(batch)).await.is_err() {
                    return Ok(());
                }
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

    /// Whether the rows are those of files that were written.
    fn is_write(&self) -> bool {
        self.shipped.graph.stages.last().is_some_and(|stage| stage.plan.is::<WriteFilesExec>())
    }

    /// Tasks that give the result.
    fn tasks(&self) -> usize {
        self.shipped.graph.stages.last().map_or(0, |stage| stage.tasks)
    }

    /// Parts that each of them makes.
    fn parts(&self) -> usize {
        self.shipped.graph.stages.last().map_or(0, super::stages::Stage::parts)
    }

    /// What the last stage wrote, as the input of a stage that is here.
    fn source(&self, results: Vec<(ObjectId, Place)>) -> Result<Arc<PartSource>> {
        let (stage, parts) = (self.shipped.graph.stages.len() - 1, self.parts());
        let (tasks, partitions) = (results.len(), results.len() * parts);
        let input = Input { stage, way: Way::Coalesce, tasks, parts, partitions };
        let store = Arc::<Cluster>::clone(&self.cluster) as Arc<dyn PartInput>;
        let inputs = vec![(input, Arc::clone(&self.schema))];
        PartSource::new(store, (0, 1), inputs, results).map(Arc::new).map_err(from_datafusion)
    }
}
