//! One connection between two nodes: parcels in both directions, after both have said who they are.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sheaf_core::ids::NodeId;
use sheaf_core::network::Parcel;
use sheaf_core::{Error, ErrorKind, Result};
use tokio::sync::mpsc::Receiver;
use tonic::{Request, Status, Streaming};

use super::switchboard::Switchboard;
use super::{MESSAGE_BYTES, connect};
use crate::status::from_status;

/// Changes with every change of what nodes say to each other.
const PROTOCOL: u32 = 5;
/// How long the other one may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// What each says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    version: String,
    protocol: u32,
    /// Who speaks.
    pub(super) node: NodeId,
    /// Where it is reached.
    pub(super) address: String,
    /// Whom it wants to speak to; `None` for whoever is there.
    pub(super) to: Option<NodeId>,
}

impl Hello {
    pub(super) fn new(node: NodeId, address: &str, to: Option<NodeId>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Self { version, protocol: PROTOCOL, node, address: address.to_string(), to }
    }

    pub(super) fn encode(&self) -> Result<FlightData> {
        let bytes = postcard::to_stdvec(self).map_err(|error| Error::internal(error.to_string()))?;
        Ok(FlightData { app_metadata: bytes.into(), ..FlightData::default() })
    }

    /// Reads what the other one said, and refuses another version.
    pub(super) fn decode(data: &FlightData) -> Result<Self> {
        let hello: Self = postcard::from_bytes(&data.app_metadata)
            .map_err(|_| Error::invalid("what connected is no node of Sheaf, or one of another version"))?;
        let here = env!("CARGO_PKG_VERSION");
        if (hello.protocol, &*hello.version) != (PROTOCOL, here) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the node at {} is of version {}, this one of {here}", hello.address, hello.version),
            )
            .with_hint("all nodes of a cluster have to be of one version"));
        }
        Ok(hello)
    }
}

/// Parcels as they go over the wire, until nobody sends any more.
pub(super) fn outgoing(parcels: Receiver<Parcel>) -> impl Stream<Item = FlightData> + Send + 'static {
    let pieces = stream::unfold(parcels, |mut parcels| async move {
        let parcel = parcels.recv().await?;
        // One that cannot be written down is as good as lost.
        Some((stream::iter(parcel.encode().unwrap_or_default()), parcels))
    });
    pieces.flatten().map(|piece| FlightData { data_body: Bytes::from(piece), ..FlightData::default() })
}

/// Hands on what comes until the connection ends, and says why it did.
pub(super) async fn incoming(mut data: Streaming<FlightData>, board: &Switchboard) -> Result<()> {
    while let Some(piece) = data.message().await.map_err(|status| from_status(&status))? {
        board.inlet().arrived(Parcel::decode(&piece.data_body)?);
    }
    Ok(())
}

/// Connects to a node, sends what comes through `parcels` and hands on what it says, until one of the two ends.
pub(super) async fn converse(
    board: &Arc<Switchboard>,
    address: &str,
    hello: Hello,
    parcels: Receiver<Parcel>,
) -> Result<()> {
    let channel = connect(address, board.access()).await?;
    let mut client = FlightServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let first = hello.encode()?;
    let mut request = Request::new(stream::iter([first]).chain(outgoing(parcels)));
    board.access().show(&mut request);
    let late = |_| Error::new(ErrorKind::Io, format!("the node at {address} does not say who it is"));
    let told = |status: Status| from_status(&status);
    let answered = tokio::time::timeout(GREETING, client.do_exchange(request)).await.map_err(late)?;
    let mut data = answered.map_err(told)?.into_inner();
    let greeting = tokio::time::timeout(GREETING, data.message()).await.map_err(late)?.map_err(told)?;
    let greeting = greeting.ok_or_else(|| Error::new(ErrorKind::Io, format!("the node at {address} hung up")))?;
    Hello::decode(&greeting)?;
    incoming(data, board).await
}
