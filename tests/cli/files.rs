//! `sheaf schema` and `sheaf convert`.

use crate::support::{FLIGHTS, Place, text};

#[test]
fn schema_and_convert() {
    let place = Place::with(&[("flights.csv", FLIGHTS)]);
    let told = place.stdout(&["schema", "flights.csv", "--format", "json"]);
    assert!(told.contains("\"column\":\"delay\",\"type\":\"Int64\",\"nullable\":true"), "{told}");
    assert!(told.contains("\"column\":\"day\",\"type\":\"Date32\""), "{told}");
    let table = place.stdout(&["schema", "flights.csv"]);
    assert!(table.starts_with("+---") && table.contains("| column ") && table.ends_with("\n3 rows\n"), "{table}");

    for file in ["a.parquet", "a.csv.gz", "a.tsv", "a.jsonl.zst", "a.arrow"] {
        let output = place.run(&["convert", "flights.csv", file]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        assert!(text(&output.stderr).starts_with("3 rows, "), "{}", text(&output.stderr));
        let query = format!("SELECT count(*) AS n, sum(delay) AS sum, max(carrier) AS last FROM '{file}'");
        assert_eq!(place.stdout(&["sql", "--format=csv", "-c", &query]), "n,sum,last\n3,2,UA\n", "{file}");
    }
    let gzip = std::fs::read(place.path("a.csv.gz")).unwrap();
    assert_eq!(gzip[..2], [0x1f, 0x8b], "the extension's compression is the file's");
}

#[test]
fn schemas_of_several_files_name_them() {
    let place = Place::with(&[("a.csv", "x\n1\n"), ("b.csv", "y\ntext\n")]);
    let told = place.stdout(&["schema", "a.csv", "b.csv", "--format", "csv"]);
    let rows: Vec<_> = told.lines().map(|line| line.rsplitn(3, ',').last().unwrap()).collect();
    assert_eq!(rows, ["file,column", "a.csv,x", "b.csv,y"]);
}

#[test]
fn convert_partitions_and_minds_what_is_there() {
    let place = Place::with(&[("flights.csv", FLIGHTS)]);
    let convert =
        |mode: &str| place.run(&["convert", "flights.csv", "out/", "--partition-by", "carrier", "--mode", mode]);
    assert_eq!(convert("error").status.code(), Some(0));
    assert!(place.path("out/carrier=UA").is_dir());
    let count = || place.stdout(&["sql", "--format=csv", "-c", "SELECT count(*) AS n FROM 'out/'"]);
    assert_eq!(count(), "n\n3\n");
    let refused = convert("error");
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    assert_eq!(convert("append").status.code(), Some(0));
    assert_eq!(count(), "n\n6\n");
    assert_eq!(convert("ignore").status.code(), Some(0));
    assert_eq!(count(), "n\n6\n");
    assert_eq!(convert("overwrite").status.code(), Some(0));
    assert_eq!(count(), "n\n3\n");
}

#[test]
fn several_files_become_one() {
    let place = Place::with(&[("a.csv", "x\n1\n"), ("b.csv", "x\n2\n")]);
    let output = place.run(&["convert", "a.csv", "b.csv", "all.parquet", "--compression", "zstd(3)"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let sum = place.stdout(&["sql", "--format=csv", "-c", "SELECT sum(x) AS sum FROM 'all.parquet'"]);
    assert_eq!(sum, "sum\n3\n");
}
