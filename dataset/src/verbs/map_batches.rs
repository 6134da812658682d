//! `map_batches`: a function of the user's over record batches.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::operators::map_batches::{
    BatchFunction, BatchPosition, MapBatches, MapBatchesOptions, OnError, dead_letter_options, dead_letter_schema,
    first_output, looked_at,
};
use crate::verbs::origins::with_origins;

impl Dataset {
    /// What `function` makes of each batch: any number of batches. They keep the order of those that they are made of.
    ///
    /// With `schema` the result has that schema. Without, the function is called once now, on the first batch of
    /// the input (an empty one if the input has no rows), and the schema is that of what it returned.
    ///
    /// # Errors
    /// Without a schema, whatever goes wrong while the first batch is read and mapped; [`ErrorKind::InvalidInput`] when
    /// the function is to keep the partitioning and returns no such key.
    ///
    /// [`ErrorKind::InvalidInput`]: sheaf_core::ErrorKind::InvalidInput
    pub async fn map_batches(
        &self,
        function: Arc<dyn BatchFunction>,
        options: MapBatchesOptions,
        schema: Option<SchemaRef>,
    ) -> Result<Self> {
        self.check_map_batches(&options).await?;
        let schema = match schema {
            Some(schema) => schema,
            None => self.mapped_schema(&function, &options).await?,
        };
        let keeps_partitioning = options.keeps_partitioning;
        let stores = Arc::clone(self.session().stores());
        let plan = self.logical_plan();
        // Those who read dead letters are told where the rows come from, which costs two columns up to here.
        let origins = match &options.failures.dead_letter {
            Some(_) => with_origins(plan).map_err(from_datafusion)?,
            None => None,
        };
        let calls = MapBatches::new(function, &schema, options, stores).map_err(from_datafusion)?;
        let calls = calls.with_origins(origins.is_some());
        let input = Self::new(self.session().clone(), origins.unwrap_or_else(|| plan.clone()));
        let mapped = input.through(calls)?;
        if keeps_partitioning {
            // Only the physical plan knows the keys; a function that drops one is told now.
            mapped.physical_plan().await?;
        }
        Ok(mapped)
    }

    async fn check_map_batches(&self, options: &MapBatchesOptions) -> Result<()> {
        if options.batch_size == Some(0) || options.batch_bytes == Some(0) {
            return Err(Error::invalid("batch_size must be at least 1"));
        }
        let Some(target) = &options.failures.dead_letter else { return Ok(()) };
        if options.failures.on_error == OnError::Raise {
            return Err(Error::invalid("dead letters are of rows that do not end the run, and on_error is \"raise\"")
                .with_hint("use on_error=\"skip\" or \"null\" with dead_letter="));
        }
        let letters = self.session().from_batches(dead_letter_schema(&self.schema())?, Vec::new())?;
        letters.check_append(target, &dead_letter_options()).await
    }

    /// The schema of what the function returns for the first batch.
    pub(super) async fn mapped_schema(
        &self,
        function: &Arc<dyn BatchFunction>,
        options: &MapBatchesOptions,
    ) -> Result<SchemaRef> {
        let rows = options.batch_size.unwrap_or(self.session().settings().batch_size);
        let mut first = self.limit(0, Some(rows))?.start().await?;
        let mut batch = RecordBatch::new_empty(first.schema());
        while let Some(next) = first.next().await? {
            if next.num_rows() > 0 {
                batch = next;
                break;
            }
        }
        drop(first);
        let called = looked_at(function, options)?;
        let at = BatchPosition { partition: 0, batch: 0, row: 0 };
        let output = self.session().run(async move { first_output(&called, batch, at).await }).await?;
        let output = output.ok_or_else(|| {
            Error::invalid(format!("{} made nothing of the first batch, so its columns are not known", function.name()))
                .with_hint("give schema=, the columns that it returns")
        })?;
        // The first batch's nulls say nothing of the later ones': every column may have them.
        let fields: Vec<_> =
            output.schema_ref().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let metadata = output.schema_ref().metadata().clone();
        Ok(Arc::new(arrow::datatypes::Schema::new_with_metadata(fields, metadata)))
    }
}
