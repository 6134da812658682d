//! What a task reads: parts of objects, wherever they are, as partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use sheaf_core::fragment::{Chunk, PartInput, Unread};
use sheaf_core::ids::ObjectId;
use sheaf_core::parts::Place;
use tokio::sync::mpsc::Receiver;

use super::exchange::{ExchangeReadExec, ExchangeSource, TaskInputs};
use super::stages::{Input, Stage};
use crate::operators::map_batches::TaskOf;

/// Producers that a partition reads at once: the next ones are on their way while one is used.
const READS_AT_ONCE: usize = 4;

/// What one task of a stage reads.
#[derive(Debug)]
pub struct PartSource {
    store: Arc<dyn PartInput>,
    /// Which task it is, and of how many.
    task: (usize, usize),
    inputs: Vec<(Input, SchemaRef)>,
    /// The outputs of tasks, by input and task.
    outputs: BTreeMap<(usize, usize), (ObjectId, Place)>,
    unread: Mutex<Option<(ObjectId, Unread)>>,
}

impl PartSource {
    /// Reads `outputs`: for each input in turn those of the tasks that [`Input::sources`] names, in their order.
    ///
    /// # Errors
    /// When there are more or fewer than the inputs have.
    pub fn new(
        store: Arc<dyn PartInput>,
        task: (usize, usize),
        inputs: Vec<(Input, SchemaRef)>,
        outputs: Vec<(ObjectId, Place)>,
    ) -> Result<Self> {
        let places = inputs.iter().enumerate();
        let places =
            places.flat_map(|(number, (input, _))| input.sources(task.0, task.1).map(move |from| (number, from)));
        let places: Vec<_> = places.collect();
        if places.len() != outputs.len() {
            let (wanted, given) = (places.len(), outputs.len());
            let why = format!("a task reads {wanted} outputs, and was given {given}");
            return Err(DataFusionError::Internal(why));
        }
        let outputs = places.into_iter().zip(outputs).collect();
        Ok(Self { store, task, inputs, outputs, unread: Mutex::new(None) })
    }

    /// What a task of a stage reads, of these outputs as [`PartSource::new`] has them.
    ///
    /// # Errors
    /// As [`PartSource::new`].
    pub fn of(
        stage: &Stage,
        task: usize,
        store: Arc<dyn PartInput>,
        outputs: Vec<(ObjectId, Place)>,
    ) -> Result<Arc<Self>> {
        let mut schemas = BTreeMap::new();
        stage.plan.apply(|node| {
            if let Some(read) = node.downcast_ref::<ExchangeReadExec>() {
                schemas.insert(read.number(), node.schema());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let inputs = stage.inputs.iter().copied().zip(schemas.into_values()).collect();
        Self::new(store, (task, stage.tasks), inputs, outputs).map(Arc::new)
    }

    /// What could not be read, where that is why the task failed.
    pub fn unread(&self) -> Option<(ObjectId, Unread)> {
        self.unread.lock().clone()
    }
}

/// A [`PartSource`] that its streams keep.
#[derive(Debug, Clone)]
pub struct SharedSource(pub Arc<PartSource>);

impl SharedSource {
    /// The context of the task that reads from it.
    #[must_use]
    pub fn context(self, context: &TaskContext) -> Arc<TaskContext> {
        let (number, tasks) = self.0.task;
        let inputs = TaskInputs(Arc::new(self));
        let config = context.session_config().clone().with_extension(Arc::new(inputs));
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config.with_extension(Arc::new(TaskOf { number, tasks })),
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ))
    }
}

impl ExchangeSource for SharedSource {
    fn read(&self, number: usize, partition: usize, _: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let source = &self.0;
        let (input, schema) = source.inputs.get(number).ok_or_else(|| {
            DataFusionError::Internal(format!("a task reads an input {number} that its stage has not"))
        })?;
        let parts = input.parts(source.task.0, source.task.1, partition);
        let shared = Arc::clone(source);
        let streams = stream::iter(parts).map(move |(from, part)| one(Arc::clone(&shared), number, from, part));
        let rows = streams.flatten_unordered(READS_AT_ONCE);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows)))
    }
}

/// The rows of one part of one task's output. Nothing is asked for before the first of them is wanted.
fn one(
    source: Arc<PartSource>,
    number: usize,
    from: usize,
    part: usize,
) -> impl Stream<Item = Result<RecordBatch>> + Send + Unpin {
    let rows = stream::once(async move {
        let Some((object, place)) = source.outputs.get(&(number, from)) else {
            let why = format!("a task reads what task {from} of its input {number} wrote, and does not know where");
            return stream::iter([Err(DataFusionError::Internal(why))]).left_stream();
        };
        let part = part as u32;
        let chunks = source.store.read(*object, place, part..part + 1);
        decoded(Reading { source: Arc::clone(&source), object: *object, chunks, decoder: StreamDecoder::new() })
            .right_stream()
    });
    Box::pin(rows.flatten())
}

/// A part on its way.
struct Reading {
    source: Arc<PartSource>,
    object: ObjectId,
    chunks: Receiver<std::result::Result<Chunk, Unread>>,
    decoder: StreamDecoder,
}

impl Reading {
    /// The rows of the next chunk that has any; `None` at the end.
    async fn next(&mut self) -> Option<Result<Vec<RecordBatch>>> {
        loop {
            let cut_off = || Err(Unread { from: self.object.owner(), why: "it was cut off".to_string() });
            let chunk = match self.chunks.recv().await.unwrap_or_else(cut_off) {
                Ok(chunk) if chunk.is_end() => return None,
                Ok(chunk) => chunk,
                Err(unread) => {
                    let why = format!("{} could not be read from {}: {}", self.object, unread.from, unread.why);
                    self.source.unread.lock().get_or_insert((self.object, unread));
                    return Some(Err(DataFusionError::Execution(why)));
                }
            };
            match self.decode(chunk.bytes.into()) {
                Ok(batches) if batches.is_empty() => {}
                decoded => return Some(decoded),
            }
        }
    }

    fn decode(&mut self, mut bytes: Buffer) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            batches.extend(self.decoder.decode(&mut bytes)?);
        }
        Ok(batches)
    }
}

fn decoded(reading: Reading) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let batches = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        let next = reading.next().await?;
        // Nothing is read after an error.
        let rest = next.is_ok().then_some(reading);
        Some((next, rest))
    });
    batches.flat_map(|batches| match batches {
        Ok(batches) => stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    })
}
