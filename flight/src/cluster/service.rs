//! The server of a node: parcels, objects and questions, and HTTP beside them, for who may come.

use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use futures::stream::{self, Stream, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::exchange::{Hello, incoming, outgoing};
use super::http::Offers;
use super::objects::Asked;
use super::switchboard::Switchboard;
use super::{KEEP_ALIVE, MESSAGE_BYTES, OBJECTS, ask, http, objects, parts};
use crate::server::{Reply, not_offered};
use crate::status::to_status;

/// Serves until it is stopped.
pub(super) async fn serve(listener: TcpListener, board: Arc<Switchboard>, offers: Offers) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the node's port cannot be served: {error}"),
    };
    let service = FlightServiceServer::new(Service { board: Arc::clone(&board) })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let tls = board.access().tls().cloned();
    let server = Server::builder()
        .initial_stream_window_size(OBJECTS.0)
        .initial_connection_window_size(OBJECTS.1)
        // A call that waits for others to end may be the one that they wait for.
        .max_concurrent_streams(u32::MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .accept_http1(true)
        .add_routes(http::with_http(Routes::new(service), board, offers));
    let served = match tls {
        None => server.serve_with_incoming(undelayed(listener)).await,
        Some(tls) => server.serve_with_incoming(tls.accept(listener)).await,
    };
    if let Err(error) = served {
        log::error!("the node's port is not served any more: {error}");
    }
}

/// The connections that are accepted, each of which sends what it has at once. The server's own setting is for listeners
/// of its own: without it a small message waits for the other side's delayed acknowledgement (RFC 1122, 4.2.3.2), which
/// is 40 ms on Linux.
fn undelayed(listener: tokio::net::TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    TcpListenerStream::new(listener)
        .map(|accepted| accepted.and_then(|stream| stream.set_nodelay(true).map(|()| stream)))
}

struct Service {
    board: Arc<Switchboard>,
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl FlightService for Service {
    type HandshakeStream = Reply<HandshakeResponse>;
    type ListFlightsStream = Reply<FlightInfo>;
    type DoGetStream = Reply<FlightData>;
    type DoPutStream = Reply<PutResult>;
    type DoActionStream = Reply<arrow_flight::Result>;
    type ListActionsStream = Reply<ActionType>;
    type DoExchangeStream = Reply<FlightData>;

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        self.board.access().check(request.metadata())?;
        let asked = postcard::from_bytes(&request.get_ref().ticket);
        match asked.map_err(|_| Status::invalid_argument("the ticket names no object"))? {
            Asked::Object(wish) => Ok(Response::new(objects::serve(self.board.inlet(), wish).await?.boxed())),
            Asked::Parts(wish) => Ok(Response::new(parts::serve(self.board.inlet(), wish).await?.boxed())),
        }
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        self.board.access().check(request.metadata())?;
        let mut data = request.into_inner();
        let first = data.message().await?.ok_or_else(|| Status::invalid_argument("nobody said who it is"))?;
        let hello = Hello::decode(&first).map_err(|error| to_status(&error))?;
        let here = self.board.node();
        if hello.to.is_some_and(|to| to != here) {
            return Err(Status::not_found(format!("this is {here}, and the node that was asked for is no more")));
        }
        let greeting = self.board.hello(Some(hello.node)).encode().map_err(|error| to_status(&error))?;
        Ok(Response::new(self.converse(&hello, greeting, data)))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        self.board.access().check(request.metadata())?;
        let action = request.into_inner();
        if action.r#type != ask::ACTION {
            return not_offered(&format!("the action {:?}", action.r#type));
        }
        let inquiry = postcard::from_bytes(&action.body)
            .map_err(|_| Status::invalid_argument("the question is not understood"))?;
        let answer = self.board.inlet().inquire(inquiry).await.map_err(|_| Status::unavailable("the node ends"))?;
        let answer = arrow_flight::Result { body: answer.into_bytes().into() };
        Ok(Response::new(stream::iter([Ok(answer)]).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        not_offered("Handshake")
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        not_offered("ListFlights")
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        not_offered("GetFlightInfo")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        not_offered("PollFlightInfo")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        not_offered("GetSchema")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        not_offered("DoPut")
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        not_offered("ListActions")
    }
}

impl Service {
    /// Takes in what a node says, in a task of its own; the answer is what is for that node.
    fn converse(&self, hello: &Hello, greeting: FlightData, data: Streaming<FlightData>) -> Reply<FlightData> {
        let (sender, receiver) = mpsc::channel(1);
        let board = Arc::clone(&self.board);
        let (from, address) = (hello.node, hello.address.clone());
        // It is told its number when it is known to the board.
        let (told, number) = tokio::sync::oneshot::channel::<u64>();
        let listening = tokio::spawn(async move {
            let Ok(number) = number.await else { return };
            if let Err(error) = incoming(data, &board).await {
                log::debug!("the connection from {from} ended: {error}");
            }
            // Its end ends the answer.
            drop(sender);
            board.hung_up(number, from, &address).await;
        });
        let (number, queue) = self.board.accept(hello, listening.abort_handle());
        let _ = told.send(number);
        let ends: Pin<Box<dyn Stream<Item = FlightData> + Send>> = ReceiverStream::new(receiver).boxed();
        // A node has two connections to the head: as such, and as a node. What is for it goes over the newer one; the
        // other one stays, for what the node says there, and would be begun again if it ended.
        let parcels = stream::iter(queue).flat_map(outgoing).chain(stream::pending());
        let until_hung_up = parcels.take_until(ends.into_future());
        stream::iter([greeting]).chain(until_hung_up).map(Ok).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_waits_for_no_acknowledgement() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _asking = TcpStream::connect(address).await.unwrap();
        let accepted = Box::pin(undelayed(listener)).next().await.unwrap().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
