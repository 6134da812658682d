//! Tables: files by where they are and how they are read, rows in memory as Arrow IPC, views by their plans.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::location::Scheme;
use sheaf_connectors::read::{FileFilter, FilesParts, FilesSchemas, FilesTable};
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_flight::compact::compact_sparse;

use super::functions::{FILES, TABLE};
use super::plans;
use super::portable::PortableTable;
use super::series::Series;
use crate::encoding::{Decoder, Encoder, Part, damaged, json, read_json, read_rows, stays};
use crate::operators::epochs::EpochsTable;
use crate::operators::epochs::folder::EpochsFolder;
use crate::operators::kept::KeptTable;
use crate::operators::persisted::PersistedTable;
use crate::operators::range::RangeTable;
use crate::operators::stored::{StoredObject, StoredTable};
use crate::verbs::materialize::Materialized;

/// What a table is besides its rows, and the plan that a view is of.
#[derive(Serialize, Deserialize)]
enum Table {
    Files { parts: Box<FilesParts>, files: u32, folders: u32, given: Option<u32>, dtypes: u32, filter: Option<u32> },
    Range { start: i64, end: i64, step: i64 },
    Rows { schema: u32, kept: Kept },
    View { definition: Option<String> },
    Epochs { folder: String, label: String, overwrite: bool, schema: u32 },
    Recursion { name: String, schema: u32 },
    Empty { schema: u32 },
    Series { series: Series, schema: u32 },
    Portable { table: u32 },
    Stored { schema: u32, objects: Vec<StoredObject> },
}

/// Who keeps rows in memory.
#[derive(Serialize, Deserialize)]
enum Kept {
    /// The user, who made the batches.
    Given,
    Materialized,
    Chosen,
    Persisted,
}

/// The number of a table, which is written unless it is.
pub(super) fn encode(name: &TableReference, table: &Arc<dyn TableProvider>, to: &mut Encoder) -> Result<u32> {
    if let Some(known) = to.known_table(table) {
        return Ok(known);
    }
    let (written, inputs, rows) = if let Some(view) = table.downcast_ref::<ViewTable>() {
        let definition = view.definition().cloned();
        (Table::View { definition }, vec![plans::encode(view.logical_plan(), to)?], Vec::new())
    } else if let Some(epochs) = table.downcast_ref::<EpochsTable>() {
        let (kept, schema) = (epochs.folder(), to.schema(&table.schema())?);
        let (folder, label) = (kept.path().to_string_lossy().into_owned(), kept.label().to_string());
        let epoch = plans::encode(epochs.plan(), to)?;
        (Table::Epochs { folder, label, overwrite: kept.overwrites(), schema }, vec![epoch], Vec::new())
    } else if let Some((kept, partitions)) = rows_of(table)? {
        let schema = table.schema();
        let rows = partitions.into_iter().map(|batches| to.rows(&schema, batches)).collect::<Result<_>>()?;
        (Table::Rows { schema: to.schema(&schema)?, kept }, Vec::new(), rows)
    } else {
        (source(name, table, to)?, Vec::new(), Vec::new())
    };
    Ok(to.table(table, Part { detail: json(&written)?, inputs, rows, ..Part::default() }))
}

type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>;

/// The rows of a table that has them itself, by partition.
fn rows_of(table: &Arc<dyn TableProvider>) -> Result<Option<(Kept, Vec<Batches<'_>>)>> {
    let compact = |batch: &RecordBatch| compact_sparse(batch);
    if let Some(table) = table.downcast_ref::<MemTable>() {
        return Ok(Some((Kept::Given, in_memory(table)?)));
    }
    if let Some(table) = table.downcast_ref::<Materialized>() {
        return Ok(Some((Kept::Materialized, in_memory(table.table())?)));
    }
    if let Some(table) = table.downcast_ref::<KeptTable>() {
        let partitions = table.partitions().iter();
        let partitions = partitions.map(|batches| -> Batches<'_> { Box::new(batches.iter().map(compact)) });
        return Ok(Some((Kept::Chosen, partitions.collect())));
    }
    let Some(table) = table.downcast_ref::<PersistedTable>() else { return Ok(None) };
    let partitions = (0..table.rows().partitions()).map(|partition| -> Batches<'_> {
        Box::new(table.batches_of(partition).map(move |batch| compact(&batch.map_err(from_datafusion)?)))
    });
    Ok(Some((Kept::Persisted, partitions.collect())))
}

/// The batches of a table in memory, as they are now.
fn in_memory(table: &MemTable) -> Result<Vec<Batches<'static>>> {
    let partition = |batches: &datafusion::datasource::memory::PartitionData| -> Result<Batches<'static>> {
        let batches = batches.try_read().map_err(|_| {
            Error::new(ErrorKind::Conflict, "the dataset cannot be pickled while rows are inserted into its table")
        })?;
        Ok(Box::new(batches.clone().into_iter().map(|batch| compact_sparse(&batch))))
    };
    table.batches.iter().map(partition).collect()
}

/// A table whose rows are elsewhere.
fn source(name: &TableReference, table: &Arc<dyn TableProvider>, to: &mut Encoder) -> Result<Table> {
    if let Some(table) = table.downcast_ref::<FilesTable>() {
        if let Some(given) = table.locations().iter().find(|location| location.scheme() == Scheme::Given) {
            // Another process may have given another file system this very name.
            return Err(stays(
                format!("{given} is on a file system that was given to this session alone"),
                "read it by a URL that other processes can open, or materialize() the dataset",
            ));
        }
        let (parts, schemas, filter) = table.parts();
        let filter = filter.map(|filter| to.function(FILES, &filter, <dyn FileFilter>::to_bytes)).transpose()?;
        let given = schemas.given.map(|schema| to.schema(&schema)).transpose()?;
        let (files, folders) = (to.schema(&schemas.files)?, to.schema(&schemas.folders)?);
        let parts = Box::new(if to.is_for_cluster() { parts.with_environment() } else { parts });
        return Ok(Table::Files { parts, files, folders, given, dtypes: to.schema(&schemas.dtypes)?, filter });
    }
    if let Some(portable) = table.downcast_ref::<PortableTable>() {
        return Ok(Table::Portable { table: to.function(TABLE, table, |_| portable.to_bytes())? });
    }
    if let Some(stored) = table.downcast_ref::<StoredTable>() {
        if !to.is_for_cluster() {
            return Err(stays(
                "its persisted rows are on the cluster, for the queries of this program",
                "materialize() the dataset, so that its rows go along, or write them to files with checkpoint(path)",
            ));
        }
        let (schema, objects) = (to.schema(&table.schema())?, stored.objects().to_vec());
        return Ok(Table::Stored { schema, objects });
    }
    if let Some(table) = table.downcast_ref::<RangeTable>() {
        let (start, end, step) = table.bounds();
        return Ok(Table::Range { start, end, step });
    }
    if let Some(table) = table.downcast_ref::<CteWorkTable>() {
        return Ok(Table::Recursion { name: table.name().to_string(), schema: to.schema(&table.schema())? });
    }
    if let Some(table) = table.downcast_ref::<GenerateSeriesTable>() {
        return Ok(Table::Series { series: Series::of(table)?, schema: to.schema(&table.schema())? });
    }
    if table.downcast_ref::<EmptyTable>().is_some() {
        return Ok(Table::Empty { schema: to.schema(&table.schema())? });
    }
    let kind = format!("{table:?}");
    let kind = kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    Err(stays(
        format!("its table {name} ({kind}) can be read in this process alone"),
        "materialize() the dataset, so that its rows go along, or write them to files with checkpoint(path)",
    ))
}

/// The table of this number.
pub(super) fn decode(number: u32, from: &mut Decoder<'_>) -> Result<Arc<dyn TableProvider>> {
    let part = match from.table(number)? {
        Ok(known) => return Ok(known),
        Err(part) => part,
    };
    let table: Arc<dyn TableProvider> = match read_json(&part.detail)? {
        Table::Files { parts, files, folders, given, dtypes, filter } => {
            let schemas = FilesSchemas {
                files: from.schema(files)?,
                folders: from.schema(folders)?,
                given: given.map(|schema| from.schema(schema)).transpose()?,
                dtypes: from.schema(dtypes)?,
            };
            let filter = filter.map(|filter| from.function::<dyn FileFilter>(filter)).transpose()?;
            Arc::new(FilesTable::from_parts(*parts, schemas, filter, from.stores())?)
        }
        Table::Range { start, end, step } => Arc::new(RangeTable::new(start, end, step)?),
        Table::Rows { schema, kept } => {
            let schema = from.schema(schema)?;
            let partitions = part.rows.iter().map(|rows| read_rows(&schema, rows)).collect::<Result<Vec<_>>>()?;
            rows_again(&kept, schema, partitions, from)?
        }
        Table::View { definition } => {
            let [plan] = part.inputs[..] else { return Err(damaged("a view is of one plan")) };
            Arc::new(ViewTable::new(from.plan(plan)?, definition))
        }
        Table::Epochs { folder, label, overwrite, schema } => {
            let [plan] = part.inputs[..] else { return Err(damaged("cached epochs are of one plan")) };
            let folder = EpochsFolder::at(from.stores(), &folder, label, overwrite)?;
            Arc::new(EpochsTable::new(folder, from.plan(plan)?, from.schema(schema)?))
        }
        Table::Recursion { name, schema } => Arc::new(CteWorkTable::new(&name, from.schema(schema)?)),
        Table::Portable { table } => from.function::<dyn TableProvider>(table)?,
        Table::Series { series, schema } => Arc::new(series.table(from.schema(schema)?)),
        Table::Stored { schema, objects } => Arc::new(StoredTable::new(from.schema(schema)?, objects)),
        Table::Empty { schema } => Arc::new(EmptyTable::new(from.schema(schema)?)),
    };
    from.keep_table(number, &table);
    Ok(table)
}

/// Rows in this session's memory, kept as they were where they come from.
fn rows_again(
    kept: &Kept,
    schema: arrow::datatypes::SchemaRef,
    partitions: Vec<Vec<RecordBatch>>,
    from: &Decoder<'_>,
) -> Result<Arc<dyn TableProvider>> {
    let runtime = from.context().runtime_env();
    if matches!(kept, Kept::Persisted) {
        let table = PersistedTable::with_rows(schema, &partitions, &runtime).map_err(from_datafusion)?;
        return Ok(Arc::new(table));
    }
    let bytes = partitions.iter().flatten().map(RecordBatch::get_array_memory_size).sum();
    let reservation = MemoryConsumer::new("rows of an unpickled dataset").register(&runtime.memory_pool);
    if matches!(kept, Kept::Chosen) {
        reservation.try_grow(bytes).map_err(from_datafusion)?;
        return Ok(Arc::new(KeptTable::with_rows(schema, partitions, reservation)));
    }
    let table = MemTable::try_new(schema, partitions).map_err(from_datafusion)?;
    if matches!(kept, Kept::Given) {
        return Ok(Arc::new(table));
    }
    reservation.try_grow(bytes).map_err(from_datafusion)?;
    Ok(Arc::new(Materialized::new(table, reservation)))
}
