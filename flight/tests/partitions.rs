//! Partitions over a real connection on loopback: rows, schemas, sizes and errors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_flight::{PartitionClient, PartitionServer, PartitionSource, PartitionStream};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;

struct Numbers;

#[async_trait]
impl PartitionSource for Numbers {
    async fn partition(&self, ticket: Bytes) -> Result<PartitionStream> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("text", DataType::Utf8View, true),
        ]));
        let batch = |rows: i64| {
            let ids = Int64Array::from_iter_values(0..rows);
            let text = StringViewArray::from_iter_values((0..rows).map(|id| format!("the text of row {id:06}")));
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(text)]).unwrap()
        };
        let batches = match &ticket[..] {
            b"empty" => vec![],
            b"large" => vec![Ok(batch(500_000))],
            b"slice" => vec![Ok(batch(500_000).slice(499_999, 1))],
            b"fails" => vec![Ok(batch(3)), Err(Error::new(ErrorKind::CorruptFile, "part-1 is torn"))],
            _ => return Err(Error::new(ErrorKind::NotFound, "no such partition").with_hint("ask the head")),
        };
        Ok(PartitionStream { schema, batches: stream::iter(batches).boxed() })
    }
}

async fn serve() -> (PartitionClient, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(PartitionServer::service(Arc::new(Numbers)));
    let task = tokio::spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() });
    (PartitionClient::connect(&address).await.unwrap(), task)
}

#[tokio::test]
async fn rows_larger_than_a_message_arrive_in_order() {
    let (client, server) = serve().await;
    let batches: Vec<_> = client.fetch("large".into()).await.unwrap().batches.try_collect().await.unwrap();
    assert!(batches.len() > 1, "a batch larger than a message is split");
    let ids: Vec<i64> =
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(ids, (0..500_000).collect::<Vec<_>>());
    server.abort();
}

#[tokio::test]
async fn an_empty_partition_has_its_schema_and_a_slice_ships_its_own_bytes() {
    let (client, server) = serve().await;
    let empty = client.fetch("empty".into()).await.unwrap();
    assert_eq!(empty.schema.fields().len(), 2);
    assert_eq!(empty.batches.count().await, 0);
    let slice: Vec<_> = client.fetch("slice".into()).await.unwrap().batches.try_collect().await.unwrap();
    assert_eq!(slice[0].column(1).as_string_view().value(0), "the text of row 499999");
    assert!(slice[0].get_array_memory_size() < 10_000, "{}", slice[0].get_array_memory_size());
    server.abort();
}

#[tokio::test]
async fn errors_keep_their_kind_before_and_within_the_stream() {
    let (client, server) = serve().await;
    let Err(missing) = client.fetch("nothing".into()).await else { panic!("found") };
    assert_eq!((missing.kind(), missing.hint()), (ErrorKind::NotFound, Some("ask the head")));
    let mut torn = client.fetch("fails".into()).await.unwrap().batches;
    assert_eq!(torn.next().await.unwrap().unwrap().num_rows(), 3);
    let error = torn.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::CorruptFile, "part-1 is torn"));
    server.abort();
    let refused = PartitionClient::connect("http://127.0.0.1:1").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Io);
}
