//! Kinds of types: which columns go together in one, and which values a column can hold. The engine itself goes
//! further than a dataframe may: it makes text of numbers without a word.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;

/// What values of a type are, whatever their width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
    Bytes,
    Bool,
    /// A date, or a date with a time.
    Day,
    TimeOfDay,
    Length,
    Nothing,
    /// A list, a struct, a map, a union.
    Nested,
}

impl Kind {
    /// Whether values have an order of their own that `min` and `max` follow.
    pub(crate) fn is_ordered(self) -> bool {
        !matches!(self, Self::Nested | Self::Nothing)
    }
}

/// The kind of a type; of a dictionary, that of its values.
pub(crate) fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Dictionary(_, values) => kind(values),
        DataType::RunEndEncoded(_, values) => kind(values.data_type()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Kind::Bytes,
        DataType::Boolean => Kind::Bool,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Day,
        DataType::Time32(_) | DataType::Time64(_) => Kind::TimeOfDay,
        DataType::Duration(_) | DataType::Interval(_) => Kind::Length,
        DataType::Null => Kind::Nothing,
        number if number.is_numeric() => Kind::Number,
        _ => Kind::Nested,
    }
}

/// Whether a column of this type can hold NaN.
pub(crate) fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// The type that holds the values of both, if they are of one kind: numbers widen, nothing becomes text.
pub(crate) fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    let (of_left, of_right) = (kind(left), kind(right));
    match (of_left, of_right) {
        (Kind::Nothing, _) => Some(right.clone()),
        (_, Kind::Nothing) => Some(left.clone()),
        (Kind::Nested, Kind::Nested) if nested_fit(left, right) => type_union_coercion(left, right),
        _ if of_left == of_right && of_left != Kind::Nested => type_union_coercion(left, right),
        _ => None,
    }
}

/// Whether what two nested types hold is of one kind all the way down.
fn nested_fit(left: &DataType, right: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView, Struct};
    if left.equals_datatype(right) {
        return true;
    }
    match (left, right) {
        (
            List(a) | LargeList(a) | FixedSizeList(a, _) | ListView(a) | LargeListView(a),
            List(b) | LargeList(b) | FixedSizeList(b, _) | ListView(b) | LargeListView(b),
        ) => common(a.data_type(), b.data_type()).is_some(),
        (Struct(a), Struct(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.name() == b.name() && common(a.data_type(), b.data_type()).is_some())
        }
        _ => false,
    }
}

/// The value as one of this type, if that type holds it as it is: 0.5 is no integer, and 300 no `Int8`.
pub(crate) fn value_as(value: &ScalarValue, data_type: &DataType) -> Option<ScalarValue> {
    let own = value.data_type();
    if kind(&own) != kind(data_type) || (kind(&own) == Kind::Nested && !nested_fit(&own, data_type)) {
        return None;
    }
    let cast = value.cast_to(data_type).ok().filter(|cast| !cast.is_null())?;
    // A float holds every number, as well as it can.
    if is_float(data_type) || kind(&own) == Kind::Nested {
        return Some(cast);
    }
    (cast.cast_to(&own).ok()? == *value).then_some(cast)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn numbers_widen_and_nothing_becomes_text() {
        assert_eq!(common(&DataType::Int32, &DataType::Int64), Some(DataType::Int64));
        assert_eq!(common(&DataType::Int64, &DataType::Float64), Some(DataType::Float64));
        assert_eq!(common(&DataType::Null, &DataType::Utf8), Some(DataType::Utf8));
        assert_eq!(common(&DataType::Int64, &DataType::Utf8), None);
        assert_eq!(common(&DataType::Boolean, &DataType::Int64), None);
        assert_eq!(common(&DataType::Date32, &DataType::Time64(TimeUnit::Microsecond)), None);
        let list = |item| DataType::new_list(item, true);
        assert_eq!(common(&list(DataType::Int32), &list(DataType::Utf8)), None);
        assert_eq!(common(&list(DataType::Int32), &list(DataType::Int64)), Some(list(DataType::Int64)));
    }

    #[test]
    fn a_value_fits_only_where_it_stays_what_it_is() {
        let int = |value| ScalarValue::Int64(Some(value));
        assert_eq!(value_as(&int(3), &DataType::Int8), Some(ScalarValue::Int8(Some(3))));
        assert_eq!(value_as(&int(300), &DataType::Int8), None);
        assert_eq!(value_as(&ScalarValue::from(0.5), &DataType::Int64), None);
        assert_eq!(value_as(&ScalarValue::from(2.0), &DataType::Int64), Some(int(2)));
        assert_eq!(value_as(&ScalarValue::from(0.1), &DataType::Float32), Some(ScalarValue::Float32(Some(0.1))));
        assert_eq!(value_as(&ScalarValue::from("0"), &DataType::Int64), None);
        assert_eq!(value_as(&int(0), &DataType::Utf8), None);
    }
}
