//! Writing: a plan's rows become files that appear whole or not at all.
//!
//! [`plan`] puts two nodes on a plan. [`WriteFilesExec`] encodes each input partition into files and uploads them
//! while it encodes; [`CommitExec`] publishes them in one step:
//!
//! - **One file**, local: written beside the target under a hidden name, and renamed. On an object store: uploaded to
//!   the target, where nothing is to be seen before the upload is completed. Every reader sees the old file or the
//!   new one. Mode `error` is exact on local disk and for files of one part (8 MiB); a larger upload replaces what is
//!   there, so that the writer looks once more just before it completes it.
//! - **A folder**: files get names that were never used, and become the data when the next [`crate::manifest`] is
//!   created by one conditional put. Sheaf's readers obey the manifest and see all old files or all new ones. Replaced
//!   files are removed only after that. *Other* readers list the folder: they may see new files before the commit,
//!   and old ones beside new ones until the replaced files are gone; after an append they see what Sheaf sees. Files
//!   that others put into such a folder later are not in its manifest, so that Sheaf does not read them.
//!
//! A writer that fails or is dropped removes its files. One that is killed leaves them behind, unseen; the first
//! overwrite of the folder that is at least 24 hours younger removes them. What survives a power failure is what the
//! file system had on disk: files are not synced one by one.

mod commit;
mod encode;
mod files;
mod job;
mod leftovers;
mod numpy;
mod open_files;
mod options;
mod parquet;
mod partition;
mod publish;
mod upload;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::Boundedness;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use sheaf_core::{Error, ErrorKind, Result};

use crate::format::Format;
use crate::location::{Location, Scheme};
use crate::objects::{holds_objects, refused};
use crate::stores::Stores;

pub use commit::CommitExec;
pub use files::WriteFilesExec;
pub use leftovers::{remove_leftovers, remove_unfinished};
pub use options::{
    Attempt, CsvWriteOptions, IpcCompression, IpcWriteOptions, JsonWriteOptions, ParquetCompression,
    ParquetWriteOptions, TARGET_FILE_BYTES, TARGET_HELD_BYTES, WriteFormat, WriteMode, WriteOptions,
};

use job::{Job, Target};

/// Plans to write what `input` yields to `target`. The plan yields one row: `files`, `rows`, `bytes`, `path`.
///
/// Nothing is looked at or written before the plan runs, and it runs once: give it new children, or reset it, to
/// write again.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when target, options and input do not fit together, [`ErrorKind::UnknownColumn`] for a
/// partition column that is not there, [`ErrorKind::TypeMismatch`] for types that the format cannot hold.
#[expect(clippy::unused_async, reason = "planning may come to ask the store, as reading does")]
pub async fn plan(
    state: &dyn Session,
    stores: &Arc<Stores>,
    input: Arc<dyn ExecutionPlan>,
    target: &str,
    options: WriteOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(CommitExec::new(plan_files(state, stores, input, target, options)?)?))
}

/// Plans to write the files alone: one row for each of them. Where other processes take part in the write, the options
/// have a `shared_id`, and `target` is a folder.
///
/// # Errors
/// As [`plan`].
pub fn plan_files(
    state: &dyn Session,
    stores: &Arc<Stores>,
    input: Arc<dyn ExecutionPlan>,
    target: &str,
    mut options: WriteOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let wrap = |error: Error| error.with_context(format!("writing {target}"));
    let (location, file_schema) = checked(&input, target, &options).map_err(wrap)?;
    let target = resolve(stores, &location, &mut options).map_err(wrap)?;
    let input = if target.single_file { into_one(input) } else { input };
    Ok(files_of(state, input, target, options, file_schema))
}

/// Plans to commit what others write by [`plan_files`] with the same options: rows with this schema, of whose files
/// `files` has a row each.
///
/// # Errors
/// As [`plan`].
pub fn plan_commit(
    stores: &Arc<Stores>,
    files: Arc<dyn ExecutionPlan>,
    schema: &SchemaRef,
    target: &str,
    mut options: WriteOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let wrap = |error: Error| error.with_context(format!("writing {target}"));
    let file_schema = partition::file_schema(schema, &options.partition_by).map_err(wrap)?;
    let target = resolve(stores, &Location::parse(target)?, &mut options).map_err(wrap)?;
    let job = Arc::new(Job::new(target, options, Arc::clone(schema), file_schema, 1));
    Ok(Arc::new(CommitExec::elsewhere(files, job)))
}

/// The columns of what [`plan_files`] yields: `path`, `rows` and `bytes` of each file.
#[must_use]
pub fn files_schema() -> SchemaRef {
    files::schema()
}

/// Whether a write makes a folder of files, of which others may write some.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a target that is none.
pub fn makes_folder(target: &str, options: &WriteOptions) -> Result<bool> {
    Ok(!is_single_file(&Location::parse(target)?, options))
}

/// The target, and the columns of its files.
fn checked(input: &Arc<dyn ExecutionPlan>, target: &str, options: &WriteOptions) -> Result<(Location, SchemaRef)> {
    let schema = input.schema();
    check_schema(&schema, &options.format)?;
    if input.boundedness() != Boundedness::Bounded {
        return Err(Error::invalid("the input never ends, so that the write would never commit"));
    }
    let location = Location::parse(target)?;
    let file_schema = partition::file_schema(&schema, &options.partition_by)?;
    if options.format == WriteFormat::Numpy {
        numpy::check_schema(&file_schema)?;
    }
    Ok((location, file_schema))
}

fn files_of(
    state: &dyn Session,
    input: Arc<dyn ExecutionPlan>,
    target: Target,
    options: WriteOptions,
    file_schema: SchemaRef,
) -> Arc<dyn ExecutionPlan> {
    let alone = input.output_partitioning().partition_count() == 1 && options.partition_by.is_empty();
    let lanes = if alone { state.config().target_partitions() } else { 1 };
    let job = Arc::new(Job::new(target, options, input.schema(), file_schema, lanes));
    Arc::new(WriteFilesExec::new(input, job))
}

/// Whether a target is one file: it is where its name says so, unless something needs a folder.
fn is_single_file(location: &Location, options: &WriteOptions) -> bool {
    let needs_folder = !options.partition_by.is_empty() || options.mode == WriteMode::Append;
    options
        .single_file
        .unwrap_or_else(|| !needs_folder && !location.is_folder() && Format::from_path(&location.to_string()).is_some())
}

/// Settles whether the target is a file or a folder, and finds its store.
fn resolve(stores: &Arc<Stores>, location: &Location, options: &mut WriteOptions) -> Result<Target> {
    let text = location.to_string();
    if location.glob().is_some() {
        return Err(Error::invalid("the target is a glob").with_hint("name the one file or folder to be written"));
    }
    if location.scheme() == Scheme::Http {
        return Err(Error::new(ErrorKind::Unsupported, "Sheaf does not write over HTTP")
            .with_hint("write to local disk or to an object store"));
    }
    let needs_folder = !options.partition_by.is_empty() || options.mode == WriteMode::Append;
    let single_file = is_single_file(location, options);
    if single_file && options.attempt.is_some() {
        return Err(Error::invalid("a job writes a folder, and the target is to be a single file")
            .with_hint("name a folder; repartition(1) before the write gives one file in it"));
    }
    if single_file && needs_folder {
        let why = if options.mode == WriteMode::Append { "append" } else { "partition_by" };
        return Err(Error::invalid(format!("{why} needs a folder, and the target is to be a single file")));
    }
    if single_file && (location.path().is_root() || text.ends_with('/')) {
        return Err(Error::invalid("the target is a folder, and a single file is to be written")
            .with_hint("add the file's name to the target"));
    }
    options.format.settle(&text, single_file);
    let resolved = stores.resolve(location, &options.storage_options)?;
    let renames = location.scheme() == Scheme::Local;
    Ok(Target { text, store: resolved.store, path: resolved.path, single_file, renames })
}

/// One stream for one file; sorted input stays sorted.
fn into_one(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if input.output_partitioning().partition_count() == 1 {
        return input;
    }
    match input.output_ordering().cloned() {
        Some(ordering) => Arc::new(SortPreservingMergeExec::new(ordering, input)),
        None => Arc::new(CoalescePartitionsExec::new(input)),
    }
}

fn check_schema(schema: &Schema, format: &WriteFormat) -> Result<()> {
    if schema.fields().is_empty() {
        return Err(Error::invalid("there is no column to write"));
    }
    let mut names = HashSet::new();
    for field in schema.fields() {
        if !names.insert(field.name()) {
            return Err(Error::invalid(format!("two columns are named {:?}", field.name()))
                .with_hint("rename one of them before writing"));
        }
        if holds_objects(field) {
            return Err(refused(field.name(), "no file can hold"));
        }
        if matches!(format, WriteFormat::Csv(_)) && is_nested(field.data_type()) {
            return Err(Error::new(
                ErrorKind::TypeMismatch,
                format!("the column {:?} of type {} does not fit into CSV", field.name(), field.data_type()),
            )
            .with_hint("write Parquet, JSON lines or Arrow IPC, or turn the column into text"));
        }
    }
    Ok(())
}

fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_nested(values),
        other => other.is_nested(),
    }
}

/// The schema of a write's one row of report: `files`, `rows` and `bytes` as `UInt64`, `path` as `Utf8`.
#[must_use]
pub fn report_schema() -> SchemaRef {
    commit::summary_schema()
}
