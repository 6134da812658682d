//! What a table over files is made of, for another process to make the same table without looking at the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::datasource::table_schema::TableSchemaBuilder;
use datafusion::execution::cache::cache_manager::SchemaFingerprint;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sheaf_core::{Error, Result};

use super::guard::Skipped;
use super::inspect::Reader;
use super::listing::Hive;
use super::numbers::with_row_numbers;
use super::table::{FilesTable, Known};
use super::{FileFilter, ReadOptions};
use crate::credentials::with_environment;
use crate::format::{Compression, Format};
use crate::location::Location;
use crate::stores::{StorageOptions, Stores};

/// The parts of a [`FilesTable`] that are neither schemas nor functions. The options of the store are among them, with
/// whatever secrets they have: whoever reads the files elsewhere needs them. They are never printed.
#[derive(Serialize, Deserialize)]
pub struct FilesParts {
    locations: Vec<Location>,
    format: Format,
    /// Whether the format was given, and not guessed.
    is_given: bool,
    hive: Hive,
    include_file_paths: Option<String>,
    include_row_numbers: Option<String>,
    hive_partitioning: Option<bool>,
    union_by_name: bool,
    ignore_errors: bool,
    storage_options: StorageOptions,
    compression: Option<Compression>,
    file_extensions: Vec<String>,
    ignore_missing_paths: bool,
    parallelism: Option<usize>,
}

/// The schemas of a [`FilesTable`].
#[derive(Debug, Clone)]
pub struct FilesSchemas {
    /// The columns in the files.
    pub files: SchemaRef,
    /// The columns of folders and paths.
    pub folders: SchemaRef,
    /// What the user said of the columns.
    pub given: Option<SchemaRef>,
    /// The types of single columns of CSV.
    pub dtypes: SchemaRef,
}

impl FilesParts {
    /// With what the environment of this process says of their store, for a process that reads them in its place.
    #[must_use]
    pub fn with_environment(self) -> Self {
        let of = |location: &Location| with_environment(location, &self.storage_options);
        let storage_options = self.locations.first().map(of).unwrap_or_default();
        Self { storage_options, ..self }
    }
}

impl FilesTable {
    /// What this table is made of, but for the filter that chooses files.
    #[must_use]
    pub fn parts(&self) -> (FilesParts, FilesSchemas, Option<Arc<dyn FileFilter>>) {
        let options = self.options.clone();
        let dtypes = match &self.format {
            Format::Csv(csv) => csv.dtypes.clone(),
            _ => BTreeMap::new(),
        };
        let dtypes = dtypes.into_iter().map(|(name, dtype)| arrow::datatypes::Field::new(name, dtype, true));
        let schemas = FilesSchemas {
            files: Arc::clone(self.columns.file_schema()),
            folders: Arc::new(Schema::new(self.columns.table_partition_cols().to_vec())),
            given: options.schema,
            dtypes: Arc::new(Schema::new(dtypes.collect::<Vec<_>>())),
        };
        let parts = FilesParts {
            locations: self.locations.clone(),
            format: self.format.clone(),
            is_given: options.format.is_some(),
            hive: self.hive,
            include_file_paths: options.include_file_paths,
            include_row_numbers: options.include_row_numbers,
            hive_partitioning: options.hive_partitioning,
            union_by_name: options.union_by_name,
            ignore_errors: options.ignore_errors,
            storage_options: options.storage_options,
            compression: options.compression,
            file_extensions: options.file_extensions,
            ignore_missing_paths: options.ignore_missing_paths,
            parallelism: options.parallelism,
        };
        (parts, schemas, options.partition_filter)
    }

    /// The table of these parts. Nothing is looked at before it is scanned.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for parts that no table has.
    pub fn from_parts(
        parts: FilesParts,
        schemas: FilesSchemas,
        filter: Option<Arc<dyn FileFilter>>,
        stores: &Arc<Stores>,
    ) -> Result<Self> {
        let mut format = parts.format;
        if let Format::Csv(csv) = &mut format {
            let typed = |field: &FieldRef| (field.name().clone(), field.data_type().clone());
            csv.dtypes = schemas.dtypes.fields().iter().map(typed).collect();
        }
        if parts.include_file_paths.is_some() && schemas.folders.fields().is_empty() {
            return Err(Error::invalid("a table with the paths of its files has a column for them"));
        }
        let folders = schemas.folders.fields().to_vec();
        let reader = Reader::new(format.clone())?;
        let mut columns = TableSchemaBuilder::new(schemas.files).with_table_partition_cols(folders).build();
        if let Some(name) = &parts.include_row_numbers {
            columns = with_row_numbers(&columns, &reader, name);
        }
        let options = ReadOptions {
            format: parts.is_given.then(|| format.clone()),
            schema: schemas.given,
            hive_partitioning: parts.hive_partitioning,
            include_file_paths: parts.include_file_paths,
            include_row_numbers: parts.include_row_numbers,
            union_by_name: parts.union_by_name,
            ignore_errors: parts.ignore_errors,
            storage_options: parts.storage_options,
            compression: parts.compression,
            file_extensions: parts.file_extensions,
            partition_filter: filter,
            ignore_missing_paths: parts.ignore_missing_paths,
            parallelism: parts.parallelism,
        };
        let fingerprint = Arc::new(SchemaFingerprint::from_schema(columns.file_schema()));
        Ok(Self {
            stores: Arc::clone(stores),
            locations: parts.locations,
            reader,
            format,
            options,
            hive: parts.hive,
            columns,
            fingerprint,
            known: Mutex::new(Known::new()),
            skipped: Arc::new(Skipped::default()),
        })
    }
}
