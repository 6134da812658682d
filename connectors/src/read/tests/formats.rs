//! JSON lines, Arrow IPC, text, and compression around text formats.

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use tokio::io::AsyncWriteExt;

use super::*;

async fn compress(kind: &str, body: &[u8]) -> Vec<u8> {
    use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
    macro_rules! pack {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(body).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match kind {
        "gz" => pack!(GzipEncoder),
        "bz2" => pack!(BzEncoder),
        "xz" => pack!(XzEncoder),
        _ => pack!(ZstdEncoder),
    }
}

#[tokio::test]
async fn every_format_reads_back() {
    let bench = Bench::new();
    let n: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("n", n)]).unwrap();
    let mut parquet = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    parquet.write(&batch).unwrap();
    let mut ipc = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    ipc.write(&batch).unwrap();
    bench.write("f.parquet", parquet.into_inner().unwrap());
    bench.write("f.arrow", ipc.into_inner().unwrap());
    bench.write("f.csv", "n\n1\n2\n3\n");
    bench.write("f.tsv", "n\tm\n1\t4\n2\t5\n3\t6\n");
    bench.write("f.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    bench.write("f.txt", "1\n2\n3\n");
    for name in ["f.parquet", "f.arrow", "f.csv", "f.tsv", "f.jsonl", "f.txt"] {
        let column = if name == "f.txt" { "cast(text as bigint)" } else { "n" };
        let query = format!("select sum({column}) as s, count(*) as c from t");
        let found = bench.read(&[name], &ReadOptions::default(), &query).await.unwrap().text();
        assert!(found.contains("| 6 | 3 |"), "{name}: {found}");
    }
}

#[tokio::test]
async fn compressed_files_are_read_whole_and_counted_as_stored() {
    let config = SessionConfig::new().with_target_partitions(4).with_repartition_file_min_size(1);
    let bench = Bench::with(config);
    let csv: String = std::iter::once("n\n".to_string()).chain((0..5_000).map(|n| format!("{n}\n"))).collect();
    let json: String = (0..5_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    for kind in ["gz", "bz2", "xz", "zst"] {
        for (name, body) in [("csv", &csv), ("jsonl", &json), ("txt", &json)] {
            let file = format!("f.{name}.{kind}");
            let packed = compress(kind, body.as_bytes()).await;
            bench.write(&file, &packed);
            let query = if name == "txt" { "select text from t" } else { "select n from t" };
            let ran = bench.read(&[&file], &ReadOptions::default(), query).await.unwrap();
            assert_eq!((ran.rows(), ran.metric("bytes_scanned")), (5_000, packed.len()), "{file}");
            bench.write(&file, &packed[..packed.len() / 2]);
            let error = bench.read(&[&file], &ReadOptions::default(), query).await.err().unwrap();
            assert_error(&error, ErrorKind::CorruptFile, &[&file]);
        }
    }
    bench.write("plain.dat", compress("gz", csv.as_bytes()).await);
    let given = ReadOptions { compression: Some(Compression::Gzip), ..csv_options(|_| {}) };
    assert_eq!(bench.read(&["plain.dat"], &given, "select * from t").await.unwrap().rows(), 5_000);
}

#[tokio::test]
async fn json_lines_are_read_by_name() {
    let config = SessionConfig::new().with_target_partitions(4).with_repartition_file_min_size(1);
    let bench = Bench::with(config);
    bench.write("d/1.jsonl", "{\"a\":1,\"s\":{\"x\":[1,2]}}\n{\"a\":2.5}\n");
    bench.write("d/2.jsonl", "{\"b\":\"x\",\"z\":null}\n");
    let found = bench.read(&["d"], &ReadOptions::default(), "select a, s, b, z from t order by a").await.unwrap();
    let text = found.text();
    assert!(text.contains("| 1.0 | {x: [1, 2]} |") && text.contains("| x |"), "{text}");
    assert_eq!(bench.sql("select count(*) as c from t").await.unwrap().text().matches("| 3 |").count(), 1);

    let mut body: String = (0..3_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    body.push_str("{\"n\":\"many\"}\n");
    bench.write("bad.jsonl", &body);
    let error = bench.read(&["bad.jsonl"], &ReadOptions::default(), "select n from t").await.err().unwrap();
    assert_error(&error, ErrorKind::Parse, &["bad.jsonl", "line 3001"]);
    // One fault to a file: its parts are read at once, and the first error to come is told.
    let cut = body.replace("{\"n\":\"many\"}\n", "").replace("{\"n\":2000}", "{\"n\":20");
    bench.write("cut.jsonl", cut);
    let error = bench.read(&["cut.jsonl"], &ReadOptions::default(), "select n from t").await.err().unwrap();
    assert_error(&error, ErrorKind::Parse, &["cut.jsonl", "line 2001"]);
    bench.write("array.json", "[{\"a\":1}]");
    let error = bench.open(&["array.json"], &ReadOptions::default()).await.unwrap_err();
    assert_error(&error, ErrorKind::Unsupported, &["array.json", "one object per line"]);
}

#[tokio::test]
async fn text_is_one_row_per_line() {
    let config = SessionConfig::new().with_target_partitions(3).with_repartition_file_min_size(1);
    let bench = Bench::with(config);
    bench.write("f.txt", "one\r\n\nthree, 3\nlast");
    let ran = bench.read(&["f.txt"], &ReadOptions::default(), "select text from t order by text").await.unwrap();
    assert_eq!(ran.rows(), 4);
    assert!(ran.text().contains("| one      |"), "{}", ran.text());
    assert!(bench.sql("select count(*) as c from t").await.unwrap().text().contains("| 4 |"));
    bench.write("f.txt", b"one\ntwo\n\xff\n");
    let error = bench.read(&["f.txt"], &ReadOptions::default(), "select text from t").await.err().unwrap();
    assert_error(&error, ErrorKind::Parse, &["f.txt", "line 3"]);
}

fn batches() -> Vec<RecordBatch> {
    let batch = |start: i64| {
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + 100));
        let names: DictionaryArray<Int32Type> = (0..100).map(|n| if n % 2 == 0 { "even" } else { "odd" }).collect();
        let wide: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|_| "x".repeat(100))));
        RecordBatch::try_from_iter([("n", n), ("kind", Arc::new(names) as ArrayRef), ("wide", wide)]).unwrap()
    };
    vec![batch(0), batch(100), batch(200)]
}

#[tokio::test]
async fn ipc_files_and_streams_are_read() {
    let config = SessionConfig::new().with_target_partitions(3).with_repartition_file_min_size(1);
    let bench = Bench::with(config);
    let batches = batches();
    let mut file = FileWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    let mut stream = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    for batch in &batches {
        file.write(batch).unwrap();
        stream.write(batch).unwrap();
    }
    let file = file.into_inner().unwrap();
    let stream = stream.into_inner().unwrap();
    for (name, body) in [("f.arrow", &file), ("s.arrows", &stream)] {
        bench.write(name, body);
        let ran = bench.read(&[name], &ReadOptions::default(), "select n, kind from t where n >= 50").await.unwrap();
        assert_eq!(ran.rows(), 250, "{name}");
        assert!(ran.metric("bytes_scanned") > 0, "{name}");
        let sums = bench.sql("select kind, sum(n) as s from t group by kind order by kind").await.unwrap().text();
        assert!(sums.contains("22350") && sums.contains("22500"), "{name}: {sums}");
        bench.write(name, &body[..body.len() / 2]);
        let error = bench.read(&[name], &ReadOptions::default(), "select n from t").await.err().unwrap();
        assert_error(&error, ErrorKind::CorruptFile, &[name]);
    }
    bench.write("d/1.arrow", &file);
    let n: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let other = RecordBatch::try_from_iter([("n", n)]).unwrap();
    let mut writer = FileWriter::try_new(Vec::new(), &other.schema()).unwrap();
    writer.write(&other).unwrap();
    bench.write("d/2.arrow", writer.into_inner().unwrap());
    let ran = bench.read(&["d"], &ReadOptions::default(), "select n, kind from t where kind is null").await.unwrap();
    assert!(ran.text().contains("| 7 |"), "{}", ran.text());
}
