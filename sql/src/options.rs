//! `OPTIONS (…)` of `CREATE EXTERNAL TABLE` and `COPY … TO`: text by key, told as the readers' and writers' own.

use std::collections::BTreeMap;

use sheaf_connectors::format::{CsvOptions, Format, JsonOptions};
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::write::{
    CsvWriteOptions, IpcWriteOptions, JsonWriteOptions, ParquetWriteOptions, WriteFormat, WriteOptions,
};
use sheaf_core::settings::parse_bytes;
use sheaf_core::{Error, Result};

/// Options by key; the `format.` that other engines put before a key is dropped.
pub(crate) type TextOptions = BTreeMap<String, String>;

pub(crate) fn normalize(options: impl IntoIterator<Item = (String, String)>) -> TextOptions {
    options
        .into_iter()
        .map(|(key, value)| {
            let key = key.to_lowercase();
            (key.strip_prefix("format.").map_or_else(|| key.clone(), ToString::to_string), value)
        })
        .collect()
}

/// Options of the store itself: `aws.…`, `gcp.…`, `azure.…`, or anything with those prefixes in snake case.
fn take_storage(options: &mut TextOptions) -> BTreeMap<String, String> {
    const PREFIXES: [&str; 8] = ["aws.", "aws_", "gcp.", "google_", "azure.", "azure_", "http.", "storage."];
    let (storage, rest) = std::mem::take(options)
        .into_iter()
        .partition::<TextOptions, _>(|(key, _)| PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
    *options = rest;
    storage
        .into_iter()
        .map(|(key, value)| (key.strip_prefix("storage.").map_or_else(|| key.replace('.', "_"), Into::into), value))
        .collect()
}

/// What a reader is told by `STORED AS file_type OPTIONS (options)`.
pub(crate) fn read_options(file_type: &str, path: &str, mut options: TextOptions) -> Result<ReadOptions> {
    let mut read = ReadOptions { storage_options: take_storage(&mut options), ..ReadOptions::default() };
    let mut format = named_format(file_type, path)?;
    for (key, value) in options {
        match key.as_str() {
            "union_by_name" => read.union_by_name = boolean(&key, &value)?,
            "ignore_errors" => read.ignore_errors = boolean(&key, &value)?,
            "hive_partitioning" => read.hive_partitioning = Some(boolean(&key, &value)?),
            "include_file_paths" => read.include_file_paths = Some(value),
            "compression" => read.compression = Some(value.parse()?),
            _ => match &mut format {
                Format::Csv(csv) => csv_option(csv, &key, &value)?,
                Format::Json(JsonOptions { infer_rows }) if key == "infer_rows" => *infer_rows = number(&key, &value)?,
                other => return Err(unknown(&key, other.name())),
            },
        }
    }
    read.format = Some(format);
    Ok(read)
}

fn csv_option(csv: &mut CsvOptions, key: &str, value: &str) -> Result<()> {
    match key {
        "delimiter" | "delim" | "sep" => csv.delimiter = byte(key, value)?,
        "quote" => csv.quote = optional_byte(key, value)?,
        "escape" => csv.escape = optional_byte(key, value)?,
        "comment" => csv.comment = optional_byte(key, value)?,
        "has_header" | "header" => csv.has_header = boolean(key, value)?,
        "null_values" | "null_value" => csv.null_values = value.split(',').map(ToString::to_string).collect(),
        "encoding" => csv.encoding = Some(value.to_string()),
        "infer_rows" | "schema_infer_max_rec" => csv.infer_rows = number(key, value)?,
        "skip_rows" => csv.skip_rows = number(key, value)?,
        "newlines_in_values" => csv.newlines_in_values = boolean(key, value)?,
        "truncated_rows" => csv.truncated_rows = boolean(key, value)?,
        _ => return Err(unknown(key, "csv")),
    }
    Ok(())
}

/// What a writer is told by `COPY … TO 'target' STORED AS stored_as PARTITIONED BY (…) OPTIONS (options)`.
pub(crate) fn write_options(
    target: &str,
    stored_as: Option<&str>,
    partition_by: Vec<String>,
    mut options: TextOptions,
) -> Result<WriteOptions> {
    let storage_options = take_storage(&mut options);
    let format = match stored_as {
        Some(name) => write_format(named_format(name, target)?)?,
        None => WriteFormat::from_path(target).unwrap_or_default(),
    };
    let mut write = WriteOptions { format, partition_by, storage_options, ..WriteOptions::default() };
    for (key, value) in options {
        match key.as_str() {
            "mode" => write.mode = value.parse()?,
            "target_file_size" | "target_file_bytes" => write.target_file_bytes = Some(parse_bytes(&value)?),
            "single_file" | "single_file_output" => write.single_file = Some(boolean(&key, &value)?),
            _ => format_option(&mut write.format, &key, &value)?,
        }
    }
    Ok(write)
}

fn format_option(format: &mut WriteFormat, key: &str, value: &str) -> Result<()> {
    match (format, key) {
        (WriteFormat::Parquet(parquet), "compression") => parquet.compression = value.parse()?,
        (WriteFormat::Parquet(parquet), "row_group_rows" | "max_row_group_size") => {
            parquet.row_group_rows = number(key, value)?;
        }
        (WriteFormat::Parquet(parquet), "dictionary") => parquet.dictionary = boolean(key, value)?,
        (WriteFormat::Csv(csv), "compression") => csv.compression = Some(value.parse()?),
        (WriteFormat::Csv(csv), "delimiter" | "delim" | "sep") => csv.delimiter = byte(key, value)?,
        (WriteFormat::Csv(csv), "quote") => csv.quote = byte(key, value)?,
        (WriteFormat::Csv(csv), "has_header" | "header") => csv.has_header = boolean(key, value)?,
        (WriteFormat::Csv(csv), "null_value") => csv.null_value = value.to_string(),
        (WriteFormat::Json(json), "compression") => json.compression = Some(value.parse()?),
        (WriteFormat::Ipc(ipc), "compression") => ipc.compression = value.parse()?,
        (format, _) => return Err(unknown(key, format.name())),
    }
    Ok(())
}

/// The format by its SQL name; CSV takes its delimiter from an extension such as `.tsv`.
fn named_format(name: &str, path: &str) -> Result<Format> {
    let by_name = match name.to_ascii_lowercase().as_str() {
        "parquet" => Format::Parquet,
        "csv" => Format::Csv(CsvOptions::default()),
        "tsv" => Format::Csv(CsvOptions { delimiter: b'\t', ..CsvOptions::default() }),
        "json" | "ndjson" | "jsonl" => Format::Json(JsonOptions::default()),
        "arrow" | "ipc" | "feather" => Format::Ipc,
        "numpy" | "npy" => Format::Numpy,
        "text" => Format::Text,
        _ => {
            return Err(Error::invalid(format!("{name:?} is not a file format"))
                .with_hint("the formats are PARQUET, CSV, JSON, ARROW, NUMPY and TEXT"));
        }
    };
    match Format::from_path(path) {
        Some(by_path) if by_path.name() == by_name.name() => Ok(by_path),
        _ => Ok(by_name),
    }
}

fn write_format(format: Format) -> Result<WriteFormat> {
    Ok(match format {
        Format::Parquet => WriteFormat::Parquet(ParquetWriteOptions::default()),
        Format::Csv(csv) => {
            WriteFormat::Csv(CsvWriteOptions { delimiter: csv.delimiter, ..CsvWriteOptions::default() })
        }
        Format::Json(_) => WriteFormat::Json(JsonWriteOptions::default()),
        Format::Ipc => WriteFormat::Ipc(IpcWriteOptions::default()),
        Format::Numpy => WriteFormat::Numpy,
        Format::Text | Format::Binary => {
            let name = format.name();
            return Err(Error::invalid(format!("{name} files cannot be written")).with_hint("write CSV or JSON"));
        }
    })
}

fn unknown(key: &str, format: &str) -> Error {
    Error::invalid(format!("{format} has no option {key:?}")).with_hint("docs/sql.md lists the options of each format")
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    value.to_ascii_lowercase().parse().map_err(|_| Error::invalid(format!("{key} is true or false, not {value:?}")))
}

fn number(key: &str, value: &str) -> Result<usize> {
    value.parse().map_err(|_| Error::invalid(format!("{key} is a whole number, not {value:?}")))
}

fn byte(key: &str, value: &str) -> Result<u8> {
    let plain = if value == "\\t" { "\t" } else { value };
    match plain.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::invalid(format!("{key} is one ASCII character, not {value:?}"))),
    }
}

fn optional_byte(key: &str, value: &str) -> Result<Option<u8>> {
    if value.is_empty() { Ok(None) } else { byte(key, value).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> TextOptions {
        normalize(pairs.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())))
    }

    #[test]
    fn a_reader_is_told_its_dialect_and_its_store() {
        let text = options(&[("format.delimiter", ";"), ("HAS_HEADER", "false"), ("aws.region", "eu")]);
        let read = read_options("CSV", "a.csv", text).unwrap();
        let Some(Format::Csv(csv)) = read.format else { panic!("not csv") };
        assert_eq!((csv.delimiter, csv.has_header), (b';', false));
        assert_eq!(read.storage_options["aws_region"], "eu");
    }

    #[test]
    fn a_writer_is_told_mode_and_compression() {
        let text = options(&[("mode", "overwrite"), ("compression", "zstd(5)"), ("target_file_size", "1MiB")]);
        let write = write_options("out/", Some("PARQUET"), vec!["a".into()], text).unwrap();
        assert_eq!(write.target_file_bytes, Some(1 << 20));
        assert_eq!(write.format.to_string(), "parquet, compression=zstd(5)");
    }

    #[test]
    fn unknown_options_and_formats_are_named() {
        let error = read_options("CSV", "a.csv", options(&[("delimeter", ";")])).unwrap_err();
        assert!(error.to_string().contains("csv has no option \"delimeter\""), "{error}");
        assert!(write_options("a", Some("XLSX"), vec![], options(&[])).is_err());
    }
}
