//! What is heard of workers from the process that forks them: that they are there, and how they ended.

use std::sync::Arc;

use nix::sys::signal::Signal;

use super::Worker;
use crate::host;
use crate::ids::ClientId;
use crate::local::Role;
use crate::local::shell::{Shell, Source};
use crate::local::zygote::{Said, Zygote};
use crate::schedule::{Event, Failure, Outcome, Stop};

/// Between two starts of the process of the workers, in milliseconds.
const ZYGOTE_PAUSE: u64 = 1_000;
/// How long the set-up of a worker may take before its CPU is lent to others meanwhile, in milliseconds.
const QUICK_SETUP: u64 = 500;
/// Workers being set up whose CPUs are lent. More of them hold theirs, so that a long line of tasks that want an
/// environment does not become as many processes.
const LENDING_SETUPS: usize = 16;

impl Shell {
    pub(in crate::local) fn hear_zygote(&mut self) {
        let said = self.zygote.as_mut().map(Zygote::read);
        match said {
            Some(Ok(said)) => said.into_iter().for_each(|said| self.hear_of_worker(said)),
            Some(Err(error)) => self.zygote_is_gone(&error),
            None => {}
        }
        self.pump();
    }

    fn hear_of_worker(&mut self, said: Said) {
        match said {
            Said::Forked { forked, pid } => self.worker_is_there(ClientId(forked), pid),
            Said::Failed { failed, error } => {
                let id = ClientId(failed);
                let why: Arc<str> = Arc::from(error);
                let running = self.workers.get(&id).map(|worker| worker.running.clone());
                for attempt in running.unwrap_or_default() {
                    self.call_ended(id, attempt, Outcome::Failed(Failure::Setup(Arc::clone(&why))));
                }
                self.worker_is_gone(id, &why);
            }
            Said::Exited { exited, status } => {
                let worker = self.workers.iter().find(|(_, worker)| worker.pid == Some(exited)).map(|(id, _)| *id);
                if let Some(id) = worker {
                    // What it said last comes first.
                    self.read_client(id);
                    self.read_output(id, false);
                    self.read_output(id, true);
                    let how = self.how_it_ended(status);
                    // Who runs a query has to be told where; of tasks the errors name the process alone.
                    let has_fragment = self.workers.get(&id).is_some_and(|worker| worker.has_fragment);
                    let at = if has_fragment { format!(" on {}", self.place) } else { String::new() };
                    self.worker_is_gone(id, &format!("worker process {exited}{at} {how}"));
                }
            }
        }
    }

    /// What `waitpid` says, in words.
    fn how_it_ended(&mut self, status: i32) -> String {
        let (signal, code) = (status & 0x7f, (status >> 8) & 0xff);
        let Ok(name) = Signal::try_from(signal) else { return format!("ended with exit code {code}") };
        let killed = format!("was killed by signal {signal} ({name})");
        let before = std::mem::replace(&mut self.ended_for_memory, host::ended_for_memory());
        match name == Signal::SIGKILL && self.ended_for_memory > before {
            true => format!("{killed}: the machine, or the container, ran out of memory"),
            false => killed,
        }
    }

    fn worker_is_there(&mut self, id: ClientId, pid: u32) {
        let log = self.logs.as_ref().and_then(|logs| logs.of_worker(pid));
        let Some(worker) = self.workers.get_mut(&id) else { return };
        (worker.pid, worker.is_slow) = (Some(pid), false);
        worker.record.log_to(log);
        self.tell_blocked(id);
    }

    /// Whether a worker is not there yet, for the environment that it is to have.
    pub(in crate::local) fn is_being_set_up(&self, id: ClientId) -> bool {
        self.workers.get(&id).is_some_and(|worker| worker.pid.is_none() && !worker.pool.env.is_empty())
    }

    /// Lends the CPUs of workers whose set-up takes long: other tasks go on meanwhile.
    pub(super) fn look_at_setups(&mut self) {
        let now = self.now();
        let lending = self.workers.values().filter(|worker| worker.is_slow).count();
        let is_late = |worker: &Worker| {
            worker.pid.is_none()
                && !worker.is_slow
                && !worker.running.is_empty()
                && now.since(worker.idle_since) >= QUICK_SETUP
        };
        let late: Vec<ClientId> = (self.workers.iter().filter(|(_, worker)| is_late(worker)).map(|(id, _)| *id))
            .take(LENDING_SETUPS.saturating_sub(lending))
            .collect();
        for id in late {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.is_slow = true;
            }
            self.tell_blocked(id);
        }
    }

    /// The process of a worker is gone: so are its client, and what it ran.
    pub(super) fn worker_is_gone(&mut self, id: ClientId, how: &str) {
        self.cancel_children(id);
        self.remove_client(id);
        self.is_not_idle(id);
        let Some(worker) = self.workers.remove(&id) else { return };
        self.give_gpus(&worker.gpus);
        let why: Arc<str> =
            Arc::from(format!("{} ended with its process: {how}{}", worker.name, told(&worker.record.last_lines())));
        let alive = worker.actor.filter(|actor| self.actors.get(actor) == Some(&id));
        for attempt in &worker.running {
            self.running.remove(attempt);
            let failure = match (worker.killed_for == Some(*attempt), worker.actor) {
                (true, _) => Failure::Cancelled,
                (false, Some(_)) => Failure::ActorDied(Arc::clone(&why)),
                (false, None) => Failure::Crashed(Arc::clone(&why)),
            };
            self.withdraw(*attempt);
            if alive.is_none() {
                self.post(Event::Ended(*attempt, Outcome::Failed(failure)));
            }
        }
        if let Some(actor) = alive {
            self.actors.remove(&actor);
            self.post(Event::ActorGone(actor, Failure::ActorDied(why)));
        }
    }

    /// Stops what a worker has submitted, or a driver, and nobody waits for any more.
    pub(in crate::local) fn cancel_children(&mut self, id: ClientId) {
        // With the driver of a runtime of its own all ends anyhow.
        if self.options.role == Role::Alone && !self.workers.contains_key(&id) {
            return;
        }
        let children = self.clients.get_mut(&id).map(|client| std::mem::take(&mut client.children));
        for child in children.into_iter().flatten() {
            self.post(Event::Cancel(child, Stop { force: true, recursive: true }));
        }
    }

    pub(super) fn zygote_is_gone(&mut self, error: &std::io::Error) {
        self.lines.say(format!("the process of the workers is gone ({error}); a new one is started"));
        self.zygote = None;
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            self.worker_is_gone(id, "its worker ended with the process that forked it");
        }
        self.look_after_zygote();
    }

    /// Starts the process of the workers again if it ended; a while later if it ended as soon as it was there.
    pub(super) fn look_after_zygote(&mut self) {
        if self.zygote.is_some() || !self.wants_zygote || self.now() < self.zygote_starts_at {
            return;
        }
        self.zygote_starts_at = self.now() + ZYGOTE_PAUSE;
        match Zygote::start(&self.options.command) {
            Ok(zygote) => {
                if let Err(error) = self.watch(&zygote.socket, Source::Zygote) {
                    self.lines.say(format!("the process of the workers cannot be heard: {error}"));
                }
                self.zygote = Some(zygote);
            }
            Err(error) => self.lines.say(error.to_string()),
        }
    }
}

fn told(last_lines: &str) -> String {
    if last_lines.is_empty() { String::new() } else { format!("; it printed last:{last_lines}") }
}
