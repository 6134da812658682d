//! The files that one input partition is writing: one per folder at a time, each with its encoder and its upload.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use object_store::{ObjectStoreExt, PutMode};
use sheaf_core::{ErrorKind, Result};

use crate::error::from_datafusion;
use crate::manifest::ManifestFile;
use crate::write::encode::{Encoder, encoder};
use crate::write::job::Job;
use crate::write::options::{TARGET_FILE_BYTES, TARGET_HELD_BYTES, WriteMode};
use crate::write::upload::Upload;

/// Files that a partition has open at once. A writer of more folders closes the one that it used longest ago, and
/// begins another file there when rows for it come again.
const OPEN_FILES: usize = 64;

/// A file that holds less than this is not told to give memory back: its row groups would become too small to be of
/// use, and what it holds is little.
const WORTH_SHRINKING: usize = 1 << 20;

/// Counts of one partition.
#[derive(Debug)]
pub(crate) struct WriteMetrics {
    rows: Count,
    bytes: Count,
    files: Count,
}

impl WriteMetrics {
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self { rows: counter("rows_written"), bytes: counter("bytes_written"), files: counter("files_written") }
    }
}

/// All files that a partition has open, and the list of those that are finished.
pub(crate) struct OpenFiles {
    job: Arc<Job>,
    open: HashMap<String, OpenFile>,
    uses: u64,
    finished: Vec<ManifestFile>,
    reservation: MemoryReservation,
    metrics: WriteMetrics,
}

struct OpenFile {
    path: String,
    encoder: Box<dyn Encoder>,
    upload: Upload,
    rows: u64,
    used: u64,
}

impl OpenFiles {
    pub(crate) fn new(job: Arc<Job>, pool: &Arc<dyn MemoryPool>, metrics: WriteMetrics, partition: usize) -> Self {
        let reservation = MemoryConsumer::new(format!("WriteFiles[{partition}]")).register(pool);
        Self { job, open: HashMap::new(), uses: 0, finished: Vec::new(), reservation, metrics }
    }

    /// Writes rows into the folder's current file.
    pub(crate) async fn write(&mut self, folder: &str, batch: &RecordBatch) -> Result<()> {
        if !self.open.contains_key(folder) {
            self.begin(folder).await?;
        }
        self.uses += 1;
        let given = self.job.options.target_file_bytes;
        if let Some(file) = self.open.get_mut(folder) {
            let usual = if file.encoder.holds_all() { TARGET_HELD_BYTES } else { TARGET_FILE_BYTES };
            let target = given.unwrap_or(usual).max(1);
            file.encoder.write(batch).await?;
            file.upload.write(file.encoder.take()).await?;
            file.rows += batch.num_rows() as u64;
            file.used = self.uses;
            self.metrics.rows.add(batch.num_rows());
            let full = file.upload.size() + file.encoder.pending() as u64 >= target;
            if full && !self.job.target.single_file {
                self.finish_one(folder).await?;
            }
        }
        Ok(())
    }

    /// Finishes all files, and gives what was written.
    pub(crate) async fn finish(mut self) -> Result<Vec<ManifestFile>> {
        let folders: Vec<String> = self.open.keys().cloned().collect();
        for folder in folders {
            self.finish_one(&folder).await?;
        }
        self.finished.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(self.finished)
    }

    /// Opens a file although there is no row for it: an empty dataset has a schema too.
    pub(crate) async fn begin(&mut self, folder: &str) -> Result<()> {
        if self.open.len() >= OPEN_FILES {
            let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(folder, _)| folder.clone());
            if let Some(oldest) = oldest {
                self.finish_one(&oldest).await?;
            }
        }
        let job = &self.job;
        let relative = job.next_path(folder);
        let (path, mode) = match (job.target.single_file, job.target.renames) {
            (false, _) => (job.absolute(&relative)?, PutMode::Overwrite),
            (true, true) => (job.staging(), PutMode::Overwrite),
            (true, false) if matches!(job.options.mode, WriteMode::Error | WriteMode::Ignore) => {
                (job.target.path.clone(), PutMode::Create)
            }
            (true, false) => (job.target.path.clone(), PutMode::Overwrite),
        };
        let file = OpenFile {
            path: relative,
            encoder: encoder(&job.options.format, &job.file_schema, job.lanes)?,
            upload: Upload::new(Arc::clone(&job.target.store), path, mode),
            rows: 0,
            used: self.uses,
        };
        self.open.insert(folder.to_string(), file);
        Ok(())
    }

    async fn finish_one(&mut self, folder: &str) -> Result<()> {
        let Some(mut file) = self.open.remove(folder) else { return Ok(()) };
        let last = file.encoder.finish().await?;
        file.upload.write(last).await?;
        let job = &self.job;
        let size = match (job.target.single_file, job.target.renames) {
            // This upload is the commit: once it is finished nothing is to be undone.
            (true, false) => match finish_at_target(job, file.upload).await? {
                Some(size) => size,
                None => return Ok(()),
            },
            _ => {
                let guard = job.finishing(file.upload.path()).await;
                file.upload.finish(guard).await?
            }
        };
        self.metrics.bytes.add(size as usize);
        self.metrics.files.add(1);
        self.finished.push(ManifestFile { path: file.path, size, rows: Some(file.rows) });
        Ok(())
    }

    /// Tells the pool what is held. Where it refuses, files give up what they can; what is left then (parts under way
    /// and less than a mebibyte for each file) is bounded and counted without asking. To be called after each batch.
    pub(crate) async fn account(&mut self) -> Result<()> {
        if self.reservation.try_resize(self.held()).is_ok() {
            return Ok(());
        }
        let mut whole = Vec::new();
        for (folder, file) in &mut self.open {
            if file.encoder.memory() < WORTH_SHRINKING {
                continue;
            }
            if file.encoder.holds_all() {
                whole.push(folder.clone());
                continue;
            }
            file.encoder.shrink().await?;
            file.upload.write(file.encoder.take()).await?;
        }
        if self.job.target.single_file && !whole.is_empty() {
            return self.reservation.try_resize(self.held()).map_err(|error| {
                from_datafusion(error).with_hint("a single file of NumPy is held in memory: write a folder of files")
            });
        }
        for folder in whole {
            self.finish_one(&folder).await?;
        }
        self.reservation.resize(self.held());
        Ok(())
    }

    fn held(&self) -> usize {
        self.open.values().map(|file| file.encoder.memory() + file.upload.memory()).sum()
    }
}

/// Finishes an upload that lies at the target itself; `None` when another writer was first and `ignore` leaves that.
async fn finish_at_target(job: &Job, upload: Upload) -> Result<Option<u64>> {
    let create = matches!(job.options.mode, WriteMode::Error | WriteMode::Ignore);
    // A multipart upload replaces what is there, so that a writer that must not looks once more, as late as it can.
    let lost = create && upload.is_multipart() && job.target.store.head(&job.target.path).await.is_ok();
    let finished = match lost {
        true => Err(job.exists()),
        false => upload.finish(()).await,
    };
    match finished {
        Ok(size) => Ok(Some(size)),
        Err(error) if create && error.kind() == ErrorKind::AlreadyExists => match job.options.mode {
            WriteMode::Ignore => Ok(None),
            _ => Err(job.exists()),
        },
        Err(error) => Err(error),
    }
}
