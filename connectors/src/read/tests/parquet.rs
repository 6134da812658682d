//! Parquet: what is not needed is not read, and what cannot be read is told.

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

use super::*;

fn write_columns(path: &Path, columns: Vec<(&str, ArrayRef)>, group_rows: usize, page_rows: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows)
        .set_dictionary_enabled(false)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn numbers(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(range))
}

fn words(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(range.map(|n| format!("a word that is long enough to weigh {n}"))))
}

fn write_numbers(path: &Path, range: std::ops::Range<i64>) {
    write_columns(path, vec![("n", numbers(range.clone())), ("word", words(range))], 10_000, 1_000);
}

#[tokio::test]
async fn projections_row_groups_pages_and_folders_read_less() {
    let bench = Bench::new();
    for year in 2010..2014 {
        write_numbers(&bench.path(&format!("d/year={year}/f.parquet")), 0..40_000);
    }
    bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    let all = bench.sql("select * from t").await.unwrap();
    assert_eq!(all.rows(), 160_000);
    let one_column = bench.sql("select n from t").await.unwrap();
    let one_folder = bench.sql("select * from t where year = 2012").await.unwrap();
    let one_group = bench.sql("select * from t where year = 2012 and n >= 30000").await.unwrap();
    let one_page = bench.sql("select * from t where year = 2012 and n between 30000 and 30010").await.unwrap();
    let bytes: Vec<usize> =
        [&all, &one_column, &one_folder, &one_group, &one_page].iter().map(|ran| ran.metric("bytes_scanned")).collect();
    assert!(bytes[1] * 3 < bytes[0], "projection: {bytes:?}");
    assert!(bytes[2] * 3 < bytes[0], "folders: {bytes:?}");
    assert!(bytes[3] * 3 < bytes[2], "row groups: {bytes:?}");
    assert!(bytes[4] * 3 < bytes[3], "pages: {bytes:?}");
    assert_eq!((one_folder.rows(), one_group.rows(), one_page.rows()), (40_000, 10_000, 11));
}

#[tokio::test]
async fn statistics_answer_counts_and_extremes_without_reading() {
    let bench = Bench::new();
    write_numbers(&bench.path("f.parquet"), 0..5_000);
    bench.open(&["f.parquet"], &ReadOptions::default()).await.unwrap();
    let ran = bench.sql("select count(*) as c, min(n) as low, max(n) as high from t").await.unwrap();
    assert!(ran.text().contains("| 5000 | 0   | 4999 |"), "{}", ran.text());
    assert_eq!(ran.metric("bytes_scanned"), 0);
}

#[tokio::test]
async fn a_limit_reads_no_more_files_than_it_needs() {
    let bench = Bench::new();
    for n in 0..8 {
        write_numbers(&bench.path(&format!("d/{n}.parquet")), 0..1_000);
    }
    bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    let all = bench.sql("select * from t").await.unwrap().metric("bytes_scanned");
    let some = bench.sql("select * from t limit 10").await.unwrap();
    assert_eq!(some.rows(), 10);
    assert!(some.metric("bytes_scanned") * 3 < all);
}

#[tokio::test]
async fn files_whose_schemas_differ_come_together() {
    let bench = Bench::new();
    let int32: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    write_columns(&bench.path("d/1.parquet"), vec![("a", int32), ("b", words(0..1))], 100, 100);
    write_columns(&bench.path("d/2.parquet"), vec![("a", numbers(5_000_000_000..5_000_000_001))], 100, 100);
    let table = bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    assert_eq!(types(&table)[0].1, DataType::Int64);
    let found = bench.sql("select a, b is null as gone from t order by a").await.unwrap().text();
    assert!(found.contains("| 1          | false |") && found.contains("| 5000000000 | true  |"), "{found}");
    let found = bench.sql("select count(*) as c from t where a = 1").await.unwrap().text();
    assert!(found.contains("| 1 |"), "{found}");

    write_columns(&bench.path("d/3.parquet"), vec![("a", numbers(3..4)), ("c", numbers(9..10))], 100, 100);
    let error = bench.open(&["d"], &ReadOptions::default()).await.unwrap_err();
    assert_error(&error, ErrorKind::TypeMismatch, &["3.parquet", "\"c\"", "1.parquet", "union_by_name"]);
    let union = ReadOptions { union_by_name: true, ..ReadOptions::default() };
    let found = bench.read(&["d"], &union, "select a, c from t order by a").await.unwrap().text();
    assert!(found.contains("| 3          | 9 |"), "{found}");

    write_columns(&bench.path("d/4.parquet"), vec![("a", words(0..1))], 100, 100);
    let error = bench.open(&["d"], &union).await.unwrap_err();
    assert_error(&error, ErrorKind::TypeMismatch, &["\"a\"", "4.parquet"]);
}

#[tokio::test]
async fn files_that_are_no_parquet_or_cut_off_are_told_or_skipped() {
    let bench = Bench::new();
    write_numbers(&bench.path("d/1.parquet"), 0..10);
    bench.write("d/2.parquet", "this is no parquet at all");
    let whole = std::fs::read(bench.path("d/1.parquet")).unwrap();
    bench.write("d/3.parquet", &whole[..whole.len() / 2]);
    for name in ["d/2.parquet", "d/3.parquet"] {
        let error = bench.open(&[name], &ReadOptions::default()).await.unwrap_err();
        assert_error(&error, ErrorKind::CorruptFile, &[name]);
    }
    let ignore = ReadOptions { ignore_errors: true, ..ReadOptions::default() };
    let table = bench.open(&["d"], &ignore).await.unwrap();
    assert_eq!(bench.sql("select * from t").await.unwrap().rows(), 10);
    assert_eq!(table.skipped_files(), 2);
    assert!(table.skipped_file_names()[0].ends_with("2.parquet"));
    let error = bench.open(&["d/2.parquet", "d/3.parquet"], &ignore).await.unwrap_err();
    assert_error(&error, ErrorKind::CorruptFile, &["none of 2 files"]);
}

#[tokio::test]
async fn a_page_that_is_broken_is_told_when_it_is_read_or_skipped() {
    let bench = Bench::new();
    write_numbers(&bench.path("d/1.parquet"), 0..10);
    write_numbers(&bench.path("d/2.parquet"), 0..10_000);
    let mut bytes = std::fs::read(bench.path("d/2.parquet")).unwrap();
    bytes[4..2_000].fill(0xff);
    bench.write("d/2.parquet", bytes);
    bench.open(&["d"], &ReadOptions::default()).await.unwrap();
    let error = bench.sql("select n from t").await.err().unwrap();
    assert_error(&error, ErrorKind::CorruptFile, &["d/2.parquet"]);
    let ignore = ReadOptions { ignore_errors: true, ..ReadOptions::default() };
    let table = bench.open(&["d"], &ignore).await.unwrap();
    let ran = bench.sql("select n from t").await.unwrap();
    assert_eq!((ran.rows(), table.skipped_files(), ran.metric("files_skipped")), (10, 1, 1));
}

#[tokio::test]
async fn filters_prune_through_a_join() {
    let bench = Bench::new();
    write_numbers(&bench.path("big.parquet"), 0..40_000);
    write_numbers(&bench.path("small.parquet"), 39_000..39_010);
    let small =
        open(&bench.context.state(), &bench.stores, &[bench.text_path("small.parquet")], &ReadOptions::default())
            .await
            .unwrap();
    bench.context.register_table("s", small).unwrap();
    bench.open(&["big.parquet"], &ReadOptions::default()).await.unwrap();
    let all = bench.sql("select * from t").await.unwrap().metric("bytes_scanned");
    let joined = bench.sql("select t.word from t join s on t.n = s.n").await.unwrap();
    assert_eq!(joined.rows(), 10);
    assert!(joined.metric("bytes_scanned") * 2 < all, "{} of {all}", joined.metric("bytes_scanned"));
}
