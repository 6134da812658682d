//! CSV: dialects, inference, files that differ, and errors with their lines.

use arrow::datatypes::TimeUnit;

use super::*;

async fn rows(bench: &Bench, body: impl AsRef<[u8]>, options: &ReadOptions) -> Result<String> {
    bench.write("f.csv", body);
    Ok(bench.read(&["f.csv"], options, "select * from t").await?.text())
}

#[tokio::test]
async fn types_are_inferred_as_they_are() {
    let bench = Bench::new();
    bench.write("f.csv", "i,f,b,d,t,s,n\n1,1.5,true,2024-01-02,2024-01-02T03:04:05,x,\n2,2,false,2024-01-03,2024-01-02T03:04:06,\"y,\"\"z\",\n");
    let table = bench.open(&["f.csv"], &ReadOptions::default()).await.unwrap();
    let expected = [
        ("i", DataType::Int64),
        ("f", DataType::Float64),
        ("b", DataType::Boolean),
        ("d", DataType::Date32),
        ("t", DataType::Timestamp(TimeUnit::Second, None)),
        ("s", DataType::Utf8),
        ("n", DataType::Utf8),
    ];
    assert_eq!(types(&table), named(&expected));
    let found = bench.sql("select s, n is null as n from t where i = 2").await.unwrap().text();
    assert!(found.contains("y,\"z") && found.contains("true"), "{found}");
}

#[tokio::test]
async fn the_dialect_is_obeyed() {
    let bench = Bench::new();
    let options = csv_options(|csv| {
        csv.delimiter = b';';
        csv.quote = Some(b'\'');
        csv.escape = Some(b'\\');
        csv.comment = Some(b'#');
        csv.skip_rows = 2;
        csv.null_values = vec!["NA".into(), "-".into()];
    });
    let body = "made by hand\nyesterday\n# note\na;b\n1;'x;\\'y'\n# more\nNA;-\n";
    let found = rows(&bench, body, &options).await.unwrap();
    assert!(found.contains("| 1 | x;'y |"), "{found}");
    assert!(found.contains("|   |      |"), "{found}");
    let none = csv_options(|csv| {
        csv.has_header = false;
        csv.quote = None;
    });
    let found = rows(&bench, "1,\"a\n2,b\"c\n", &none).await.unwrap();
    assert!(found.contains("column_2") && found.contains("| \"a ") && found.contains("b\"c"), "{found}");
}

#[tokio::test]
async fn types_can_be_given_and_text_kept() {
    let bench = Bench::new();
    bench.write("f.csv", "zip,n\n01234,1\n");
    let options = csv_options(|csv| {
        csv.dtypes = [("zip".to_string(), DataType::Utf8), ("n".to_string(), DataType::Int8)].into();
    });
    let table = bench.open(&["f.csv"], &options).await.unwrap();
    assert_eq!(types(&table), named(&[("zip", DataType::Utf8), ("n", DataType::Int8)]));
    assert!(bench.sql("select zip from t").await.unwrap().text().contains("01234"));
    let wrong = csv_options(|csv| csv.dtypes = [("zipp".to_string(), DataType::Utf8)].into());
    let error = bench.open(&["f.csv"], &wrong).await.unwrap_err();
    assert_error(&error, ErrorKind::UnknownColumn, &["zipp", "did you mean \"zip\""]);
    let text = csv_options(|csv| csv.infer_rows = 0);
    assert_eq!(types(&bench.open(&["f.csv"], &text).await.unwrap())[1].1, DataType::Utf8);
}

#[tokio::test]
async fn encodings_become_text() {
    let bench = Bench::new();
    let latin = csv_options(|csv| csv.encoding = Some("latin1".into()));
    assert!(rows(&bench, b"a,b\n1,caf\xe9\n", &latin).await.unwrap().contains("café"));
    let utf16: Vec<u8> = "\u{feff}a,b\n1,é\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let found = rows(&bench, utf16, &ReadOptions::default()).await.unwrap();
    assert!(found.contains("| a | b |") && found.contains("é"), "{found}");
    let found = rows(&bench, "\u{feff}a,b\n1,2\n", &ReadOptions::default()).await.unwrap();
    assert!(found.contains("| a | b |"), "{found}");
}

#[tokio::test]
async fn a_row_of_another_length_is_told_with_its_line() {
    let bench = Bench::new();
    for (body, line, got) in [
        ("a,b\n1,2\n3,4,5\n", "line 3", "got more than"),
        ("a,b\r\n1,2\r\n\r\n3\r\n", "line 4", "1 fields"),
        ("a,b\n\"x\ny\",2\n3\n", "line 4", "1 fields"),
        ("a,b\n1,2\n\n3", "line 4", "1 fields"),
    ] {
        let error = rows(&bench, body, &ReadOptions::default()).await.unwrap_err();
        let expected = if got == "got more than" { "more than" } else { got };
        assert_error(&error, ErrorKind::Parse, &[line, expected, "f.csv"]);
    }
    let comment = csv_options(|csv| {
        csv.comment = Some(b'#');
        csv.skip_rows = 1;
    });
    let error = rows(&bench, "title\na,b\n# one\n1,2\n# two\n3\n", &comment).await.unwrap_err();
    assert_error(&error, ErrorKind::Parse, &["line 6"]);
    let short = csv_options(|csv| csv.truncated_rows = true);
    assert!(rows(&bench, "a,b\n1,2\n3\n", &short).await.unwrap().contains("| 3 |   |"));
}

#[tokio::test]
async fn a_value_of_another_type_is_told_with_line_and_column() {
    let bench = Bench::new();
    let mut body = String::from("n,delay\n");
    for n in 0..3000 {
        body.push_str(&format!("{n},{}\n", if n == 2500 { "late" } else { "7" }));
    }
    let error = rows(&bench, &body, &ReadOptions::default()).await.unwrap_err();
    assert_error(&error, ErrorKind::Parse, &["line 2502", "\"late\"", "\"delay\"", "Int64", "dtypes=", "infer_rows"]);
    bench.open(&["f.csv"], &ReadOptions::default()).await.unwrap();
    assert_eq!(bench.sql("select count(n) as c from t").await.unwrap().rows(), 1, "the column is not read");
    let enough = csv_options(|csv| csv.infer_rows = 3000);
    assert!(rows(&bench, &body, &enough).await.is_ok());
}

#[tokio::test]
async fn large_files_are_read_in_parts_and_errors_keep_their_lines() {
    let config = SessionConfig::new().with_target_partitions(4).with_repartition_file_min_size(1);
    let bench = Bench::with(config);
    let mut body = String::from("n,word\n");
    for n in 0..20_000 {
        body.push_str(&format!("{n},w{n}\n"));
    }
    bench.write("f.csv", &body);
    let all = bench.read(&["f.csv"], &ReadOptions::default(), "select n, word from t where n >= 0").await.unwrap();
    assert_eq!(all.rows(), 20_000);
    assert_eq!(all.plan.properties().partitioning.partition_count(), 4);
    let read = all.metric("bytes_scanned");
    assert!((body.len() - 10..=body.len() + 10).contains(&read), "{read} of {}", body.len());
    let sum = bench.sql("select sum(n) as s, count(distinct word) as w from t").await.unwrap().text();
    assert!(sum.contains("199990000") && sum.contains("20000"), "{sum}");
    for bad in [5_000, 19_999] {
        let wrong = body.replace(&format!("\n{bad},w{bad}\n"), &format!("\n{bad},w{bad},x\n"));
        bench.write("f.csv", wrong);
        let query = "select n, word from t where n >= 0";
        let error = bench.read(&["f.csv"], &ReadOptions::default(), query).await.err().unwrap();
        assert_error(&error, ErrorKind::Parse, &[&format!("line {}", bad + 2)]);
    }
}

#[tokio::test]
async fn line_breaks_in_values_of_large_files_are_read_or_told() {
    let config = SessionConfig::new().with_target_partitions(4).with_repartition_file_min_size(1);
    let bench = Bench::with(config);
    let long = "x\n".repeat(200);
    // Seen in the sample: read whole.
    let body = format!("a,b\n{}", format!("1,\"{long}\"\n").repeat(50));
    bench.write("f.csv", &body);
    let query = "select * from t where a >= 0";
    let ran = bench.read(&["f.csv"], &ReadOptions::default(), query).await.unwrap();
    assert_eq!(ran.rows(), 50);
    // After the sample: told, never read wrong.
    let body = format!("a,b\n{}{}", "1,y\n".repeat(200_000), format!("1,\"{long}\"\n").repeat(2_000));
    bench.write("f.csv", &body);
    let error = bench.read(&["f.csv"], &ReadOptions::default(), query).await.err().unwrap();
    assert_error(&error, ErrorKind::Parse, &["newlines_in_values=True"]);
    let given = csv_options(|csv| csv.newlines_in_values = true);
    assert_eq!(bench.read(&["f.csv"], &given, query).await.unwrap().rows(), 202_000);
}

#[tokio::test]
async fn columns_are_found_by_the_names_in_each_header() {
    let bench = Bench::new();
    bench.write("d/1.csv", "a,b\n1,x\n");
    bench.write("d/2.csv", "b,a\ny,2.5\n");
    bench.write("d/3.csv", "a\n3\n");
    let table = bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    assert_eq!(types(&table), named(&[("a", DataType::Float64), ("b", DataType::Utf8)]));
    let found = bench.sql("select b, a from t order by a").await.unwrap().text();
    for row in ["| x | 1.0 |", "| y | 2.5 |", "|   | 3.0 |"] {
        assert!(found.contains(row), "{row} in\n{found}");
    }
    assert_eq!(bench.sql("select count(*) as c from t").await.unwrap().metric("files_skipped"), 0);
}

#[tokio::test]
async fn a_new_file_with_another_header_is_read_by_its_names() {
    let bench = Bench::new();
    bench.write("d/1.csv", "a,b\n1,x\n");
    bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    bench.write("d/2.csv", "b,a\ny,2\n");
    let found = bench.sql("select a, b from t order by a").await.unwrap().text();
    assert!(found.contains("| 2 | y |"), "{found}");
}

#[tokio::test]
async fn a_given_schema_is_taken_by_place() {
    let bench = Bench::new();
    bench.write("f.csv", "a,b\n1,2\n");
    let fields = vec![Field::new("x", DataType::Float32, true), Field::new("y", DataType::Utf8, true)];
    let options = ReadOptions { schema: Some(Arc::new(Schema::new(fields))), ..csv_options(|_| {}) };
    let found = bench.read(&["f.csv"], &options, "select y, x from t").await.unwrap().text();
    assert!(found.contains("| 2 | 1.0 |"), "{found}");
}
