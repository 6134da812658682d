//! The worker processes of one function in one run, decided without starting any: which there are, what each does, and
//! what its end, its silence or its memory means for the calls that it had.
//!
//! [`Pool::step`] is told what has happened and says what to do. It knows calls and workers by numbers; batches,
//! processes and clocks are of whoever drives it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use sheaf_core::env::Moment;

/// Idle workers beyond the least number end after this.
const IDLE_MILLIS: u64 = 10_000;
/// Workers that are not ready after this are told of. Users are promised to hear within five seconds.
const UNREADY_MILLIS: u64 = 3_500;
/// A call that takes less is quick.
const QUICK_MILLIS: u64 = 10;
/// As often in a row may a worker end before it is ready, until the function is taken for one that cannot start.
const MOST_FAILED_STARTS: u32 = 3;

/// A worker, by the order in which they are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// A call, by the order in which they are made. One that is made again is another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What a pool is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Workers that are there from the start to the end.
    pub min_workers: usize,
    /// Workers at the most, while calls wait.
    pub max_workers: usize,
    /// Calls that a worker runs at once.
    pub concurrency: usize,
    /// Calls that wait in a worker behind those that run, so that it does not wait for its next one.
    pub ahead: usize,
    /// The same while calls are quick: then more are on their way, and none waits long for another worker's end.
    pub ahead_of_quick: usize,
    /// How long a call may run.
    pub timeout_millis: Option<u64>,
    /// Bytes that a worker may have.
    pub memory: Option<u64>,
    /// After so long without a call that ends it is told what the workers do.
    pub stall_millis: u64,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed, or the pool is there from now on.
    Tick,
    /// There is a call to be made.
    Called(CallId),
    /// Nobody waits for a call any more.
    Forgotten(CallId),
    /// A worker can take calls.
    Ready(WorkerId),
    /// A worker says that it can never take any: the function cannot be made.
    Unable(WorkerId),
    /// A call has ended, well or with an error of the function's.
    Returned(WorkerId, CallId),
    /// A worker has ended by itself.
    Ended(WorkerId),
    /// The bytes that workers have now.
    Resident(Vec<(WorkerId, u64)>),
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start this worker.
    Start(WorkerId),
    /// End it, whatever it does; it is not heard of again.
    Stop(WorkerId),
    /// Let this worker make this call.
    Make(WorkerId, CallId),
    /// Give its results to who waits for this call.
    Deliver(CallId),
    /// This call has failed.
    Fail(CallId, Loss),
    /// No worker can be made: every call fails, and each that comes.
    Break(WorkerId),
    /// Tell that these workers are not ready, and so many are.
    TellUnready(Vec<WorkerId>, usize),
    /// Tell that nothing has ended for a while: what runs where since when, and how many calls wait.
    TellStall(Vec<(WorkerId, CallId, u64)>, usize),
}

/// Why a call was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Its worker ended.
    Crashed(WorkerId),
    /// It took too long.
    TimedOut,
    /// Its worker had so many bytes.
    OutOfMemory(u64),
}

#[derive(Debug)]
struct Worker {
    is_ready: bool,
    started: Moment,
    /// Since when it has had no call.
    idle: Moment,
    /// Its calls in order, each since when it runs; those that wait in it have no time.
    calls: VecDeque<(CallId, Option<Moment>)>,
    is_told: bool,
}

/// The state of a pool.
#[derive(Debug)]
pub struct Pool {
    options: PoolOptions,
    workers: BTreeMap<WorkerId, Worker>,
    waiting: VecDeque<CallId>,
    next_worker: u64,
    failed_starts: u32,
    is_broken: bool,
    /// Whether the call that ended last was quick.
    is_quick: bool,
    /// When a call last ended or began to run where none did.
    progress: Moment,
    is_stall_told: bool,
}

impl Pool {
    /// A pool without workers; the first [`Event::Tick`] starts them.
    #[must_use]
    pub fn new(options: PoolOptions) -> Self {
        Self {
            options,
            workers: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_worker: 0,
            failed_starts: 0,
            is_broken: false,
            is_quick: false,
            progress: Moment(0),
            is_stall_told: false,
        }
    }

    /// What to do now that this has happened.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => self.look_at_times(now, &mut actions),
            Event::Called(call) => self.waiting.push_back(call),
            Event::Forgotten(call) => self.waiting.retain(|waiting| *waiting != call),
            Event::Ready(id) => self.ready(now, id),
            Event::Unable(id) => self.break_down(id, &mut actions),
            Event::Returned(worker, call) => self.returned(now, worker, call, &mut actions),
            Event::Ended(id) => self.ended(id, &mut actions),
            Event::Resident(all) => self.look_at_memory(&all, &mut actions),
        }
        if !self.is_broken {
            self.start_workers(now, &mut actions);
            self.hand_out(now, &mut actions);
        }
        actions
    }

    /// Workers that are ready.
    #[must_use]
    pub fn ready_workers(&self) -> usize {
        self.workers.values().filter(|worker| worker.is_ready).count()
    }

    /// Calls that no worker has yet.
    #[must_use]
    pub fn waiting_calls(&self) -> usize {
        self.waiting.len()
    }

    fn ready(&mut self, now: Moment, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            (worker.is_ready, worker.idle) = (true, now);
            (self.failed_starts, self.progress) = (0, now);
        }
    }

    fn returned(&mut self, now: Moment, id: WorkerId, call: CallId, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(place) = worker.calls.iter().position(|(its, _)| *its == call) else { return };
        let since = worker.calls.remove(place).and_then(|(_, since)| since);
        self.is_quick = since.is_some_and(|since| now.since(since) < QUICK_MILLIS);
        worker.idle = now;
        worker.run(now, self.options.concurrency);
        (self.progress, self.is_stall_told) = (now, false);
        actions.push(Action::Deliver(call));
    }

    /// A worker is gone: the calls that it ran are lost, those that waited in it are for others.
    fn lose(&mut self, id: WorkerId, mut loss: impl FnMut(CallId) -> Option<Loss>, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.remove(&id) else { return };
        for (call, since) in worker.calls.into_iter().rev() {
            match since.and_then(|_| loss(call)) {
                Some(loss) => actions.push(Action::Fail(call, loss)),
                None => self.waiting.push_front(call),
            }
        }
    }

    fn ended(&mut self, id: WorkerId, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get(&id) else { return };
        if !worker.is_ready {
            self.failed_starts += 1;
            if self.failed_starts >= MOST_FAILED_STARTS {
                self.break_down(id, actions);
                return;
            }
        }
        self.lose(id, |_| Some(Loss::Crashed(id)), actions);
    }

    /// The function cannot be made anywhere.
    fn break_down(&mut self, id: WorkerId, actions: &mut Vec<Action>) {
        if self.workers.contains_key(&id) && !self.is_broken {
            self.is_broken = true;
            actions.push(Action::Break(id));
            actions.extend(std::mem::take(&mut self.workers).into_keys().map(Action::Stop));
            self.waiting.clear();
        }
    }

    fn look_at_memory(&mut self, resident: &[(WorkerId, u64)], actions: &mut Vec<Action>) {
        let Some(limit) = self.options.memory else { return };
        let largest = resident.iter().filter(|(id, bytes)| *bytes > limit && self.workers.contains_key(id));
        if let Some((id, bytes)) = largest.max_by_key(|(_, bytes)| *bytes) {
            actions.push(Action::Stop(*id));
            self.lose(*id, |_| Some(Loss::OutOfMemory(*bytes)), actions);
        }
    }

    fn look_at_times(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let late = |since: Option<Moment>| {
            let limit = self.options.timeout_millis;
            since.zip(limit).is_some_and(|(since, limit)| now.since(since) >= limit)
        };
        let late: Vec<(WorkerId, Vec<CallId>)> = self
            .workers
            .iter()
            .map(|(id, worker)| {
                let calls = worker.calls.iter().filter(|(_, since)| late(*since)).map(|(call, _)| *call);
                (*id, calls.collect::<Vec<_>>())
            })
            .filter(|(_, calls)| !calls.is_empty())
            .collect();
        for (id, calls) in late {
            actions.push(Action::Stop(id));
            self.lose(id, |call| calls.contains(&call).then_some(Loss::TimedOut), actions);
        }
        let idle =
            |worker: &Worker| worker.is_ready && worker.calls.is_empty() && now.since(worker.idle) >= IDLE_MILLIS;
        let spare = self.workers.len().saturating_sub(self.options.min_workers);
        let idle: Vec<_> =
            self.workers.iter().rev().filter(|(_, worker)| idle(worker)).map(|(id, _)| *id).take(spare).collect();
        for id in idle.into_iter().filter(|_| self.waiting.is_empty()) {
            self.workers.remove(&id);
            actions.push(Action::Stop(id));
        }
        self.tell(now, actions);
    }

    fn tell(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let unready = |worker: &Worker| !worker.is_ready && now.since(worker.started) >= UNREADY_MILLIS;
        if self.workers.values().any(|worker| unready(worker) && !worker.is_told) {
            let mut ids = Vec::new();
            for (id, worker) in self.workers.iter_mut().filter(|(_, worker)| unready(worker)) {
                worker.is_told = true;
                ids.push(*id);
            }
            actions.push(Action::TellUnready(ids, self.ready_workers()));
        }
        let running = self.workers.iter().flat_map(|(id, worker)| {
            let running = worker.calls.iter().filter_map(|(call, since)| Some((*call, (*since)?)));
            running.map(|(call, since)| (*id, call, now.since(since)))
        });
        let running: Vec<_> = running.collect();
        if !running.is_empty() && !self.is_stall_told && now.since(self.progress) >= self.options.stall_millis {
            self.is_stall_told = true;
            actions.push(Action::TellStall(running, self.waiting.len()));
        }
    }

    /// Those that are always there, and one more while calls wait and none is on its way.
    fn start_workers(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let start = |pool: &mut Self, actions: &mut Vec<Action>| {
            let id = WorkerId(pool.next_worker);
            pool.next_worker += 1;
            let worker = Worker { is_ready: false, started: now, idle: now, calls: VecDeque::new(), is_told: false };
            pool.workers.insert(id, worker);
            actions.push(Action::Start(id));
        };
        while self.workers.len() < self.options.min_workers {
            start(self, actions);
        }
        let is_full = |worker: &Worker| worker.is_ready && worker.calls.len() >= self.options.concurrency;
        if !self.waiting.is_empty()
            && self.workers.len() < self.options.max_workers
            && self.workers.values().all(is_full)
        {
            start(self, actions);
        }
    }

    /// Calls go, in their order, to the workers that have the fewest.
    fn hand_out(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let ahead = if self.is_quick { self.options.ahead_of_quick } else { self.options.ahead };
        let most = self.options.concurrency + ahead;
        while !self.waiting.is_empty() {
            let free = self.workers.iter_mut().filter(|(_, worker)| worker.is_ready && worker.calls.len() < most);
            let Some((id, worker)) = free.min_by_key(|(_, worker)| worker.calls.len()) else { return };
            let Some(call) = self.waiting.pop_front() else { return };
            if worker.calls.is_empty() {
                (self.progress, self.is_stall_told) = (now, false);
            }
            worker.calls.push_back((call, None));
            worker.run(now, self.options.concurrency);
            actions.push(Action::Make(*id, call));
        }
    }
}

impl Worker {
    /// The first of its calls run from now on, those that do not run yet.
    fn run(&mut self, now: Moment, concurrency: usize) {
        for (_, since) in self.calls.iter_mut().take(concurrency) {
            since.get_or_insert(now);
        }
    }
}
