//! What a user says about a write: format, mode, layout. Validated against the input when the write is planned.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use parquet::basic::{BrotliLevel, Compression as ParquetCodec, GzipLevel, ZstdLevel};
use sheaf_core::{Error, Result};

use crate::format::{Compression, Format};
use crate::stores::StorageOptions;

/// How large the files of a folder grow before the next one is begun: large enough for long scans and few requests,
/// small enough that many readers find work.
pub const TARGET_FILE_BYTES: u64 = 512 << 20;

/// The same for formats of which a file is held in memory until it is whole.
pub const TARGET_HELD_BYTES: u64 = 128 << 20;

/// What to do about data that is at the target already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WriteMode {
    /// Refuse to write.
    #[default]
    Error,
    /// Add files to the folder.
    Append,
    /// Replace what is there, in one step.
    Overwrite,
    /// Leave what is there and write nothing.
    Ignore,
}

impl WriteMode {
    /// The mode as users spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Append => "append",
            Self::Overwrite => "overwrite",
            Self::Ignore => "ignore",
        }
    }
}

impl FromStr for WriteMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Error, Self::Append, Self::Overwrite, Self::Ignore]
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                Error::invalid(format!("{text:?} is not a write mode"))
                    .with_hint("the modes are error, append, overwrite and ignore")
            })
    }
}

/// Everything about a write but its input and target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteOptions {
    /// The format of the files.
    pub format: WriteFormat,
    /// What to do about data that is there already.
    pub mode: WriteMode,
    /// Columns that become folders `name=value` instead of being in the files.
    pub partition_by: Vec<String>,
    /// How large a folder's files grow, about; when not given [`TARGET_FILE_BYTES`], and
    /// [`TARGET_HELD_BYTES`] of NumPy.
    pub target_file_bytes: Option<u64>,
    /// Whether the target is one file. When not given it is one if its name ends as a data file's does, unless
    /// `partition_by` or `append` need a folder, or there is a folder already.
    pub single_file: Option<bool>,
    /// Options of the target's store.
    pub storage_options: StorageOptions,
    /// The name of a job that goes on where it was when it is run again; the target is a folder then.
    pub job: Option<String>,
    /// Which attempt this is at a write that is done in several; jobs set it.
    pub attempt: Option<Attempt>,
    /// What the folder's manifest is to say of the data, until the next write.
    pub label: Option<String>,
    /// The id of a write of which many processes write the files and one commits them: 32 hexadecimal digits. The names
    /// of all of its files begin with the first of them.
    pub shared_id: Option<String>,
}

/// One of the attempts at a write. The files of one that fails stay: whoever makes the attempts knows which of them are
/// whole. What one attempt has committed is not committed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The id of the write: 32 hexadecimal digits, as those of a UUID.
    pub write_id: String,
    /// The id of this attempt, of the same form, used once.
    pub id: String,
}

impl Attempt {
    /// A new attempt at a write, or the first one at a new write.
    #[must_use]
    pub fn new(write_id: Option<String>) -> Self {
        // Version 7 begins with the time, so that file names sort by age.
        let id = uuid::Uuid::now_v7().simple().to_string();
        Self { write_id: write_id.unwrap_or_else(|| id.clone()), id }
    }

    /// The id of a write that several processes do: its first [`SHARED_DIGITS`] are those of no other one.
    #[must_use]
    pub fn shared_id() -> String {
        // The counter of version 7 would be the same in two writes of one moment.
        let time = uuid::Uuid::now_v7().simple().to_string();
        let (shared, own) = (random_digits(), random_digits());
        time.chars().take(TIME_DIGITS).chain(shared.chars()).chain(own.chars()).collect()
    }

    /// One of those that write the files of a write that several processes do.
    pub(crate) fn sharing(write_id: &str) -> Self {
        let id = write_id.chars().take(SHARED_DIGITS).chain(random_digits().chars()).collect();
        Self { write_id: write_id.to_string(), id }
    }
}

/// Of an id, those that are its time, in milliseconds.
const TIME_DIGITS: usize = 12;
const RANDOM_DIGITS: usize = 10;
/// So many digits of their ids have all who do a write together.
pub(crate) const SHARED_DIGITS: usize = TIME_DIGITS + RANDOM_DIGITS;

/// Forty bits.
fn random_digits() -> String {
    // All digits behind these are drawn.
    uuid::Uuid::new_v4().simple().to_string().chars().skip(SHARED_DIGITS).collect()
}

/// A format that can be written, with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WriteFormat {
    /// Apache Parquet.
    Parquet(ParquetWriteOptions),
    /// Separated values.
    Csv(CsvWriteOptions),
    /// One JSON object per line.
    Json(JsonWriteOptions),
    /// Arrow IPC files.
    Ipc(IpcWriteOptions),
    /// Arrays of NumPy's, of the one column that is written.
    Numpy,
}

impl Default for WriteFormat {
    fn default() -> Self {
        Self::Parquet(ParquetWriteOptions::default())
    }
}

impl WriteFormat {
    /// The format's name in messages and plans.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet(_) => "parquet",
            Self::Csv(_) => "csv",
            Self::Json(_) => "json",
            Self::Ipc(_) => "ipc",
            Self::Numpy => "numpy",
        }
    }

    /// Guesses by the extension, with default options.
    ///
    /// ```
    /// use sheaf_connectors::write::WriteFormat;
    ///
    /// assert_eq!(WriteFormat::from_path("out/a.csv.gz").unwrap().name(), "csv");
    /// assert!(WriteFormat::from_path("out/").is_none());
    /// ```
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        match Format::from_path(path)? {
            Format::Parquet => Some(Self::Parquet(ParquetWriteOptions::default())),
            Format::Csv(csv) => {
                Some(Self::Csv(CsvWriteOptions { delimiter: csv.delimiter, ..CsvWriteOptions::default() }))
            }
            Format::Json(_) => Some(Self::Json(JsonWriteOptions::default())),
            Format::Ipc => Some(Self::Ipc(IpcWriteOptions::default())),
            Format::Numpy => Some(Self::Numpy),
            Format::Text | Format::Binary => None,
        }
    }

    /// The extension of files that Sheaf names, without the dot; readers guess format and compression from it.
    pub(crate) fn extension(&self) -> String {
        let (plain, compression) = match self {
            Self::Parquet(_) => ("parquet", None),
            Self::Csv(csv) if csv.delimiter == b'\t' => ("tsv", csv.compression),
            Self::Csv(csv) => ("csv", csv.compression),
            Self::Json(json) => ("jsonl", json.compression),
            Self::Ipc(_) => ("arrow", None),
            Self::Numpy => ("npy", None),
        };
        match compression.unwrap_or_default() {
            Compression::None => plain.to_string(),
            Compression::Gzip => format!("{plain}.gz"),
            Compression::Zstd => format!("{plain}.zst"),
            Compression::Bzip2 => format!("{plain}.bz2"),
            Compression::Xz => format!("{plain}.xz"),
        }
    }

    /// Settles what the target's name decides: the compression of a text file.
    pub(crate) fn settle(&mut self, target: &str, single_file: bool) {
        let named = if single_file { Compression::from_path(target) } else { Compression::None };
        match self {
            Self::Csv(CsvWriteOptions { compression, .. }) | Self::Json(JsonWriteOptions { compression }) => {
                compression.get_or_insert(named);
            }
            Self::Parquet(_) | Self::Ipc(_) | Self::Numpy => {}
        }
    }
}

impl fmt::Display for WriteFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Parquet(parquet) => write!(f, ", compression={}", parquet.compression),
            Self::Ipc(ipc) => write!(f, ", compression={}", ipc.compression),
            Self::Numpy => Ok(()),
            Self::Csv(CsvWriteOptions { compression, .. }) | Self::Json(JsonWriteOptions { compression }) => {
                match compression.unwrap_or_default() {
                    Compression::None => Ok(()),
                    some => write!(f, ", compression={}", format!("{some:?}").to_lowercase()),
                }
            }
        }
    }
}

/// How Parquet files are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParquetWriteOptions {
    /// The compression of pages.
    pub compression: ParquetCompression,
    /// How many rows a row group has at most: what readers skip by statistics, and what writers hold in memory.
    pub row_group_rows: usize,
    /// How large a row group grows at most, encoded: bounds the memory of a writer of wide rows.
    pub row_group_bytes: usize,
    /// Whether values that repeat are written once and referred to.
    pub dictionary: bool,
}

impl Default for ParquetWriteOptions {
    fn default() -> Self {
        Self {
            compression: ParquetCompression::Snappy,
            row_group_rows: 1 << 20,
            row_group_bytes: 128 << 20,
            dictionary: true,
        }
    }
}

/// Compressions of Parquet pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParquetCompression {
    /// None.
    None,
    /// Snappy: fast both ways.
    #[default]
    Snappy,
    /// gzip, for readers that know nothing newer.
    Gzip,
    /// LZ4 (raw frames).
    Lz4,
    /// Brotli: small, and slow to write.
    Brotli,
    /// Zstandard at a level from 1 to 22.
    Zstd(i32),
}

impl ParquetCompression {
    pub(crate) fn codec(self) -> Result<ParquetCodec> {
        Ok(match self {
            Self::None => ParquetCodec::UNCOMPRESSED,
            Self::Snappy => ParquetCodec::SNAPPY,
            Self::Gzip => ParquetCodec::GZIP(GzipLevel::default()),
            Self::Lz4 => ParquetCodec::LZ4_RAW,
            Self::Brotli => ParquetCodec::BROTLI(BrotliLevel::default()),
            Self::Zstd(level) => ParquetCodec::ZSTD(
                ZstdLevel::try_new(level)
                    .map_err(|_| Error::invalid(format!("zstd has levels from 1 to 22, not {level}")))?,
            ),
        })
    }
}

impl FromStr for ParquetCompression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        let level = lower.strip_prefix("zstd(").and_then(|rest| rest.strip_suffix(')'));
        if let Some(level) = level.and_then(|level| level.trim().parse().ok()) {
            return Self::Zstd(level).codec().map(|_| Self::Zstd(level));
        }
        match &lower[..] {
            "none" | "uncompressed" => Ok(Self::None),
            "snappy" => Ok(Self::Snappy),
            "gzip" | "gz" => Ok(Self::Gzip),
            "lz4" | "lz4_raw" => Ok(Self::Lz4),
            "brotli" => Ok(Self::Brotli),
            "zstd" | "zst" => Ok(Self::Zstd(1)),
            _ => Err(Error::invalid(format!("{text:?} is not a compression of Parquet"))
                .with_hint("the compressions are none, snappy, gzip, lz4, brotli, zstd and zstd(level)")),
        }
    }
}

impl fmt::Display for ParquetCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Snappy => f.write_str("snappy"),
            Self::Gzip => f.write_str("gzip"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Brotli => f.write_str("brotli"),
            Self::Zstd(level) => write!(f, "zstd({level})"),
        }
    }
}

/// How CSV files are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvWriteOptions {
    /// Between the fields of a row.
    pub delimiter: u8,
    /// Around a field that needs it.
    pub quote: u8,
    /// Whether the first row names the columns.
    pub has_header: bool,
    /// The text that stands for null.
    pub null_value: String,
    /// The compression of whole files; when not given, that of the file's extension, else none.
    pub compression: Option<Compression>,
}

impl Default for CsvWriteOptions {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', has_header: true, null_value: String::new(), compression: None }
    }
}

/// How JSON lines are written. Nulls are written out, so that a column of nulls is still a column when it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonWriteOptions {
    /// The compression of whole files; when not given, that of the file's extension, else none.
    pub compression: Option<Compression>,
}

/// How Arrow IPC files are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpcWriteOptions {
    /// The compression of buffers.
    pub compression: IpcCompression,
}

/// Compressions of Arrow IPC buffers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcCompression {
    /// None: files can be mapped into memory as they are.
    #[default]
    None,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl FromStr for IpcCompression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match &text.to_ascii_lowercase()[..] {
            "none" | "uncompressed" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" | "zst" => Ok(Self::Zstd),
            _ => Err(Error::invalid(format!("{text:?} is not a compression of Arrow IPC"))
                .with_hint("the compressions are none, lz4 and zstd")),
        }
    }
}

impl fmt::Display for IpcCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print_alike() {
        for text in ["none", "snappy", "gzip", "lz4", "brotli", "zstd(7)"] {
            assert_eq!(text.parse::<ParquetCompression>().unwrap().to_string(), text);
        }
        assert_eq!("zstd".parse::<ParquetCompression>().unwrap(), ParquetCompression::Zstd(1));
        assert!("zstd(99)".parse::<ParquetCompression>().unwrap_err().to_string().contains("1 to 22"));
        assert!("lzo".parse::<ParquetCompression>().is_err());
        for text in ["none", "lz4", "zstd"] {
            assert_eq!(text.parse::<IpcCompression>().unwrap().to_string(), text);
        }
        assert_eq!("Overwrite".parse::<WriteMode>().unwrap(), WriteMode::Overwrite);
        assert!("replace".parse::<WriteMode>().unwrap_err().to_string().contains("overwrite"));
    }

    #[test]
    fn a_file_name_decides_the_compression_of_text_unless_told() {
        let mut format = WriteFormat::from_path("x.csv.gz").unwrap();
        format.settle("x.csv.gz", true);
        assert_eq!(format.extension(), "csv.gz");
        let mut folder = WriteFormat::from_path("x.tsv").unwrap();
        folder.settle("x.tsv.gz/", false);
        assert_eq!(folder.extension(), "tsv");
        let mut told = WriteFormat::Json(JsonWriteOptions { compression: Some(Compression::Zstd) });
        told.settle("x.json.gz", true);
        assert_eq!(told.extension(), "jsonl.zst");
    }
}
