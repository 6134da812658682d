//! Each operator over integers, floats, decimals, text and nulls, as a column of a running plan and as a constant.

use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::util::pretty::pretty_format_batches;
use sheaf_core::Options;

use super::*;
use crate::Session;
use crate::expr::{col, lit};

fn session() -> Session {
    Session::new(Options { threads: Some(1), ..Options::default() }).unwrap()
}

fn rows(columns: Vec<(&str, ArrayRef)>, exprs: Vec<Expr>) -> String {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let session = session();
    let dataset = session.from_batches(batch.schema(), vec![batch]).unwrap();
    let named = exprs.into_iter().enumerate().map(|(at, expr)| expr.alias(format!("r{at}")));
    let dataset = dataset.select(named).unwrap();
    let batches = session.threads().block_on(dataset.collect()).unwrap();
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let rows = table.lines().skip(3).filter(|line| line.starts_with('|'));
    rows.map(|row| row.split_whitespace().filter(|cell| *cell != "|").collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn integers_floor_towards_the_divisor_and_divide_exactly() {
    let left = Arc::new(Int64Array::from(vec![Some(7), Some(-7), Some(7), Some(-7), Some(1), Some(i64::MIN), None]));
    let right = Arc::new(Int64Array::from(vec![Some(2), Some(2), Some(-2), Some(-2), Some(0), Some(1), Some(1)]));
    let (a, b) = (|| col("a"), || col("b"));
    let exprs = vec![true_divide(a(), b()), floor_divide(a(), b()), modulo(a(), b()), add(a(), b())];
    let expected = "3.5 3 1 9\n-3.5 -4 1 -5\n-3.5 -4 -1 5\n3.5 3 -1 -9\ninf 1\n\
                    -9.223372036854776e18 -9223372036854775808 0 -9223372036854775807\n";
    assert_eq!(rows(vec![("a", left), ("b", right)], exprs), expected);
}

#[test]
fn floats_follow_python() {
    let left = Arc::new(Float64Array::from(vec![7.5, -7.5, 7.5, 1.0, -2.0]));
    let right = Arc::new(Float64Array::from(vec![2.0, 2.0, -2.0, -0.0, 2.0]));
    let exprs = vec![floor_divide(col("a"), col("b")), modulo(col("a"), col("b"))];
    assert_eq!(rows(vec![("a", left), ("b", right)], exprs), "3.0 1.5\n-4.0 0.5\n-4.0 -0.5\ninf NaN\n-1.0 0.0");
}

#[test]
fn decimals_stay_exact_and_unsigned_numbers_work() {
    let decimal = Decimal128Array::from(vec![Some(-750), None]).with_precision_and_scale(10, 2).unwrap();
    let whole = UInt8Array::from(vec![7, 8]);
    let two = || lit(ScalarValue::Decimal128(Some(200), 10, 2));
    let exprs = vec![
        floor_divide(col("d"), two()),
        modulo(col("d"), two()),
        floor_divide(col("u"), lit(2_u8)),
        modulo(col("u"), lit(2_u8)),
    ];
    let got = rows(vec![("d", Arc::new(decimal)), ("u", Arc::new(whole))], exprs);
    assert_eq!(got.lines().next(), Some("-4 0.50 3 1"), "{got}");
}

#[test]
fn text_is_joined_and_nulls_stay() {
    let left = Arc::new(StringArray::from(vec![Some("ab"), None]));
    let right = Arc::new(StringArray::from(vec![Some("c"), Some("d")]));
    assert_eq!(rows(vec![("a", left), ("b", right)], vec![add(col("a"), col("b"))]), "abc\n");
}

#[test]
fn a_duration_moves_a_date() {
    let days = Arc::new(Date32Array::from(vec![Some(15_736), None]));
    let day = || lit(ScalarValue::DurationMicrosecond(Some(86_400_000_000)));
    let exprs = vec![add(col("d"), day()), add(day(), col("d")), subtract(col("d"), day()), subtract(lit(3), lit(1))];
    assert_eq!(rows(vec![("d", days)], exprs), "2013-02-01 2013-02-01 2013-01-30 2\n2");
}

#[test]
fn constants_fold() {
    let one = Arc::new(Int64Array::from(vec![1]));
    let exprs = vec![
        floor_divide(lit(-7_i64), lit(2_i64)),
        modulo(lit(-7_i64), lit(2_i64)),
        true_divide(lit(1_i64), lit(2_i64)),
        add(lit("a"), lit("b")),
    ];
    assert_eq!(rows(vec![("a", one)], exprs), "-4 1 0.5 ab");
}

#[test]
fn names_keep_the_order_of_operations() {
    let expr = true_divide(add(col("a"), col("b")), col("c"));
    assert_eq!(expr.schema_name().to_string(), "(a + b) / c");
}

#[test]
fn text_and_a_number_do_not_add() {
    let batch = RecordBatch::try_from_iter([
        ("a", Arc::new(StringArray::from(vec!["x"])) as ArrayRef),
        ("b", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    ]);
    let batch = batch.unwrap();
    let session = session();
    let dataset = session.from_batches(batch.schema(), vec![batch]).unwrap();
    let failed = dataset.select([modulo(col("a"), col("b"))]).and_then(|sum| session.threads().block_on(sum.collect()));
    assert!(failed.is_err());
}
