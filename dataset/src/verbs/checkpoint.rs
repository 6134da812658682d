//! `checkpoint`: the rows of a plan kept in files, from which this program and later ones go on.

use sheaf_connectors::format::Format;
use sheaf_connectors::location::Location;
use sheaf_connectors::manifest;
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::stores::StorageOptions;
use sheaf_connectors::write::{WriteFormat, WriteMode, WriteOptions};
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::verbs::fingerprint::fingerprint;

/// How a checkpoint is kept.
#[derive(Debug, Clone, Default)]
pub struct CheckpointOptions {
    /// Parquet, or Arrow IPC, which is larger and is read faster.
    pub format: WriteFormat,
    /// Whether what else is in the folder is replaced.
    pub overwrite: bool,
    /// Options of the folder's store.
    pub storage_options: StorageOptions,
}

/// What begins the label of a checkpoint's folder; the fingerprint of its plan follows.
const LABEL: &str = "checkpoint ";

impl Dataset {
    /// The same rows, from files in the folder `target`. Where it holds the checkpoint of the same plan over the same
    /// inputs, of this or an earlier program, that is read. Otherwise the plan runs now and its rows are written, whole
    /// or not at all.
    ///
    /// Plans are the same when their nodes and expressions are, and their inputs: files by name, size and time of the
    /// last change, rows in memory by their values, user functions by [`crate::BatchFunction::fingerprint`].
    ///
    /// # Errors
    /// - [`ErrorKind::AlreadyExists`] when the folder holds something else, unless it is to be replaced.
    /// - [`ErrorKind::InvalidInput`] for a format that does not keep the types of columns.
    /// - Whatever goes wrong in the plan or in the store. The folder is then as it was.
    pub async fn checkpoint(&self, target: &str, options: CheckpointOptions) -> Result<Self> {
        let format = match options.format {
            WriteFormat::Parquet(_) => Format::Parquet,
            WriteFormat::Ipc(_) => Format::Ipc,
            other => {
                return Err(Error::invalid(format!("{} does not keep the types of columns", other.name()))
                    .with_hint("the formats of checkpoints are parquet and ipc"));
            }
        };
        let (dataset, session) = (self.clone(), self.session());
        let label = session.run(async move { fingerprint(&dataset).await }).await?;
        let label = format!("{LABEL}{label}");
        if !self.holds(target, &options.storage_options, &label).await? {
            let write = WriteOptions {
                format: options.format,
                mode: if options.overwrite { WriteMode::Overwrite } else { WriteMode::Error },
                single_file: Some(false),
                storage_options: options.storage_options.clone(),
                label: Some(label.clone()),
                ..WriteOptions::default()
            };
            match self.write(target, write).await {
                // Another program may have made the same checkpoint meanwhile.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if !self.holds(target, &options.storage_options, &label).await? {
                        return Err(occupied(target, error));
                    }
                }
                written => drop(written?),
            }
        }
        let storage_options = options.storage_options;
        let hive_partitioning = Some(false);
        let read = ReadOptions { format: Some(format), storage_options, hive_partitioning, ..ReadOptions::default() };
        session.read(&[target.to_string()], &read).await
    }

    /// Whether the folder holds what this label says, and nothing else.
    async fn holds(&self, target: &str, options: &StorageOptions, label: &str) -> Result<bool> {
        let location = Location::parse(target)?;
        if location.glob().is_some() {
            return Err(Error::invalid(format!("{target}: a checkpoint is one folder, and no glob")));
        }
        let found = self.session().stores().resolve(&location, options)?;
        let label = label.to_string();
        let look = async move { manifest::current(&*found.store, &found.path).await };
        let current = self.session().run(look).await?;
        Ok(current.is_some_and(|manifest| manifest.exists && manifest.label() == Some(&label)))
    }
}

fn occupied(target: &str, error: Error) -> Error {
    let message = format!("{target} holds something else than the checkpoint of this plan over its inputs as they are");
    Error::new(ErrorKind::AlreadyExists, message)
        .with_hint("choose another folder, or pass overwrite to replace what is there")
        .with_source(error)
}
