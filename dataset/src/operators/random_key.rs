//! `RandomKey`: all rows, and a random number for each that no other row has. What is drawn by an order of these
//! numbers is drawn at random, and again the same for the same seed and partitions.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use crate::encoding::{Decoder, Encoder};

use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use super::partition::{ADDED, with_random_keys};

/// The numbers of this seed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RandomKey {
    pub(crate) seed: u64,
}

impl RandomKey {
    /// The column that is added.
    pub(crate) const COLUMN: &str = ADDED;
}

impl LogicalOperator<1> for RandomKey {
    const NAME: &'static str = "RandomKey";

    fn schema(&self, [input]: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        let added = (None, Arc::new(Field::new(Self::COLUMN, DataType::UInt64, false)));
        let fields = input.iter().map(|(table, field)| (table.cloned(), Arc::clone(field)));
        let fields = fields.chain([added]).collect();
        Ok(Arc::new(DFSchema::new_with_metadata(fields, input.metadata().clone())?))
    }

    fn needed(&self, columns: &[usize], [input]: [&DFSchemaRef; 1]) -> [Vec<usize>; 1] {
        let added = input.fields().len();
        [columns.iter().copied().filter(|column| *column != added).collect()]
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomKey: seed={}", self.seed)
    }
}

impl EncodedOperator<1> for RandomKey {
    const KIND: &'static str = "random_key";

    type Detail = u64;

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<u64> {
        Ok(self.seed)
    }

    fn decode(seed: u64, _inputs: [&DFSchemaRef; 1], _from: &mut Decoder<'_>) -> sheaf_core::Result<Self> {
        Ok(Self { seed })
    }
}

#[async_trait]
impl PlannedOperator<1> for RandomKey {
    async fn plan(&self, Planning { inputs: [input], .. }: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(with_random_keys(&input, self.seed))
    }
}
