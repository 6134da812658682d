//! Which partitions of datasets, one after another, are ranges of one key. Knows values alone, and no plan.

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::operators::extent::Extent;
use crate::operators::partition::with_its_equals;

/// One dataset.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// The values at which its second and following partitions begin.
    pub(super) splits: Vec<ScalarValue>,
    pub(super) extent: Extent,
}

/// A partition of one of the datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) input: usize,
    pub(super) partition: usize,
}

/// The partitions of all.
#[derive(Debug, PartialEq)]
pub(super) struct Joined {
    /// The values at which the second and following partitions begin.
    pub(super) splits: Vec<ScalarValue>,
    /// What each is made of.
    pub(super) places: Vec<Vec<Place>>,
}

/// The datasets as one, if the values of each end before those of the next begin, and only the last has nulls.
///
/// A partition that is known to be empty goes with the one before. Where a dataset begins with the very value that the one
/// before ends with, the two partitions on the border are one.
pub(super) fn joined(sides: &[Side], of: &DataType) -> Option<Joined> {
    let mut all = Joined { splits: Vec::new(), places: vec![Vec::new()] };
    let mut greatest: Option<&ScalarValue> = None;
    let mut had_nulls = false;
    // Whether the partition that is being made has rows of two datasets already.
    let mut is_shared = false;
    for (input, side) in sides.iter().enumerate() {
        let partitions = (0..=side.splits.len()).map(|partition| Place { input, partition });
        let Some((least, last)) = &side.extent.ends else {
            // Nulls, if there are rows at all.
            had_nulls |= side.extent.has_nulls;
            all.places.last_mut()?.extend(partitions);
            continue;
        };
        let is_known = |value: &ScalarValue| !value.is_null() && value.data_type() == *of && !is_nan(value);
        if had_nulls || ![least, last].into_iter().chain(&side.splits).all(is_known) {
            return None;
        }
        if let Some(greatest) = greatest {
            // Values that compare as less are one for groups and joins if they are the two zeros.
            let begin = with_its_equals(least.clone());
            match (greatest.partial_cmp(least)?, greatest < &begin) {
                (Ordering::Greater, _) => return None,
                (_, true) => {
                    all.begin(begin);
                    is_shared = false;
                }
                (_, false) if is_shared => return None,
                (_, false) => is_shared = true,
            }
        }
        for place in partitions {
            let split = place.partition.checked_sub(1).and_then(|before| side.splits.get(before));
            // Below the least value, and above the greatest, partitions are empty.
            if let Some(split) = split
                && least < split
                && split <= last
            {
                all.begin(split.clone());
                is_shared = false;
            }
            all.places.last_mut()?.push(place);
        }
        greatest = Some(last);
        had_nulls = side.extent.has_nulls;
    }
    Some(all)
}

impl Joined {
    /// A new partition, from this value on.
    fn begin(&mut self, at: ScalarValue) {
        self.splits.push(at);
        self.places.push(Vec::new());
    }
}

/// NaNs of any sign and payload are one value for groups and joins, and lie at both ends of the order.
fn is_nan(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float16(Some(value)) => value.is_nan(),
        ScalarValue::Float32(Some(value)) => value.is_nan(),
        ScalarValue::Float64(Some(value)) => value.is_nan(),
        _ => false,
    }
}
