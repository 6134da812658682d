//! Jobs: programs that run on the head's machine as drivers of the cluster, and go on when who submitted them is gone.
//!
//! `table` decides, as a state machine; this file does what it decides. Each job has a thread (`process`) that starts
//! it and listens to it, a file with what it printed (`log`), and a row that another head finds (`ledger`). The `guard`
//! ends what is left of them when the head is killed.

mod guard;
mod ledger;
mod log;
mod process;
mod record;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tokio::sync::watch;

use crate::env::{self, Clock, Random, SystemClock};
use crate::resources::Resources;
use crate::state::StateStore;
use crate::{Error, Result};
use guard::Guard;
use ledger::Ledger;
use log::Log;
use process::{Group, Launch, Said};
use table::{Action, Ending, Event, GRACE, Limits, RUNNING, Table};

pub use log::LogPart;
pub use record::{Job, JobStatus, Submission};

/// How long the end of all jobs is waited for when the head ends, beyond what they may take.
const ENDING: Duration = Duration::from_secs(2);
/// What names begin with that are made up.
const PREFIX: &str = "sheafsubmit_";
/// Of which a made-up name consists, and how long it is.
const LETTERS: &[u8] = b"23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
const NAME_CHARACTERS: usize = 16;
/// The variables in which a job finds its name, and its environment for all that it runs on the cluster.
const JOB_ID: &str = "SHEAF_JOB_ID";
const RUNTIME_ENV: &str = "SHEAF_JOB_RUNTIME_ENV";

/// Where jobs run and what is kept of them.
#[derive(Debug)]
pub struct JobsOptions {
    /// The program that runs an entry point, and its arguments, to which the entry point is added as the last one.
    /// `{fd}` stands for the number of a pipe: what it writes there keeps the entry point from running, and its end
    /// says that it runs.
    pub command: Vec<String>,
    /// What is set in the environment of every job.
    pub variables: Vec<(String, String)>,
    /// What entry points may ask for, all together.
    pub machine: Resources,
    /// What is kept of jobs.
    pub store: Arc<dyn StateStore>,
    /// Where their logs are; without a folder they are gone with the head.
    pub log_dir: Option<PathBuf>,
    /// How many run at once; others wait.
    pub running: usize,
}

impl JobsOptions {
    /// How many jobs run at once, where nobody says.
    pub const RUNNING: usize = RUNNING;
}

/// The jobs of a head, which end with [`Jobs::shutdown`], or else with the process.
pub struct Jobs {
    options: JobsOptions,
    state: Mutex<State>,
    /// Told when a job is over.
    over: Condvar,
    changes: watch::Sender<u64>,
    guard: Guard,
    own: Weak<Self>,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("options", &self.options).finish_non_exhaustive()
    }
}

struct State {
    table: Table,
    ledger: Ledger,
    logs: BTreeMap<String, Arc<Log>>,
    groups: BTreeMap<String, Arc<Group>>,
    random: Random,
}

impl Jobs {
    /// Takes over the jobs that are kept; those that ran are over.
    ///
    /// # Errors
    /// Those of the store, and [`crate::ErrorKind::Io`] where the folder for logs cannot be made.
    pub fn start(options: JobsOptions) -> Result<Arc<Self>> {
        if let Some(folder) = &options.log_dir {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::from(error).with_context(format!("logs of jobs cannot go to {}", folder.display()))
            })?;
        }
        let (ledger, left) = Ledger::open(Arc::clone(&options.store))?;
        let mut logs = BTreeMap::new();
        for job in &left {
            let opened = options.log_dir.as_ref().map(|folder| Log::open(folder, &job.submission_id));
            if let Some(Ok(log)) = opened {
                logs.insert(job.submission_id.clone(), Arc::new(log));
            }
        }
        let table = Table::new(Limits { running: options.running, ..Limits::default() }, options.machine.clone());
        let random = Random::new(SystemClock.unix_millis() ^ u64::from(std::process::id()) << 32);
        let state = State { table, ledger, logs, groups: BTreeMap::new(), random };
        let jobs = Arc::new_cyclic(|own| Self {
            options,
            state: Mutex::new(state),
            over: Condvar::new(),
            changes: watch::channel(0).0,
            guard: Guard::default(),
            own: Weak::clone(own),
        });
        let mut state = jobs.state.lock();
        let actions = state.table.restore(SystemClock.unix_millis(), left);
        jobs.keep(&mut state, &actions)?;
        jobs.act(&mut state, actions);
        drop(state);
        Ok(jobs)
    }

    /// Takes a job, which begins as soon as there is room for it. It is kept when this returns.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidInput`] for what no job can be, [`crate::ErrorKind::AlreadyExists`] for a name that
    /// another one has, [`crate::ErrorKind::Io`] while too many wait, and those of the store.
    pub fn submit(&self, submission: Submission) -> Result<Job> {
        let mut state = self.state.lock();
        let made_up = made_up(&mut state.random);
        let id = submission.submission_id.clone().unwrap_or_else(|| made_up.clone());
        let actions = state.table.step(SystemClock.unix_millis(), Event::Submit(Box::new(submission), made_up))?;
        let kept = Log::create(self.options.log_dir.as_deref(), &id)
            .map_err(|error| Error::from(error).with_context("the log of the job cannot be made"))
            .and_then(|log| {
                state.logs.insert(id.clone(), Arc::new(log));
                self.keep(&mut state, &actions)
            });
        if let Err(error) = kept {
            state.table.withdraw(&id);
            if let Some(log) = state.logs.remove(&id) {
                log.remove();
            }
            return Err(error.with_context("the job is not taken"));
        }
        let job = state.table.job(&id)?.clone();
        self.act(&mut state, actions);
        Ok(job)
    }

    /// All jobs, in the order in which they came.
    #[must_use]
    pub fn list(&self) -> Vec<Job> {
        self.state.lock().table.jobs().into_iter().cloned().collect()
    }

    /// One job.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`].
    pub fn job(&self, id: &str) -> Result<Job> {
        self.state.lock().table.job(id).cloned()
    }

    /// Lets a job end: its processes are asked to, and killed three seconds later. Says whether it was not over.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`].
    pub fn stop(&self, id: &str) -> Result<bool> {
        let was_over = self.job(id)?.status.is_terminal();
        self.happen(Event::Stop(id.to_string()))?;
        Ok(!was_over)
    }

    /// Forgets a job that is over, and its log.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`], and [`crate::ErrorKind::Conflict`] for one that is not over.
    pub fn delete(&self, id: &str) -> Result<()> {
        self.happen(Event::Delete(id.to_string()))
    }

    /// A part of what a job printed, at most `limit` bytes from a place on, with the job as it is at that time.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`], and [`crate::ErrorKind::Io`] when the log cannot be read.
    pub fn log(&self, id: &str, from: u64, limit: usize) -> Result<(Job, LogPart)> {
        let (job, log) = {
            let state = self.state.lock();
            // Of a job that is over, all that it printed is there.
            (state.table.job(id)?.clone(), state.logs.get(id).cloned())
        };
        let part = match log {
            Some(log) => log.read(from, limit).map_err(|error| {
                Error::from(error).with_context(format!("the log of the job {id:?} cannot be read"))
            })?,
            None => LogPart { from: 0, bytes: Vec::new(), end: 0 },
        };
        Ok((job, part))
    }

    /// Told whenever something happens to a job or is printed by one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends all jobs, and takes no more. Waits for at most some seconds.
    pub fn shutdown(&self) {
        if let Err(error) = self.happen(Event::HeadEnds) {
            ::log::warn!("the end of the jobs cannot be kept: {error}");
        }
        let until = Instant::now() + Duration::from_millis(GRACE) + ENDING;
        let mut state = self.state.lock();
        while state.table.going() > 0 {
            if self.over.wait_until(&mut state, until).timed_out() {
                return ::log::warn!("{} jobs have not ended in time", state.table.going());
            }
        }
    }

    /// Lets the table see what happened, and does what it wants done.
    fn happen(&self, event: Event) -> Result<()> {
        self.perform(&mut self.state.lock(), event)
    }

    fn perform(&self, state: &mut State, event: Event) -> Result<()> {
        let actions = state.table.step(SystemClock.unix_millis(), event)?;
        if actions.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.keep(state, &actions) {
            // It is so, and is kept with the next change.
            ::log::warn!("what became of a job cannot be kept now: {error}");
        }
        self.act(state, actions);
        Ok(())
    }

    fn keep(&self, state: &mut State, actions: &[Action]) -> Result<()> {
        let changed = actions.iter().filter_map(|action| match action {
            Action::Save(id) | Action::Forget(id) => Some(id.clone()),
            _ => None,
        });
        let State { table, ledger, .. } = state;
        ledger.keep(changed, |id| table.job(id).ok())
    }

    fn act(&self, state: &mut State, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Save(_) => {}
                Action::Forget(id) => {
                    if let Some(log) = state.logs.remove(&id) {
                        log.remove();
                    }
                }
                Action::Start(id) => self.begin(state, &id),
                Action::Terminate(id) => signal(state, &id, Signal::SIGTERM),
                Action::Kill(id) => signal(state, &id, Signal::SIGKILL),
            }
        }
        self.tell();
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Starts the thread of a job.
    fn begin(&self, state: &mut State, id: &str) {
        let group = Arc::<Group>::default();
        state.groups.insert(id.to_string(), Arc::clone(&group));
        let (Ok(job), Some(jobs)) = (state.table.job(id), self.own.upgrade()) else { return };
        let launch = self.launch(job);
        let log = match state.logs.get(id) {
            Some(log) => Ok(Arc::clone(log)),
            None => Log::create(self.options.log_dir.as_deref(), id).map(Arc::new),
        };
        if let Ok(log) = &log {
            state.logs.insert(id.to_string(), Arc::clone(log));
        }
        let name = id.to_string();
        let started = env::thread("sheaf-job", move || {
            let ending = match log {
                Ok(log) => jobs.follow(&name, &launch, &group, &log),
                Err(error) => Ending::NotBegun(format!("its log cannot be made: {error}")),
            };
            jobs.ended(&name, ending);
        });
        if let Err(error) = started {
            let event = Event::Ended(id.to_string(), Ending::NotBegun(error.to_string()));
            state.groups.remove(id);
            // It is never refused.
            let _ = self.perform(state, event);
        }
    }

    fn follow(&self, id: &str, launch: &Launch, group: &Group, log: &Log) -> Ending {
        process::run(launch, group, &self.guard, log, |said| {
            let event = match said {
                Said::Printed => return self.tell(),
                Said::SetUp => Event::SetUp(id.to_string()),
                Said::Nothing => Event::Look(id.to_string()),
            };
            // Neither of these is ever refused.
            let _ = self.happen(event);
        })
    }

    fn ended(&self, id: &str, ending: Ending) {
        let _ = self.happen(Event::Ended(id.to_string(), ending));
        self.state.lock().groups.remove(id);
        self.over.notify_all();
    }

    fn launch(&self, job: &Job) -> Launch {
        let mut command = self.options.command.clone();
        command.push(job.entrypoint.clone());
        let mut variables = self.options.variables.clone();
        variables.push((JOB_ID.to_string(), job.submission_id.clone()));
        if !job.runtime_env.is_empty() {
            variables.push((RUNTIME_ENV.to_string(), Value::from(job.runtime_env.clone()).to_string()));
        }
        Launch { command, variables }
    }
}

fn signal(state: &State, id: &str, signal: Signal) {
    if let Some(group) = state.groups.get(id) {
        group.signal(signal);
    }
}

fn made_up(random: &mut Random) -> String {
    let letters = (0..NAME_CHARACTERS).map(|_| LETTERS[random.below(LETTERS.len() as u64) as usize] as char);
    PREFIX.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests;
