//! A worker's process: it takes calls, runs what was registered for them, and answers.

use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::session::Session;
use super::{Functions, State, Written, value_of};
use crate::client::{self, Client, Host, Next, Value, parts_of};
use crate::ids::Attempt;
use crate::{Error, Result};

/// How long one wait for a call lasts; many follow each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// The call that runs: what it was given, and a [`Session`] for tasks of its own.
#[derive(Debug)]
pub struct Task {
    session: Session,
    attempt: Attempt,
    inputs: Vec<Value>,
}

impl Task {
    /// The value of an input, in the order in which they were given.
    ///
    /// # Errors
    /// When there is none, or it is of another type.
    pub fn input<T: DeserializeOwned>(&self, index: usize) -> Result<T> {
        let value = self.inputs.get(index);
        value_of(value.ok_or_else(|| Error::invalid(format!("the call has no input {index}")))?)
    }

    /// Whether it was asked to stop; then what it returns is not used.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.session.client.is_stopped(self.attempt)
    }
}

impl Deref for Task {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

struct Worker;

impl Host for Worker {
    #[expect(unsafe_code, reason = "a worker without its node ends at once, whatever it runs")]
    fn node_is_gone(&self) {
        // SAFETY: it ends the process and runs no code of ours.
        unsafe { libc::_exit(1) };
    }

    fn stop(&self, _: Attempt, _: bool) {
        // A function asks whether it is to stop.
    }
}

/// Runs calls until the node says that there are no more.
pub(super) fn serve(socket: UnixStream, functions: &Functions) -> Result<()> {
    let client = Client::new(socket, Worker)?;
    let session = Session::new(Arc::clone(&client));
    let mut actor = None;
    loop {
        match client.next_call(PATIENCE)? {
            Next::Nothing => {}
            Next::End => return Ok(()),
            Next::Call(call) => run(&session, functions, &mut actor, *call)?,
        }
    }
}

fn run(session: &Session, functions: &Functions, actor: &mut Option<State>, call: client::Call) -> Result<()> {
    let client::Call { attempt, work, actor: method, makes_actor, needs, arguments, .. } = call;
    let client = &session.client;
    let task = Task { session: session.clone(), attempt, inputs: needs };
    let done = || -> Result<Written> {
        let parts = parts_of(arguments.bytes()).unwrap_or_default();
        let given = parts.into_iter().next().and_then(|part| arguments.bytes().get(part));
        let given = given.ok_or_else(|| Error::internal("a call is not whole"))?;
        match (method, makes_actor) {
            (Some((_, name)), _) => {
                let method = functions.methods.get(&*name).ok_or_else(|| unknown("method", &name))?;
                let state =
                    actor.as_deref_mut().ok_or_else(|| Error::internal("a worker without an actor is called"))?;
                method(state, &task, given)
            }
            (None, Some(_)) => {
                let make = functions.constructors.get(&*work.name).ok_or_else(|| unknown("actor", &work.name))?;
                *actor = Some(make(&task, given)?);
                Written::of(&())
            }
            (None, None) => {
                let function = functions.functions.get(&*work.name);
                function.ok_or_else(|| unknown("function", &work.name))?(&task, given)
            }
        }
    };
    // What is half changed by a panic is the user's: as for a method that returns an error.
    let outcome = catch_unwind(AssertUnwindSafe(done)).unwrap_or_else(|panic| Err(Error::invalid(told(&*panic))));
    let failed = |error: &Error| client.fail(attempt, error.to_string().into_bytes(), Vec::new(), false);
    match outcome {
        Ok(result) => client.finish(attempt, &[(result.parts().to_vec(), Vec::new())]).or_else(|error| failed(&error)),
        Err(error) => failed(&error),
    }
}

fn unknown(what: &str, name: &str) -> Error {
    Error::invalid(format!("this program has registered no {what} {name:?}"))
        .with_hint("register it in Functions before serve is called")
}

/// What a panic says.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without words"))
}
