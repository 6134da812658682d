//! The worker processes: which there are, and what each runs. `ends` is what is heard of their processes, `fragments`
//! has the parts of plans that they run.

mod ends;
mod fragments;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::gpus::Taken;
use super::output::{Pipe, Record};
use super::requests::Payload;
use super::shell::{Shell, Source};
use super::values::Recipient;
use crate::env::Moment;
use crate::ids::{Attempt, ClientId, NodeId, ObjectId};
use crate::resources::CPU;
use crate::schedule::{Event, Failure, Kind, Outcome, TaskSpec};
use crate::wire::{Given, Run, ToClient, Work};

/// How long a worker beyond the number of CPUs may have nothing to do, in milliseconds.
const IDLE_TIME: u64 = 2_000;
/// How long a worker that was asked to end may take, in milliseconds.
const ENDING_TIME: u64 = 1_000;
/// How long the end of a worker whose socket is closed may be waited for, in milliseconds: then it is killed.
const EXIT_TIME: u64 = 1_000;
/// Workers that are started before there is work for them.
const PREPARED: usize = 8;

/// Whom a worker works for: none sees what another one's left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Pool {
    /// `None` for those that have not begun, and in a node that has one driver.
    pub(super) driver: Option<(NodeId, ClientId)>,
    /// Its environment.
    pub(super) env: String,
}

/// A worker process.
#[derive(Debug)]
pub(super) struct Worker {
    /// `None` until the process is there.
    pid: Option<u32>,
    pub(super) pool: Pool,
    /// What it ran last.
    name: String,
    /// What it runs: one call of a function, or any number of its actor's.
    running: BTreeSet<Attempt>,
    /// The actor that it is, or makes.
    pub(super) actor: Option<ObjectId>,
    /// Whether what it runs waits for objects.
    is_blocked: bool,
    /// It makes an actor that holds no CPU: one has to be there for it to be placed, and none is kept.
    lends_cpu: bool,
    /// Its environment takes long to set up: it installs packages.
    is_slow: bool,
    /// Functions that it was sent.
    functions: BTreeSet<ObjectId>,
    /// How often it ran each function of which it may run only so many calls.
    calls: BTreeMap<ObjectId, u32>,
    /// What it runs is a part of a plan.
    has_fragment: bool,
    /// It runs nothing more after this.
    is_spent: bool,
    /// What is to be said of the attempt for which it is killed.
    killed_for: Option<Attempt>,
    idle_since: Moment,
    /// When it is killed, should it not have ended by itself.
    ends_by: Option<Moment>,
    has_hung_up: bool,
    gpus: Taken,
    pipes: [Option<Pipe>; 2],
    record: Record,
}

impl Pool {
    fn of(work: &Work) -> Self {
        Self { driver: work.driver, env: work.env.clone() }
    }
}

impl Worker {
    /// What it ran last; empty before it has run anything.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its process, once that is there.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// What it is and does, for people.
    pub(super) fn as_json(&self, id: ClientId) -> serde_json::Value {
        serde_json::json!({
            "id": id.to_string(),
            "pid": self.pid,
            "name": self.name,
            "actor": self.actor.map(|actor| actor.to_string()),
            "running": self.running.iter().map(|attempt| attempt.task.to_string()).collect::<Vec<_>>(),
            "is_blocked": self.is_blocked,
        })
    }

    /// Counts a call of a function of which a worker may run only so many.
    fn count(&mut self, spec: &TaskSpec, max_calls: u32) {
        if let (Some(function), true) = (spec.needs.first(), max_calls > 0) {
            let calls = self.calls.entry(*function).or_default();
            *calls += 1;
            self.is_spent |= *calls >= max_calls;
        }
    }
}

impl Shell {
    /// Starts some workers before there is work for them.
    pub(super) fn prepare_workers(&mut self) {
        let count = (self.options.resources.amount(CPU) as usize).min(PREPARED);
        for _ in 0..count {
            if let Some(id) = self.add_worker(Pool::default()) {
                self.idle.entry(Pool::default()).or_default().push(id);
            }
        }
        self.write_all();
    }

    fn add_worker(&mut self, pool: Pool) -> Option<ClientId> {
        let id = self.next_client();
        match self.fork_worker(id, pool) {
            Ok(worker) => {
                self.workers.insert(id, worker);
                Some(id)
            }
            Err(error) => {
                self.remove_client(id);
                self.lines.say(format!("a worker cannot be started: {error}"));
                None
            }
        }
    }

    fn fork_worker(&mut self, id: ClientId, pool: Pool) -> std::io::Result<Worker> {
        let (here, there) = UnixStream::pair()?;
        let (output, to_output) = pipe()?;
        let (errors, to_errors) = pipe()?;
        self.wants_zygote = true;
        self.look_after_zygote();
        let zygote =
            self.zygote.as_ref().ok_or_else(|| std::io::Error::other("the process that forks them is gone"))?;
        zygote.fork(id.0, &pool.env, &[there.into(), to_output, to_errors])?;
        self.add_client(id, here);
        let pipes = [Pipe::new(output, false), Pipe::new(errors, true)];
        self.watch(pipes[0].as_fd(), Source::Output(id))?;
        self.watch(pipes[1].as_fd(), Source::Errors(id))?;
        Ok(Worker {
            pid: None,
            pool,
            name: String::new(),
            running: BTreeSet::new(),
            actor: None,
            is_blocked: false,
            lends_cpu: false,
            is_slow: false,
            functions: BTreeSet::new(),
            calls: BTreeMap::new(),
            has_fragment: false,
            is_spent: false,
            killed_for: None,
            idle_since: self.now(),
            ends_by: None,
            has_hung_up: false,
            gpus: Taken::default(),
            pipes: pipes.map(Some),
            record: Record::default(),
        })
    }

    /// Hands an attempt to a worker, which has these GPUs for it.
    pub(super) fn start_on(
        &mut self,
        attempt: Attempt,
        spec: &Arc<TaskSpec>,
        values: Vec<(ObjectId, Option<Bytes>)>,
        gpus: Taken,
    ) {
        let read = postcard::from_bytes::<Payload>(&spec.payload).and_then(|payload| {
            let work = postcard::from_bytes::<Work>(&spec.common)?;
            Ok((payload, work))
        });
        let (payload, work) = match read {
            Ok(read) => read,
            Err(error) => return self.cannot_start(attempt, &format!("its arguments cannot be read: {error}"), &gpus),
        };
        let worker = match spec.call() {
            Some((actor, _)) => self.actors.get(&actor).copied(),
            None => self.idle_worker(&work).or_else(|| self.add_worker(Pool::of(&work))),
        };
        let Some(id) = worker else { return self.cannot_start(attempt, "there is no worker for it", &gpus) };
        self.running.insert(attempt, id);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.running.insert(attempt);
        worker.count(spec, work.max_calls);
        worker.name.clone_from(&work.name);
        if spec.call().is_none() {
            let is_actor = matches!(spec.kind, Kind::Actor { .. });
            (worker.actor, worker.gpus) = (is_actor.then(|| attempt.task.result(0)), gpus);
        }
        if let Kind::Actor { held, .. } = &spec.kind {
            worker.lends_cpu = held.amount(CPU) == 0.0;
        }
        let (run, stored) = as_run(attempt, spec, (payload, work), values, worker);
        self.tell_blocked(id);
        self.deliver(Recipient::Call(id, Box::new(run)), stored);
    }

    /// A worker that has nothing to do and may do this: one of its own, or one that has not begun.
    fn idle_worker(&mut self, work: &Work) -> Option<ClientId> {
        let pool = Pool::of(work);
        if let Some(id) = self.idle.get_mut(&pool).and_then(Vec::pop) {
            return Some(id);
        }
        let unused = Pool { driver: None, env: pool.env.clone() };
        let id = self.idle.get_mut(&unused).and_then(Vec::pop)?;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pool = pool;
        }
        Some(id)
    }

    fn cannot_start(&mut self, attempt: Attempt, why: &str, gpus: &Taken) {
        self.give_gpus(gpus);
        self.post(Event::Ended(attempt, Outcome::Failed(Failure::Crashed(why.into()))));
    }

    /// A call ended by itself.
    pub(super) fn call_ended(&mut self, id: ClientId, attempt: Attempt, outcome: Outcome) {
        let worker = self.workers.get_mut(&id).filter(|worker| worker.running.contains(&attempt));
        let Some(worker) = worker else {
            // It was ended meanwhile, and what it made is nobody's.
            return self.post(Event::Ended(attempt, outcome));
        };
        worker.running.remove(&attempt);
        self.running.remove(&attempt);
        // What it calls may go on after a part of a plan has failed, and so may what that has started.
        let has_failed = worker.has_fragment && !matches!(outcome, Outcome::Values(_));
        worker.is_spent |= has_failed;
        let is_actor = match worker.actor {
            Some(actor) if actor == attempt.task.result(0) => {
                if matches!(outcome, Outcome::Values(_)) {
                    self.actors.insert(actor, id);
                    (worker.is_blocked, worker.lends_cpu) = (false, false);
                    true
                } else {
                    // What its constructor left behind is nobody else's.
                    (worker.actor, worker.is_spent) = (None, true);
                    false
                }
            }
            actor => actor.is_some(),
        };
        if has_failed {
            self.cancel_children(id);
        }
        if !is_actor {
            self.set_idle(id);
        }
        self.post(Event::Ended(attempt, outcome));
    }

    /// A worker has nothing to do; one that has done enough ends.
    fn set_idle(&mut self, id: ClientId) {
        let now = self.now();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        (worker.is_blocked, worker.lends_cpu, worker.has_fragment) = (false, false, false);
        worker.idle_since = now;
        let gpus = std::mem::take(&mut worker.gpus);
        let (pool, is_spent, is_ending) = (worker.pool.clone(), worker.is_spent, worker.ends_by.is_some());
        if let Some(client) = self.clients.get_mut(&id) {
            client.children.clear();
        }
        if is_spent {
            self.retire(id);
        } else if !is_ending {
            self.idle.entry(pool).or_default().push(id);
        }
        self.give_gpus(&gpus);
    }

    /// Tells the node whether what a worker runs waits for objects.
    pub(super) fn tell_blocked(&mut self, id: ClientId) {
        let (Some(client), Some(worker)) = (self.clients.get(&id), self.workers.get_mut(&id)) else { return };
        let is_blocked = client.blocking > 0 || worker.lends_cpu || worker.is_slow;
        if worker.is_blocked == is_blocked {
            return;
        }
        worker.is_blocked = is_blocked;
        for attempt in worker.running.clone() {
            self.post(if is_blocked { Event::Blocked(attempt) } else { Event::Unblocked(attempt) });
        }
    }

    /// Nothing more is given to a worker that may have waited for it.
    fn is_not_idle(&mut self, id: ClientId) {
        if let Some(idle) = self.workers.get(&id).and_then(|worker| self.idle.get_mut(&worker.pool)) {
            idle.retain(|other| *other != id);
        }
    }

    /// Lets a worker end.
    fn retire(&mut self, id: ClientId) {
        let ends_by = self.now() + ENDING_TIME;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.ends_by = Some(ends_by);
        self.is_not_idle(id);
        self.send(id, &ToClient::Exit, Vec::new());
    }

    fn kill(&mut self, id: ClientId) {
        if let Some(zygote) = &self.zygote
            && let Err(error) = zygote.kill(id.0)
        {
            self.lines.say(format!("a worker cannot be killed: {error}"));
        }
    }

    /// A call was not handed over: its function may be unknown to the worker.
    pub(super) fn forget_functions(&mut self, id: ClientId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.functions.clear();
        }
    }

    /// Kills the worker of an attempt that is to be stopped.
    pub(super) fn kill_for(&mut self, id: ClientId, attempt: Attempt) {
        if self.withdraw(attempt) {
            self.forget_functions(id);
            return self.call_ended(id, attempt, Outcome::Failed(Failure::Cancelled));
        }
        let now = self.now();
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.killed_for = Some(attempt);
            worker.ends_by = Some(now);
        }
        self.kill(id);
    }

    /// Ends the worker of an actor.
    pub(super) fn end_actor(&mut self, actor: ObjectId) {
        let Some(id) = self.actors.remove(&actor) else { return };
        let now = self.now();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let is_busy = !worker.running.is_empty();
        for attempt in std::mem::take(&mut worker.running) {
            self.running.remove(&attempt);
        }
        worker.actor = None;
        // Its resources are free for the next one, whose ledger is ahead of the end of this process.
        let gpus = std::mem::take(&mut worker.gpus);
        self.give_gpus(&gpus);
        if is_busy {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.ends_by = Some(now);
            }
            self.kill(id);
        } else {
            self.retire(id);
        }
    }

    /// What a worker printed.
    pub(super) fn read_output(&mut self, id: ClientId, is_error: bool) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        // Without its number a line would pass for the runtime's own: it is told in a moment.
        let Some(pid) = worker.pid else { return };
        let place = usize::from(is_error);
        let Some(pipe) = &mut worker.pipes[place] else { return };
        let (record, mut lines) = (&mut worker.record, Vec::new());
        let goes_on = pipe.read(pid, |line| {
            record.note(&line);
            lines.push(line);
        });
        if !goes_on {
            worker.pipes[place] = None;
        }
        let driver = worker.pool.driver;
        self.tell_driver(driver, lines);
    }

    /// Hands on what workers printed without an end of line.
    fn look_at_output(&mut self) {
        let mut told = Vec::new();
        for worker in self.workers.values_mut() {
            let (record, mut lines, pid) = (&mut worker.record, Vec::new(), worker.pid.unwrap_or(0));
            for pipe in worker.pipes.iter_mut().flatten() {
                pipe.look(pid, |line| {
                    record.note(&line);
                    lines.push(line);
                });
            }
            told.push((worker.pool.driver, lines));
        }
        told.into_iter().for_each(|(driver, lines)| self.tell_driver(driver, lines));
    }

    /// A worker's socket is closed: its process ends, or is ended.
    pub(super) fn worker_hung_up(&mut self, id: ClientId) {
        let until = self.now() + EXIT_TIME;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.has_hung_up = true;
            worker.ends_by = Some(worker.ends_by.map_or(until, |by| by.min(until)));
            self.is_not_idle(id);
        }
    }

    /// Ends workers that nobody needs, and those that should have ended.
    pub(super) fn look_after_workers(&mut self) {
        let now = self.now();
        self.look_after_zygote();
        self.look_at_output();
        self.look_at_setups();
        let late = |worker: &Worker| worker.ends_by.is_some_and(|by| by <= now);
        for id in self.workers.iter().filter(|(_, worker)| late(worker)).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.kill(id);
        }
        let keep = self.options.resources.amount(CPU).max(1.0) as usize;
        let mut idle: Vec<(Moment, ClientId)> =
            (self.idle.values().flatten()).filter_map(|id| Some((self.workers.get(id)?.idle_since, *id))).collect();
        idle.sort_unstable();
        let extra = idle.len().saturating_sub(keep);
        for (since, id) in idle.into_iter().take(extra) {
            if now.since(since) >= IDLE_TIME {
                self.retire(id);
            }
        }
    }
}

/// The ends of a pipe: the one to read does not block.
fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (here, there) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&here, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((here, there))
}

/// An attempt as its worker is told of it, and what it needs out of the store.
fn as_run(
    attempt: Attempt,
    spec: &TaskSpec,
    (payload, work): (Payload, Work),
    values: Vec<(ObjectId, Option<Bytes>)>,
    worker: &mut Worker,
) -> (Run, Vec<ObjectId>) {
    let mut values: BTreeMap<ObjectId, Option<Bytes>> = values.into_iter().collect();
    let (function, needs) = spec.needs.split_at(usize::from(payload.has_function));
    let mut stored = Vec::new();
    let mut given = |object: ObjectId, is_known: bool| {
        let value = match values.remove(&object) {
            Some(_) if is_known => Given::Known,
            Some(Some(bytes)) => Given::Inline(bytes.to_vec().into()),
            Some(None) => {
                stored.push(object);
                Given::Stored { size: 0, edition: 0 }
            }
            // An argument that was given before.
            None => Given::Known,
        };
        (object, value)
    };
    let function = function.first().map(|object| given(*object, !worker.functions.insert(*object)));
    let run = Run {
        attempt,
        actor: spec.call().map(|(actor, _)| (actor, payload.method.unwrap_or_default())),
        makes_actor: match &spec.kind {
            Kind::Actor { concurrency, .. } => Some(*concurrency),
            _ => None,
        },
        function,
        needs: needs.iter().map(|object| given(*object, false)).collect(),
        arguments: payload.arguments,
        returns: spec.returns,
        streams: spec.streams,
        gpus: worker.gpus.ids.clone(),
        fragment: None,
        work,
    };
    (run, stored)
}
