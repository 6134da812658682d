//! Files on a web server, which knows ranges but cannot list.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// A server on loopback that ends with the test.
struct Server {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(files: HashMap<&'static str, Vec<u8>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&files)));
        }
    });
    Server { url, task }
}

async fn answer(mut stream: TcpStream, files: Arc<HashMap<&'static str, Vec<u8>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let Some(body) = files.get(path) else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        return;
    };
    let range =
        request.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_string));
    let (status, part, content_range) = match range.as_deref().and_then(|range| range.split_once('-')) {
        Some((start, end)) => {
            let size = body.len();
            let (start, end) = match (start.parse::<usize>(), end.parse::<usize>()) {
                (Ok(start), Ok(end)) => (start, (end + 1).min(size)),
                (Ok(start), Err(_)) => (start, size),
                (Err(_), Ok(last)) => (size.saturating_sub(last), size),
                _ => (0, size),
            };
            ("206 Partial Content", &body[start..end], format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1))
        }
        None => ("200 OK", &body[..], String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{content_range}ETag: \"1\"\r\nAccept-Ranges: bytes\r\n\
         Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n\r\n",
        part.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    if method != "HEAD" {
        let _ = stream.write_all(part).await;
    }
}

#[tokio::test]
async fn files_of_a_web_server_are_read() {
    let bench = Bench::new();
    let batch = RecordBatch::try_from_iter([(
        "n",
        Arc::new(arrow::array::Int64Array::from_iter_values(0..1_000)) as arrow::array::ArrayRef,
    )])
    .unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let parquet = writer.into_inner().unwrap();
    let files = HashMap::from([("/d/a%20b.csv", b"n\n1\n2\n".to_vec()), ("/d/f.parquet", parquet)]);
    let server = serve(files).await;
    let read = async |name: &str| {
        let paths = [format!("{}/{name}", server.url)];
        let table = open(&bench.context.state(), &bench.stores, &paths, &ReadOptions::default()).await?;
        bench.context.deregister_table("t").unwrap();
        bench.context.register_table("t", table).unwrap();
        bench.sql("select n from t where n >= 2").await
    };
    assert_eq!(read("d/a%20b.csv").await.unwrap().rows(), 1);
    assert_eq!(read("d/f.parquet").await.unwrap().rows(), 998);
    let error = read("d/gone.csv").await.err().unwrap();
    assert_error(&error, ErrorKind::NotFound, &["d/gone.csv"]);
    let error = read("d/").await.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported), "{error}");
}
