//! What a job has recorded of a stage: for each of its tasks the file with its rows and where in it each partition
//! lies. A record is created once, by a conditional put: of two attempts at a task the first one's rows count, and
//! everybody reads those.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sheaf_connectors::error::from_store;
use sheaf_core::{Error, ErrorKind, Result, ResultExt};

/// The folder of a job's records, and which attempt at the job this is.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) folder: Path,
    pub(crate) attempt: String,
}

/// The output of a task: one file of segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskOutput {
    /// The file's name in the job's folder.
    pub(crate) file: String,
    /// Rows in it.
    pub(crate) rows: u64,
    pub(crate) segments: Vec<Segment>,
}

/// Batches of one partition in a task's file: an Arrow IPC stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) partition: usize,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Records {
    /// The outputs of a stage's tasks, as far as they are recorded.
    pub(crate) async fn tasks(&self, stage: usize, tasks: usize) -> Result<Vec<Option<TaskOutput>>> {
        let listed: Vec<Path> = self
            .store
            .list(Some(&self.folder))
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .map_err(from_store)
            .context("looking for what the job has recorded")?;
        let mut outputs = vec![None; tasks];
        for path in listed {
            let Some(task) = path.filename().and_then(|name| task_of(name, stage)) else { continue };
            let output = outputs.get_mut(task).ok_or_else(|| {
                Error::new(ErrorKind::CorruptFile, format!("{path} records task {task} of a stage of {tasks} tasks"))
            })?;
            *output = self.get(&path).await?;
        }
        Ok(outputs)
    }

    /// Records the output of a task, unless another attempt was first: then it is that one's.
    pub(crate) async fn record(&self, stage: usize, task: usize, output: TaskOutput) -> Result<TaskOutput> {
        let path = self.file(&format!("{}.json", task_name(stage, task)));
        if self.create(&path, &output).await? {
            return Ok(output);
        }
        let first = self.get(&path).await?.ok_or_else(|| vanished(&path))?;
        self.remove(&self.file(&output.file)).await;
        Ok(first)
    }

    /// The outputs of a stage that counts as a whole, if it is recorded.
    pub(crate) async fn whole(&self, stage: usize) -> Result<Option<Vec<TaskOutput>>> {
        self.get(&self.file(&format!("stage-{stage:03}.json"))).await
    }

    /// Records a stage as a whole, unless another attempt was first: then it is that one's.
    pub(crate) async fn record_whole(&self, stage: usize, outputs: Vec<TaskOutput>) -> Result<Vec<TaskOutput>> {
        let path = self.file(&format!("stage-{stage:03}.json"));
        if self.create(&path, &outputs).await? {
            return Ok(outputs);
        }
        self.get(&path).await?.ok_or_else(|| vanished(&path))
    }

    /// The name of the file that this attempt writes a task's rows to.
    pub(crate) fn rows_file(&self, stage: usize, task: usize) -> String {
        format!("{}-{}.arrows", task_name(stage, task), self.attempt)
    }

    /// A file of the job. All lie side by side: a store on local disk would leave their folders behind.
    pub(crate) fn file(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    /// Creates a JSON file; whether it was not there yet.
    pub(crate) async fn create<T: Serialize>(&self, path: &Path, value: &T) -> Result<bool> {
        let json = serde_json::to_vec(value).map_err(|error| Error::internal(format!("{path}: {error}")))?;
        match self.store.put_opts(path, json.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(from_store(error)).with_context(|| format!("recording {path}")),
        }
    }

    /// A JSON file, if it is there.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        let bytes = match self.store.get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(from_store(error)).with_context(|| format!("reading {path}")),
            Ok(found) => found.bytes().await.map_err(from_store).with_context(|| format!("reading {path}"))?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorKind::CorruptFile, format!("{path} cannot be read: {error}"))
                .with_hint("remove the job's folder and run the program anew")
        })
    }

    async fn remove(&self, path: &Path) {
        if let Err(error) = self.store.delete(path).await {
            log::warn!("{path}, which is no longer needed, could not be removed: {error}");
        }
    }
}

fn vanished(path: &Path) -> Error {
    Error::new(ErrorKind::Conflict, format!("{path} was removed while the job ran"))
        .with_hint("leave the folder of a job alone until the job is done")
}

fn task_name(stage: usize, task: usize) -> String {
    format!("stage-{stage:03}-task-{task:05}")
}

fn task_of(name: &str, stage: usize) -> Option<usize> {
    name.strip_prefix(&format!("stage-{stage:03}-task-"))?.strip_suffix(".json")?.parse().ok()
}
