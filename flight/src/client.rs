//! The client of a node's Flight endpoint: one connection, any number of partitions at once.

use std::time::Duration;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightClient, Ticket};
use bytes::Bytes;
use futures::stream::{StreamExt, TryStreamExt};
use sheaf_core::{Error, ErrorKind, Result, ResultExt};
use tonic::transport::{Channel, Endpoint};

use crate::server::PartitionStream;
use crate::status::from_status;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// A peer that answers no keep-alive for this long is taken for dead, so that no read waits for ever.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection to one node.
#[derive(Debug, Clone)]
pub struct PartitionClient {
    address: String,
    channel: Channel,
}

impl PartitionClient {
    /// Connects to `address`, such as `http://127.0.0.1:7070`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an address that is none; [`ErrorKind::Io`] when nobody answers in time.
    pub async fn connect(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(address.to_string())
            .map_err(|error| Error::invalid(format!("{address:?} is not an address: {error}")))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let channel = endpoint.connect().await.map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot connect to the node at {address}")).with_source(error)
        })?;
        Ok(Self { address: address.into(), channel })
    }

    /// Streams the partition that `ticket` names.
    ///
    /// # Errors
    /// Whatever the node's [`crate::PartitionSource`] says, with its kind; [`ErrorKind::Io`] when the node is lost,
    /// here or as an item of the stream.
    pub async fn fetch(&self, ticket: Bytes) -> Result<PartitionStream> {
        let mut client = FlightClient::new(self.channel.clone());
        let mut stream = client
            .do_get(Ticket { ticket })
            .await
            .map_err(told)
            .with_context(|| format!("fetching a partition from {}", self.address))?;
        let (schema, first) = head(&mut stream).await?;
        let rest = stream.map_err(told);
        let batches = futures::stream::iter(first.map(Ok)).chain(rest).boxed();
        Ok(PartitionStream { schema, batches })
    }
}

/// The schema, and the first batch that was read to learn it.
async fn head(
    stream: &mut FlightRecordBatchStream,
) -> Result<(arrow::datatypes::SchemaRef, Option<arrow::record_batch::RecordBatch>)> {
    let first = stream.next().await.transpose().map_err(told)?;
    match (stream.schema().cloned(), first) {
        (Some(schema), first) => Ok((schema, first)),
        (None, Some(batch)) => Ok((batch.schema(), Some(batch))),
        (None, None) => Err(Error::new(ErrorKind::Io, "the node closed the stream before its schema")),
    }
}

fn told(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => from_status(&status),
        other => Error::new(ErrorKind::Io, other.to_string()).with_source(other),
    }
}
