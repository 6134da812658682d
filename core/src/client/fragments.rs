//! Parts of plans that a worker runs: it reads what it needs through its node, and hands the node what it made.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_bytes::ByteBuf;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;

use super::calls::Call;
use super::{Client, Host, Reply, Value, has_ended};
use crate::env::{self, Threads};
use crate::fragment::{Chunk, Ended, Executor, Fragment, Kept, PartInput, PartStore, Unread, read_inline, receive};
use crate::ids::{Attempt, NodeId, ObjectId};
use crate::parts::{Body, Parts, Place, unnamed, unwritten};
use crate::schedule::Failure;
use crate::wire::{Ending, INLINE_BYTES, MadeHere, Terms, ToNode};
use crate::{Error, ErrorKind, Result};

/// Chunks that wait for one reader.
const AHEAD: usize = 2;

type Read = std::result::Result<Chunk, Unread>;

/// The parts of plans that run here, and what runs each once it has begun.
#[derive(Default)]
pub(super) struct Fragments {
    running: Mutex<BTreeMap<Attempt, Option<Arc<dyn Executor>>>>,
    threads: Mutex<Option<Arc<Threads>>>,
}

impl Fragments {
    /// Runs one, and tells the node how it ends. What it takes to begin may wait, and what the node says is to be heard
    /// meanwhile.
    pub(super) fn start(self: &Arc<Self>, client: &Arc<Client>, call: Call, terms: Terms, host: &Arc<impl Host>) {
        let attempt = call.attempt;
        self.running.lock().insert(attempt, None);
        let (own, host, to) = (Arc::clone(self), Arc::clone(host), Arc::clone(client));
        let started = env::thread("sheaf-fragment", move || {
            if let Err(error) = own.begin(&to, call, terms, host.as_ref()) {
                own.not_begun(&to, attempt, &error);
            }
        });
        if let Err(error) = started {
            self.not_begun(client, attempt, &error);
        }
    }

    fn not_begun(&self, client: &Client, attempt: Attempt, error: &Error) {
        self.running.lock().remove(&attempt);
        // A node that is gone waits for nothing.
        let _ = client.send(&ToNode::Ended(attempt, Ending::NotBegun(error.to_string())), Vec::new());
    }

    fn begin(self: &Arc<Self>, client: &Arc<Client>, call: Call, terms: Terms, host: &impl Host) -> Result<()> {
        let none = || Error::new(ErrorKind::Unsupported, "this worker runs no parts of plans");
        let executor = host.executor(&terms.share)?.ok_or_else(none)?;
        let folder = PathBuf::from(&terms.share.folder);
        let (client_of, threads, places) = (Arc::downgrade(client), self.threads()?, Arc::default());
        let store = WorkerParts { client: client_of, threads, folder, places };
        let needs = call.needs.into_iter().map(as_bytes).collect();
        let (shared, node) = (Arc::downgrade(self), Arc::downgrade(client));
        let end = move |attempt, ended| {
            if let Some(fragments) = shared.upgrade() {
                fragments.running.lock().remove(&attempt);
            }
            if let Some(client) = node.upgrade() {
                client.fragment_ended(attempt, ended);
            }
        };
        let (attempt, payload) = (call.attempt, as_bytes(call.arguments));
        match self.running.lock().get_mut(&attempt) {
            Some(runs) => *runs = Some(Arc::clone(&executor)),
            // It was stopped meanwhile.
            None => return Err(Error::new(ErrorKind::Cancelled, "it was stopped before it had begun")),
        }
        executor.start(Fragment::new(attempt, needs, payload, terms.reads, Arc::new(store), end));
        Ok(())
    }

    /// Stops one; says whether it runs here.
    pub(super) fn stop(&self, attempt: Attempt) -> bool {
        let mut running = self.running.lock();
        let Some(executor) = running.get(&attempt).cloned() else { return false };
        match executor {
            Some(executor) => {
                drop(running);
                executor.stop(attempt);
            }
            None => drop(running.remove(&attempt)),
        }
        true
    }

    /// What waits for sockets and disks.
    fn threads(&self) -> Result<Arc<Threads>> {
        let mut threads = self.threads.lock();
        if let Some(threads) = &*threads {
            return Ok(Arc::clone(threads));
        }
        Ok(Arc::clone(threads.insert(Threads::start(1)?)))
    }
}

/// What keeps the memory of a value.
struct Held(Value);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

fn as_bytes(value: Value) -> Bytes {
    Bytes::from_owner(Held(value))
}

impl Client {
    fn fragment_ended(&self, attempt: Attempt, ended: Ended) {
        let mut files = Vec::new();
        let ending = match ended {
            Ended::Made(kept) => {
                let made = kept.into_iter().map(|Kept(made)| made.downcast::<Made>().ok()?.take());
                match made.collect::<Option<Vec<_>>>() {
                    Some(made) => {
                        let value = |(made, own): (MadeHere, Vec<OwnedFd>)| {
                            files.extend(own);
                            (made, Vec::new())
                        };
                        Ending::Values(made.into_iter().map(value).collect())
                    }
                    None => Ending::NotBegun("its results are none of this worker's".to_string()),
                }
            }
            Ended::Raised(error) => Ending::Raised(ByteBuf::from(error.to_vec()), true, Vec::new()),
            Ended::Failed(Failure::Error(raised)) => {
                Ending::Raised(ByteBuf::from(raised.error.to_vec()), false, Vec::new())
            }
            Ended::Failed(Failure::Unread(object, from, why)) => Ending::Unread(object, from, why.to_string()),
            Ended::Failed(Failure::Crashed(why)) => Ending::NotBegun(why.to_string()),
            Ended::Failed(_) => Ending::Cancelled,
        };
        // A node that is gone waits for nothing.
        let _ = self.send(&ToNode::Ended(attempt, ending), files);
    }

    /// Keeps an object in parts; what the store has no memory for goes to a file without a name in `folder`. This process
    /// holds a reference to it.
    ///
    /// # Errors
    /// [`ErrorKind::DiskFull`] and [`ErrorKind::Io`] when the folder does not take it; as every method.
    pub fn put_parts(self: &Arc<Self>, parts: Parts, folder: &Path) -> Result<ObjectId> {
        let object = self.new_task().result(0);
        let (made, files) = self.keep_parts(parts, folder)?.take().ok_or_else(has_ended)?;
        self.cache.lock().set_ready(object);
        self.send(&ToNode::Put(object, made, Vec::new()), files)?;
        Ok(object)
    }

    /// What a part of a plan wrote, for the node.
    fn keep_parts(self: &Arc<Self>, parts: Parts, folder: &Path) -> Result<Made> {
        let Parts { size, body, .. } = parts;
        let pieces = match body {
            Body::File(file) => return Ok(Made::of(self, MadeHere::File { size }, vec![file.into()])),
            Body::Memory(pieces) if size <= INLINE_BYTES as u64 => {
                return Ok(Made::of(self, MadeHere::Inline(ByteBuf::from(pieces.concat())), Vec::new()));
            }
            Body::Memory(pieces) => pieces,
        };
        match self.place(size, || one_after_another(&pieces)) {
            Ok((made, files)) => Ok(Made::of(self, made, files)),
            // A store that is full of what others read leaves the disk.
            Err(error) if matches!(error.kind(), ErrorKind::MemoryLimit | ErrorKind::DiskFull) => {
                let file = unnamed(&pieces, folder).map_err(|error| unwritten(folder, &error))?;
                Ok(Made::of(self, MadeHere::File { size }, vec![file.into()]))
            }
            Err(error) => Err(error),
        }
    }
}

/// Each piece and where it goes.
fn one_after_another(pieces: &[Bytes]) -> impl Iterator<Item = (&[u8], usize)> {
    pieces.iter().scan(0, |next, piece| {
        let at = *next;
        *next += piece.len();
        Some((piece.as_ref(), at))
    })
}

/// What is handed over, or given back.
struct Made {
    client: Weak<Client>,
    made: Option<MadeHere>,
    files: Vec<OwnedFd>,
}

impl Made {
    fn of(client: &Arc<Client>, made: MadeHere, files: Vec<OwnedFd>) -> Self {
        Self { client: Arc::downgrade(client), made: Some(made), files }
    }

    fn take(mut self) -> Option<(MadeHere, Vec<OwnedFd>)> {
        Some((self.made.take()?, std::mem::take(&mut self.files)))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let (Some(made), Some(client)) = (&self.made, self.client.upgrade()) {
            client.unmake(made);
        }
    }
}

/// What a worker's parts of plans read from and write to: the store of its node, and others through that.
#[derive(Debug, Clone)]
struct WorkerParts {
    client: Weak<Client>,
    threads: Arc<Threads>,
    folder: PathBuf,
    /// Where that is which was asked for: parts of another copy are not read beside those of the first.
    places: Arc<Mutex<BTreeMap<ObjectId, Place>>>,
}

impl WorkerParts {
    /// Where an object is, once it is.
    async fn place_of(&self, object: ObjectId) -> Result<Place> {
        if let Some(place) = self.places.lock().get(&object) {
            return Ok(place.clone());
        }
        let (sender, answer) = oneshot::channel();
        let client = self.client.upgrade().ok_or_else(has_ended)?;
        // A reader that is gone is not told.
        client.when_placed(object, move |reply| drop(sender.send(reply)))?;
        drop(client);
        let place = match answer.await.unwrap_or(Reply::Ended) {
            // Why, the owner of the task hears from whoever owns it.
            Reply::Failed(_) => return Err(Error::new(ErrorKind::Io, "it was not made")),
            reply => reply.place().ok_or_else(has_ended)?,
        };
        Ok(self.places.lock().entry(object).or_insert(place).clone())
    }

    /// Has the node send parts of an object.
    fn ask_for(&self, object: ObjectId, place: Place, parts: Range<u32>) -> Result<(UnixStream, NodeId)> {
        let client = self.client.upgrade().ok_or_else(has_ended)?;
        let (here, there) = UnixStream::pair().map_err(|error| Error::new(ErrorKind::Io, error.to_string()))?;
        client.send(&ToNode::ReadParts(object, place, parts), vec![there.into()])?;
        Ok((here, client.node()))
    }

    /// Brings parts of an object, wherever it is, once it is anywhere.
    async fn bring(&self, object: ObjectId, place: Place, parts: Range<u32>, to: mpsc::Sender<Read>) -> Result<()> {
        let place = match place {
            Place::Later => self.place_of(object).await?,
            place => place,
        };
        if let Place::Inline(bytes) = &place {
            let mut chunks = read_inline(bytes, parts, object.owner());
            while let Some(chunk) = chunks.recv().await {
                if to.send(chunk).await.is_err() {
                    break;
                }
            }
            return Ok(());
        }
        let (socket, node) = self.ask_for(object, place, parts)?;
        receive(socket, node, to).await;
        Ok(())
    }
}

impl PartInput for WorkerParts {
    fn read(&self, object: ObjectId, place: &Place, parts: Range<u32>) -> Receiver<Read> {
        if let Place::Inline(bytes) = place {
            return read_inline(bytes, parts, object.owner());
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (own, place) = (self.clone(), place.clone());
        self.threads.handle().spawn(async move {
            let gone = sender.clone();
            let brought = tokio::select! {
                brought = own.bring(object, place, parts, sender.clone()) => brought,
                // What is not made yet is not waited for any more.
                () = gone.closed() => Ok(()),
            };
            if let Err(error) = brought {
                let unread = Unread { from: object.owner(), why: error.to_string() };
                let _ = sender.send(Err(unread)).await;
            }
        });
        receiver
    }
}

impl PartStore for WorkerParts {
    fn keep(&self, parts: Parts) -> oneshot::Receiver<Result<Kept>> {
        let (answer, receiver) = oneshot::channel();
        let here = self.clone();
        self.threads.handle().spawn_blocking(move || {
            let client = here.client.upgrade().ok_or_else(has_ended);
            let made = client.and_then(|client| client.keep_parts(parts, &here.folder));
            // One that nobody waits for is given back.
            let _ = answer.send(made.map(|made| Kept(Box::new(made))));
        });
        receiver
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
