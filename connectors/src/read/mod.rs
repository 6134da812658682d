//! Reading: from paths to a table that the engine scans.
//!
//! [`open`] lists the files, looks into them, and brings their schemas together; [`FilesTable`] is the result. A scan
//! reads the columns, files, row groups and pages that the query needs.

mod binary;
mod bytes;
mod csv;
mod encoding;
mod guard;
mod hive;
mod inspect;
mod ipc;
mod json;
mod listing;
mod numbers;
mod numpy;
mod parts;
mod prune;
mod rows;
mod scan;
mod schema;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::datasource::table_schema::TableSchemaBuilder;
use datafusion::execution::cache::cache_manager::SchemaFingerprint;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use sheaf_core::{Error, ErrorKind, Result};

pub use guard::{Skipped, skipped_by};
pub use parts::{FilesParts, FilesSchemas};
pub use table::FilesTable;

use crate::format::{Compression, Format};
use crate::location::Location;
use crate::objects::without_objects;
use crate::stores::{StorageOptions, Stores};
use guard::is_broken_file;
use inspect::{Inspected, Reader, check_dtypes};
use listing::{Hive, LOOKUPS, Listed};
use schema::Unify;
use table::{Known, Version, key};

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The format; guessed by the files' names when it is not given.
    pub format: Option<Format>,
    /// The columns of the files; inferred when they are not given. CSV columns are then taken in their order.
    pub schema: Option<SchemaRef>,
    /// Whether folders named `key=value` make columns: `None` when all files below the folder that was named agree,
    /// `Some(true)` for the folders of the whole path, `Some(false)` never.
    pub hive_partitioning: Option<bool>,
    /// The name of a column with each row's file.
    pub include_file_paths: Option<String>,
    /// The name of a column with each row's number in its file, from 0. Files are then read in one piece, but for those
    /// of Parquet.
    pub include_row_numbers: Option<String>,
    /// Whether the columns of all files are read, and not those of the first alone.
    pub union_by_name: bool,
    /// Whether files that cannot be read are skipped and counted. Rows that came before the broken part stay.
    pub ignore_errors: bool,
    /// Options of the store, which go before the environment's.
    pub storage_options: StorageOptions,
    /// How text files are compressed; guessed by each file's name when it is not given.
    pub compression: Option<Compression>,
    /// The ends of the names of files to read, as `csv` or `tar.gz`; all files when it is empty.
    pub file_extensions: Vec<String>,
    /// Which files to read, of those that the paths lead to.
    pub partition_filter: Option<Arc<dyn FileFilter>>,
    /// Whether paths without files are left out instead of being an error.
    pub ignore_missing_paths: bool,
    /// How many partitions the files are read in. There are fewer where files are few and cannot be read in parts, and
    /// a scan of [`FilesTable`] may have more: who plans it has to put neighbours together.
    pub parallelism: Option<usize>,
}

/// Chooses files before any of them is looked into.
pub trait FileFilter: std::fmt::Debug + Send + Sync {
    /// Whether to read the file: by its path, and by the keys and values of the folders that it is in.
    ///
    /// # Errors
    /// Whatever the filter meets; nothing is read then.
    fn keeps(&self, path: &str, folders: &[(String, Option<String>)]) -> Result<bool>;

    /// The filter as bytes for another process.
    ///
    /// # Errors
    /// For a filter that cannot leave its process, as those of Rust unless they say otherwise.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        Err(Error::new(ErrorKind::Unsupported, "the dataset cannot be pickled: its filter of files is of this process")
            .with_hint("let its FileFilter have to_bytes, and a FunctionDecoder make it again"))
    }
}

/// Opens files as one table: lists them, looks into them, and brings their schemas together.
///
/// # Errors
/// - [`ErrorKind::NotFound`] for a path without files.
/// - [`ErrorKind::CorruptFile`] or [`ErrorKind::Parse`] for a file that cannot be read.
/// - [`ErrorKind::TypeMismatch`] for files whose schemas do not come together.
/// - [`ErrorKind::InvalidInput`] for options that cannot be right.
pub async fn open(
    state: &dyn Session,
    stores: &Arc<Stores>,
    paths: &[String],
    options: &ReadOptions,
) -> Result<Arc<FilesTable>> {
    if paths.is_empty() {
        return Err(Error::invalid("there is no path to read"));
    }
    let locations = paths.iter().map(|path| Location::parse(path)).collect::<Result<Vec<_>>>()?;
    let hive = match options.hive_partitioning {
        Some(false) => Hive::Off,
        Some(true) => Hive::WholePath,
        None => Hive::BelowRoot,
    };
    let given = options.format.as_ref();
    let mut files = listing::list(stores, &locations, options, given, hive).await?;
    if files.is_empty() && options.schema.is_none() {
        let message = format!("no file to read is left at {}", paths.join(", "));
        return Err(Error::new(ErrorKind::NotFound, message)
            .with_hint("check paths, file_extensions and partition_filter, or pass the schema of what may come"));
    }
    let format = match given {
        Some(format) => format.clone(),
        None => guess(&files)?,
    };
    if options.compression.is_some_and(|kind| kind != Compression::None) && !format.takes_compression() {
        return Err(Error::invalid(format!("{} files are not compressed from outside", format.name()))
            .with_hint("leave compression out: the file says how it is compressed"));
    }
    let reader = Reader::new(format.clone())?;
    let skipped = Arc::new(Skipped::default());
    let mut known = Known::new();
    let file_schema = match &options.schema {
        Some(schema) => Arc::clone(schema),
        None => {
            let inspected = match inspect_all(state, &reader, &files, options, &skipped).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // Another writer may have put other files in their place since they were listed.
                    files = listing::list(stores, &locations, options, given, hive).await?;
                    inspect_all(state, &reader, &files, options, &skipped).await?
                }
                inspected => inspected?,
            };
            known = remember(&inspected);
            unify(&reader, &inspected, options.union_by_name)?
        }
    };
    let mut columns = columns(&files, without_objects(&file_schema), options, hive)?;
    if let Some(name) = &options.include_row_numbers {
        columns = numbers::with_row_numbers(&columns, &reader, name);
    }
    let fingerprint = Arc::new(SchemaFingerprint::from_schema(columns.file_schema()));
    Ok(Arc::new(FilesTable {
        stores: Arc::clone(stores),
        locations,
        format,
        reader,
        options: options.clone(),
        hive: if columns.table_partition_cols().is_empty() { Hive::Off } else { hive },
        columns,
        fingerprint,
        known: Mutex::new(known),
        skipped,
    }))
}

fn guess(files: &[Listed]) -> Result<Format> {
    let known = files.iter().find_map(|file| Format::from_path(file.meta.location.as_ref()));
    known.ok_or_else(|| {
        let name = files.first().map_or("the file", |file| file.full.as_str());
        Error::invalid(format!("the name of {name} does not say its format"))
            .with_hint("use read_parquet, read_csv, read_json, read_ipc or read_text")
    })
}

async fn inspect_all<'a>(
    state: &dyn Session,
    reader: &Reader,
    files: &'a [Listed],
    options: &ReadOptions,
    skipped: &Skipped,
) -> Result<Vec<(&'a Listed, Inspected)>> {
    let one = |file: &'a Listed| async move {
        match reader.inspect(state, file, options.compression).await {
            Ok(inspected) => Ok(Some((file, inspected))),
            Err(error) if options.ignore_errors && is_broken_file(&error) => {
                skipped.add(&file.full, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    let futures: Vec<_> = files.iter().map(one).collect();
    let found: Vec<Option<_>> = stream::iter(futures).buffered(LOOKUPS).try_collect().await?;
    let found: Vec<_> = found.into_iter().flatten().collect();
    if found.is_empty() {
        let names = skipped.files();
        return Err(Error::new(
            ErrorKind::CorruptFile,
            format!("none of {} files can be read: {}", names.len(), names.join(", ")),
        )
        .with_hint("read them without ignore_errors to see why"));
    }
    Ok(found)
}

fn remember(files: &[(&Listed, Inspected)]) -> Known {
    let entry = |(file, inspected): &(&Listed, Inspected)| (key(file), (Version::of(file), inspected.clone()));
    files.iter().map(entry).collect::<HashMap<_, _>>()
}

fn unify(reader: &Reader, files: &[(&Listed, Inspected)], by_name: bool) -> Result<SchemaRef> {
    // JSON objects leave out what they do not have: each file's columns are chance.
    let by_name = by_name || matches!(reader, Reader::Json(_));
    let named: Vec<_> = files.iter().map(|(file, found)| (file.full.as_str(), Arc::clone(&found.schema))).collect();
    let schema = Unify { by_name, text: reader.is_text() }.unify(&named)?;
    let schema = match reader {
        Reader::Csv(_) | Reader::Json(_) => schema::without_nulls(&schema),
        _ => schema,
    };
    check_dtypes(reader, &schema)?;
    Ok(schema)
}

/// A folder's column with the type that the caller's schema gives it: `01` is a number unless it says otherwise.
fn as_declared(column: FieldRef, options: &ReadOptions) -> FieldRef {
    let declared = options.schema.as_ref().and_then(|schema| schema.field_with_name(column.name()).ok());
    match declared {
        Some(field) => Arc::new(column.as_ref().clone().with_data_type(field.data_type().clone())),
        None => column,
    }
}

/// The columns in files, with those of folders and the path after them.
fn columns(
    files: &[Listed],
    file_schema: SchemaRef,
    options: &ReadOptions,
    hive: Hive,
) -> Result<datafusion::datasource::table_schema::TableSchema> {
    let pairs: Vec<_> = files.iter().map(|file| file.pairs.clone()).collect();
    let mut partition: Vec<FieldRef> = match (hive, hive::columns(&pairs)) {
        (_, Some(columns)) => columns.into_iter().map(|column| as_declared(column, options)).collect(),
        (Hive::WholePath, None) => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the files are not in folders named key=value with the same keys everywhere",
            )
            .with_hint("leave hive_partitioning out"));
        }
        _ => Vec::new(),
    };
    // What a folder's name says of its files goes before what is in them.
    let in_files = |field: &&FieldRef| !partition.iter().any(|column| column.name() == field.name());
    let kept: Vec<FieldRef> = file_schema.fields().iter().filter(in_files).cloned().collect();
    let file_schema = if kept.len() == file_schema.fields().len() {
        file_schema
    } else {
        Arc::new(Schema::new_with_metadata(kept, file_schema.metadata().clone()))
    };
    if let Some(name) = &options.include_file_paths {
        let taken = file_schema.fields().iter().chain(&partition).any(|field| field.name() == name);
        if taken {
            return Err(Error::invalid(format!("include_file_paths: there is a column {name:?} already"))
                .with_hint("give the column of paths another name"));
        }
        partition.push(Arc::new(Field::new(name, DataType::Utf8, false)));
    }
    Ok(TableSchemaBuilder::new(file_schema).with_table_partition_cols(partition).build())
}
