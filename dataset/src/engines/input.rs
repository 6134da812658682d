//! What a task reads: parts of objects, wherever they are, as partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use parking_lot::Mutex;
use sheaf_core::fragment::{Chunk, PartInput, Unread};
use sheaf_core::ids::ObjectId;
use sheaf_core::parts::Place;
use tokio::sync::mpsc::Receiver;

use super::exchange::{ExchangeReadExec, ExchangeSource, TaskInputs, context_with};
use super::metrics::TaskDone;
use super::output::EDITION_BYTES;
use super::stages::{Input, Stage, Way};
use crate::operators::map_batches::TaskOf;
use crate::operators::stored::{StoredReader, TaskStored};

/// Producers that a partition reads at once: the next ones are on their way while one is used.
const READS_AT_ONCE: usize = 4;

/// Parts of stored rows that are on their way at once.
const STORED_AHEAD: usize = 2;
/// Tasks of which it is read at once what they did.
const TOLD_AT_ONCE: usize = 16;

/// What one task of a stage reads.
#[derive(Debug)]
pub struct PartSource {
    store: Arc<dyn PartInput>,
    /// Which task it is, and of how many.
    task: (usize, usize),
    inputs: Vec<(Input, SchemaRef)>,
    /// The outputs of tasks, by input and task.
    outputs: BTreeMap<(usize, usize), (ObjectId, Place)>,
    /// Those of rows that other queries have left on the cluster.
    stored: BTreeMap<ObjectId, Place>,
    /// The editions of which parts have been read.
    editions: Arc<Editions>,
    unread: Mutex<Option<(ObjectId, Unread)>>,
    /// What was read of that which may not have been there yet.
    waited_for: Mutex<BTreeSet<ObjectId>>,
}

/// Which edition of each object it is of which parts were read: parts of two do not belong together.
#[derive(Debug, Default)]
pub(super) struct Editions(Mutex<BTreeMap<ObjectId, u64>>);

impl Editions {
    /// Whether a part of this edition goes with those that were read before.
    fn agree(&self, object: ObjectId, edition: u64) -> bool {
        *self.0.lock().entry(object).or_insert(edition) == edition
    }
}

impl PartSource {
    /// Reads `outputs`: for each input in turn those of the tasks that [`Input::sources`] names, in their order, and after
    /// them the objects of rows that are stored.
    ///
    /// # Errors
    /// When there are fewer than the inputs have.
    pub fn new(
        store: Arc<dyn PartInput>,
        task: (usize, usize),
        inputs: Vec<(Input, SchemaRef)>,
        mut outputs: Vec<(ObjectId, Place)>,
    ) -> Result<Self> {
        let places = inputs.iter().enumerate();
        let places =
            places.flat_map(|(number, (input, _))| input.sources(task.0, task.1).map(move |from| (number, from)));
        let places: Vec<_> = places.collect();
        if places.len() > outputs.len() {
            let (wanted, given) = (places.len(), outputs.len());
            let why = format!("a task reads {wanted} outputs, and was given {given}");
            return Err(DataFusionError::Internal(why));
        }
        let stored = outputs.split_off(places.len()).into_iter().collect();
        let outputs = places.into_iter().zip(outputs).collect();
        Ok(Self {
            store,
            task,
            inputs,
            outputs,
            stored,
            editions: Arc::default(),
            unread: Mutex::new(None),
            waited_for: Mutex::default(),
        })
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

    /// What the tasks did whose outputs are read, but for those that another task of the stage tells of. `None` for what
    /// cannot be read.
    pub(super) async fn done(&self) -> Vec<Option<TaskDone>> {
        let mut reading = Vec::new();
        for (number, (input, _)) in self.inputs.iter().enumerate() {
            let is_own = match input.way {
                Way::Coalesce => true,
                Way::Shuffle | Way::Broadcast => self.task.0 == 0,
                // Whoever reads the rows tells of them.
                Way::Keys => false,
            };
            let from = if is_own { input.sources(self.task.0, self.task.1) } else { 0..0 };
            let outputs = from.filter_map(|from| self.outputs.get(&(number, from)));
            // What the rows did not need is not waited for.
            let outputs = outputs
                .filter(|(object, place)| *place != Place::Later || self.waited_for.lock().contains(object))
                .collect::<Vec<_>>();
            reading.extend(
                outputs.into_iter().map(|(object, place)| {
                    done_by(Arc::clone(&self.store), *object, place.clone(), input.parts as u32)
                }),
            );
        }
        stream::iter(reading).buffered(TOLD_AT_ONCE).collect().await
    }

    /// The rows of parts; what cannot be read is kept for [`PartSource::unread`].
    fn begin(
        self: &Arc<Self>,
        object: ObjectId,
        place: &Place,
        parts: Range<u32>,
    ) -> impl Stream<Item = Result<RecordBatch>> + Send + use<> {
        let source = Arc::clone(self);
        if *place == Place::Later {
            source.waited_for.lock().insert(object);
        }
        let chunks = source.store.read(object, place, parts);
        Reading::new(object, chunks, Arc::clone(&self.editions)).rows(move |object, error| match error {
            Unreadable::Undecoded(error) => error,
            Unreadable::Unread(unread) => {
                let why = format!("{object} could not be read from {}: {}", unread.from, unread.why);
                source.unread.lock().get_or_insert((object, unread));
                DataFusionError::Execution(why)
            }
        })
    }

    /// What could not be read, where that is why the task failed.
    pub fn unread(&self) -> Option<(ObjectId, Unread)> {
        self.unread.lock().clone()
    }
}

/// What a task did, by the part that it wrote behind the others.
async fn done_by(store: Arc<dyn PartInput>, object: ObjectId, place: Place, part: u32) -> Option<TaskDone> {
    let mut chunks = store.read(object, &place, part..part + 1);
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = chunks.recv().await {
        if chunk.is_end() {
            return TaskDone::from_bytes(&bytes);
        }
        bytes.extend_from_slice(&chunk.bytes);
    }
    None
}

/// A [`PartSource`] that its streams keep.
#[derive(Debug, Clone)]
pub struct SharedSource(pub Arc<PartSource>);

impl SharedSource {
    /// The context of the task that reads from it.
    #[must_use]
    pub fn context(self, context: &TaskContext) -> Arc<TaskContext> {
        let (number, tasks) = self.0.task;
        let stored = TaskStored(Arc::new(self.clone()));
        let inputs = TaskInputs(Arc::new(self));
        let config = context.session_config().clone().with_extension(Arc::new(inputs)).with_extension(Arc::new(stored));
        context_with(context, config.with_extension(Arc::new(TaskOf { number, tasks })))
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
        let (is_keys, all) = (input.way == Way::Keys, input.parts as u32);
        let range = move |part: u32| if is_keys { 0..all } else { part..part + 1 };
        let streams =
            stream::iter(parts).map(move |(from, part)| one(Arc::clone(&shared), number, from, range(part as u32)));
        // What is read in order is read one after the other.
        let rows = match input.way {
            Way::Coalesce => streams.flatten().boxed(),
            Way::Shuffle | Way::Broadcast | Way::Keys => streams.flatten_unordered(READS_AT_ONCE).boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows)))
    }
}

impl StoredReader for SharedSource {
    fn stored(&self, parts: Vec<(ObjectId, u32)>) -> BoxStream<'static, Result<RecordBatch>> {
        let source = Arc::clone(&self.0);
        let begun = move |(object, part)| {
            let source = Arc::clone(&source);
            async move {
                let Some(place) = source.stored.get(&object) else {
                    let why = format!("a task reads {object}, and does not know where it is");
                    return stream::iter([Err(DataFusionError::Internal(why))]).left_stream();
                };
                source.begin(object, place, part..part + 1).right_stream()
            }
        };
        // The next part is on its way while one is used.
        stream::iter(parts).map(begun).buffered(STORED_AHEAD).flatten().boxed()
    }
}

/// The rows of parts of one task's output. Nothing is asked for before the first of them is wanted.
fn one(
    source: Arc<PartSource>,
    number: usize,
    from: usize,
    parts: Range<u32>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + Unpin {
    let rows = stream::once(async move {
        let Some((object, place)) = source.outputs.get(&(number, from)) else {
            let why = format!("a task reads what task {from} of its input {number} wrote, and does not know where");
            return stream::iter([Err(DataFusionError::Internal(why))]).left_stream();
        };
        source.begin(*object, place, parts).right_stream()
    });
    Box::pin(rows.flatten())
}

/// Parts of an object on their way, one after the other.
pub(super) struct Reading {
    object: ObjectId,
    /// The part of which something has come.
    part: Option<u32>,
    chunks: Receiver<std::result::Result<Chunk, Unread>>,
    decoder: StreamDecoder,
    /// What has come of its edition, until that was compared.
    edition: Vec<u8>,
    editions: Arc<Editions>,
}

/// Why the rest of a part does not come.
pub(super) enum Unreadable {
    Unread(Unread),
    Undecoded(DataFusionError),
}

impl Reading {
    /// Parts that come in these chunks, of an edition that agrees with those.
    pub(super) fn new(
        object: ObjectId,
        chunks: Receiver<std::result::Result<Chunk, Unread>>,
        editions: Arc<Editions>,
    ) -> Self {
        Self { object, part: None, chunks, decoder: StreamDecoder::new(), edition: Vec::new(), editions }
    }

    /// The rows of the next chunk that has any; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<std::result::Result<Vec<RecordBatch>, Unreadable>> {
        loop {
            let unread = |why: &str| Unread { from: self.object.owner(), why: why.to_string() };
            let cut_off = || Err(unread("it was cut off"));
            let mut chunk = match self.chunks.recv().await.unwrap_or_else(cut_off) {
                Ok(chunk) if chunk.is_end() => return None,
                Ok(chunk) => chunk,
                Err(unread) => return Some(Err(Unreadable::Unread(unread))),
            };
            if self.part.replace(chunk.part) != Some(chunk.part) {
                (self.decoder, self.edition) = (StreamDecoder::new(), Vec::new());
            }
            let missing = EDITION_BYTES - self.edition.len();
            if missing > 0 {
                self.edition.extend(chunk.bytes.split_to(missing.min(chunk.bytes.len())));
                let edition = <[u8; EDITION_BYTES]>::try_from(&*self.edition).map(u64::from_le_bytes);
                if edition.is_ok_and(|edition| !self.editions.agree(self.object, edition)) {
                    let unread = unread("it was made anew since another part of it was read");
                    return Some(Err(Unreadable::Unread(unread)));
                }
            }
            match self.decode(chunk.bytes.into()) {
                Ok(batches) if batches.is_empty() => {}
                decoded => return Some(decoded.map_err(Unreadable::Undecoded)),
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

    /// What is left of it, until its end or what `failed` makes of an error.
    pub(super) fn rows(
        self,
        failed: impl Fn(ObjectId, Unreadable) -> DataFusionError + Send + Sync + 'static,
    ) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let failed = Arc::new(failed);
        let batches = stream::unfold(Some(self), move |reading| {
            let failed = Arc::clone(&failed);
            async move {
                let mut reading = reading?;
                // Nothing is read after an error.
                match reading.next().await? {
                    Ok(batches) => Some((batches.into_iter().map(Ok).collect(), Some(reading))),
                    Err(error) => Some((vec![Err(failed(reading.object, error))], None)),
                }
            }
        });
        batches.flat_map(|batches: Vec<_>| stream::iter(batches))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::ipc::writer::StreamWriter;
    use sheaf_core::ids::{NodeId, TaskId};
    use tokio::sync::mpsc::channel;

    use super::*;

    /// A part of an edition, which comes in pieces of so many bytes.
    fn part(edition: u64, piece: usize) -> Receiver<std::result::Result<Chunk, Unread>> {
        let column: ArrayRef = Arc::new((0..100).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let mut writer = StreamWriter::try_new(edition.to_le_bytes().to_vec(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let bytes = writer.into_inner().unwrap();
        let (to, chunks) = channel(bytes.len() + 1);
        for bytes in bytes.chunks(piece) {
            to.try_send(Ok(Chunk { part: 0, bytes: bytes.to_vec().into() })).unwrap();
        }
        to.try_send(Ok(Chunk::end())).unwrap();
        chunks
    }

    #[tokio::test]
    async fn parts_of_two_attempts_are_not_read_together() {
        let object = |number| TaskId { owner: NodeId(1), number }.result(0);
        let editions = Arc::<Editions>::default();
        for (number, edition, piece, is_read) in
            [(1, 7, 3, true), (1, 7, 1_000, true), (2, 8, 8, true), (1, 8, 1, false), (1, 8, 1_000, false)]
        {
            let mut reading = Reading::new(object(number), part(edition, piece), Arc::clone(&editions));
            let mut rows = 0;
            let ended = loop {
                match reading.next().await {
                    Some(Ok(batches)) => rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
                    Some(Err(Unreadable::Unread(unread))) => break Some(unread.why),
                    Some(Err(Unreadable::Undecoded(error))) => panic!("{error}"),
                    None => break None,
                }
            };
            let told = if is_read { None } else { Some("it was made anew since another part of it was read") };
            assert_eq!((rows, ended.as_deref()), (if is_read { 100 } else { 0 }, told), "{number} {edition} {piece}");
        }
    }
}
