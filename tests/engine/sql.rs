//! SQL statements through `Session`: bindings, files as tables, and the statements that run at once.

use std::collections::BTreeMap;

use sheaf::sql::Bindings;
use sheaf::{Dataset, ErrorKind, Options, Result, Session, SessionSql};

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn sql(session: &Session, text: &str) -> Result<Dataset> {
    session.threads().block_on(session.sql(text))
}

fn table(dataset: &Dataset) -> String {
    dataset.session().threads().block_on(dataset.preview(100)).unwrap()
}

#[test]
fn parameters_and_datasets_are_bound_for_one_query() {
    let session = session();
    let datasets = BTreeMap::from([("numbers".to_string(), session.range(0, 10).unwrap())]);
    let params = datafusion::common::ParamValues::from(vec![datafusion::common::ScalarValue::from(7_i64)]);
    let bindings = Bindings { params: Some(params), datasets };
    let text = "SELECT count(*) AS n FROM numbers WHERE id >= $1";
    let counted = session.threads().block_on(session.sql_with(text, bindings)).unwrap();
    assert!(table(&counted).contains("| 3 |"), "{}", table(&counted));
    let gone = sql(&session, "SELECT * FROM numbers").unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    let missing = sql(&session, "SELECT $1 + 1").unwrap_err();
    assert!(missing.to_string().contains("$1 has no value"), "{missing}");
}

#[test]
fn files_are_tables_and_copies_are_whole() {
    let session = session();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let copy = format!("COPY (SELECT value AS id, value % 2 AS odd FROM range(10)) TO '{}'", path("a.parquet"));
    let report = sql(&session, &copy).unwrap();
    assert!(table(&report).contains("10"), "{}", table(&report));
    let read = sql(&session, &format!("SELECT sum(id) AS s FROM '{}' WHERE odd = 1", path("a.parquet"))).unwrap();
    assert!(table(&read).contains("| 25 |"), "{}", table(&read));
    let again = sql(&session, &copy).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{again}");
    let parted = format!(
        "COPY (SELECT value AS id, value % 2 AS odd FROM range(10)) TO '{}' STORED AS CSV PARTITIONED BY (odd)",
        path("parted/")
    );
    sql(&session, &parted).unwrap();
    let external = format!("CREATE EXTERNAL TABLE parted STORED AS CSV LOCATION '{}'", path("parted/"));
    sql(&session, &external).unwrap();
    let odd = sql(&session, "SELECT count(*) AS n, sum(id) AS s FROM parted WHERE odd = 1").unwrap();
    assert!(table(&odd).contains("| 5 | 25 |"), "{}", table(&odd));
    assert_eq!(sql(&session, &external).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let nowhere = sql(&session, &format!("SELECT * FROM '{}'", path("none.parquet"))).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound, "{nowhere}");
    let explained = sql(&session, &format!("EXPLAIN COPY parted TO '{}'", path("c.csv"))).unwrap();
    assert!(table(&explained).contains("Write:"), "{}", table(&explained));
    assert!(!folder.path().join("c.csv").exists(), "EXPLAIN writes nothing");
}

#[test]
fn one_file_has_one_writer_and_keeps_the_order_of_its_rows() {
    let session = session();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sorted.csv").display().to_string();
    for _ in 0..10 {
        let copy = format!(
            "COPY (SELECT value AS id FROM range(50000) WHERE value % 2 = 1 ORDER BY id DESC) TO '{path}' OPTIONS (mode 'overwrite')"
        );
        sql(&session, &copy).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let ids: Vec<i64> = written.lines().skip(1).map(|line| line.parse().unwrap()).collect();
        assert_eq!(ids.len(), 25_000);
        assert!(ids.is_sorted_by(|a, b| a > b));
    }
}

#[test]
fn tables_and_views_are_made_filled_and_dropped() {
    let session = session();
    sql(&session, "CREATE TABLE t AS SELECT value AS id FROM range(3)").unwrap();
    sql(&session, "INSERT INTO t VALUES (7), (8)").unwrap();
    sql(&session, "CREATE VIEW v AS SELECT id * 10 AS ten FROM t").unwrap();
    assert!(table(&sql(&session, "SELECT sum(ten) AS s FROM v").unwrap()).contains("| 180 |"));
    assert!(table(&sql(&session, "SHOW TABLES").unwrap()).contains("| t "));
    assert!(table(&sql(&session, "DESCRIBE t").unwrap()).contains("Int64"));
    sql(&session, "DROP VIEW v").unwrap();
    assert_eq!(sql(&session, "SELECT * FROM v").unwrap_err().kind(), ErrorKind::NotFound);
    let analyzed = table(&sql(&session, "EXPLAIN ANALYZE SELECT count(*) FROM t").unwrap());
    assert!(analyzed.contains("output_rows"), "{analyzed}");
}
