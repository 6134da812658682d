//! Writes the TPC-H tables as Parquet files: the data that `benches/run.py` gives to every engine.
//!
//! The data is generated in process by `tpchgen`, batch by batch, so memory stays at one row group whatever the scale.
//! It is written the way most writers do it (Snappy, decimals as INT64, no embedded Arrow schema), so that no engine
//! reads its own dialect. It measures nothing itself.
//!
//! ```sh
//! cargo bench --bench tpch_data -- --scale 1 --out bench-data/tpch-sf1
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use sheaf::core::{Error, ErrorKind, Result};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RecordBatchIterator, RegionArrow,
    SupplierArrow,
};

/// Small enough that SF 1 gives every core of a small machine several row groups of the large tables, large enough
/// that the cost of opening a row group does not show.
const ROWS_PER_GROUP: usize = 122_880;

fn main() -> ExitCode {
    let outcome = Request::parse(std::env::args().skip(1)).and_then(|request| request.run());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the message itself cannot be written.
            let _ = writeln!(io::stderr(), "tpch_data: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
pub(crate) struct Request {
    scale: f64,
    out: PathBuf,
}

impl Request {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = arguments;
        let mut scale = 1.0;
        let mut out = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--scale" => {
                    let text = arguments.next().unwrap_or_default();
                    scale = text
                        .parse()
                        .ok()
                        .filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
                        .ok_or_else(|| invalid(format!("--scale must be a number above 0, not '{text}'")))?;
                }
                "--out" => out = arguments.next().map(PathBuf::from),
                // Cargo adds it to whatever a benchmark is given.
                "--bench" => {}
                other => return Err(invalid(format!("unknown argument '{other}': use --scale NUMBER --out FOLDER"))),
            }
        }
        let out = out.unwrap_or_else(|| PathBuf::from(format!("bench-data/tpch-sf{scale}")));
        Ok(Self { scale, out })
    }

    pub(crate) fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.out).map_err(|error| failed("create the folder", &self.out, error))?;
        for (name, table) in TABLES {
            let path = self.out.join(format!("{name}.parquet"));
            let note = if path.exists() {
                "already there".to_owned()
            } else {
                format!("{} rows", write_table(&path, table(self.scale))?)
            };
            writeln!(io::stdout(), "{}: {note}", path.display()).map_err(|error| failed("report on", &path, error))?;
        }
        Ok(())
    }
}

type Table = Box<dyn RecordBatchIterator>;
type Generate = fn(f64) -> Table;

/// The tables by name. Each is a function, because a generator fills its pool of text when it is made: a table that is
/// there already must not cost that.
const TABLES: [(&str, Generate); 8] = [
    ("region", |scale| Box::new(RegionArrow::new(RegionGenerator::new(scale, 1, 1)))),
    ("nation", |scale| Box::new(NationArrow::new(NationGenerator::new(scale, 1, 1)))),
    ("supplier", |scale| Box::new(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1)))),
    ("customer", |scale| Box::new(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)))),
    ("part", |scale| Box::new(PartArrow::new(PartGenerator::new(scale, 1, 1)))),
    ("partsupp", |scale| Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1)))),
    ("orders", |scale| Box::new(OrderArrow::new(OrderGenerator::new(scale, 1, 1)))),
    ("lineitem", |scale| Box::new(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1)))),
];

/// Writes under a name of its own and renames at the end: a table that is there is whole, and a rerun may skip it.
fn write_table(path: &Path, table: Table) -> Result<usize> {
    let unfinished = path.with_extension("parquet.unfinished");
    let file = File::create(&unfinished).map_err(|error| failed("create", &unfinished, error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let schema = table.schema().clone();
    let mut writer = ArrowWriter::try_new_with_options(file, schema, options)
        .map_err(|error| failed("start", &unfinished, error))?;
    let mut rows = 0;
    for batch in table {
        rows += batch.num_rows();
        writer.write(&batch).map_err(|error| failed("write", &unfinished, error))?;
    }
    writer.close().map_err(|error| failed("finish", &unfinished, error))?;
    fs::rename(&unfinished, path).map_err(|error| failed("rename to", path, error))?;
    Ok(rows)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

fn failed(action: &str, path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {action} {}", path.display())).with_source(source)
}
