//! Questions of people, from the command line or a driver that looks for its node.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use sheaf_core::env::Threads;
use sheaf_core::ids::NodeId;
use sheaf_core::local::{Inquiry, knock};
use sheaf_core::{Error, ErrorKind, Result};
use tonic::{Request, Status};

use super::access::Access;
use super::{MESSAGE_BYTES, connect, endpoint_of, root};
use crate::status::from_status;

/// The name of the action.
pub(super) const ACTION: &str = "inquire";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Nodes that are asked at once: a connection each.
const AT_ONCE: usize = 64;

/// The names of the nodes in the answer to [`Inquiry::Nodes`], that of the head first.
pub fn node_names(answer: &str) -> impl Iterator<Item = NodeId> + use<> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
        is_head: bool,
    }
    let mut named: Vec<Named> = serde_json::from_str(answer).unwrap_or_default();
    named.sort_by_key(|node| !node.is_head);
    named.into_iter().filter_map(|node| node.id.parse().ok())
}

/// A socket to the node that runs on this machine, of the cluster whose head is at an address, such as
/// `sheaf://host:7070`; and what the head says of all nodes, as [`Inquiry::Nodes`] is answered.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an address that is none, [`ErrorKind::NotFound`] when no node of the cluster runs
/// here; those of [`ask`].
pub fn join(address: &str, access: &Access) -> Result<(UnixStream, String)> {
    let nodes = ask(&endpoint_of(address, access)?, access, &Inquiry::Nodes)?;
    let socket = node_names(&nodes).find_map(|node| knock(node).ok()).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no node of the cluster at {address} runs on this machine"))
            .with_hint("start one as the same user: sheaf node --num-cpus 0 --head HOST:PORT")
    })?;
    Ok((socket, nodes))
}

/// What a status means; a connection that broke is not the node's answer.
fn told(address: &str, status: &Status) -> Error {
    if std::error::Error::source(status).is_none() {
        return from_status(status);
    }
    Error::new(ErrorKind::Io, format!("the connection to the node at {address} broke: {}", root(status)))
        .with_hint("if the cluster has certificates, give one of the same authority")
}

/// Asks the node at an address, and waits for the answer, a text.
///
/// # Errors
/// [`ErrorKind::Io`] when nobody answers in time, [`ErrorKind::PermissionDenied`] without the right token.
pub fn ask(address: &str, access: &Access, inquiry: &Inquiry) -> Result<String> {
    let threads = Threads::start(1)?;
    threads.block_on(answer_of(address, access, inquiry))
}

/// Asks many nodes at once, each its own question: the answers, in the same order. One that does not answer keeps no
/// other's answer back.
///
/// # Errors
/// [`ErrorKind::Io`] when the system refuses threads. Within: those of [`ask`].
pub fn ask_all(questions: &[(String, Inquiry)], access: &Access) -> Result<Vec<Result<String>>> {
    let threads = Threads::start(1)?;
    let asking = questions.iter().map(|(address, inquiry)| answer_of(address, access, inquiry));
    Ok(threads.block_on(stream::iter(asking).buffered(AT_ONCE).collect()))
}

async fn answer_of(address: &str, access: &Access, inquiry: &Inquiry) -> Result<String> {
    let channel = connect(address, access).await?;
    let body = postcard::to_stdvec(inquiry).map_err(|error| Error::internal(error.to_string()))?;
    let mut request = Request::new(Action { r#type: ACTION.to_string(), body: body.into() });
    access.show(&mut request);
    let asked = async {
        let mut client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let mut answers = client.do_action(request).await?.into_inner();
        answers.message().await?.ok_or_else(|| Status::unavailable("the node did not answer"))
    };
    let late = |_| Error::new(ErrorKind::Io, format!("the node at {address} does not answer"));
    let answer = tokio::time::timeout(ANSWER, asked).await.map_err(late)?.map_err(|status| told(address, &status))?;
    String::from_utf8(answer.body.to_vec())
        .map_err(|_| Error::new(ErrorKind::Io, format!("the node at {address} is not understood")))
}
