//! Tasks and actors of Rust programs: functions that a program registers, and that run in worker processes of its own.
//!
//! A worker is the same program, started again: what it registered there is what it finds here. So `main` registers its
//! functions first, and calls [`Functions::serve`], which in a worker never returns.
//!
//! ```no_run
//! use sheaf_core::native::{Function, Functions, Runtime};
//!
//! const SQUARE: Function<i64, i64> = Function::named("square");
//! const ADD: Function<i64, i64> = Function::named("add");
//!
//! fn main() -> sheaf_core::Result<()> {
//!     let functions = Functions::new()
//!         .function(SQUARE, |_, x| Ok(x * x))
//!         .function(ADD, |task, by| Ok(task.input::<i64>(0)? + by));
//!     functions.serve();
//!     let runtime = Runtime::start(2)?;
//!     let nine = runtime.call(SQUARE).submit(&3)?;
//!     let ten = runtime.call(ADD).input(&nine).submit(&1)?;
//!     assert_eq!(runtime.get(&ten, None)?, 10);
//!     Ok(())
//! }
//! ```
//!
//! Values are written down by postcard. What is promised of tasks, objects and actors in `docs/tasks-and-actors.md`
//! holds for these too, but for what is Python's alone: a running function is not interrupted by `cancel` without
//! `force`.

mod names;
mod session;
mod work;
mod workers;

use std::any::{Any, type_name};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, Value, parts_of};
use crate::local::{Local, LocalOptions, Role};
use crate::resources::{CPU, Resources};
use crate::wire::Line;
use crate::{Error, ErrorKind, Result, host};

pub use names::{Class, Function, Method};
pub use session::{Actor, Call, Ref, Session};
pub use work::Task;

/// The first argument of the command line of a process from which workers are forked.
const WORKERS: &str = "--sheaf-workers";
/// The part of the machine's memory that objects may have.
const STORE_PART: f64 = 0.3;
/// Where a machine does not say how much memory it has.
const MEMORY_BYTES: u64 = 4 << 30;

type State = Box<dyn Any>;
type Run = Box<dyn Fn(&Task, &[u8]) -> Result<Written>>;
type Make = Box<dyn Fn(&Task, &[u8]) -> Result<State>>;
type Answer = Box<dyn Fn(&mut dyn Any, &Task, &[u8]) -> Result<Written>>;

/// What a program registers, by names.
#[derive(Default)]
pub struct Functions {
    functions: HashMap<&'static str, Run>,
    constructors: HashMap<&'static str, Make>,
    methods: HashMap<&'static str, Answer>,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.functions.keys().chain(self.constructors.keys()).chain(self.methods.keys()))
            .finish()
    }
}

impl Functions {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function; a later one of the same name is in its place.
    #[must_use]
    pub fn function<A, R>(mut self, name: Function<A, R>, run: impl Fn(&Task, A) -> Result<R> + 'static) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
    {
        self.functions.insert(name.name(), Box::new(move |task, given| Written::of(&run(task, read(given)?)?)));
        self
    }

    /// Adds what makes an actor.
    #[must_use]
    pub fn actor<A, S>(mut self, name: Class<A, S>, make: impl Fn(&Task, A) -> Result<S> + 'static) -> Self
    where
        A: DeserializeOwned,
        S: 'static,
    {
        self.constructors.insert(name.name(), Box::new(move |task, given| Ok(Box::new(make(task, read(given)?)?))));
        self
    }

    /// Adds a method of an actor. Names are of all actors together, such as `counter.add`.
    #[must_use]
    pub fn method<S, A, R>(
        mut self,
        name: Method<S, A, R>,
        answer: impl Fn(&mut S, &Task, A) -> Result<R> + 'static,
    ) -> Self
    where
        S: 'static,
        A: DeserializeOwned,
        R: Serialize,
    {
        let call = move |state: &mut dyn Any, task: &Task, given: &[u8]| {
            let state =
                state.downcast_mut::<S>().ok_or_else(|| Error::internal("a method of another kind of actor"))?;
            Written::of(&answer(state, task, read(given)?)?)
        };
        self.methods.insert(name.name(), Box::new(call));
        self
    }

    /// In a process that was started for workers: runs them, and never returns. Else it does nothing.
    ///
    /// It is to be called first in `main`, before threads are started.
    pub fn serve(&self) {
        let mut arguments = std::env::args().skip(1);
        if arguments.next().as_deref() == Some(WORKERS)
            && let Some(socket) = arguments.next().and_then(|number| number.parse().ok())
        {
            workers::serve(socket, self);
        }
    }
}

/// The command that starts the process of the workers of this program, for [`LocalOptions::command`].
///
/// # Errors
/// [`ErrorKind::Io`] when the system does not say which program this is.
pub fn command() -> Result<Vec<String>> {
    let unknown = |why: String| Error::new(ErrorKind::Io, format!("cannot tell which program this is: {why}"));
    let program = std::env::current_exe().map_err(|error| unknown(error.to_string()))?;
    let program = program.into_os_string().into_string();
    let program = program.map_err(|path| unknown(format!("{} is no text", path.display())))?;
    Ok([&program, WORKERS, "{fd}"].map(str::to_string).to_vec())
}

/// A runtime in this process, with worker processes beside it; it ends when it is dropped.
///
/// It is a [`Session`] too.
#[derive(Debug)]
pub struct Runtime {
    session: Session,
    local: Local,
}

impl Runtime {
    /// Starts one with so many CPUs.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses processes or sockets.
    pub fn start(cpus: u32) -> Result<Self> {
        let memory = host::memory_bytes().unwrap_or(MEMORY_BYTES) as f64;
        Self::start_with(LocalOptions {
            role: Role::Alone,
            resources: Resources::new([(CPU, f64::from(cpus))])?,
            labels: BTreeMap::new(),
            store_bytes: (memory * STORE_PART) as u64,
            spill_dir: std::env::temp_dir(),
            command: command()?,
            state: None,
            query_bytes: 0,
            executor: None,
            log_dir: None,
        })
    }

    /// The same, as it is told; the command is that of [`command`].
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub fn start_with(options: LocalOptions) -> Result<Self> {
        let local = Local::start(options)?;
        let session = Session::new(Client::new(local.connect()?, session::Driver)?);
        Ok(Self { session, local })
    }

    /// Lines that workers printed, waiting so long for the first one; `None` when there will be no more.
    #[must_use]
    pub fn output(&self, patience: Duration) -> Option<Vec<Line>> {
        self.local.output(patience)
    }

    /// Ends all processes and frees all objects.
    pub fn shutdown(&self) {
        self.local.shutdown();
    }
}

impl Deref for Runtime {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A value as it is kept, with the name of its type.
struct Written {
    bytes: Vec<u8>,
    type_name: &'static str,
}

impl Written {
    fn of<T: Serialize>(value: &T) -> Result<Self> {
        let written = postcard::to_stdvec(value);
        let bytes = written.map_err(|error| Error::invalid(format!("a value cannot be written down: {error}")))?;
        Ok(Self { bytes, type_name: type_name::<T>() })
    }

    fn parts(&self) -> [&[u8]; 2] {
        [&self.bytes, self.type_name.as_bytes()]
    }
}

/// The value that was kept, which has to be of this type.
fn value_of<T: DeserializeOwned>(value: &Value) -> Result<T> {
    let parts = parts_of(value.bytes()).unwrap_or_default();
    let part = |index: usize| parts.get(index).and_then(|part| value.bytes().get(part.clone()));
    let (Some(bytes), Some(kept)) = (part(0), part(1)) else {
        return Err(Error::internal("an object is not whole"));
    };
    if kept != type_name::<T>().as_bytes() {
        let (kept, wanted) = (String::from_utf8_lossy(kept), type_name::<T>());
        return Err(Error::new(ErrorKind::TypeMismatch, format!("a value is of the type {kept}, and not {wanted}")));
    }
    read(bytes)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::new(ErrorKind::TypeMismatch, format!("what is kept is no {}: {error}", type_name::<T>()))
    })
}

type Connection = Arc<Client>;
