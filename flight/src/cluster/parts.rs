//! Parts of objects between nodes: a reader pulls them with small requests, each of which it takes whole, so that one
//! that is slow to use what came holds up no other on the same connection. The first answer says where the parts lie
//! within their object; what it does not bring is asked for by ranges.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sheaf_core::fragment::{Chunk, PartReader, Unread};
use sheaf_core::ids::{NodeId, ObjectId};
use sheaf_core::local::{Inlet, RangeSource};
use sheaf_core::parts::Pieces;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tonic::{Status, Streaming};

use super::objects::{Asked, Broken, CHUNK_BYTES, OPENING, PAUSE, Reach, STALL, UNREACHABLE, begin};

/// Bytes of one answer.
const ANSWER_BYTES: u64 = 4 << 20;
/// Chunks that wait for one reader.
const AHEAD: usize = 2;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PartsWish {
    object: ObjectId,
    wanted: Wanted,
}

#[derive(Debug, Serialize, Deserialize)]
enum Wanted {
    /// Where these parts lie, and the first of their bytes.
    First(Range<u32>),
    /// These ranges of an edition, of which earlier answers told.
    Rest(u64, Vec<Range<u64>>),
}

/// What is told first.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    edition: u64,
    /// The extents of each part, where they were asked for.
    parts: Vec<Vec<Range<u64>>>,
}

/// The bytes that are asked for, after a header.
pub(super) async fn serve(
    inlet: &Inlet,
    wish: PartsWish,
) -> Result<impl Stream<Item = Result<FlightData, Status>> + Send + 'static, Status> {
    let source = match tokio::time::timeout(OPENING, inlet.source(wish.object)).await {
        Ok(Ok(Ok(source))) => Arc::new(source),
        Ok(Ok(Err(why))) => return Err(Status::not_found(why)),
        Ok(Err(_)) => return Err(Status::unavailable("the node ends")),
        Err(_) => return Err(Status::unavailable(format!("{} could not be opened in time", wish.object))),
    };
    let edition = source.edition();
    let (parts, ranges) = match wish.wanted {
        Wanted::Rest(wanted, _) if wanted != edition => {
            return Err(Status::not_found("it was made anew since its first bytes were read"));
        }
        Wanted::Rest(_, ranges) => (Vec::new(), ranges),
        Wanted::First(wanted) => {
            let own = Arc::clone(&source);
            let extents = off_thread(move || extents_of(&own, wanted)).await?;
            let ranges = extents.iter().flatten().cloned().collect();
            (extents, ranges)
        }
    };
    let header = postcard::to_stdvec(&Header { edition, parts })
        .map_err(|error| Status::internal(format!("a header: {error}")))?;
    let header = FlightData { app_metadata: header.into(), ..FlightData::default() };
    Ok(stream::iter([Ok(header)]).chain(chunks(source, first_bytes(ranges, ANSWER_BYTES))))
}

/// Where parts lie.
fn extents_of(source: &RangeSource, wanted: Range<u32>) -> Result<Vec<Vec<Range<u64>>>, Status> {
    let index = source.index().map_err(|error| Status::data_loss(error.to_string()))?;
    let parts = index.parts.get(wanted.start as usize..wanted.end as usize);
    let missing = || Status::data_loss(format!("it has {} parts, and {wanted:?} are wanted", index.parts.len()));
    Ok(parts.ok_or_else(missing)?.iter().map(|part| part.extents.clone()).collect())
}

/// As many of these bytes as one answer has, in pieces of a chunk.
fn first_bytes(ranges: Vec<Range<u64>>, mut most: u64) -> VecDeque<Range<u64>> {
    let mut first = VecDeque::new();
    for mut range in ranges {
        while range.start < range.end && most > 0 {
            let end = range.end.min(range.start + CHUNK_BYTES.min(most));
            most -= end - range.start;
            first.push_back(range.start..end);
            range.start = end;
        }
    }
    first
}

fn chunks(
    source: Arc<RangeSource>,
    ranges: VecDeque<Range<u64>>,
) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
    stream::unfold((source, ranges), |(source, mut ranges)| async move {
        let range = ranges.pop_front()?;
        let own = Arc::clone(&source);
        let read = move || own.read(range).map_err(|error| Status::data_loss(format!("it cannot be read: {error}")));
        let chunk = if source.is_on_disk() { off_thread(read).await } else { read() };
        // After an error nothing more is read.
        let rest = if chunk.is_ok() { ranges } else { VecDeque::new() };
        Some((chunk.map(|bytes| FlightData { data_body: bytes, ..FlightData::default() }), (source, rest)))
    })
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Status::internal(error.to_string()))?
}

/// Reads parts over Flight.
pub(super) struct FlightParts {
    board: Arc<dyn Reach>,
}

impl fmt::Debug for FlightParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlightParts")
    }
}

impl FlightParts {
    pub(super) fn new(board: Arc<dyn Reach>) -> Self {
        Self { board }
    }
}

impl PartReader for FlightParts {
    fn read(&self, object: ObjectId, from: NodeId, parts: Range<u32>) -> Receiver<Result<Chunk, Unread>> {
        let (sender, receiver) = channel(AHEAD);
        let board = Arc::clone(&self.board);
        self.board.links().handle().spawn(async move {
            let first = parts.start;
            let reading = Reading { board, object, from, wanted: Some(parts), edition: 0, rest: VecDeque::new() };
            if let Err(why) = reading.run(first, &sender).await {
                // A reader that is gone needs no word.
                let _ = sender.send(Err(Unread { from, why })).await;
            }
        });
        receiver
    }
}

/// Parts that are on their way from another node.
struct Reading {
    board: Arc<dyn Reach>,
    object: ObjectId,
    from: NodeId,
    /// What is not asked for yet.
    wanted: Option<Range<u32>>,
    edition: u64,
    /// Of each part in turn the ranges that have not come.
    rest: VecDeque<(u32, VecDeque<Range<u64>>)>,
}

impl Reading {
    async fn run(mut self, first: u32, to: &Sender<Result<Chunk, Unread>>) -> Result<(), String> {
        let (mut part, mut pieces) = (first, Pieces::default());
        while self.wanted.is_some() || !self.rest.is_empty() {
            let broken = |error: std::io::Error| error.to_string();
            for (of, bytes) in self.next().await? {
                if of != part {
                    pieces.end().map_err(broken)?;
                    part = of;
                }
                for bytes in pieces.take(bytes).map_err(broken)? {
                    if to.send(Ok(Chunk { part, bytes })).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        pieces.end().map_err(|error| error.to_string())?;
        // A reader that is gone needs no word.
        let _ = to.send(Ok(Chunk::end())).await;
        Ok(())
    }

    /// The next answer, asking for so long as its node may come back.
    async fn next(&mut self) -> Result<Vec<(u32, Bytes)>, String> {
        let until = Instant::now() + UNREACHABLE;
        loop {
            let tried = {
                let board = Arc::clone(&self.board);
                let _one_of_few = board.links().reading.acquire().await;
                self.try_once().await
            };
            match tried {
                Ok(answer) => return Ok(answer),
                Err(Broken::Missing(why) | Broken::NoRoom(why)) => return Err(why),
                Err(Broken::Cut(why)) => {
                    // A node that is dead has no address any more.
                    if Instant::now() >= until || self.board.address_of_node(self.from).is_none() {
                        return Err(why);
                    }
                    log::debug!("parts of {} from {}: {why}", self.object, self.from);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_once(&mut self) -> Result<Vec<(u32, Bytes)>, Broken> {
        let wanted = match &self.wanted {
            Some(parts) => Wanted::First(parts.clone()),
            None => {
                let rest = self.rest.iter().flat_map(|(_, ranges)| ranges).cloned().collect();
                Wanted::Rest(self.edition, first_bytes(rest, ANSWER_BYTES).into())
            }
        };
        let asked = Asked::Parts(PartsWish { object: self.object, wanted });
        let (first, data) = begin(self.board.as_ref(), self.from, asked).await?;
        if let Some(parts) = self.wanted.take() {
            let header: Header = postcard::from_bytes(&first.app_metadata)
                .map_err(|error| Broken::Missing(format!("what came is not understood: {error}")))?;
            self.edition = header.edition;
            let extents = header.parts.into_iter().map(VecDeque::from);
            self.rest = parts.zip(extents).filter(|(_, extents)| !extents.is_empty()).collect();
        }
        self.take_all(data).await
    }

    /// What comes of one answer. What has come before it is cut off is not asked for again.
    async fn take_all(&mut self, mut data: Streaming<FlightData>) -> Result<Vec<(u32, Bytes)>, Broken> {
        let mut answer = Vec::new();
        loop {
            let why = match tokio::time::timeout(STALL, data.message()).await {
                Ok(Ok(Some(chunk))) => {
                    answer.extend(self.take(chunk.data_body)?);
                    continue;
                }
                Ok(Ok(None)) if answer.is_empty() && !self.rest.is_empty() => "the sender hung up".to_string(),
                Ok(Ok(None)) => return Ok(answer),
                Ok(Err(status)) if status.code() == tonic::Code::DataLoss => {
                    return Err(Broken::Missing(status.message().to_string()));
                }
                Ok(Err(status)) => status.message().to_string(),
                Err(_) => format!("nothing came for {} s", STALL.as_secs()),
            };
            return if answer.is_empty() { Err(Broken::Cut(why)) } else { Ok(answer) };
        }
    }

    /// Says of which parts the bytes are that came.
    fn take(&mut self, mut bytes: Bytes) -> Result<Vec<(u32, Bytes)>, Broken> {
        let mut taken = Vec::new();
        while !bytes.is_empty() {
            let more = || Broken::Missing("more came than was asked for".to_string());
            let (part, ranges) = self.rest.front_mut().ok_or_else(more)?;
            let range = ranges.front_mut().ok_or_else(more)?;
            let length = (range.end - range.start).min(bytes.len() as u64);
            range.start += length;
            taken.push((*part, bytes.split_to(length as usize)));
            if range.start == range.end {
                ranges.pop_front();
            }
            if ranges.is_empty() {
                self.rest.pop_front();
            }
        }
        Ok(taken)
    }
}
