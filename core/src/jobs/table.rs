//! The state machine of jobs: what happens to which, and what is to be done then. It knows no process, disk or clock.

use std::collections::BTreeMap;

use super::record::{Job, JobStatus, Submission};
use crate::resources::{CPU, GPU, Ledger, MEMORY, Resources};
use crate::{Error, ErrorKind, Result};

/// How long an entry point that was asked to end may take, in milliseconds.
pub(super) const GRACE: u64 = 3_000;

/// How many jobs run at once, where nobody says: each is a driver on the head's machine, of some tens of megabytes.
pub(super) const RUNNING: usize = 64;

/// How many jobs there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// With a process.
    pub(super) running: usize,
    /// That wait for one.
    pub(super) pending: usize,
    /// That are over, the oldest of which go with their logs.
    pub(super) kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { running: RUNNING, pending: 1_000, kept: 200 }
    }
}

/// How an entry point ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// It could not begin, and why.
    NotBegun(String),
    /// With this exit code, and the last lines that it printed.
    Exit(i32, String),
    /// By this signal, likewise.
    Signal(String, String),
}

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A job is asked for, with the name that it gets if it brings none.
    Submit(Box<Submission>, String),
    /// The environment of a job is set up: its entry point runs.
    SetUp(String),
    /// The process of a job is gone, with all that it started.
    Ended(String, Ending),
    /// A job is to be stopped.
    Stop(String),
    /// A job that is over is to be forgotten.
    Delete(String),
    /// Time passes for a job that has a process.
    Look(String),
    /// The head ends.
    HeadEnds,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Keep what is known of a job.
    Save(String),
    /// Forget a job and its log.
    Forget(String),
    /// Start its process.
    Start(String),
    /// Ask its processes to end.
    Terminate(String),
    /// End its processes.
    Kill(String),
}

/// Who wants a job that has a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    User,
    Head,
}

#[derive(Debug)]
struct Going {
    holds: Resources,
    /// Since when it is to end, and for whom.
    ends: Option<(u64, Wish)>,
    is_killed: bool,
}

/// All jobs.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    jobs: BTreeMap<String, Job>,
    /// Those that have a process.
    going: BTreeMap<String, Going>,
    /// What the entry points hold of the head's machine, among themselves.
    ledger: Ledger,
    next_number: u64,
    is_ending: bool,
}

impl Table {
    pub(super) fn new(limits: Limits, machine: Resources) -> Self {
        let (jobs, going) = (BTreeMap::new(), BTreeMap::new());
        Self { limits, jobs, going, ledger: Ledger::new(machine), next_number: 0, is_ending: false }
    }

    /// Takes over what another head left, of whose processes none is there any more.
    pub(super) fn restore(&mut self, now: u64, jobs: Vec<Job>) -> Vec<Action> {
        let mut actions = Vec::new();
        for mut job in jobs {
            self.next_number = self.next_number.max(job.number + 1);
            if job.has_begun && !job.status.is_terminal() {
                let what = if job.status == JobStatus::Running { "ran" } else { "was set up" };
                (job.status, job.end_time) = (JobStatus::Failed, Some(now));
                job.message = format!("the head ended while the job {what}, and the job with it");
                actions.push(Action::Save(job.submission_id.clone()));
            } else if !job.has_begun && !self.ledger.total().contains(&holds(&job)) {
                (job.status, job.end_time) = (JobStatus::Failed, Some(now));
                job.message = "the machine of the head has not what the entry point asks for any more".to_string();
                actions.push(Action::Save(job.submission_id.clone()));
            }
            self.jobs.insert(job.submission_id.clone(), job);
        }
        self.trim(&mut actions);
        self.start_next(&mut actions);
        actions
    }

    /// The jobs in the order in which they came.
    pub(super) fn jobs(&self) -> Vec<&Job> {
        let mut jobs: Vec<&Job> = self.jobs.values().collect();
        jobs.sort_by_key(|job| job.number);
        jobs
    }

    /// A job that is there.
    pub(super) fn job(&self, id: &str) -> Result<&Job> {
        self.jobs.get(id).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no job {id:?}"))
                .with_hint("`sheaf job list` has all; of those that are over the last ones are kept")
        })
    }

    /// How many have a process.
    pub(super) fn going(&self) -> usize {
        self.going.len()
    }

    /// Takes back a submission that could not be kept, before anything was done for it.
    pub(super) fn withdraw(&mut self, id: &str) {
        self.jobs.remove(id);
        self.let_go(id);
    }

    /// What is to be done now that something happened.
    ///
    /// # Errors
    /// What was asked for cannot be; nothing has changed then.
    pub(super) fn step(&mut self, now: u64, event: Event) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        match event {
            Event::Submit(submission, name) => self.submit(now, *submission, name, &mut actions)?,
            Event::SetUp(id) => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.status == JobStatus::Pending) {
                    (job.status, job.message) = (JobStatus::Running, String::new());
                    actions.push(Action::Save(id));
                }
            }
            Event::Ended(id, ending) => self.ended(now, &id, &ending, &mut actions),
            Event::Stop(id) => self.stop(now, &id, &mut actions)?,
            Event::Delete(id) => {
                if !self.job(&id)?.status.is_terminal() {
                    return Err(Error::new(ErrorKind::Conflict, format!("the job {id:?} is not over"))
                        .with_hint("stop it first"));
                }
                self.jobs.remove(&id);
                actions.push(Action::Forget(id));
            }
            Event::Look(id) => {
                if let Some(going) = self.going.get_mut(&id)
                    && let Some((since, _)) = going.ends
                    && !going.is_killed
                    && now.saturating_sub(since) >= GRACE
                {
                    going.is_killed = true;
                    actions.push(Action::Kill(id));
                }
            }
            Event::HeadEnds => {
                self.is_ending = true;
                for (id, going) in &mut self.going {
                    going.ends.get_or_insert((now, Wish::Head));
                    actions.push(Action::Terminate(id.clone()));
                }
            }
        }
        Ok(actions)
    }

    fn submit(&mut self, now: u64, submission: Submission, name: String, actions: &mut Vec<Action>) -> Result<()> {
        submission.check()?;
        let needs = needs(&submission);
        let asked = Resources::new(needs.iter().map(|(name, amount)| (name.as_str(), *amount)))?;
        if !self.ledger.total().contains(&asked) {
            let lacks = self.ledger.total().lacks(&asked);
            return Err(Error::invalid(format!("the entry point asks for more than the head's machine has: {lacks}"))
                .with_hint("entry points run beside the head; give the resources to tasks and actors"));
        }
        let id = submission.submission_id.unwrap_or(name);
        if self.jobs.contains_key(&id) {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("there is a job {id:?} already"))
                .with_hint("give another submission_id, or delete that job"));
        }
        let waiting = self.jobs.values().filter(|job| !job.status.is_terminal()).count() - self.going.len();
        if waiting >= self.limits.pending || self.is_ending {
            return Err(Error::new(ErrorKind::Io, format!("the head takes no more jobs now: {waiting} wait")));
        }
        let job = Job {
            submission_id: id.clone(),
            number: self.next_number,
            status: JobStatus::Pending,
            message: "it waits for other jobs to end".to_string(),
            entrypoint: submission.entrypoint,
            runtime_env: submission.runtime_env.unwrap_or_default(),
            metadata: submission.metadata.unwrap_or_default(),
            needs,
            start_time: now,
            end_time: None,
            exit_code: None,
            has_begun: false,
        };
        self.next_number += 1;
        self.jobs.insert(id.clone(), job);
        self.start_next(actions);
        if !actions.iter().any(|action| matches!(action, Action::Save(saved) if *saved == id)) {
            actions.push(Action::Save(id));
        }
        Ok(())
    }

    fn ended(&mut self, now: u64, id: &str, ending: &Ending, actions: &mut Vec<Action>) {
        let wish = self.going.get(id).and_then(|going| going.ends).map(|(_, wish)| wish);
        self.let_go(id);
        let Some(job) = self.jobs.get_mut(id).filter(|job| !job.status.is_terminal()) else { return };
        (job.status, job.message) = outcome(ending, wish);
        job.end_time = Some(now);
        if let Ending::Exit(code, _) = ending {
            job.exit_code = Some(*code);
        }
        actions.push(Action::Save(id.to_string()));
        self.trim(actions);
        self.start_next(actions);
    }

    fn stop(&mut self, now: u64, id: &str, actions: &mut Vec<Action>) -> Result<()> {
        if self.job(id)?.status.is_terminal() {
            return Ok(());
        }
        if let Some(going) = self.going.get_mut(id) {
            if going.ends.is_none() {
                going.ends = Some((now, Wish::User));
                actions.push(Action::Terminate(id.to_string()));
            }
        } else if let Some(job) = self.jobs.get_mut(id) {
            (job.status, job.end_time) = (JobStatus::Stopped, Some(now));
            job.message = "it was stopped before it began".to_string();
            actions.push(Action::Save(id.to_string()));
            self.trim(actions);
            self.start_next(actions);
        }
        Ok(())
    }

    fn let_go(&mut self, id: &str) {
        if let Some(going) = self.going.remove(id) {
            self.ledger.give(&going.holds);
        }
    }

    /// Lets those begin that have waited longest and for which there is room. None overtakes another: a large one would
    /// never begin.
    fn start_next(&mut self, actions: &mut Vec<Action>) {
        if self.is_ending {
            return;
        }
        let mut waiting: Vec<(u64, String)> = self
            .jobs
            .values()
            .filter(|job| job.status == JobStatus::Pending && !job.has_begun)
            .map(|job| (job.number, job.submission_id.clone()))
            .collect();
        waiting.sort();
        for (_, id) in waiting {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let holds = holds(job);
            if self.going.len() >= self.limits.running || !self.ledger.take(&holds) {
                break;
            }
            job.has_begun = true;
            job.message = "its environment is set up".to_string();
            self.going.insert(id.clone(), Going { holds, ends: None, is_killed: false });
            actions.push(Action::Save(id.clone()));
            actions.push(Action::Start(id));
        }
    }

    /// Forgets the oldest of those that are over, beyond what is kept.
    fn trim(&mut self, actions: &mut Vec<Action>) {
        let mut over: Vec<(u64, String)> =
            self.jobs.values().filter_map(|job| Some((job.end_time?, job.submission_id.clone()))).collect();
        over.sort();
        for (_, id) in over.iter().take(over.len().saturating_sub(self.limits.kept)) {
            self.jobs.remove(id);
            actions.push(Action::Forget(id.clone()));
        }
    }
}

/// What a job holds while it has a process. It was looked at when the job was submitted.
fn holds(job: &Job) -> Resources {
    Resources::new(job.needs.iter().map(|(name, amount)| (name.as_str(), *amount))).unwrap_or_default()
}

fn needs(submission: &Submission) -> BTreeMap<String, f64> {
    let own = [
        (CPU, submission.entrypoint_num_cpus),
        (GPU, submission.entrypoint_num_gpus),
        (MEMORY, submission.entrypoint_memory),
    ];
    let own = own.into_iter().filter_map(|(name, amount)| Some((name.to_string(), amount?)));
    let others = submission.entrypoint_resources.clone().unwrap_or_default();
    own.chain(others).filter(|(_, amount)| *amount != 0.0).collect()
}

/// What a job has come to, and the words for it.
fn outcome(ending: &Ending, wish: Option<Wish>) -> (JobStatus, String) {
    match wish {
        Some(Wish::User) => return (JobStatus::Stopped, "it was stopped".to_string()),
        Some(Wish::Head) => return (JobStatus::Failed, "the head was ended, and the job with it".to_string()),
        None => {}
    }
    let with = |what: String, lines: &str| {
        if lines.is_empty() { what } else { format!("{what}; the last that it printed:\n{lines}") }
    };
    match ending {
        Ending::Exit(0, _) => (JobStatus::Succeeded, "the entry point ended with exit code 0".to_string()),
        Ending::Exit(code, lines) => {
            (JobStatus::Failed, with(format!("the entry point ended with exit code {code}"), lines))
        }
        Ending::Signal(signal, lines) => {
            (JobStatus::Failed, with(format!("the entry point was ended by {signal}"), lines))
        }
        Ending::NotBegun(why) => (JobStatus::Failed, format!("the job could not begin: {why}")),
    }
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
