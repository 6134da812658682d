//! `RouteExpr`: for each row a number whose hash is that of the partition where the row goes.
//!
//! DataFusion's exchange goes by hash alone; so each partition has a number that hashes to it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::{PhysicalExpr, PhysicalExprRef};

use super::heavy::{Agreement, columns, hashes};

/// Numbers that are tried at once.
const TRIED: u64 = 256;

/// Where rows go: those of heavy keys in turn, all others by hash.
#[derive(Debug)]
pub(super) struct RouteExpr {
    keys: Vec<PhysicalExprRef>,
    /// The number of each partition.
    numbers: Vec<u64>,
    agreement: Arc<Agreement>,
    /// Where the first heavy row of the next batch goes.
    turn: AtomicUsize,
}

impl RouteExpr {
    pub(super) fn new(keys: Vec<PhysicalExprRef>, partitions: usize, agreement: Arc<Agreement>) -> Result<Self> {
        Ok(Self { keys, numbers: numbers(partitions)?, agreement, turn: AtomicUsize::new(0) })
    }
}

/// For each partition a number that DataFusion's exchange sends there.
fn numbers(partitions: usize) -> Result<Vec<u64>> {
    let (mut numbers, mut missing, mut tried) = (vec![None; partitions], partitions, 0);
    while missing > 0 {
        let hashes = hashes(&[Arc::new(UInt64Array::from_iter_values(tried..tried + TRIED))], TRIED as usize)?;
        for (number, hash) in (tried..).zip(hashes) {
            let found = &mut numbers[partition_of(hash, partitions)];
            missing -= usize::from(found.is_none());
            found.get_or_insert(number);
        }
        tried += TRIED;
    }
    Ok(numbers.into_iter().flatten().collect())
}

/// Where DataFusion's exchange sends a row of this hash.
fn partition_of(hash: u64, partitions: usize) -> usize {
    (hash % partitions as u64) as usize
}

// By hand, for a derived one would compare what runs share.
impl PartialEq for RouteExpr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.agreement, &other.agreement) && self.keys == other.keys
    }
}

impl Eq for RouteExpr {}

impl Hash for RouteExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keys.hash(state);
    }
}

impl fmt::Display for RouteExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("route")
    }
}

impl PhysicalExpr for RouteExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let decision = self.agreement.decision()?;
        let partitions = self.numbers.len();
        let mut turn = self.turn.fetch_add(1, Ordering::Relaxed) % partitions;
        let hashes = hashes(&columns(&self.keys, batch)?, batch.num_rows())?;
        let numbers = hashes.into_iter().map(|hash| {
            if !decision.is_heavy(hash) {
                return self.numbers[partition_of(hash, partitions)];
            }
            turn = (turn + 1) % partitions;
            self.numbers[turn]
        });
        Ok(ColumnarValue::Array(Arc::new(UInt64Array::from_iter_values(numbers))))
    }

    fn children(&self) -> Vec<&PhysicalExprRef> {
        self.keys.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, keys: Vec<PhysicalExprRef>) -> Result<PhysicalExprRef> {
        Ok(Arc::new(Self::new(keys, self.numbers.len(), Arc::clone(&self.agreement))?))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::Partitioning;
    use datafusion::physical_plan::metrics::Time;
    use datafusion::physical_plan::repartition::BatchPartitioner;

    use super::*;

    /// If DataFusion's exchanges go by another hash one day, rows would meet in no partition.
    #[test]
    fn each_number_goes_to_its_partition() {
        for partitions in [1, 2, 3, 8, 61, 200] {
            let sent = UInt64Array::from(numbers(partitions).unwrap());
            assert_eq!(sent.len(), partitions);
            let batch = RecordBatch::try_from_iter([("x", Arc::new(sent.clone()) as _)]).unwrap();
            let by_hash = Partitioning::Hash(vec![Arc::new(Column::new("x", 0))], partitions);
            let mut exchange = BatchPartitioner::try_new(by_hash, Time::new(), 0, 1).unwrap();
            let mut came = vec![None; partitions];
            let moved = exchange.partition(batch, |partition, rows| {
                let rows = rows.column(0).to_data();
                came[partition] = Some(UInt64Array::from(rows).value(0));
                Ok(())
            });
            moved.unwrap();
            assert_eq!(came, sent.iter().collect::<Vec<_>>());
        }
    }
}
