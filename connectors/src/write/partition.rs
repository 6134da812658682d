//! `partition_by`: splits batches by the values of some columns and names the folder of each part, `name=value/…`.

use std::collections::HashMap;

use arrow::array::{Array, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sheaf_core::{Error, ErrorKind, Result};

use crate::error::unknown_column_error;

/// What stands for null in a folder's name, as Hive and Spark have it.
pub(crate) const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// Splits batches into the folders that they belong to.
#[derive(Debug)]
pub(crate) struct Partitioner {
    /// The partition columns, in the order of the folders.
    columns: Vec<usize>,
    /// The others, which are in the files.
    rest: Vec<usize>,
    names: Vec<String>,
    converter: RowConverter,
    /// Folder names by the encoded values, so that each is made once.
    folders: HashMap<Box<[u8]>, String>,
}

/// The schema of the files of a dataset that is partitioned by these columns.
///
/// # Errors
/// [`ErrorKind::UnknownColumn`], [`ErrorKind::TypeMismatch`] for a column that no folder name can hold, and
/// [`ErrorKind::InvalidInput`] when a column is named twice or none is left for the files.
pub(crate) fn file_schema(schema: &SchemaRef, partition_by: &[String]) -> Result<SchemaRef> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    for (at, name) in partition_by.iter().enumerate() {
        let (_, field) = schema.column_with_name(name).ok_or_else(|| unknown_column_error(name, &names))?;
        if partition_by[..at].contains(name) {
            return Err(Error::invalid(format!("partition_by names the column {name:?} twice")));
        }
        if !can_name_folder(field.data_type()) {
            return Err(Error::new(
                ErrorKind::TypeMismatch,
                format!("the column {name:?} of type {} cannot name folders", field.data_type()),
            )
            .with_hint("partition by text, numbers, booleans, dates or timestamps"));
        }
    }
    if !partition_by.is_empty() && partition_by.len() == names.len() {
        return Err(Error::invalid("partition_by names every column, so that the files would have none")
            .with_hint("leave out one column, or keep a copy of one"));
    }
    let kept: Vec<usize> = (0..names.len()).filter(|at| !partition_by.iter().any(|by| by == names[*at])).collect();
    schema.project(&kept).map(SchemaRef::new).map_err(internal)
}

fn can_name_folder(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => can_name_folder(values),
        DataType::Null | DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        other => other.is_numeric() || other.is_temporal(),
    }
}

/// The folder of a dataset without any row: it keeps the names of the partition columns.
pub(crate) fn empty_folder(partition_by: &[String]) -> String {
    let parts: Vec<String> = partition_by.iter().map(|name| format!("{}={NULL_FOLDER}", escape(name))).collect();
    parts.join("/")
}

impl Partitioner {
    /// A partitioner for batches of this schema, which [`file_schema`] has accepted.
    pub(crate) fn new(schema: &Schema, partition_by: &[String]) -> Result<Self> {
        let columns =
            partition_by.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>().map_err(internal)?;
        let rest = (0..schema.fields().len()).filter(|at| !columns.contains(at)).collect();
        let fields = columns.iter().map(|at| SortField::new(schema.field(*at).data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(internal)?;
        let names = partition_by.iter().map(|name| escape(name)).collect();
        Ok(Self { columns, rest, names, converter, folders: HashMap::new() })
    }

    /// The parts of a batch with their folders, in the order in which they first occur; rows keep their order.
    pub(crate) fn split(&mut self, batch: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        let keys: Vec<_> = self.columns.iter().map(|at| batch.column(*at).clone()).collect();
        let rows = self.converter.convert_columns(&keys).map_err(internal)?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut group_of: HashMap<&[u8], usize> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let group = *group_of.entry(row.data()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(at as u32);
        }
        let files = batch.project(&self.rest).map_err(internal)?;
        let mut parts = Vec::with_capacity(groups.len());
        for group in groups {
            let first = group[0] as usize;
            let key = rows.row(first);
            let folder = match self.folders.get(key.data()) {
                Some(folder) => folder.clone(),
                None => {
                    let folder = folder(&self.names, &keys, first)?;
                    self.folders.insert(key.data().into(), folder.clone());
                    folder
                }
            };
            let part = match group.len() == files.num_rows() {
                true => files.clone(),
                false => take_record_batch(&files, &UInt32Array::from(group)).map_err(internal)?,
            };
            parts.push((folder, part));
        }
        Ok(parts)
    }
}

fn folder(names: &[String], keys: &[arrow::array::ArrayRef], row: usize) -> Result<String> {
    let options = FormatOptions::default();
    let mut folder = String::new();
    for (name, column) in names.iter().zip(keys) {
        if !folder.is_empty() {
            folder.push('/');
        }
        folder.push_str(name);
        folder.push('=');
        match column.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
            true => folder.push_str(NULL_FOLDER),
            false => {
                let formatter = ArrayFormatter::try_new(column.as_ref(), &options).map_err(internal)?;
                let value = formatter.value(row).try_to_string().map_err(internal)?;
                folder.push_str(&escape(&value));
            }
        }
    }
    Ok(folder)
}

/// Encodes what paths cannot hold or what has a meaning in them: the characters that Hive and Spark encode.
fn escape(text: &str) -> String {
    let special = |c: char| c.is_control() || "\"#%'*/:=?\\{}[]^".contains(c);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn internal(error: ArrowError) -> Error {
    Error::internal(format!("partitioning a batch: {error}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as _),
            ("city", Arc::new(StringArray::from(vec![Some("a/b=c"), None, Some("a/b=c"), Some("é x")])) as _),
            ("day", Arc::new(Date32Array::from(vec![0, 0, 0, 365])) as _),
        ])
        .unwrap()
    }

    fn by(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rows_go_to_folders_in_their_order() {
        let batch = batch();
        let by = by(&["day", "city"]);
        assert_eq!(file_schema(&batch.schema(), &by).unwrap().fields().len(), 1);
        let parts = Partitioner::new(&batch.schema(), &by).unwrap().split(&batch).unwrap();
        let told: Vec<_> = parts
            .iter()
            .map(|(folder, part)| {
                let n = part.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
                (folder.as_str(), n.values().to_vec())
            })
            .collect();
        assert_eq!(
            told,
            [
                ("day=1970-01-01/city=a%2Fb%3Dc", vec![1, 3]),
                ("day=1970-01-01/city=__HIVE_DEFAULT_PARTITION__", vec![2]),
                ("day=1971-01-01/city=é x", vec![4]),
            ]
        );
    }

    #[test]
    fn columns_that_cannot_partition_are_refused() {
        let schema = batch().schema();
        let kind = |names: &[&str]| file_schema(&schema, &by(names)).unwrap_err().kind();
        assert_eq!(kind(&["cty"]), ErrorKind::UnknownColumn);
        assert_eq!(kind(&["n", "n"]), ErrorKind::InvalidInput);
        assert_eq!(kind(&["n", "city", "day"]), ErrorKind::InvalidInput);
        let binary = Schema::new(vec![
            arrow::datatypes::Field::new("b", DataType::Binary, true),
            arrow::datatypes::Field::new("n", DataType::Int64, true),
        ]);
        assert_eq!(file_schema(&Arc::new(binary), &by(&["b"])).unwrap_err().kind(), ErrorKind::TypeMismatch);
    }
}
