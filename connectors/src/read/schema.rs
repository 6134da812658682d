//! One schema for many files: missing columns become null, types are widened, and what does not fit is told with
//! both files' names.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use sheaf_core::{Error, ErrorKind, Result};

/// How schemas come together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unify {
    /// Columns of every file count, and not of the first alone.
    pub by_name: bool,
    /// Values are text in the files, so that what fits no narrower type is text.
    pub text: bool,
}

impl Unify {
    /// The schema of all files, each given with its name. The first file decides the order.
    ///
    /// # Errors
    /// [`ErrorKind::TypeMismatch`] for types that do not widen to one, and for a column that only a later file has
    /// unless columns of every file count.
    pub(crate) fn unify(self, files: &[(&str, SchemaRef)]) -> Result<SchemaRef> {
        let Some((first, schema)) = files.first() else { return Ok(Arc::new(Schema::empty())) };
        if files.iter().all(|(_, other)| other.fields() == schema.fields()) {
            return Ok(Arc::clone(schema));
        }
        let mut columns: Vec<(FieldRef, &str)> = schema.fields().iter().map(|f| (Arc::clone(f), *first)).collect();
        for (at, (file, other)) in files.iter().enumerate().skip(1) {
            for (column, _) in &mut columns {
                if other.field_with_name(column.name()).is_err() {
                    *column = nullable(column);
                }
            }
            for field in other.fields() {
                match columns.iter_mut().find(|(column, _)| column.name() == field.name()) {
                    Some((column, from)) => {
                        let wide = self.widen_field(column, field, (from, file))?;
                        if wide.data_type() != column.data_type() {
                            *from = file;
                        }
                        *column = wide;
                    }
                    None if self.by_name => {
                        debug_assert!(at > 0, "the first file's columns are all known");
                        columns.push((nullable(field), file));
                    }
                    None => return Err(added(field.name(), first, file)),
                }
            }
        }
        let fields: Vec<FieldRef> = columns.into_iter().map(|(column, _)| column).collect();
        Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
    }

    fn widen_field(self, a: &FieldRef, b: &FieldRef, files: (&str, &str)) -> Result<FieldRef> {
        let kind = match widen(a.data_type(), b.data_type()) {
            Some(kind) => kind,
            None if self.text => DataType::Utf8,
            None => {
                return Err(Error::new(
                    ErrorKind::TypeMismatch,
                    format!(
                        "the column {:?} is {} in {} and {} in {}",
                        a.name(),
                        a.data_type(),
                        files.0,
                        b.data_type(),
                        files.1
                    ),
                )
                .with_hint("read the files apart and cast the column, or write them with one type"));
            }
        };
        let nullable = a.is_nullable() || b.is_nullable();
        Ok(Arc::new(a.as_ref().clone().with_data_type(kind).with_nullable(nullable)))
    }
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

fn added(column: &str, first: &str, file: &str) -> Error {
    Error::new(ErrorKind::TypeMismatch, format!("{file} has the column {column:?}, which {first} does not have"))
        .with_hint("pass union_by_name=True to read the columns of all files")
}

/// Columns of which only nulls were seen, as text: what comes later in the files can then be read.
pub(crate) fn without_nulls(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Null => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => Arc::clone(field),
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The narrowest type that holds the values of both, if there is one.
pub(crate) fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (T::Null, other) | (other, T::Null) => Some(other.clone()),
        (T::Dictionary(_, value), other) | (other, T::Dictionary(_, value)) => widen(value, other),
        (T::Date32, T::Timestamp(..)) | (T::Date64, T::Timestamp(..)) => Some(b.clone()),
        (T::Timestamp(..), T::Date32 | T::Date64) => Some(a.clone()),
        (T::Date32, T::Date64) | (T::Date64, T::Date32) => Some(T::Date64),
        (T::Timestamp(x, p), T::Timestamp(y, q)) if p == q => Some(T::Timestamp(finer(*x, *y), p.clone())),
        (T::List(x), T::List(y)) => Some(T::List(widen_child(x, y)?)),
        (T::LargeList(x), T::LargeList(y)) => Some(T::LargeList(widen_child(x, y)?)),
        (T::Struct(x), T::Struct(y)) => {
            let mut fields: Vec<FieldRef> = Vec::new();
            for field in x {
                let other = y.iter().find(|other| other.name() == field.name());
                fields.push(other.map_or_else(|| Some(nullable(field)), |other| widen_child(field, other))?);
            }
            let new = y.iter().filter(|field| !x.iter().any(|other| other.name() == field.name()));
            fields.extend(new.map(nullable));
            Some(T::Struct(fields.into()))
        }
        _ => widen_strings(a, b).or_else(|| widen_numbers(a, b)),
    }
}

fn widen_child(a: &FieldRef, b: &FieldRef) -> Option<FieldRef> {
    let kind = widen(a.data_type(), b.data_type())?;
    let nullable = a.is_nullable() || b.is_nullable();
    Some(Arc::new(Field::new(a.name(), kind, nullable).with_metadata(a.metadata().clone())))
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    a.max(b)
}

fn widen_strings(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    let text = |kind: &T| matches!(kind, T::Utf8 | T::LargeUtf8 | T::Utf8View);
    let bytes = |kind: &T| matches!(kind, T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_));
    let either = |kind: T| *a == kind || *b == kind;
    if text(a) && text(b) {
        return Some(if either(T::Utf8View) { T::Utf8View } else { T::LargeUtf8 });
    }
    if bytes(a) && bytes(b) {
        let large = if either(T::LargeBinary) { T::LargeBinary } else { T::Binary };
        return Some(if either(T::BinaryView) { T::BinaryView } else { large });
    }
    None
}

/// Bits and sign of an integer type.
fn integer(kind: &DataType) -> Option<(u8, bool)> {
    use DataType as T;
    Some(match kind {
        T::Int8 => (8, true),
        T::Int16 => (16, true),
        T::Int32 => (32, true),
        T::Int64 => (64, true),
        T::UInt8 => (8, false),
        T::UInt16 => (16, false),
        T::UInt32 => (32, false),
        T::UInt64 => (64, false),
        _ => return None,
    })
}

fn signed(bits: u8) -> DataType {
    match bits {
        8 => DataType::Int8,
        16 => DataType::Int16,
        32 => DataType::Int32,
        64 => DataType::Int64,
        // No integer holds both signs and all of 64 bits.
        _ => DataType::Decimal128(20, 0),
    }
}

fn widen_numbers(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    match (integer(a), integer(b)) {
        (Some((x, true)), Some((y, true))) => return Some(signed(x.max(y))),
        (Some((x, false)), Some((y, false))) => return Some(if x > y { a.clone() } else { b.clone() }),
        (Some((s, true)), Some((u, false))) | (Some((u, false)), Some((s, true))) => {
            return Some(signed(s.max(u.saturating_mul(2))));
        }
        _ => {}
    }
    if let (Some((p, s)), Some((q, t))) = (decimal(a), decimal(b)) {
        let scale = s.max(t);
        let digits = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t)) + i16::from(scale);
        return match u8::try_from(digits).ok()? {
            digits @ 0..=38 => Some(T::Decimal128(digits, scale)),
            digits @ 39..=76 => Some(T::Decimal256(digits, scale)),
            _ => None,
        };
    }
    let float = |kind: &T| match kind {
        T::Float16 => Some(16),
        T::Float32 => Some(32),
        T::Float64 => Some(64),
        _ => None,
    };
    match (float(a), float(b)) {
        (Some(x), Some(y)) => Some(if x > y { a.clone() } else { b.clone() }),
        (Some(_), None) if integer(b).is_some() => Some(T::Float64),
        (None, Some(_)) if integer(a).is_some() => Some(T::Float64),
        _ => None,
    }
}

/// Precision and scale of a decimal, or of the decimal that holds an integer type; at least one must be a decimal.
fn decimal(kind: &DataType) -> Option<(u8, i8)> {
    use DataType as T;
    match kind {
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => Some((*p, *s)),
        kind => integer(kind).map(|(bits, _)| match bits {
            8 => (3, 0),
            16 => (5, 0),
            32 => (10, 0),
            _ => (20, 0),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType as T;

    fn schema(fields: &[(&str, T)]) -> SchemaRef {
        let field = |(name, kind): &(&str, T)| Field::new(*name, kind.clone(), false);
        Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
    }

    const STRICT: Unify = Unify { by_name: false, text: false };

    #[test]
    fn types_widen_to_the_narrowest_that_holds_both() {
        for (a, b, wide) in [
            (T::Int32, T::Int64, T::Int64),
            (T::Int8, T::UInt8, T::Int16),
            (T::UInt64, T::Int64, T::Decimal128(20, 0)),
            (T::Int64, T::Float32, T::Float64),
            (T::Null, T::Boolean, T::Boolean),
            (T::Date32, T::Timestamp(TimeUnit::Second, None), T::Timestamp(TimeUnit::Second, None)),
            (
                T::Timestamp(TimeUnit::Second, None),
                T::Timestamp(TimeUnit::Microsecond, None),
                T::Timestamp(TimeUnit::Microsecond, None),
            ),
            (T::Utf8, T::Utf8View, T::Utf8View),
            (T::Decimal128(10, 2), T::Decimal128(12, 4), T::Decimal128(12, 4)),
            (T::Decimal128(5, 2), T::Int32, T::Decimal128(12, 2)),
        ] {
            assert_eq!(widen(&a, &b).as_ref(), Some(&wide), "{a} {b}");
            assert_eq!(widen(&b, &a).as_ref(), Some(&wide), "{b} {a}");
        }
        assert_eq!(widen(&T::Int64, &T::Utf8), None);
        assert_eq!(widen(&T::Boolean, &T::Int64), None);
    }

    #[test]
    fn a_missing_column_becomes_nullable() {
        let (a, b) = (schema(&[("x", T::Int32), ("y", T::Utf8)]), schema(&[("x", T::Int64)]));
        let both = STRICT.unify(&[("a", a), ("b", b)]).unwrap();
        assert_eq!(both.field(0).data_type(), &T::Int64);
        assert!(!both.field(0).is_nullable());
        assert!(both.field(1).is_nullable());
    }

    #[test]
    fn an_added_column_needs_union_by_name() {
        let files = [("a", schema(&[("x", T::Int32)])), ("b", schema(&[("z", T::Int32), ("x", T::Int32)]))];
        let error = STRICT.unify(&files).unwrap_err().to_string();
        assert!(error.contains("b has the column \"z\"") && error.contains("union_by_name"), "{error}");
        let all = Unify { by_name: true, text: false }.unify(&files).unwrap();
        let names: Vec<_> = all.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["x", "z"]);
        assert!(all.field(1).is_nullable());
    }

    #[test]
    fn types_that_do_not_fit_name_both_files_or_are_text() {
        let files = [("a.parquet", schema(&[("x", T::Int32)])), ("b.parquet", schema(&[("x", T::Boolean)]))];
        let error = STRICT.unify(&files).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TypeMismatch);
        assert!(error.to_string().contains("Int32 in a.parquet and Boolean in b.parquet"), "{error}");
        let text = Unify { by_name: false, text: true }.unify(&files).unwrap();
        assert_eq!(text.field(0).data_type(), &T::Utf8);
    }
}
