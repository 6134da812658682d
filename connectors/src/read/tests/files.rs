//! Paths, folders and their columns, and files that come, go or are broken.

use super::*;

#[tokio::test]
async fn folders_make_typed_columns_and_prune() {
    let bench = Bench::new();
    for (folder, row) in [
        ("year=2013/day=2013-01-01/who=a%2Fb", "1"),
        ("year=2014/day=2014-01-01/who=c d", "2"),
        ("year=__HIVE_DEFAULT_PARTITION__/day=2015-01-01/who=e", "3"),
    ] {
        bench.write(&format!("d/{folder}/f.csv"), format!("n\n{row}\n"));
    }
    let table = bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    let expected =
        [("n", DataType::Int64), ("year", DataType::Int64), ("day", DataType::Date32), ("who", DataType::Utf8)];
    assert_eq!(types(&table), named(&expected));
    let files = |ran: &Ran| ran.metric("bytes_scanned") / "n\n1\n".len();
    for (filter, rows) in [
        ("year = 2013", 1),
        ("year > 2013", 1),
        ("year is null", 1),
        ("day >= date '2014-01-01'", 2),
        ("who = 'a/b' or who = 'c d'", 2),
        ("year + 1 = 2014 and who like 'a%'", 1),
    ] {
        let ran = bench.sql(&format!("select n from t where {filter}")).await.unwrap();
        assert_eq!((ran.rows(), files(&ran)), (rows, rows), "{filter}");
    }
    let none = bench.sql("select * from t where year = 1999").await.unwrap();
    assert_eq!(none.rows(), 0);
    let all = bench.sql("select who, n from t order by n").await.unwrap().text();
    assert!(all.contains("| a/b | 1 |"), "{all}");
    let off = ReadOptions { hive_partitioning: Some(false), ..ReadOptions::default() };
    assert_eq!(types(&bench.open(&["d"], &off).await.unwrap()), named(&[("n", DataType::Int64)]));
    let inside = bench.open(&["d/year=2013"], &ReadOptions::default()).await.unwrap();
    assert_eq!(types(&inside).len(), 3, "below the folder that was named");
    let whole = ReadOptions { hive_partitioning: Some(true), ..ReadOptions::default() };
    assert_eq!(types(&bench.open(&["d/year=2013"], &whole).await.unwrap()).len(), 4);
}

#[tokio::test]
async fn a_glob_over_folders_keeps_their_columns() {
    let bench = Bench::new();
    for month in 1..=3 {
        bench.write(&format!("d/month={month}/f.csv"), "n\n1\n");
    }
    for glob in ["d/month=*/*.csv", "d/month=*", "d/**/*.csv"] {
        let ran = bench.read(&[glob], &ReadOptions::default(), "select month from t where month < 3").await.unwrap();
        assert_eq!(ran.rows(), 2, "{glob}");
    }
}

#[tokio::test]
async fn paths_of_files_can_be_a_column_that_prunes() {
    let bench = Bench::new();
    let first = bench.write("d/1.csv", "n\n1\n");
    bench.write("d/2.csv", "n\n2\n");
    let options = ReadOptions { include_file_paths: Some("path".into()), ..ReadOptions::default() };
    let query = format!("select n, path from t where path = '{}'", first.display());
    let ran = bench.read(&["d"], &options, &query).await.unwrap();
    assert!(ran.text().contains(&name_of(&first)), "{}", ran.text());
    assert_eq!((ran.rows(), ran.metric("bytes_scanned")), (1, 4));
    let taken = ReadOptions { include_file_paths: Some("n".into()), ..ReadOptions::default() };
    assert_error(&bench.open(&["d"], &taken).await.unwrap_err(), ErrorKind::InvalidInput, &["\"n\""]);
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_name() {
    let bench = Bench::new();
    bench.write("d/f.csv", "n\n1\n");
    for name in ["nowhere.csv", "d/*.parquet", "nowhere/"] {
        let error = bench.open(&[name], &ReadOptions::default()).await.unwrap_err();
        assert_error(&error, ErrorKind::NotFound, &[name]);
    }
    bench.write("d/data", "n\n1\n");
    let error = bench.open(&["d/data"], &ReadOptions::default()).await.unwrap_err();
    assert_error(&error, ErrorKind::InvalidInput, &["d/data", "read_csv"]);
    let error = open(&bench.context.state(), &bench.stores, &[], &ReadOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_file_that_vanished_is_told_by_its_name() {
    let bench = Bench::new();
    let file = bench.write("d/1.csv", "n\n1\n");
    bench.write("d/2.csv", "n\n2\n");
    bench.open(&["d/1.csv", "d/2.csv"], &ReadOptions::default()).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = bench.sql("select * from t").await.err().unwrap();
    assert_error(&error, ErrorKind::NotFound, &["d/1.csv"]);
}

#[tokio::test]
async fn broken_text_files_are_skipped_and_counted() {
    let bench = Bench::new();
    bench.write("d/1.csv", "n\n1\n2\n");
    bench.write("d/2.csv", "n\n3,4\n");
    let ignore = ReadOptions { ignore_errors: true, ..ReadOptions::default() };
    let table = bench.open(&["d"], &ignore).await.unwrap();
    let ran = bench.sql("select n from t").await.unwrap();
    assert_eq!((ran.rows(), ran.metric("files_skipped"), table.skipped_files()), (2, 1, 1));
    assert!(table.skipped_file_names()[0].ends_with("d/2.csv"));
    let error = bench.read(&["d"], &ReadOptions::default(), "select n from t").await.err().unwrap();
    assert_error(&error, ErrorKind::Parse, &["d/2.csv", "line 2"]);
}

#[tokio::test]
async fn files_of_several_stores_are_one_table() {
    use datafusion::execution::object_store::ObjectStoreRegistry;
    use object_store::ObjectStoreExt;
    let bench = Bench::new();
    bench.write("1.csv", "n\n1\n");
    let memory = Arc::new(object_store::memory::InMemory::new());
    memory.put(&"d/2.csv".into(), "n\n2\n".into()).await.unwrap();
    bench.stores.register_store(&"s3://bucket/".parse().unwrap(), memory);
    let paths = [bench.text_path("1.csv"), "s3://bucket/d/2.csv".to_string()];
    let options = ReadOptions { include_file_paths: Some("path".into()), ..ReadOptions::default() };
    let table = open(&bench.context.state(), &bench.stores, &paths, &options).await.unwrap();
    bench.context.register_table("t", table).unwrap();
    let found = bench.sql("select n, path from t order by n").await.unwrap().text();
    assert!(found.contains("s3://bucket/d/2.csv") && found.contains("1.csv"), "{found}");
}

#[tokio::test]
async fn empty_files_have_no_rows() {
    let bench = Bench::new();
    bench.write("f.txt", "");
    let ran = bench.read(&["f.txt"], &ReadOptions::default(), "select * from t").await.unwrap();
    assert_eq!(ran.rows(), 0);
    bench.write("f.csv", "a,b\n");
    let ran = bench.read(&["f.csv"], &ReadOptions::default(), "select a from t").await.unwrap();
    assert_eq!(ran.rows(), 0);
}
