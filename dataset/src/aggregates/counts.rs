//! How often each value occurs: exactly, or in bounded memory with a bounded error.
//!
//! The bounded form is the Misra–Gries summary, pruned in passes and merged as by P. Agarwal et al., «Mergeable
//! Summaries» (2012): where more than twice `most` values are held, the count of the `most + 1`-th most frequent one is
//! taken from all, and those without a count go. What was taken is remembered: every count is too small by at most
//! that, which is at most the number of rows divided by `most`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, plan_err};

/// What the hash table has for each value beside the value's bytes.
const ENTRY_BYTES: usize = size_of::<(Box<[u8]>, i64)>() + 1;

/// Values with their counts, which are those of the rows but for `lost`.
#[derive(Debug)]
pub(super) struct Counts {
    rows: RowConverter,
    counts: HashMap<Box<[u8]>, i64>,
    key_bytes: usize,
    most: Option<usize>,
    lost: i64,
}

impl Counts {
    /// No values yet, of this type; `most` bounds how many different ones are remembered.
    pub(super) fn new(value: &DataType, most: Option<usize>) -> Result<Self> {
        let rows = RowConverter::new(vec![SortField::new(value.clone())])?;
        Ok(Self { rows, counts: HashMap::new(), key_bytes: 0, most, lost: 0 })
    }

    /// Counts each value once; nulls are none.
    pub(super) fn add(&mut self, values: &ArrayRef) -> Result<()> {
        self.add_times(values, |_| 1)
    }

    fn add_times(&mut self, values: &ArrayRef, times: impl Fn(usize) -> i64) -> Result<()> {
        let nulls = values.logical_nulls();
        let rows = self.rows.convert_columns(&[canonical(values)])?;
        for (at, row) in rows.iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(at)) {
                continue;
            }
            if let Some(count) = self.counts.get_mut(row.data()) {
                *count += times(at);
            } else {
                self.key_bytes += row.data().len();
                self.counts.insert(row.data().into(), times(at));
            }
        }
        self.prune();
        Ok(())
    }

    fn prune(&mut self) {
        let Some(most) = self.most.filter(|most| self.counts.len() > 2 * most) else { return };
        let mut counts: Vec<i64> = self.counts.values().copied().collect();
        let (_, taken, _) = counts.select_nth_unstable_by(most, |a, b| b.cmp(a));
        let taken = *taken;
        let mut freed = 0;
        self.counts.retain(|key, count| {
            *count -= taken;
            freed += if *count > 0 { 0 } else { key.len() };
            *count > 0
        });
        self.key_bytes -= freed;
        self.lost += taken;
    }

    /// The `k` most frequent values, the smaller of equally frequent ones first, and their counts at the most.
    pub(super) fn top(&self, k: usize) -> Result<(ArrayRef, Int64Array)> {
        let mut entries: Vec<(&[u8], i64)> = self.counts.iter().map(|(key, count)| (&**key, *count)).collect();
        let order = |a: &(&[u8], i64), b: &(&[u8], i64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
        if k < entries.len() {
            entries.select_nth_unstable_by(k, order);
            entries.truncate(k);
        }
        entries.sort_unstable_by(order);
        let counts = Int64Array::from_iter_values(entries.iter().map(|entry| entry.1 + self.lost));
        Ok((self.values(entries.iter().map(|entry| entry.0))?, counts))
    }

    fn values<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.rows.parser();
        let mut columns = self.rows.convert_rows(keys.map(|key| parser.parse(key)))?;
        match columns.pop() {
            Some(column) => Ok(column),
            None => plan_err!("a converter of one column has none"),
        }
    }

    /// The state that [`Counts::merge`] reads: values, their counts, and what was lost.
    pub(super) fn state(&self) -> Result<Vec<ScalarValue>> {
        let values = self.values(self.counts.keys().map(|key| &**key))?;
        let counts = Int64Array::from_iter_values(self.counts.values().copied());
        Ok(vec![
            SingleRowListArrayBuilder::new(values).build_list_scalar(),
            SingleRowListArrayBuilder::new(Arc::new(counts)).build_list_scalar(),
            ScalarValue::Int64(Some(self.lost)),
        ])
    }

    pub(super) fn merge(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts, lost] = states else {
            return plan_err!("a state of counts has 3 columns, not {}", states.len());
        };
        let (values, counts): (&ListArray, &ListArray) = (values.as_list(), counts.as_list());
        for row in 0..values.len() {
            if values.is_null(row) {
                continue;
            }
            let times = counts.value(row);
            let times = times.as_primitive::<Int64Type>();
            self.add_times(&values.value(row), |at| times.value(at))?;
        }
        self.lost += lost.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        Ok(())
    }

    pub(super) fn size(&self) -> usize {
        self.rows.size() + self.key_bytes + self.counts.capacity() * ENTRY_BYTES
    }
}

/// The values with one zero and one NaN, so that equal numbers have equal bytes.
fn canonical(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => {
            let one = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Float64 => {
            let one = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        _ => Arc::clone(values),
    }
}
