//! Objects between nodes: `DoGet` gives their size, then their bytes in chunks. What came of an object before its
//! sender was lost is kept for a while: the next sender of the same edition goes on where it ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, Ticket};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sheaf_core::ids::{NodeId, ObjectId};
use sheaf_core::local::{Fetched, Inlet, Reading, Room};
use sheaf_core::network::Peer;
use sheaf_core::store::Content;
use sheaf_core::store::memory::{Draft, read_at};
use sheaf_core::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::access::Access;
use super::connect;
use super::parts::PartsWish;
use super::switchboard::Switchboard;
use crate::status::from_status;

/// Bytes of a chunk: enough that its costs do not count, and below the limit of gRPC's messages.
pub(super) const CHUNK_BYTES: u64 = 1 << 20;
/// How long the next chunk may take.
pub(super) const STALL: Duration = Duration::from_secs(10);
/// Answers with parts of objects that are on their way at once; each is bounded.
const READS: usize = 16;
/// How long an object may take to be opened: it may be on disk, and others before it.
pub(super) const OPENING: Duration = Duration::from_secs(30);
/// How long a node is tried again that cannot be reached: then it is given up by all others too.
pub(super) const UNREACHABLE: Duration = Duration::from_secs(10);
/// Between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// How long what came of an object is kept for its next sender.
const KEPT: Duration = Duration::from_secs(60);

/// What is asked for, from which byte on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wish {
    object: ObjectId,
    offset: u64,
    /// The edition of which so many bytes are there.
    edition: u64,
}

/// What a ticket asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Asked {
    /// An object.
    Object(Wish),
    /// Parts of one.
    Parts(PartsWish),
}

/// What is told first.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    size: u64,
    edition: u64,
    /// The first byte that comes: the one that was asked for, or 0 when the edition is another one.
    offset: u64,
}

/// Where other nodes are, and the connections to them.
pub(super) trait Reach: Send + Sync {
    /// Where a node is reached; `None` for one that is dead or that nobody has told of.
    fn address_of_node(&self, node: NodeId) -> Option<String>;
    /// What objects come through.
    fn links(&self) -> &Links;
}

/// Connections that objects come through: control does not wait behind them.
pub(super) struct Links {
    access: Access,
    /// By address.
    channels: Mutex<BTreeMap<String, Channel>>,
    /// Answers with parts of objects that are on their way.
    pub(super) reading: Semaphore,
    handle: Handle,
}

impl Links {
    /// None yet; what is shown on them, and the threads that carry what comes.
    pub(super) fn new(access: Access, handle: Handle) -> Self {
        Self { access, channels: Mutex::default(), reading: Semaphore::new(READS), handle }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    async fn channel_to(&self, address: &str) -> Result<Channel> {
        if let Some(channel) = self.channels.lock().get(address).cloned() {
            return Ok(channel);
        }
        let channel = connect(address, &self.access).await?;
        self.channels.lock().insert(address.to_string(), channel.clone());
        Ok(channel)
    }
}

/// A part of an object, in the room that is kept for all of it.
pub(super) struct Partial {
    draft: Draft,
    room: Room,
    size: u64,
    edition: u64,
    arrived: u64,
    since: Instant,
}

/// Why a try ended.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other node has not got it.
    Missing(String),
    /// There is no room here.
    NoRoom(String),
    /// The connection: another try may end better.
    Cut(String),
}

/// The bytes that are asked for.
pub(super) async fn serve(
    inlet: &Inlet,
    wish: Wish,
) -> std::result::Result<impl Stream<Item = std::result::Result<FlightData, Status>> + Send + 'static, Status> {
    let opened = tokio::time::timeout(OPENING, inlet.open(wish.object)).await;
    let reading = match opened {
        Ok(Ok(Ok(reading))) => reading,
        Ok(Ok(Err(why))) => return Err(Status::not_found(why)),
        Ok(Err(_)) => return Err(Status::unavailable("the node ends")),
        Err(_) => return Err(Status::unavailable(format!("{} could not be opened in time", wish.object))),
    };
    let Content { size, edition, .. } = reading.content;
    let offset = if wish.edition == edition && wish.offset <= size { wish.offset } else { 0 };
    let header = postcard::to_stdvec(&Header { size, edition, offset })
        .map_err(|error| Status::internal(format!("a header: {error}")))?;
    let header = FlightData { app_metadata: header.into(), ..FlightData::default() };
    Ok(stream::iter([Ok(header)]).chain(chunks(reading, offset)))
}

fn chunks(
    reading: Reading,
    offset: u64,
) -> impl Stream<Item = std::result::Result<FlightData, Status>> + Send + 'static {
    stream::unfold((reading, offset), |(reading, at)| async move {
        let size = reading.content.size;
        if at >= size {
            return None;
        }
        let length = CHUNK_BYTES.min(size - at);
        let read = read_at(&reading.content.memory, at, length as usize);
        let chunk = read
            .map(|bytes| FlightData { data_body: Bytes::from(bytes), ..FlightData::default() })
            .map_err(|error| Status::data_loss(format!("an object cannot be read: {error}")));
        // After an error nothing more is read.
        let next = if chunk.is_ok() { at + length } else { size };
        Some((chunk, (reading, next)))
    })
}

/// Brings an object here and says what became of that.
pub(super) async fn fetch(board: Arc<Switchboard>, object: ObjectId, from: NodeId) {
    let until = Instant::now() + UNREACHABLE;
    let what = loop {
        let tried = {
            let _one_of_few = board.fetching.acquire().await;
            try_once(&board, object, from).await
        };
        match tried {
            Ok((room, content)) => break Fetched::Here(room, content),
            Err(Broken::Missing(why)) => break Fetched::Failed(why),
            Err(Broken::NoRoom(why)) => break Fetched::Refused(why),
            Err(Broken::Cut(why)) if Instant::now() >= until => break Fetched::Failed(why),
            Err(Broken::Cut(why)) => {
                // A node that is dead has no address any more.
                if board.address_of(Peer::Node(from)).is_none() {
                    break Fetched::Failed(why);
                }
                log::debug!("{object} from {from}: {why}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    drop_old(&board);
    board.inlet().fetched(object, from, what);
}

async fn try_once(board: &Switchboard, object: ObjectId, from: NodeId) -> std::result::Result<(Room, Content), Broken> {
    let mut begun = board.partial.lock().remove(&object);
    let (offset, edition) = begun.as_ref().map_or((0, 0), |partial| (partial.arrived, partial.edition));
    let opened = open(board, from, Asked::Object(Wish { object, offset, edition })).await;
    let (header, data) = match opened {
        Ok(opened) => opened,
        Err(broken) => {
            if let Some(partial) = begun {
                board.partial.lock().insert(object, partial);
            }
            return Err(broken);
        }
    };
    if let Some(old) = begun.take_if(|partial| header.offset != partial.arrived || header.edition != partial.edition) {
        board.inlet().without(old.room);
    }
    let mut partial = match begun {
        Some(partial) => partial,
        None => prepare(board, &header).await?,
    };
    match receive(&mut partial, data).await {
        Ok(()) => {
            let Partial { draft, room, size, edition, .. } = partial;
            match draft.seal() {
                Ok(memory) => {
                    Ok((room, Content { memory, size, edition, origin: Arc::from(origin(from)), kept_as: None }))
                }
                Err(error) => {
                    board.inlet().without(room);
                    Err(Broken::NoRoom(format!("shared memory cannot be sealed: {error}")))
                }
            }
        }
        Err(why) => {
            partial.since = Instant::now();
            board.partial.lock().insert(object, partial);
            Err(Broken::Cut(why))
        }
    }
}

/// What a copy is to people.
fn origin(from: NodeId) -> String {
    format!("a copy of {from}'s")
}

/// Asks a node for an object, and hears how large it is.
async fn open(
    board: &Switchboard,
    from: NodeId,
    asked: Asked,
) -> std::result::Result<(Header, Streaming<FlightData>), Broken> {
    let (first, data) = begin(board, from, asked).await?;
    let header = postcard::from_bytes(&first.app_metadata)
        .map_err(|error| Broken::Cut(format!("{from} is not understood: {error}")))?;
    Ok((header, data))
}

/// What a node says first to what it is asked for, and what comes after that.
pub(super) async fn begin(
    board: &dyn Reach,
    from: NodeId,
    asked: Asked,
) -> std::result::Result<(FlightData, Streaming<FlightData>), Broken> {
    let cut = |error: Error| Broken::Cut(error.to_string());
    let address =
        board.address_of_node(from).ok_or_else(|| Broken::Cut(format!("nobody has said where {from} is reached")))?;
    let channel = board.links().channel_to(&address).await.map_err(cut)?;
    let ticket = postcard::to_stdvec(&asked).map_err(|error| Broken::Cut(error.to_string()))?;
    let mut request = Request::new(Ticket { ticket: ticket.into() });
    board.links().access().show(&mut request);
    let told = |status: Status| match status.code() {
        tonic::Code::NotFound | tonic::Code::DataLoss => Broken::Missing(status.message().to_string()),
        _ => {
            board.links().channels.lock().remove(&address);
            Broken::Cut(from_status(&status).to_string())
        }
    };
    let late = |_| Broken::Cut(format!("the node at {address} does not answer"));
    let asking = async {
        let mut data = FlightServiceClient::new(channel).do_get(request).await?.into_inner();
        let first = data.message().await?;
        Ok::<_, Status>((first, data))
    };
    let (first, data) = tokio::time::timeout(OPENING + STALL, asking).await.map_err(late)?.map_err(told)?;
    let first = first.ok_or_else(|| Broken::Cut(format!("the node at {address} hung up")))?;
    Ok((first, data))
}

/// Gets room for an object, and the memory.
async fn prepare(board: &Switchboard, header: &Header) -> std::result::Result<Partial, Broken> {
    let ended = |_| Broken::NoRoom("the node ends".to_string());
    let room = board.inlet().room(header.size).await.map_err(ended)?.map_err(Broken::NoRoom)?;
    match Draft::new(header.size) {
        Ok(draft) => {
            Ok(Partial { draft, room, size: header.size, edition: header.edition, arrived: 0, since: Instant::now() })
        }
        Err(error) => {
            board.inlet().without(room);
            Err(Broken::NoRoom(format!("{} bytes of shared memory cannot be had: {error}", header.size)))
        }
    }
}

/// Writes chunks as they come, until all are there.
async fn receive(partial: &mut Partial, mut data: Streaming<FlightData>) -> std::result::Result<(), String> {
    while partial.arrived < partial.size {
        let next = tokio::time::timeout(STALL, data.message()).await;
        let chunk = match next {
            Ok(Ok(Some(chunk))) => chunk.data_body,
            Ok(Ok(None)) => return Err("the sender hung up".to_string()),
            Ok(Err(status)) => return Err(status.message().to_string()),
            Err(_) => return Err(format!("nothing came for {} s", STALL.as_secs())),
        };
        if chunk.len() as u64 > partial.size - partial.arrived {
            return Err("more came than the object has".to_string());
        }
        partial.draft.write(&chunk, partial.arrived).map_err(|error| error.to_string())?;
        partial.arrived += chunk.len() as u64;
    }
    Ok(())
}

/// Gives back what no sender has gone on with.
fn drop_old(board: &Switchboard) {
    let mut partial = board.partial.lock();
    let old = partial.extract_if(.., |_, partial| partial.since.elapsed() > KEPT);
    for (_, partial) in old.collect::<Vec<_>>() {
        board.inlet().without(partial.room);
    }
}
