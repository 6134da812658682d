//! The rows that are kept: batches in memory, on loan from the session's pool, and on disk once there is none to have.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SpillFile, SpillWriter};
use datafusion::physical_plan::metrics::SpillMetrics;
use parking_lot::Mutex;
use sheaf_connectors::error::to_datafusion;
use sheaf_flight::compact::compact_sparse;

use crate::memory::{Borrower, ON_LOAN, SharePool};

/// What goes to disk at once when memory is asked for: smaller files would be many, and larger ones keep those who ask
/// waiting.
const MOVED_BYTES: usize = 16 << 20;
/// A batch that holds more than this many times the memory that it shows is copied: a few rows of a large one.
const SPARSE: usize = 4;

/// Batches by partition, in order, each in memory or on disk.
pub(crate) struct Rows {
    schema: SchemaRef,
    partitions: Vec<Mutex<Vec<Place>>>,
    loan: MemoryReservation,
    disk: Arc<DiskManager>,
    /// One mover at a time.
    moving: Mutex<()>,
    /// What an operator tells of what it has on disk.
    metrics: Option<SpillMetrics>,
}

/// Where a batch is. A batch never changes its number, so that readers stand beside movers.
#[derive(Clone)]
enum Place {
    Memory {
        batch: RecordBatch,
        bytes: usize,
    },
    Disk {
        stretch: Stretch,
        rows: usize,
    },
    /// It was taken.
    Nowhere,
}

/// A batch in a file: an Arrow IPC stream of its own, so that no batch needs the dictionaries of another.
#[derive(Clone)]
struct Stretch {
    file: Arc<Spilled>,
    at: u64,
    bytes: usize,
}

/// A file in the session's spill folder, which goes with its last batch.
struct Spilled {
    reader: File,
    _file: Arc<dyn SpillFile>,
}

/// A batch as a reader has it at once.
pub(crate) enum Found {
    /// It was in memory.
    Batch(RecordBatch),
    /// It is to be read, where waiting for a disk does no harm.
    OnDisk(OnDisk),
}

/// A batch that is to be read.
pub(crate) struct OnDisk(Stretch);

impl Rows {
    /// No rows yet, in so many partitions.
    pub(crate) fn new(schema: SchemaRef, partitions: usize, runtime: &RuntimeEnv) -> Arc<Self> {
        Self::counted(schema, partitions, runtime, None)
    }

    /// The same, where what goes to disk is counted.
    pub(crate) fn counted(
        schema: SchemaRef,
        partitions: usize,
        runtime: &RuntimeEnv,
        metrics: Option<SpillMetrics>,
    ) -> Arc<Self> {
        let loan = MemoryConsumer::new(ON_LOAN).register(&runtime.memory_pool);
        let partitions = (0..partitions.max(1)).map(|_| Mutex::default()).collect();
        let disk = Arc::clone(&runtime.disk_manager);
        let rows = Arc::new(Self { schema, partitions, loan, disk, moving: Mutex::default(), metrics });
        // Over a pool of somebody else's nobody asks for memory back.
        if let Some(pool) = runtime.memory_pool.downcast_ref::<SharePool>() {
            pool.lend_to(&rows);
        }
        rows
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Rows and bytes in memory of one partition, or of all.
    pub(crate) fn size(&self, partition: Option<usize>) -> (usize, usize) {
        let of = |partition: &Mutex<Vec<Place>>| {
            partition.lock().iter().fold((0, 0), |(rows, bytes), place| match place {
                Place::Memory { batch, bytes: more } => (rows + batch.num_rows(), bytes + more),
                Place::Disk { stretch, rows: more } => (rows + more, bytes + stretch.bytes),
                Place::Nowhere => (rows, bytes),
            })
        };
        match partition {
            Some(partition) => self.partitions.get(partition).map_or((0, 0), of),
            None => self.partitions.iter().map(of).fold((0, 0), |(a, b), (c, d)| (a + c, b + d)),
        }
    }

    /// Keeps a batch as the last of its partition, in memory if there is some; else it comes back for [`Self::store`].
    pub(crate) fn keep(&self, partition: usize, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let batch = unshared(batch)?;
        let bytes = shown_bytes(&batch);
        if self.loan.try_grow(bytes).is_err() {
            return Ok(Some(batch));
        }
        self.partitions[partition].lock().push(Place::Memory { batch, bytes });
        Ok(None)
    }

    /// Keeps a batch as the last of its partition, on disk. `writer` is the partition's own.
    pub(crate) fn store(&self, partition: usize, batch: &RecordBatch, writer: &mut Option<Writer>) -> Result<()> {
        let writer = match writer {
            Some(writer) => writer,
            None => writer.insert(Writer::create(&self.disk)?),
        };
        let stretch = writer.append(batch)?;
        self.count(&stretch, batch.num_rows());
        self.partitions[partition].lock().push(Place::Disk { stretch, rows: batch.num_rows() });
        Ok(())
    }

    fn count(&self, stretch: &Stretch, rows: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.spilled_bytes.add(stretch.bytes);
            metrics.spilled_rows.add(rows);
            metrics.spill_file_count.add(usize::from(stretch.at == 0));
        }
    }

    /// The batch of this number; `None` past the last.
    pub(crate) fn find(&self, partition: usize, number: usize) -> Option<Found> {
        let places = self.partitions.get(partition)?.lock();
        match places.get(number)? {
            Place::Memory { batch, .. } => Some(Found::Batch(batch.clone())),
            Place::Disk { stretch, .. } => Some(Found::OnDisk(OnDisk(stretch.clone()))),
            Place::Nowhere => None,
        }
    }

    /// The batch of this number, which is not kept any more; `None` past the last.
    pub(crate) fn take(&self, partition: usize, number: usize) -> Option<Found> {
        let mut places = self.partitions.get(partition)?.lock();
        match std::mem::replace(places.get_mut(number)?, Place::Nowhere) {
            Place::Memory { batch, bytes } => {
                self.loan.shrink(bytes);
                Some(Found::Batch(batch))
            }
            Place::Disk { stretch, .. } => Some(Found::OnDisk(OnDisk(stretch))),
            Place::Nowhere => None,
        }
    }

    /// Moves the last batches that are in memory, of the partition that has most there, to a file; the bytes that
    /// this freed.
    fn move_out(&self, wanted: usize) -> Result<usize> {
        let held = |partition: &Mutex<Vec<Place>>| {
            let in_memory = |place: &Place| if let Place::Memory { bytes, .. } = place { *bytes } else { 0 };
            partition.lock().iter().map(in_memory).sum::<usize>()
        };
        let Some(fullest) = self.partitions.iter().max_by_key(|partition| held(partition)) else { return Ok(0) };
        // The first rows are those that are read again soonest.
        let (mut moved, mut chosen) = (0, Vec::new());
        for (number, place) in fullest.lock().iter().enumerate().rev() {
            if let Place::Memory { batch, bytes } = place
                && moved < wanted
            {
                moved += bytes;
                chosen.push((number, batch.clone(), *bytes));
            }
        }
        if chosen.is_empty() {
            return Ok(0);
        }
        let mut writer = Writer::create(&self.disk)?;
        for (number, batch, bytes) in chosen.into_iter().rev() {
            let stretch = writer.append(&batch)?;
            self.count(&stretch, batch.num_rows());
            let place = &mut fullest.lock()[number];
            // Whoever takes a batch gives its memory back.
            if let Place::Memory { .. } = place {
                *place = Place::Disk { stretch, rows: batch.num_rows() };
                self.loan.shrink(bytes);
            }
        }
        Ok(moved)
    }
}

impl Borrower for Rows {
    fn give_back(&self, bytes: usize) -> usize {
        let _one = self.moving.lock();
        let mut freed = 0;
        while freed < bytes {
            match self.move_out((bytes - freed).clamp(MOVED_BYTES, MOVED_BYTES * 4)) {
                Ok(0) => break,
                Ok(more) => freed += more,
                Err(error) => {
                    log::warn!("cannot move persisted rows to disk: {error}");
                    break;
                }
            }
        }
        freed
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, bytes) = self.size(None);
        f.debug_struct("Rows").field("rows", &rows).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// Appends batches to a file in the spill folder.
pub(crate) struct Writer {
    file: Arc<Spilled>,
    sink: Box<dyn SpillWriter>,
    at: u64,
}

impl Writer {
    fn create(disk: &Arc<DiskManager>) -> Result<Self> {
        let file = disk.create_tmp_file("persisting rows")?;
        let path = file.path().ok_or_else(|| DataFusionError::Internal("a spill file has no path".into()))?;
        let (reader, sink) = (File::open(path)?, file.open_writer()?);
        Ok(Self { file: Arc::new(Spilled { reader, _file: file }), sink, at: 0 })
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<Stretch> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        writer.write(batch)?;
        let encoded = writer.into_inner()?;
        self.sink.write_all(&encoded).map_err(DataFusionError::IoError)?;
        let stretch = Stretch { file: Arc::clone(&self.file), at: self.at, bytes: encoded.len() };
        self.at += encoded.len() as u64;
        Ok(stretch)
    }
}

impl OnDisk {
    /// Reads the batch. Its columns are slices of the one buffer that was read.
    pub(crate) fn read(&self) -> Result<RecordBatch> {
        let Stretch { file, at, bytes } = &self.0;
        let mut buffer = MutableBuffer::from_len_zeroed(*bytes);
        file.reader.read_exact_at(buffer.as_slice_mut(), *at)?;
        let mut rest = Buffer::from(buffer);
        let found = StreamDecoder::new().decode(&mut rest)?;
        found.ok_or_else(|| DataFusionError::Internal("a persisted batch has no rows' message".into()))
    }
}

/// The batch without memory that it holds and does not show.
fn unshared(batch: &RecordBatch) -> Result<RecordBatch> {
    let batch = compact_sparse(batch).map_err(to_datafusion)?;
    if batch.get_array_memory_size() <= SPARSE.saturating_mul(shown_bytes(&batch)) {
        return Ok(batch);
    }
    let all = UInt64Array::from_iter_values(0..batch.num_rows() as u64);
    Ok(take_record_batch(&batch, &all)?)
}

/// The memory of the rows that a batch shows. What a buffer holds beside them belongs to others, or is little.
fn shown_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(shown_bytes_of).sum()
}

fn shown_bytes_of(column: &ArrayRef) -> usize {
    let views = column.len() * size_of::<u128>();
    match column.data_type() {
        DataType::Utf8View => views + column.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => views + column.as_binary_view().total_buffer_bytes_used(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    }
}
