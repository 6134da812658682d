//! The calls that a worker is given, runs, and answers.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_bytes::ByteBuf;

use super::{Client, Reading, Value};
use crate::Result;
use crate::ids::{Attempt, ObjectId};
use crate::wire::{Arguments, Ending, Given, Inbox, Run, ToNode, Work};

/// A call that a worker runs.
#[derive(Debug)]
pub struct Call {
    /// Which attempt it is.
    pub attempt: Attempt,
    /// What the worker has to know.
    pub work: Work,
    /// The actor that is called, and the method.
    pub actor: Option<(ObjectId, String)>,
    /// Whether it makes an actor, and how many calls that runs at once.
    pub makes_actor: Option<u32>,
    /// The function or class.
    pub function: Option<(ObjectId, Value)>,
    /// The values of its arguments.
    pub needs: Vec<Value>,
    /// The other arguments.
    pub arguments: Value,
    /// How many results are asked for.
    pub returns: u32,
    /// Whether more are to be told one by one.
    pub streams: bool,
    /// The GPUs that are its own.
    pub gpus: Vec<u32>,
}

/// Calls that came, and those that run; whether they were stopped.
#[derive(Default)]
pub(super) struct Calls {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// Whether each is a function's, and whether it was stopped.
    running: BTreeMap<Attempt, (bool, bool)>,
    /// The functions that this worker was given: the node sends each of them once.
    functions: BTreeMap<ObjectId, Value>,
    is_over: bool,
}

impl Calls {
    pub(super) fn push(&self, call: Call) {
        let mut state = self.state.lock();
        state.running.insert(call.attempt, (call.actor.is_none() && call.makes_actor.is_none(), false));
        state.waiting.push_back(call);
        self.arrived.notify_one();
    }

    /// A call is to stop; if it runs, whether it is a function's.
    pub(super) fn stop(&self, attempt: Attempt) -> Option<bool> {
        let mut state = self.state.lock();
        let is_waiting = state.waiting.iter().any(|call| call.attempt == attempt);
        let (is_function, is_stopped) = state.running.get_mut(&attempt)?;
        *is_stopped = true;
        (!is_waiting).then_some(*is_function)
    }

    fn function(&self, object: ObjectId) -> Option<Value> {
        self.state.lock().functions.get(&object).cloned()
    }

    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.arrived.notify_all();
    }
}

/// What a worker is told to do next.
#[derive(Debug)]
pub enum Next {
    /// Run this.
    Call(Box<Call>),
    /// There is nothing to do yet.
    Nothing,
    /// End.
    End,
}

impl Client {
    /// The next call that this worker is to run, waiting for so long.
    ///
    /// # Errors
    /// As every method.
    pub fn next_call(&self, patience: Duration) -> Result<Next> {
        loop {
            let mut state = self.calls.state.lock();
            if state.waiting.is_empty() && !state.is_over {
                self.calls.arrived.wait_for(&mut state, patience);
            }
            let Some(call) = state.waiting.pop_front() else {
                return Ok(if state.is_over { Next::End } else { Next::Nothing });
            };
            if !matches!(state.running.get(&call.attempt), Some((_, true))) {
                return Ok(Next::Call(Box::new(call)));
            }
            // It was stopped before it began.
            state.running.remove(&call.attempt);
            drop(state);
            self.send(&ToNode::Ended(call.attempt, Ending::Cancelled), Vec::new())?;
        }
    }

    /// Whether a call is to stop.
    #[must_use]
    pub fn is_stopped(&self, attempt: Attempt) -> bool {
        matches!(self.calls.state.lock().running.get(&attempt), Some((_, true)))
    }

    /// A call made the result of this index, in parts, and the references within it.
    ///
    /// # Errors
    /// As [`Client::finish`].
    pub fn yield_item(&self, attempt: Attempt, index: u32, parts: &[&[u8]], contains: Vec<ObjectId>) -> Result<()> {
        let (made, files) = self.make(parts)?;
        self.send(&ToNode::Yielded(attempt, index, made, contains), files)
    }

    /// A call ended with these results, each in parts, and the references within each.
    ///
    /// # Errors
    /// [`crate::ErrorKind::MemoryLimit`] or [`crate::ErrorKind::DiskFull`] when a result finds no room: then the call
    /// has not ended yet, and [`Client::fail`] is to end it.
    pub fn finish(&self, attempt: Attempt, results: &[(Vec<&[u8]>, Vec<ObjectId>)]) -> Result<()> {
        let (mut values, mut files) = (Vec::with_capacity(results.len()), Vec::new());
        for (parts, contains) in results {
            let (made, made_files) = match self.make(parts) {
                Ok(made) => made,
                Err(error) => {
                    values.iter().for_each(|(made, _)| self.unmake(made));
                    return Err(error);
                }
            };
            values.push((made, contains.clone()));
            files.extend(made_files);
        }
        self.calls.state.lock().running.remove(&attempt);
        self.send(&ToNode::Ended(attempt, Ending::Values(values)), files)
    }

    /// A call ended with an error and references within it, for which another try may help; one that was stopped ended
    /// with that.
    ///
    /// # Errors
    /// As every method.
    pub fn fail(&self, attempt: Attempt, error: Vec<u8>, contains: Vec<ObjectId>, retry: bool) -> Result<()> {
        let is_stopped = matches!(self.calls.state.lock().running.remove(&attempt), Some((_, true)));
        let raised = || Ending::Raised(ByteBuf::from(error), retry, contains);
        let ending = if is_stopped { Ending::Cancelled } else { raised() };
        self.send(&ToNode::Ended(attempt, ending), Vec::new())
    }

    /// The actor that this process is ends for good; the process is ended from outside.
    ///
    /// # Errors
    /// As every method.
    pub fn exit_actor(&self) -> Result<()> {
        self.send(&ToNode::ExitActor, Vec::new())
    }
}

/// A large value that came along, where this process still has it mapped, or mapped now.
fn shared(client: &Weak<Client>, object: (ObjectId, u64), file: &OwnedFd, size: u64) -> std::io::Result<Value> {
    let Some(here) = client.upgrade() else { return Value::shared(client, object, file, size) };
    let value = match here.cached(object.0) {
        Some(value @ Value::Shared(_)) => {
            // One reader less than the node counts.
            drop(Reading::new(client, object));
            value
        }
        _ => Value::shared(client, object, file, size)?,
    };
    here.remember(object.0, &value);
    Ok(value)
}

/// A call out of its message, with the files that came along. `None` when memory could not be mapped: the node hears
/// that the call failed.
pub(super) fn take(run: Run, inbox: &mut Inbox, client: &Weak<Client>, calls: &Calls) -> std::io::Result<Option<Call>> {
    let mut known: BTreeMap<ObjectId, Value> = BTreeMap::new();
    let mut broken = None;
    let mut value = |object: ObjectId, given: Given| -> std::io::Result<Option<Value>> {
        let value = match given {
            Given::Known => return Ok(known.get(&object).cloned()),
            Given::Inline(bytes) => Value::Inline(Arc::new(bytes.into_vec())),
            Given::Stored { size, edition } => match shared(client, (object, edition), &inbox.take_file()?, size) {
                Ok(value) => value,
                Err(error) => {
                    broken = Some(format!("{object} cannot be mapped: {error}"));
                    Value::Inline(Arc::default())
                }
            },
        };
        known.insert(object, value.clone());
        Ok(Some(value))
    };
    let function = match run.function {
        Some((object, given)) => value(object, given)?.or_else(|| calls.function(object)).map(|value| (object, value)),
        None => None,
    };
    if let Some((object, value)) = &function {
        calls.state.lock().functions.insert(*object, value.clone());
    }
    let mut needs = Vec::with_capacity(run.needs.len());
    for (object, given) in run.needs {
        needs.extend(value(object, given)?);
    }
    let arguments = match run.arguments {
        Arguments::Inline(bytes) => Some(Value::Inline(Arc::new(bytes.into_vec()))),
        Arguments::Stored => needs.pop(),
    };
    let (Some(arguments), None) = (arguments, &broken) else {
        if let Some(client) = client.upgrade() {
            let why = broken.unwrap_or_else(|| "its arguments did not come along".to_string());
            let _ = client.send(&ToNode::Ended(run.attempt, Ending::NotBegun(why)), Vec::new());
        }
        return Ok(None);
    };
    Ok(Some(Call {
        attempt: run.attempt,
        work: run.work,
        actor: run.actor,
        makes_actor: run.makes_actor,
        function,
        needs,
        arguments,
        returns: run.returns,
        streams: run.streams,
        gpus: run.gpus,
    }))
}
