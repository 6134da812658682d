//! `sheaf convert`: files of one format written as another, in one streaming plan.

use std::io::{Write, stderr};

use sheaf_connectors::format::Compression;
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::write::{
    CsvWriteOptions, IpcWriteOptions, JsonWriteOptions, ParquetWriteOptions, WriteFormat, WriteOptions,
};
use sheaf_core::{Error, Result};
use sheaf_dataset::WriteReport;

use super::args::ConvertArguments;
use super::console::Console;
use super::exit::Stop;
use super::script;

pub(super) fn run(console: &Console, arguments: &ConvertArguments) -> Result<(), Stop> {
    let Some((target, inputs)) = arguments.paths.split_last() else {
        return Err(Error::invalid("convert needs files to read and a file to write").into());
    };
    let options = options(arguments, target)?;
    let report = console.wait(async {
        let progress = console.progress();
        let dataset = progress.during(console.session().read(inputs, &ReadOptions::default())).await?;
        dataset.check_append(target, &options).await?;
        script::drain(&dataset.write_plan(target, options)?, &progress).await
    })?;
    if let Some(report) = report.as_ref().and_then(WriteReport::read) {
        let WriteReport { files, rows, bytes, .. } = report;
        // For the person who looks on; standard output stays free.
        let _ = writeln!(stderr().lock(), "{rows} rows, {bytes} bytes in {files} files: {target}");
    }
    Ok(())
}

fn options(arguments: &ConvertArguments, target: &str) -> Result<WriteOptions> {
    let mut format = match &arguments.to {
        Some(name) => named(name)?,
        None => match WriteFormat::from_path(target) {
            Some(format) => format,
            // A folder has no extension; Parquet is what folders are for.
            None if target.ends_with('/') || !arguments.partition_by.is_empty() => WriteFormat::default(),
            None => return Err(unknown_format(target)),
        },
    };
    if let Some(compression) = &arguments.compression {
        compress(&mut format, compression)?;
    }
    Ok(WriteOptions {
        format,
        mode: arguments.mode.parse()?,
        partition_by: arguments.partition_by.clone(),
        ..WriteOptions::default()
    })
}

fn named(name: &str) -> Result<WriteFormat> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "parquet" => WriteFormat::Parquet(ParquetWriteOptions::default()),
        "csv" => WriteFormat::Csv(CsvWriteOptions::default()),
        "tsv" => WriteFormat::Csv(CsvWriteOptions { delimiter: b'\t', ..CsvWriteOptions::default() }),
        "json" | "jsonl" => WriteFormat::Json(JsonWriteOptions::default()),
        "ipc" | "arrow" => WriteFormat::Ipc(IpcWriteOptions::default()),
        _ => {
            return Err(Error::invalid(format!("{name:?} is not a format that Sheaf writes"))
                .with_hint("the formats are parquet, csv, tsv, json and ipc"));
        }
    })
}

fn compress(format: &mut WriteFormat, name: &str) -> Result<()> {
    match format {
        WriteFormat::Parquet(options) => options.compression = name.parse()?,
        WriteFormat::Ipc(options) => options.compression = name.parse()?,
        WriteFormat::Csv(CsvWriteOptions { compression, .. }) | WriteFormat::Json(JsonWriteOptions { compression }) => {
            *compression = Some(name.parse::<Compression>()?);
        }
        WriteFormat::Numpy => return Err(Error::invalid("arrays of NumPy are not compressed")),
    }
    Ok(())
}

/// The error for a target whose format cannot be guessed.
pub(super) fn unknown_format(target: &str) -> Error {
    Error::invalid(format!("the extension of {target} names no format that Sheaf writes"))
        .with_hint("use .parquet, .csv, .tsv, .jsonl, .arrow or .npy, or name the format")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options_of(args: &[&str]) -> Result<WriteOptions> {
        let arguments = ConvertArguments {
            paths: vec!["in.csv".into(), args[0].into()],
            to: args.get(1).filter(|to| !to.is_empty()).map(|to| (*to).to_string()),
            partition_by: Vec::new(),
            mode: "overwrite".into(),
            compression: args.get(2).map(|name| (*name).to_string()),
        };
        options(&arguments, args[0])
    }

    #[test]
    fn the_format_is_the_targets_unless_it_is_told() {
        assert_eq!(options_of(&["a.csv.gz"]).unwrap().format.name(), "csv");
        assert_eq!(options_of(&["folder/"]).unwrap().format.name(), "parquet");
        assert_eq!(options_of(&["folder/", "json"]).unwrap().format.name(), "json");
        assert!(options_of(&["README"]).unwrap_err().to_string().contains("README"));
        assert!(options_of(&["a.csv", "xls"]).unwrap_err().to_string().contains("xls"));
    }

    #[test]
    fn a_compression_must_be_one_of_the_formats() {
        assert_eq!(
            options_of(&["a.parquet", "", "zstd(3)"]).unwrap().format.to_string(),
            "parquet, compression=zstd(3)"
        );
        assert_eq!(options_of(&["a.csv", "", "bzip2"]).unwrap().format.to_string(), "csv, compression=bzip2");
        assert!(options_of(&["a.csv", "", "snappy"]).is_err());
        assert!(options_of(&["a.parquet", "", "xz"]).is_err());
    }
}
