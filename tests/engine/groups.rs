//! Functions over groups, subtotals, and aggregates of the user's, as Rust programs write them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use sheaf::dataset::aggregates::{GroupStates, UserAggregate};
use sheaf::dataset::{BatchFunction, BatchPosition, GroupCalls, Outputs};
use sheaf::expr::{col, functions_aggregate::expr_fn as f, lit};
use sheaf::{Dataset, ErrorKind, Options, Result, Session};

fn session() -> Session {
    Session::new(Options { threads: Some(3), ..Options::default() }).unwrap()
}

/// Ids from 0 in 100 groups of 1,000.
fn numbers(session: &Session) -> Dataset {
    session.range(0, 100_000).unwrap().with_columns([("k".to_string(), col("id") % lit(100_i64))]).unwrap()
}

fn column(session: &Session, dataset: &Dataset, name: &str) -> Vec<i64> {
    let batches = session.threads().block_on(dataset.collect()).unwrap();
    let column =
        |batch: &RecordBatch| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(column).collect()
}

/// One row for each call: the key and how many rows.
struct Sizes;

impl Sizes {
    fn schema() -> SchemaRef {
        let field = |name| Field::new(name, DataType::Int64, true);
        Arc::new(Schema::new(vec![field("k"), field("rows")]))
    }
}

impl BatchFunction for Sizes {
    fn name(&self) -> &'static str {
        "sizes"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        let keys = batch.column_by_name("k").unwrap().slice(0, 1);
        let rows = Arc::new(Int64Array::from(vec![batch.num_rows() as i64])) as ArrayRef;
        Outputs::one(Ok(RecordBatch::try_new(Self::schema(), vec![keys, rows]).unwrap()))
    }
}

#[test]
fn groups_are_whole_or_in_batches() {
    let session = session();
    let grouped = numbers(&session).groupby([col("k")]);
    let mapped =
        |calls, schema| session.threads().block_on(grouped.map_groups(Arc::new(Sizes), calls, schema)).unwrap();
    let whole = mapped(GroupCalls::Whole, None);
    assert_eq!(column(&session, &whole, "rows"), [1_000; 100]);
    let mut keys = column(&session, &whole, "k");
    keys.sort_unstable();
    assert!(keys.into_iter().eq(0..100));
    let mut rows = column(&session, &mapped(GroupCalls::Rows(600), Some(Sizes::schema())), "rows");
    rows.sort_unstable();
    assert_eq!(rows, [[400; 100], [600; 100]].concat());
}

#[test]
fn a_grouped_input_is_exchanged_once() {
    let session = session();
    let once = numbers(&session).groupby([col("k")]).agg([f::count(lit(1_i64)).alias("n")]).unwrap();
    let grouped = once.groupby([col("k")]);
    let schema = Some(Sizes::schema());
    let mapped = session.threads().block_on(grouped.map_groups(Arc::new(Sizes), GroupCalls::Whole, schema)).unwrap();
    let plan = session.threads().block_on(mapped.explain()).unwrap();
    let physical = plan.split("== Physical ==").nth(1).unwrap();
    assert!(physical.contains("MapGroupsExec: sizes, by=[k@0], whole groups"), "{physical}");
    assert_eq!(physical.matches("partitioning=Hash").count(), 1, "{physical}");
    assert_eq!(column(&session, &mapped, "rows"), [1; 100]);
}

#[test]
fn a_rollup_has_a_total() {
    let session = session();
    let totals = numbers(&session).rollup([col("k")]).agg([f::count(lit(1_i64)).alias("n")]).unwrap();
    let mut counts = column(&session, &totals, "n");
    counts.sort_unstable();
    assert_eq!(counts, [vec![1_000; 100], vec![100_000]].concat());
    let error = numbers(&session).cube([]).agg([f::count(lit(1_i64))]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// The number of rows, kept as eight bytes.
struct Rows;

struct Counted(Vec<Option<i64>>);

impl UserAggregate for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn start(&self, _result: &DataType) -> Result<Box<dyn GroupStates>> {
        Ok(Box::new(Counted(Vec::new())))
    }
}

impl Counted {
    fn add(&mut self, batch: &RecordBatch, rows: impl Fn(usize) -> Option<i64>) -> usize {
        let groups = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
        for (row, group) in groups.values().iter().enumerate() {
            let group = usize::try_from(*group).unwrap();
            self.0.resize(self.0.len().max(group + 1), None);
            if let Some(more) = rows(row) {
                self.0[group] = Some(self.0[group].unwrap_or(0) + more);
            }
        }
        self.0.len() * 8
    }

    fn first(&self, groups: usize) -> impl Iterator<Item = Option<i64>> {
        self.0.iter().copied().chain(std::iter::repeat(None)).take(groups)
    }
}

impl GroupStates for Counted {
    fn update(&mut self, rows: RecordBatch) -> Result<usize> {
        Ok(self.add(&rows, |_| Some(1)))
    }

    fn merge(&mut self, states: RecordBatch) -> Result<usize> {
        let kept = states.column(0).as_binary::<i32>().clone();
        Ok(self.add(&states, |row| kept.is_valid(row).then(|| i64::from_le_bytes(kept.value(row).try_into().unwrap()))))
    }

    fn states(&mut self, groups: usize) -> Result<ArrayRef> {
        let bytes: Vec<_> = self.first(groups).map(|rows| rows.map(|rows| rows.to_le_bytes().to_vec())).collect();
        Ok(Arc::new(BinaryArray::from_iter(bytes)))
    }

    fn results(&mut self, groups: usize) -> Result<ArrayRef> {
        Ok(Arc::new(self.first(groups).collect::<Int64Array>()))
    }

    fn forget(&mut self, groups: usize) -> Result<usize> {
        self.0.drain(..groups.min(self.0.len()));
        Ok(self.0.len() * 8)
    }
}

#[test]
fn aggregates_of_the_users_are_partial_and_merged() {
    let session = session();
    let grouped = numbers(&session).groupby([col("k")]);
    let call = session.threads().block_on(grouped.user_aggregate(Arc::new(Rows), None, None)).unwrap();
    let counted = grouped.agg([call]).unwrap();
    assert_eq!(column(&session, &counted, "rows"), [1_000; 100]);
    let plan = session.threads().block_on(counted.explain()).unwrap();
    assert!(plan.contains("mode=Partial") && plan.contains("mode=FinalPartitioned"), "{plan}");
    // All keys differ: states are made of single rows.
    let each = session.range(0, 300_000).unwrap().groupby([col("id")]);
    let call = session.threads().block_on(each.user_aggregate(Arc::new(Rows), None, Some(DataType::Int64))).unwrap();
    assert_eq!(column(&session, &each.agg([call]).unwrap(), "rows"), vec![1; 300_000]);
}
