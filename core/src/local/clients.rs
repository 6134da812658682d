//! The sockets of drivers and workers, and what each of them waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::socket::{getsockopt, sockopt};

use super::shell::{Shell, Source};
use crate::ids::{ClientId, ObjectId, TaskId};
use crate::resources::Resources;
use crate::schedule::{Event, Shape};
use crate::wire::{Answer, CallOptions, Inbox, Outbox, ToClient, ToNode, Where, Wish};

/// Messages of one client that are taken in before others have their turn.
const MESSAGES: usize = 1_000;

/// What a client's calls ask for, ready for use.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) shape: Arc<Shape>,
    pub(super) held: Resources,
    /// What their worker has to know, as it is kept with each call.
    pub(super) work: Bytes,
    pub(super) options: CallOptions,
}

/// A question that is not answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) object: ObjectId,
    pub(super) wish: Wish,
    pub(super) blocks: bool,
}

/// One end of a conversation.
#[derive(Debug)]
pub(super) struct Client {
    socket: UnixStream,
    pub(super) inbox: Inbox,
    outbox: Outbox,
    waits_for_room: bool,
    pub(super) options: BTreeMap<u32, Arc<Prepared>>,
    pub(super) questions: BTreeMap<u64, Question>,
    /// How many of the questions keep its work from going on.
    pub(super) blocking: usize,
    /// Tasks that it submitted while it ran what it runs, and that have not ended.
    pub(super) children: BTreeSet<TaskId>,
}

impl Client {
    /// The process at the other end, where that is not one that this node made.
    pub(super) fn pid(&self) -> Option<u32> {
        let peer = getsockopt(&self.socket, sockopt::PeerCredentials).ok()?;
        u32::try_from(peer.pid()).ok()
    }
}

impl Shell {
    /// Takes in a client that speaks through this socket.
    pub(super) fn add_client(&mut self, id: ClientId, socket: UnixStream) {
        let watched = socket.set_nonblocking(true).and_then(|()| self.watch(&socket, Source::Client(id)));
        if let Err(error) = watched {
            return self.lines.say(format!("{id} cannot be heard: {error}"));
        }
        let client = Client {
            socket,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            waits_for_room: false,
            options: BTreeMap::new(),
            questions: BTreeMap::new(),
            blocking: 0,
            children: BTreeSet::new(),
        };
        self.clients.insert(id, client);
        self.send(id, &ToClient::Welcome(self.node.id(), id), Vec::new());
    }

    /// Says something to a client, if it is there.
    pub(super) fn send(&mut self, id: ClientId, message: &ToClient, files: Vec<OwnedFd>) {
        if let Some(client) = self.clients.get_mut(&id) {
            if let Err(error) = client.outbox.push(message, files) {
                self.lines.say(format!("a message to {id} cannot be written: {error}"));
            }
            self.unwritten.insert(id);
        }
    }

    pub(super) fn write_all(&mut self) {
        for id in std::mem::take(&mut self.unwritten) {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            // One that is gone is found to be so when it is read.
            let is_done = client.outbox.write(&client.socket).unwrap_or(true);
            if client.waits_for_room == is_done {
                client.waits_for_room = !is_done;
                if let Some(client) = self.clients.get(&id) {
                    self.watch_room(&client.socket, Source::Client(id), !is_done);
                }
            }
        }
    }

    /// Takes in what a client says.
    pub(super) fn read_client(&mut self, id: ClientId) {
        for _ in 0..MESSAGES {
            let Some(client) = self.clients.get_mut(&id) else { return };
            let is_open = match client.inbox.read(&client.socket) {
                Ok(true) => self.hear_messages(id),
                Ok(false) => return,
                Err(error) => Err(error),
            };
            if let Err(error) = is_open {
                if error.kind() == std::io::ErrorKind::InvalidData {
                    self.lines.say(format!("{id} is not understood, and is not heard any more: {error}"));
                }
                return self.hung_up(id);
            }
        }
    }

    fn hear_messages(&mut self, id: ClientId) -> std::io::Result<()> {
        while let Some(client) = self.clients.get_mut(&id) {
            let Some(message) = client.inbox.message::<ToNode>()? else { break };
            self.request(id, message)?;
            self.pump();
        }
        Ok(())
    }

    /// A client's socket is closed: what it held and asked for is over.
    fn hung_up(&mut self, id: ClientId) {
        self.cancel_children(id);
        self.remove_client(id);
        self.worker_hung_up(id);
        self.pump();
    }

    /// Forgets a client, with all that it held.
    pub(super) fn remove_client(&mut self, id: ClientId) {
        if self.clients.remove(&id).is_some() {
            let now = self.now();
            self.forget_deliveries(id);
            self.store.client_gone(now, id);
            self.settle_store();
            self.post(Event::ClientGone(id));
        }
    }

    /// Answers a question that is not about an object.
    pub(super) fn answer(&mut self, id: ClientId, question: u64, answer: Answer, files: Vec<OwnedFd>) {
        self.send(id, &ToClient::Answer(question, answer), files);
    }

    /// A question about an object needs no answer any more.
    pub(super) fn close_question(&mut self, id: ClientId, question: u64) -> Option<Question> {
        let client = self.clients.get_mut(&id)?;
        let closed = client.questions.remove(&question)?;
        if closed.blocks {
            client.blocking -= 1;
        }
        self.tell_blocked(id);
        Some(closed)
    }
}

/// What a client's options mean.
///
/// # Errors
/// [`crate::ErrorKind::InvalidInput`] for amounts that cannot be.
pub(super) fn prepare(options: CallOptions) -> crate::Result<Prepared> {
    use crate::placement::Strategy;
    let amounts = |of: &BTreeMap<String, f64>| Resources::new(of.iter().map(|(name, amount)| (&**name, *amount)));
    let strategy = match &options.place {
        Where::Anywhere => Strategy::Default,
        Where::Spread => Strategy::Spread,
        Where::Group(group, index) => Strategy::Group { group: *group, index: *index },
        Where::Node(node, soft) => Strategy::Node { node: *node, soft: *soft },
        Where::Labels(hard, soft) => Strategy::Labels { hard: hard.clone().into(), soft: soft.clone().into() },
    };
    let shape = Arc::new(Shape {
        demand: amounts(&options.resources)?,
        strategy,
        fail_if_unschedulable: options.fail_if_unschedulable,
    });
    let work = postcard::to_stdvec(&options.work).map_err(|error| crate::Error::internal(error.to_string()))?;
    Ok(Prepared { shape, held: amounts(&options.held)?, work: Bytes::from(work), options })
}
