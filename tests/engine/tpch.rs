//! The data of the benchmarks: made in this process, at any scale.

#[path = "../../benches/tpch_data.rs"]
#[allow(dead_code, reason = "its `main` is the benchmark's")]
mod tpch_data;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use sheaf::Result;

use tpch_data::Request;

fn request(arguments: &[&str]) -> Result<Request> {
    Request::parse(arguments.iter().map(ToString::to_string))
}

/// Writes the tables of a scale to a folder, a file for each.
pub(crate) fn make(folder: &Path, scale: &str) {
    let out = folder.to_str().unwrap();
    request(&["--scale", scale, "--out", out, "--bench"]).unwrap().run().unwrap();
}

#[test]
fn tables_of_any_scale_are_made_here() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    make(folder.path(), "0.01");
    let rows = |name: &str| {
        let file = File::open(folder.path().join(name)).unwrap();
        SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows()
    };
    let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeMap<_, _> = names.map(|name| (name.clone(), rows(&name))).collect();
    let expected = [
        ("customer", 1_500),
        ("lineitem", 60_175),
        ("nation", 25),
        ("orders", 15_000),
        ("part", 2_000),
        ("partsupp", 8_000),
        ("region", 5),
        ("supplier", 100),
    ];
    assert_eq!(found, expected.map(|(name, rows)| (format!("{name}.parquet"), rows)).into());
    for scale in ["0", "-1", "many", "inf"] {
        assert!(request(&["--scale", scale]).is_err(), "{scale}");
    }
}
