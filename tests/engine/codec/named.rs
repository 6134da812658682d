//! Functions of a program in Rust, which travel by their names.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, FieldRef, Int64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use sheaf::connectors::read::FileFilter;
use sheaf::dataset::aggregates::{GroupStates, UserAggregate};
use sheaf::dataset::codec::PortableTable;
use sheaf::dataset::operators::range::RangeTable;
use sheaf::dataset::{BatchFunction, BatchPosition, FunctionDecoder, Outputs};
use sheaf::expr::ArrayFunction;
use sheaf::{Error, Result};

/// The functions of this program, by name.
pub(super) struct Named;

/// Doubles the column `x`.
pub(super) struct Doubles;

/// Rows, one for each call.
pub(super) struct Counts;

fn one_column(batch: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let at = batch.schema().index_of(name).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[at] = values;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

impl BatchFunction for Doubles {
    fn name(&self) -> &'static str {
        "doubles"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        let x = batch.column_by_name("x").unwrap().as_primitive::<Int64Type>();
        let doubled = x.iter().map(|x| x.map(|x| x * 2)).collect::<Int64Array>();
        Outputs::one(Ok(one_column(&batch, "x", Arc::new(doubled))))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(b"doubles".to_vec())
    }
}

impl BatchFunction for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        let rows = Arc::new(Int64Array::from(vec![batch.num_rows() as i64])) as ArrayRef;
        Outputs::one(Ok(RecordBatch::try_from_iter([("rows", rows)]).unwrap()))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(b"counts".to_vec())
    }
}

/// One more.
pub(super) struct Next;

impl ArrayFunction for Next {
    fn call(&self, arguments: Vec<ArrayRef>, _fields: &[FieldRef], _rows: usize) -> Result<ArrayRef> {
        let x = arguments[0].as_primitive::<Int64Type>();
        Ok(Arc::new(x.iter().map(|x| x.map(|x| x + 1)).collect::<Int64Array>()))
    }

    fn to_bytes(&self, _name: &str) -> Result<Vec<u8>> {
        Ok(b"next".to_vec())
    }
}

/// The number of rows in each group.
pub(super) struct Rows;

#[derive(Default)]
struct RowStates(Vec<i64>);

impl RowStates {
    fn add(&mut self, groups: &RecordBatch, of: impl Fn(usize) -> i64) -> usize {
        let group = groups.columns().last().unwrap().as_primitive::<UInt64Type>();
        for row in 0..groups.num_rows() {
            let at = group.value(row) as usize;
            self.0.resize(self.0.len().max(at + 1), 0);
            self.0[at] += of(row);
        }
        self.0.len() * 8
    }
}

impl UserAggregate for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn start(&self, _result: &DataType) -> Result<Box<dyn GroupStates>> {
        Ok(Box::new(RowStates::default()))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(b"rows".to_vec())
    }
}

impl GroupStates for RowStates {
    fn update(&mut self, rows: RecordBatch) -> Result<usize> {
        Ok(self.add(&rows, |_| 1))
    }

    fn merge(&mut self, states: RecordBatch) -> Result<usize> {
        let bytes = states.column(0).as_binary::<i32>().clone();
        let count = |row| if bytes.is_null(row) { 0 } else { i64::from_le_bytes(bytes.value(row).try_into().unwrap()) };
        Ok(self.add(&states, count))
    }

    fn states(&mut self, groups: usize) -> Result<ArrayRef> {
        let states: Vec<[u8; 8]> = self.0.iter().take(groups).map(|count| count.to_le_bytes()).collect();
        Ok(Arc::new(BinaryArray::from_iter_values(states)))
    }

    fn results(&mut self, groups: usize) -> Result<ArrayRef> {
        Ok(Arc::new(self.0.iter().take(groups).copied().collect::<Int64Array>()))
    }

    fn forget(&mut self, groups: usize) -> Result<usize> {
        self.0.drain(..groups.min(self.0.len()));
        Ok(self.0.len() * 8)
    }
}

/// Files with an `a` in their names.
#[derive(Debug)]
pub(super) struct WithA;

impl FileFilter for WithA {
    fn keeps(&self, path: &str, _folders: &[(String, Option<String>)]) -> Result<bool> {
        Ok(path.rsplit('/').next().unwrap().contains('a'))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(b"with a".to_vec())
    }
}

impl FunctionDecoder for Named {
    fn batches(&self, bytes: &[u8]) -> Result<Arc<dyn BatchFunction>> {
        match bytes {
            b"doubles" => Ok(Arc::new(Doubles)),
            b"counts" => Ok(Arc::new(Counts)),
            other => Err(Error::invalid(format!("no function {other:?}"))),
        }
    }

    fn array(&self, bytes: &[u8]) -> Result<Arc<dyn ArrayFunction>> {
        assert_eq!(bytes, b"next");
        Ok(Arc::new(Next))
    }

    fn aggregate(&self, bytes: &[u8]) -> Result<Arc<dyn UserAggregate>> {
        assert_eq!(bytes, b"rows");
        Ok(Arc::new(Rows))
    }

    fn files(&self, bytes: &[u8]) -> Result<Arc<dyn FileFilter>> {
        assert_eq!(bytes, b"with a");
        Ok(Arc::new(WithA))
    }

    fn table(&self, bytes: &[u8]) -> Result<Arc<dyn TableProvider>> {
        let table = RangeTable::new(0, i64::from(bytes[0]), 1)?;
        let bytes = bytes.to_vec();
        Ok(Arc::new(PortableTable::new(Arc::new(table), move || Ok(bytes.clone()))))
    }
}
