//! The Flight endpoint: `DoGet` streams a partition; every other call of Flight says that it is not offered.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use sheaf_core::Result;
use tonic::{Request, Response, Status, Streaming};

use crate::MESSAGE_BYTES;
use crate::compact::compact;
use crate::status::to_status;

/// A partition: record batches of one schema.
pub struct PartitionStream {
    /// The schema of every batch.
    pub schema: SchemaRef,
    /// The batches, in order.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

/// What a node serves: partitions by ticket.
#[async_trait]
pub trait PartitionSource: Send + Sync + 'static {
    /// Opens the partition that the ticket names.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::NotFound`] for a ticket that names nothing here.
    async fn partition(&self, ticket: Bytes) -> Result<PartitionStream>;
}

/// Serves a [`PartitionSource`] by Arrow Flight.
pub struct PartitionServer<S> {
    source: Arc<S>,
}

impl<S: PartitionSource> PartitionServer<S> {
    /// The tonic service, to add to a server with others.
    pub fn service(source: Arc<S>) -> FlightServiceServer<Self> {
        FlightServiceServer::new(Self { source })
    }
}

/// A batch cut to about a message each. The encoder cuts too, but every cut of a view array would ship all its buffers:
/// they are cut first and compacted then.
fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let count = batch.get_array_memory_size().div_ceil(MESSAGE_BYTES).clamp(1, batch.num_rows().max(1));
    let rows = batch.num_rows().div_ceil(count).max(1);
    (0..batch.num_rows().max(1)).step_by(rows).map(move |start| batch.slice(start, rows.min(batch.num_rows() - start)))
}

pub(crate) type Reply<T> = Pin<Box<dyn Stream<Item = std::result::Result<T, Status>> + Send + 'static>>;

pub(crate) fn not_offered<T>(call: &str) -> std::result::Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("{call} is not offered here")))
}

#[async_trait]
impl<S: PartitionSource> FlightService for PartitionServer<S> {
    type HandshakeStream = Reply<HandshakeResponse>;
    type ListFlightsStream = Reply<FlightInfo>;
    type DoGetStream = Reply<FlightData>;
    type DoPutStream = Reply<PutResult>;
    type DoActionStream = Reply<arrow_flight::Result>;
    type ListActionsStream = Reply<ActionType>;
    type DoExchangeStream = Reply<FlightData>;

    async fn do_get(&self, request: Request<Ticket>) -> std::result::Result<Response<Self::DoGetStream>, Status> {
        let ticket = request.into_inner().ticket;
        let partition = self.source.partition(ticket).await.map_err(|error| to_status(&error))?;
        let batches = partition.batches.flat_map(|batch| {
            let pieces: Vec<_> = match batch {
                Ok(batch) => pieces(&batch).map(|piece| compact(&piece)).collect(),
                Err(error) => vec![Err(error)],
            };
            let told = |error| FlightError::Tonic(Box::new(to_status(&error)));
            stream::iter(pieces.into_iter().map(move |piece| piece.map_err(told)))
        });
        let data = FlightDataEncoderBuilder::new()
            .with_schema(partition.schema)
            .with_max_flight_data_size(MESSAGE_BYTES)
            .build(batches)
            .map_err(Status::from);
        Ok(Response::new(data.boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> std::result::Result<Response<Self::HandshakeStream>, Status> {
        not_offered("Handshake")
    }

    async fn list_flights(
        &self,
        _: Request<Criteria>,
    ) -> std::result::Result<Response<Self::ListFlightsStream>, Status> {
        not_offered("ListFlights")
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> std::result::Result<Response<FlightInfo>, Status> {
        not_offered("GetFlightInfo")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> std::result::Result<Response<PollInfo>, Status> {
        not_offered("PollFlightInfo")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> std::result::Result<Response<SchemaResult>, Status> {
        not_offered("GetSchema")
    }

    async fn do_put(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> std::result::Result<Response<Self::DoPutStream>, Status> {
        not_offered("DoPut")
    }

    async fn do_action(&self, _: Request<Action>) -> std::result::Result<Response<Self::DoActionStream>, Status> {
        not_offered("DoAction")
    }

    async fn list_actions(&self, _: Request<Empty>) -> std::result::Result<Response<Self::ListActionsStream>, Status> {
        not_offered("ListActions")
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> std::result::Result<Response<Self::DoExchangeStream>, Status> {
        not_offered("DoExchange")
    }
}
