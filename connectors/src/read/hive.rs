//! Columns in the names of folders: `year=2013/month=1/part.parquet`.
//!
//! Keys and values are taken from paths, types are inferred over all files, and each file gets its typed values.

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use sheaf_core::{Error, ErrorKind, Result};
use std::sync::Arc;

use crate::location::percent_decode;

/// What stands for null in the name of a folder.
pub(crate) const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// One key with its value, or null.
pub(crate) type Pair = (String, Option<String>);

/// The pairs in the folders of a path; the last segment is the file's name and holds none.
pub(crate) fn pairs(path: &str) -> Vec<Pair> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders
        .split('/')
        .filter_map(|segment| segment.split_once('='))
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (percent_decode(key), (value != NULL).then(|| percent_decode(value))))
        .collect()
}

/// The columns of all files, when all have the same keys in the same order.
pub(crate) fn columns(files: &[Vec<Pair>]) -> Option<Vec<FieldRef>> {
    let first = files.first().filter(|pairs| !pairs.is_empty())?;
    let same_keys =
        files.iter().all(|pairs| pairs.len() == first.len() && pairs.iter().zip(first).all(|(a, b)| a.0 == b.0));
    if !same_keys {
        return None;
    }
    let field = |at: usize, key: &str| {
        let values: Vec<&str> = files.iter().filter_map(|pairs| pairs[at].1.as_deref()).collect();
        Arc::new(Field::new(key, infer(&values), true))
    };
    Some(first.iter().enumerate().map(|(at, (key, _))| field(at, key)).collect())
}

/// Whole numbers, dates, else text.
fn infer(values: &[&str]) -> DataType {
    if values.is_empty() {
        return DataType::Utf8;
    }
    let is_number = |text: &&str| text.parse::<i64>().is_ok() && !text.starts_with('+');
    let is_date =
        |text: &&str| text.len() == 10 && ScalarValue::try_from_string(text.to_string(), &DataType::Date32).is_ok();
    if values.iter().all(is_number) {
        DataType::Int64
    } else if values.iter().all(is_date) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

/// The values of one file for the columns.
///
/// # Errors
/// [`ErrorKind::TypeMismatch`] when a folder that came later does not fit the columns.
pub(crate) fn values(file: &str, pairs: &[Pair], columns: &[FieldRef]) -> Result<Vec<ScalarValue>> {
    let misfit = |column: &Field, text: &str| {
        Error::new(
            ErrorKind::TypeMismatch,
            format!("{file}: the folder {}={text} is not of type {}", column.name(), column.data_type()),
        )
        .with_hint("read the folder again: its columns have changed since it was opened")
    };
    columns
        .iter()
        .map(|column| match pairs.iter().find(|(key, _)| key == column.name()) {
            Some((_, Some(text))) => {
                ScalarValue::try_from_string(text.clone(), column.data_type()).map_err(|_| misfit(column, text))
            }
            Some((_, None)) => ScalarValue::try_from(column.data_type()).map_err(|_| misfit(column, NULL)),
            None => Err(misfit(column, "")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(paths: &[&str]) -> Option<Vec<(String, DataType)>> {
        let files: Vec<_> = paths.iter().map(|path| pairs(path)).collect();
        let columns = columns(&files)?;
        Some(columns.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect())
    }

    #[test]
    fn types_are_inferred_over_all_files() {
        let found = types(&[
            "year=2013/day=2013-01-01/who=a%2Fb/f.parquet",
            "year=__HIVE_DEFAULT_PARTITION__/day=2013-01-02/who=7/f.parquet",
        ]);
        let expected = [("year", DataType::Int64), ("day", DataType::Date32), ("who", DataType::Utf8)];
        assert_eq!(found.unwrap(), expected.map(|(name, kind)| (name.to_string(), kind)));
    }

    #[test]
    fn files_with_other_keys_make_no_columns() {
        assert_eq!(types(&["a=1/f", "b=1/f"]), None);
        assert_eq!(types(&["a=1/f", "f"]), None);
        assert_eq!(types(&["f=1.parquet"]), None, "a file's own name is no folder");
    }

    #[test]
    fn values_are_decoded_typed_and_may_be_null() {
        let path = "year=2013/who=a%20b%2Fc/f";
        let columns = columns(&[pairs(path)]).unwrap();
        assert_eq!(
            values(path, &pairs(path), &columns).unwrap(),
            [ScalarValue::Int64(Some(2013)), ScalarValue::Utf8(Some("a b/c".into()))]
        );
        let null = "year=__HIVE_DEFAULT_PARTITION__/who=x/f";
        assert!(values(null, &pairs(null), &columns).unwrap()[0].is_null());
        let other = "year=never/who=x/f";
        let error = values(other, &pairs(other), &columns).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TypeMismatch);
        assert!(error.to_string().contains("year=never"), "{error}");
    }
}
