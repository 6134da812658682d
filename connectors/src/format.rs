//! File formats as users name them, with the options of the text formats: what readers and the guess by file name use.

use std::collections::BTreeMap;
use std::str::FromStr;

use arrow::datatypes::DataType;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use serde::{Deserialize, Serialize};
use sheaf_core::{Error, Result};

/// A file format that can be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Separated values in rows of text.
    Csv(CsvOptions),
    /// One JSON object per line.
    Json(JsonOptions),
    /// Arrow IPC, as file or as stream.
    Ipc,
    /// Lines of text, in one column `text`.
    Text,
    /// Whole files, each a row of one column `bytes`.
    Binary,
    /// Arrays of NumPy's, in one column `data`.
    Numpy,
}

impl Format {
    /// The format's name in messages and plans.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv(_) => "csv",
            Self::Json(_) => "json",
            Self::Ipc => "ipc",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Numpy => "numpy",
        }
    }

    /// Guesses by the extension, looking through one of a compression.
    ///
    /// ```
    /// use sheaf_connectors::format::Format;
    ///
    /// assert_eq!(Format::from_path("a/b.csv.gz").unwrap().name(), "csv");
    /// assert_eq!(Format::from_path("b.ndjson").unwrap().name(), "json");
    /// assert!(Format::from_path("README").is_none());
    /// ```
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let plain = match Compression::from_path(&name) {
            Compression::None => &name[..],
            _ => name.rsplit_once('.').map_or(&name[..], |(stem, _)| stem),
        };
        match plain.rsplit_once('.')?.1 {
            "parquet" | "pq" | "parq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv(CsvOptions::default())),
            "tsv" | "tab" => Some(Self::Csv(CsvOptions { delimiter: b'\t', ..CsvOptions::default() })),
            "json" | "jsonl" | "ndjson" => Some(Self::Json(JsonOptions::default())),
            "arrow" | "feather" | "ipc" | "arrows" => Some(Self::Ipc),
            "txt" | "log" | "text" => Some(Self::Text),
            "npy" => Some(Self::Numpy),
            _ => None,
        }
    }

    /// Whether a whole file may be compressed from outside; the others compress inside.
    pub(crate) fn takes_compression(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::Json(_) | Self::Text)
    }
}

/// How the bytes of a text file are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, also of several members.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl Compression {
    /// Guesses by the extension.
    #[must_use]
    pub fn from_path(path: &str) -> Self {
        path.rsplit_once('.').and_then(|(_, extension)| extension.parse().ok()).unwrap_or(Self::None)
    }

    pub(crate) fn file_type(self) -> FileCompressionType {
        match self {
            Self::None => FileCompressionType::UNCOMPRESSED,
            Self::Gzip => FileCompressionType::GZIP,
            Self::Zstd => FileCompressionType::ZSTD,
            Self::Bzip2 => FileCompressionType::BZIP2,
            Self::Xz => FileCompressionType::XZ,
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" | "uncompressed" => Ok(Self::None),
            "gz" | "gzip" => Ok(Self::Gzip),
            "zst" | "zstd" => Ok(Self::Zstd),
            "bz2" | "bzip2" => Ok(Self::Bzip2),
            "xz" => Ok(Self::Xz),
            _ => Err(Error::invalid(format!("{text:?} is not a compression"))
                .with_hint("the compressions are none, gzip, zstd, bzip2 and xz")),
        }
    }
}

/// The dialect of a CSV file and what is inferred from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CsvOptions {
    /// Between the fields of a row.
    pub delimiter: u8,
    /// Around a field that holds delimiters, quotes or line breaks; `None` when quotes are text like any other.
    pub quote: Option<u8>,
    /// Before a quote inside a quoted field; `None` when it is doubled.
    pub escape: Option<u8>,
    /// Texts that stand for null, besides the empty one.
    pub null_values: Vec<String>,
    /// The name of the text's encoding, as in web pages; a byte-order mark goes before it.
    pub encoding: Option<String>,
    /// Types of single columns, which are then not inferred.
    #[serde(skip)]
    pub dtypes: BTreeMap<String, DataType>,
    /// Rows at the start of each file from which types are inferred; 0 makes every column text.
    pub infer_rows: usize,
    /// Lines at the start of each file that are no rows.
    pub skip_rows: usize,
    /// Whether the first row names the columns; else they are `column_1`, `column_2`, ….
    pub has_header: bool,
    /// Lines that start with this are no rows.
    pub comment: Option<u8>,
    /// Whether quoted fields may hold line breaks in a file large enough to be read in parts.
    pub newlines_in_values: bool,
    /// Whether a row may end early: what it lacks is null.
    pub truncated_rows: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            null_values: Vec::new(),
            encoding: None,
            dtypes: BTreeMap::new(),
            infer_rows: Self::INFER_ROWS,
            skip_rows: 0,
            has_header: true,
            comment: None,
            newlines_in_values: false,
            truncated_rows: false,
        }
    }
}

impl CsvOptions {
    /// Enough rows that a column's type rarely changes after them, few enough to be read at once.
    pub const INFER_ROWS: usize = 1000;
}

/// Options of JSON lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonOptions {
    /// Lines at the start of each file from which the schema is inferred.
    pub infer_rows: usize,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self { infer_rows: CsvOptions::INFER_ROWS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_guessed_through_compression() {
        for (path, name) in [
            ("x.parquet", "parquet"),
            ("s3://b/x.CSV", "csv"),
            ("x.csv.gz", "csv"),
            ("x.csv.zst", "csv"),
            ("x.tsv.bz2", "csv"),
            ("x.jsonl.xz", "json"),
            ("x.json", "json"),
            ("x.feather", "ipc"),
            ("x.log", "text"),
        ] {
            assert_eq!(Format::from_path(path).map(|format| format.name()), Some(name), "{path}");
        }
        assert_eq!(Format::from_path("a.csv/part-0"), None, "a folder's extension says nothing");
        assert_eq!(Format::from_path("x.gz"), None);
        assert!(matches!(Format::from_path("x.tsv"), Some(Format::Csv(CsvOptions { delimiter: b'\t', .. }))));
    }

    #[test]
    fn compressions_have_their_usual_names() {
        assert_eq!(Compression::from_path("a.csv.gz"), Compression::Gzip);
        assert_eq!(Compression::from_path("a.csv"), Compression::None);
        assert!("lzma".parse::<Compression>().is_err());
    }
}
