//! What a driver or a task submits, and what it has of that.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Class, Connection, Function, Method, Written, value_of};
use crate::client::{Host, NewCall, Reply};
use crate::ids::{Attempt, ObjectId};
use crate::resources::CPU;
use crate::wire::{CallOptions, Reason, Where, Wish, Work};
use crate::{Error, ErrorKind, Result};

/// How often a task runs again when its process dies, unless it is told otherwise.
const RETRIES: u32 = 3;
/// How long one wait lasts; many follow each other.
const SLICE: Duration = Duration::from_secs(60);

/// A driver hears of the end of its node by what it asks for next.
pub(super) struct Driver;

impl Host for Driver {
    fn node_is_gone(&self) {}
    fn stop(&self, _: Attempt, _: bool) {}
}

/// A connection to the runtime: a driver's, or that of a task.
#[derive(Debug, Clone)]
pub struct Session {
    pub(super) client: Connection,
    /// The numbers of options that the node was told, by what they are: it keeps each of them.
    defined: Arc<Mutex<HashMap<Vec<u8>, u32>>>,
}

#[derive(Debug)]
struct Held {
    client: Connection,
    object: ObjectId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.client.drop_ref(self.object);
    }
}

/// A reference to a value that is there, or will be; the runtime keeps it for as long as there are references.
#[derive(Debug)]
pub struct Ref<T> {
    held: Arc<Held>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held), of: PhantomData }
    }
}

/// A handle of an actor with the state `S`, which ends with its last handle.
#[derive(Debug)]
pub struct Actor<S> {
    held: Arc<Held>,
    of: PhantomData<fn() -> S>,
}

impl<S> Clone for Actor<S> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held), of: PhantomData }
    }
}

/// A call that is to be submitted, of what takes `A`; `R` is what comes of it.
#[derive(Debug)]
pub struct Call<'a, A, R> {
    session: &'a Session,
    name: &'static str,
    actor: Option<ObjectId>,
    resources: BTreeMap<String, f64>,
    retries: u32,
    inputs: Vec<Arc<Held>>,
    of: PhantomData<fn(A) -> R>,
}

impl Session {
    pub(super) fn new(client: Connection) -> Self {
        Self { client, defined: Arc::default() }
    }

    /// The number by which the node knows these options.
    fn number_of(&self, options: CallOptions) -> Result<u32> {
        let key = Written::of(&options)?.bytes;
        let mut defined = self.defined.lock();
        if let Some(number) = defined.get(&key) {
            return Ok(*number);
        }
        let number = self.client.define(options)?;
        defined.insert(key, number);
        Ok(number)
    }

    fn hold<T>(&self, object: ObjectId) -> Ref<T> {
        Ref { held: Arc::new(Held { client: Arc::clone(&self.client), object }), of: PhantomData }
    }

    fn call_named<A, R>(&self, name: &'static str, actor: Option<ObjectId>) -> Call<'_, A, R> {
        // The method of an actor runs on what that holds.
        let (cpus, retries) = if actor.is_none() { (1.0, RETRIES) } else { (0.0, 0) };
        let resources = BTreeMap::from([(CPU.to_string(), cpus)]);
        Call { session: self, name, actor, resources, retries, inputs: Vec::new(), of: PhantomData }
    }

    /// A call of a function. It takes one CPU, and runs again up to three times when its process dies, unless it is
    /// told otherwise.
    #[must_use]
    pub fn call<A, R>(&self, function: Function<A, R>) -> Call<'_, A, R> {
        self.call_named(function.name(), None)
    }

    /// A call that makes an actor, with [`Call::create`]. It holds one CPU for life, and is made anew up to three
    /// times, unless it is told otherwise.
    #[must_use]
    pub fn actor<A, S>(&self, class: Class<A, S>) -> Call<'_, A, Actor<S>> {
        self.call_named(class.name(), None)
    }

    /// A call of an actor's method. Those of one caller run in order. It is not tried again, unless it is told so.
    #[must_use]
    pub fn call_of<S, A, R>(&self, actor: &Actor<S>, method: Method<S, A, R>) -> Call<'_, A, R> {
        self.call_named(method.name(), Some(actor.held.object))
    }

    /// Keeps a value for many tasks.
    ///
    /// # Errors
    /// [`ErrorKind::MemoryLimit`] or [`ErrorKind::DiskFull`] when the store has no room for it.
    pub fn put<T: Serialize>(&self, value: &T) -> Result<Ref<T>> {
        Ok(self.hold(self.client.put(&Written::of(value)?.parts(), Vec::new())?))
    }

    /// The value, waiting for it, or for so long.
    ///
    /// # Errors
    /// [`ErrorKind::UserFunction`] with what the function returned for an error, also when its process died or it could
    /// not run; [`ErrorKind::Cancelled`]; [`ErrorKind::Io`] when it is not there in time.
    pub fn get<T: DeserializeOwned>(&self, of: &Ref<T>, timeout: Option<Duration>) -> Result<T> {
        self.get_all(std::slice::from_ref(of), timeout)?
            .pop()
            .ok_or_else(|| Error::internal("a value without an answer"))
    }

    /// The values of all.
    ///
    /// # Errors
    /// As [`Session::get`], for the first that failed.
    pub fn get_all<T: DeserializeOwned>(&self, refs: &[Ref<T>], timeout: Option<Duration>) -> Result<Vec<T>> {
        let objects: Vec<ObjectId> = refs.iter().map(|of| of.held.object).collect();
        let batch = self.client.ask(&objects, Wish::Value, true)?;
        if !wait(&batch, objects.len(), timeout) {
            let late = batch.ready().iter().filter(|is_ready| !**is_ready).count();
            let (seconds, all) = (timeout.unwrap_or_default().as_secs_f64(), objects.len());
            let first = objects.iter().zip(batch.ready()).find(|(_, is_ready)| !is_ready).map(|(object, _)| *object);
            let why = self.client.about(first.as_slice())?.pop().map(|(why, ..)| why).unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Io,
                format!("{late} of {all} values were not there after {seconds} s: {why}"),
            ));
        }
        batch.take().into_iter().map(|reply| reply_of(reply.unwrap_or(Reply::Ended))).collect()
    }

    /// Waits until so many are there, or for so long; says which are.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub fn wait<T>(&self, refs: &[Ref<T>], count: usize, timeout: Option<Duration>) -> Result<Vec<bool>> {
        let objects: Vec<ObjectId> = refs.iter().map(|of| of.held.object).collect();
        let batch = self.client.ask(&objects, Wish::Anywhere, true)?;
        wait(&batch, count.min(objects.len()), timeout);
        Ok(batch.ready())
    }

    /// Stops the task that makes a value: one that has not begun does not, one that runs can ask
    /// [`super::Task::is_cancelled`], and with `force` its process is ended.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub fn cancel<T>(&self, of: &Ref<T>, force: bool) -> Result<()> {
        self.client.cancel(of.held.object, force, true)
    }

    /// Ends an actor, whatever it does.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub fn kill<S>(&self, actor: &Actor<S>) -> Result<()> {
        self.client.kill(actor.held.object, true)
    }
}

impl<A, R> Call<'_, A, R> {
    /// With so many CPUs, or parts of one; an actor holds them for life.
    #[must_use]
    pub fn cpus(self, count: f64) -> Self {
        self.resource(CPU, count)
    }

    /// With so much of a resource.
    #[must_use]
    pub fn resource(mut self, name: &str, amount: f64) -> Self {
        self.resources.insert(name.to_string(), amount);
        self
    }

    /// May run so often again when its process or machine dies; an actor is made anew as often.
    #[must_use]
    pub fn retries(mut self, count: u32) -> Self {
        self.retries = count;
        self
    }

    /// Waits for this value, which the function finds by [`super::Task::input`].
    #[must_use]
    pub fn input<T>(mut self, of: &Ref<T>) -> Self {
        self.inputs.push(Arc::clone(&of.held));
        self
    }

    fn send(&self, arguments: &A, makes_actor: bool) -> Result<ObjectId>
    where
        A: Serialize,
    {
        let client = &self.session.client;
        let options = self.session.number_of(CallOptions {
            resources: self.resources.clone(),
            place: Where::Anywhere,
            returns: 1,
            streams: false,
            max_retries: self.retries,
            fail_if_unschedulable: false,
            held: if makes_actor { self.resources.clone() } else { BTreeMap::new() },
            concurrency: 1,
            work: Work { name: self.name.to_string(), ..Work::default() },
        })?;
        let task = client.submit(NewCall {
            options,
            actor: self.actor.map(|actor| (actor, self.name.to_string())),
            makes_actor,
            streams: false,
            function: None,
            needs: self.inputs.iter().map(|held| held.object).collect(),
            refs: Vec::new(),
            parts: &Written::of(arguments)?.parts(),
        })?;
        Ok(task.result(0))
    }
}

impl<A: Serialize, R> Call<'_, A, R> {
    /// Submits it, with these arguments.
    ///
    /// # Errors
    /// [`ErrorKind::MemoryLimit`] or [`ErrorKind::DiskFull`] when large arguments find no room.
    pub fn submit(self, arguments: &A) -> Result<Ref<R>> {
        Ok(self.session.hold(self.send(arguments, false)?))
    }
}

impl<A: Serialize, S> Call<'_, A, Actor<S>> {
    /// Makes the actor, with these arguments.
    ///
    /// # Errors
    /// As [`Call::submit`].
    pub fn create(self, arguments: &A) -> Result<Actor<S>> {
        let object = self.send(arguments, true)?;
        Ok(Actor { held: Arc::new(Held { client: Arc::clone(&self.session.client), object }), of: PhantomData })
    }
}

fn wait(batch: &crate::client::Batch, count: usize, timeout: Option<Duration>) -> bool {
    let until = timeout.map(|patience| Instant::now() + patience);
    loop {
        let slice = until.map_or(SLICE, |until| until.saturating_duration_since(Instant::now()).min(SLICE));
        if batch.wait(count, slice) {
            return true;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
    }
}

fn reply_of<T: DeserializeOwned>(reply: Reply) -> Result<T> {
    let failed = |why: String| Err(Error::new(ErrorKind::UserFunction, why));
    match reply {
        Reply::Value(value) => value_of(&value),
        Reply::Failed(Reason::Raised(error)) => failed(String::from_utf8_lossy(&error).into_owned()),
        Reply::Failed(Reason::Cancelled) => Err(Error::new(ErrorKind::Cancelled, "the task was cancelled")),
        Reply::Failed(Reason::NoRoom(why)) | Reply::Refused(why, false) => Err(Error::new(ErrorKind::MemoryLimit, why)),
        Reply::Refused(why, true) => Err(Error::new(ErrorKind::DiskFull, why)),
        Reply::Failed(reason) => failed(in_words(&reason)),
        Reply::Ready | Reply::Other(_) | Reply::Ended => {
            Err(Error::new(ErrorKind::Cancelled, "the runtime has ended: this process has no node any more"))
        }
    }
}

fn in_words(reason: &Reason) -> String {
    match reason {
        Reason::Raised(error) => String::from_utf8_lossy(error).into_owned(),
        Reason::NotMade(cause) => format!("the actor was never made: {}", in_words(cause)),
        Reason::Cancelled => "it was cancelled".to_string(),
        Reason::Crashed(why)
        | Reason::ActorDied(why)
        | Reason::ActorUnavailable(why)
        | Reason::Setup(why)
        | Reason::NoRoom(why)
        | Reason::Unschedulable(_, why)
        | Reason::GroupRemoved(why)
        | Reason::Lost(why) => why.clone(),
    }
}
