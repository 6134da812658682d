//! A table of parts that Python loads when they are read: what datasets over the runtime's objects scan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt, stream};
use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use pyo3_arrow::input::AnyRecordBatch;
use sheaf::connectors::error::{from_datafusion, to_datafusion};
use sheaf::dataset::codec::PortableTable;
use sheaf::{Dataset, Error, ErrorKind, Result, Session};

use crate::convert::{gather, kept, schema_to_pyarrow, with_schema};
use crate::pickles::pickled;

/// A dataset of these parts, in their order: neighbours share a partition where there are more than threads.
pub(crate) fn from_parts(session: &Session, schema: &SchemaRef, parts: Vec<Py<PyAny>>) -> Result<Dataset> {
    session.from_provider(table(schema, parts, session.settings().threads)?)
}

/// What the table of parts is made of, in its pickle: the schema, the parts, and partitions at the most.
pub(crate) type Pickled = (PySchema, Vec<Py<PyAny>>, usize);

/// The table that is made of these.
pub(crate) fn remade((schema, parts, partitions): Pickled) -> Result<Arc<dyn TableProvider>> {
    table(&schema.into_inner(), parts, partitions)
}

fn table(schema: &SchemaRef, parts: Vec<Py<PyAny>>, most: usize) -> Result<Arc<dyn TableProvider>> {
    let count = most.min(parts.len()).max(1);
    let share = parts.len().div_ceil(count).max(1);
    let parts: Vec<Arc<Py<PyAny>>> = parts.into_iter().map(Arc::new).collect();
    let mut rest = parts.iter().cloned().enumerate();
    let partitions = (0..count).map(|_| -> Arc<dyn PartitionStream> {
        Arc::new(Parts { schema: Arc::clone(schema), parts: rest.by_ref().take(share).collect() })
    });
    let table = StreamingTable::try_new(Arc::clone(schema), partitions.collect()).map_err(from_datafusion)?;
    let schema = Arc::clone(schema);
    let to_bytes = move || {
        Python::attach(|py| {
            let parts: Vec<_> = parts.iter().map(|part| part.bind(py).clone()).collect();
            let columns = schema_to_pyarrow(py, Arc::clone(&schema));
            let columns = columns.map_err(|raised| Error::internal(format!("a schema cannot be pickled: {raised}")))?;
            pickled(py, "from_arrow_refs", (columns, parts, count))
        })
    };
    Ok(Arc::new(PortableTable::new(Arc::new(table), to_bytes)))
}

/// The parts of one partition, each with its number, which are loaded one after another.
struct Parts {
    schema: SchemaRef,
    parts: Vec<(usize, Arc<Py<PyAny>>)>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Parts {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let batches = stream::iter(self.parts.clone()).then(move |(number, load)| {
            let schema = Arc::clone(&schema);
            // The call may wait, for the GIL and for what it loads.
            let loading =
                SpawnedTask::spawn_blocking(move || Python::attach(|py| load_part(py, number, &load, &schema)));
            async move {
                let loaded = loading.await.map_err(|error| DataFusionError::External(error.into()))?;
                let batches: Vec<EngineResult<RecordBatch>> =
                    loaded.map_err(to_datafusion)?.into_iter().map(Ok).collect();
                Ok::<_, DataFusionError>(stream::iter(batches))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), Box::pin(batches.try_flatten())))
    }
}

/// The batches of a part, over the memory of what Python loaded.
fn load_part(py: Python<'_>, number: usize, load: &Py<PyAny>, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let load = || {
        let loaded = load.bind(py).call0()?;
        let (found, batches) = gather(py, loaded.extract::<AnyRecordBatch>()?)?;
        Ok((loaded.unbind(), found, batches))
    };
    let (owner, found, batches) = load().map_err(|raised: PyErr| {
        let message = format!("part {number} cannot be loaded: {raised}");
        Error::new(ErrorKind::UserFunction, message).with_source(raised)
    })?;
    if !same_columns(&found, schema) {
        let message = format!("part {number} has the columns {}, and the first {}", told(&found), told(schema));
        return Err(Error::new(ErrorKind::TypeMismatch, message)
            .with_hint("pass the schema that all have, or bring them to one before they are stored"));
    }
    let fit = |batch| with_schema(kept(py, batch, &owner), schema);
    let fitted = batches.into_iter().map(fit).collect::<std::result::Result<_, _>>();
    fitted.map_err(|error| Error::new(ErrorKind::TypeMismatch, format!("part {number}: {error}")))
}

fn same_columns(one: &Schema, other: &Schema) -> bool {
    let pair = |(a, b): (&Arc<_>, &Arc<_>)| column(a) == column(b);
    one.fields().len() == other.fields().len() && one.fields().iter().zip(other.fields()).all(pair)
}

fn column(field: &arrow::datatypes::Field) -> (&str, &arrow::datatypes::DataType) {
    (field.name(), field.data_type())
}

fn told(schema: &Schema) -> String {
    schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
}
