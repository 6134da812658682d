//! Pools in a simulated world: workers that are slow, die, hang and grow, for thousands of seeds.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_core::env::Random;

use super::*;

fn options() -> PoolOptions {
    PoolOptions {
        min_workers: 2,
        max_workers: 2,
        concurrency: 1,
        ahead: 1,
        ahead_of_quick: 1,
        timeout_millis: None,
        memory: None,
        stall_millis: 60_000,
    }
}

fn started(pool: &mut Pool) {
    assert_eq!(
        pool.step(Moment(0), Event::Tick),
        [Action::Start(WorkerId(0)), Action::Start(WorkerId(1))],
        "it starts at full size"
    );
    assert_eq!(pool.step(Moment(1), Event::Ready(WorkerId(0))), []);
    assert_eq!(pool.step(Moment(1), Event::Ready(WorkerId(1))), []);
}

/// Workers that do what a seed says, and the calls that are made of them.
struct World {
    random: Random,
    now: Moment,
    /// Living workers: when each is ready, and the calls that it has.
    workers: BTreeMap<WorkerId, (Moment, bool, VecDeque<CallId>)>,
    delivered: Vec<CallId>,
    failed: Vec<(CallId, Loss)>,
    most_workers: usize,
    most_calls: usize,
}

impl World {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(id) => {
                    let ready = self.now + self.random.below(400);
                    assert!(self.workers.insert(id, (ready, false, VecDeque::new())).is_none(), "{id:?} started twice");
                    self.most_workers = self.most_workers.max(self.workers.len());
                }
                Action::Stop(id) => {
                    assert!(self.workers.remove(&id).is_some(), "{id:?} is not there to be stopped");
                }
                Action::Make(id, call) => {
                    let worker = self.workers.get_mut(&id).expect("a call for a worker that lives");
                    assert!(worker.1, "a call for a worker that is not ready");
                    worker.2.push_back(call);
                    self.most_calls = self.most_calls.max(worker.2.len());
                }
                Action::Deliver(call) => self.delivered.push(call),
                Action::Fail(call, loss) => self.failed.push((call, loss)),
                Action::Break(_) => panic!("nothing is wrong with the function"),
                Action::TellUnready(..) | Action::TellStall(..) => {}
            }
        }
    }

    /// Something happens.
    fn event(&mut self) -> Event {
        self.now = self.now + self.random.below(60);
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        let Some(id) = ids.get(self.random.below(ids.len() as u64 + 1) as usize).copied() else { return Event::Tick };
        let worker = self.workers.get_mut(&id).expect("it was listed");
        if !worker.1 {
            worker.1 = worker.0 <= self.now;
            return if worker.1 { Event::Ready(id) } else { Event::Tick };
        }
        match self.random.below(20) {
            0 => {
                self.workers.remove(&id);
                Event::Ended(id)
            }
            1 => Event::Resident(vec![(id, self.random.below(120))]),
            // It hangs, or has nothing to do.
            2..=5 => Event::Tick,
            _ => worker.2.pop_front().map_or(Event::Tick, |call| Event::Returned(id, call)),
        }
    }
}

fn simulate(seed: u64) -> (Vec<CallId>, Vec<(CallId, Loss)>) {
    let mut random = Random::new(seed);
    let min_workers = random.below(3) as usize + 1;
    let options = PoolOptions {
        min_workers,
        max_workers: min_workers + random.below(3) as usize,
        concurrency: random.below(3) as usize + 1,
        ahead: random.below(2) as usize,
        ahead_of_quick: random.below(4) as usize,
        timeout_millis: (random.below(2) == 0).then_some(500),
        memory: (random.below(2) == 0).then_some(100),
        stall_millis: 2_000,
    };
    let mut pool = Pool::new(options.clone());
    let mut world = World {
        random,
        now: Moment(0),
        workers: BTreeMap::new(),
        delivered: Vec::new(),
        failed: Vec::new(),
        most_workers: 0,
        most_calls: 0,
    };
    let started = pool.step(world.now, Event::Tick);
    assert_eq!(started.len(), options.min_workers, "seed {seed}: it starts at full size");
    world.perform(started);
    let calls = 40;
    let mut made = 0;
    for turn in 0.. {
        assert!(turn < 20_000, "seed {seed}: {} of {calls} calls ended", world.delivered.len() + world.failed.len());
        if made < calls && world.random.below(3) == 0 {
            world.perform(pool.step(world.now, Event::Called(CallId(made))));
            made += 1;
        }
        let event = world.event();
        world.perform(pool.step(world.now, event));
        if world.delivered.len() + world.failed.len() == calls as usize {
            break;
        }
    }
    assert!(world.most_workers <= options.max_workers, "seed {seed}");
    let ahead = options.ahead.max(options.ahead_of_quick);
    assert!(world.most_calls <= options.concurrency + ahead, "seed {seed}");
    let ended: BTreeSet<_> = world.delivered.iter().chain(world.failed.iter().map(|(call, _)| call)).collect();
    assert_eq!(ended.len(), calls as usize, "seed {seed}: each call ends once");
    assert!(options.timeout_millis.is_some() || !world.failed.iter().any(|(_, loss)| *loss == Loss::TimedOut));
    (world.delivered, world.failed)
}

#[test]
fn each_call_ends_once_whatever_the_workers_do() {
    for seed in 0..2_000 {
        simulate(seed);
    }
    assert_eq!(simulate(7), simulate(7), "a seed decides all");
}

#[test]
fn a_crash_costs_the_call_that_ran_and_not_those_that_waited() {
    let mut pool = Pool::new(options());
    started(&mut pool);
    for call in 0..4 {
        pool.step(Moment(2), Event::Called(CallId(call)));
    }
    // Calls 0 and 2 are the first worker's, and 0 runs.
    let actions = pool.step(Moment(3), Event::Ended(WorkerId(0)));
    assert_eq!(actions, [Action::Fail(CallId(0), Loss::Crashed(WorkerId(0))), Action::Start(WorkerId(2))]);
    assert_eq!(pool.step(Moment(4), Event::Ready(WorkerId(2))), [Action::Make(WorkerId(2), CallId(2))]);
    assert_eq!(pool.step(Moment(5), Event::Returned(WorkerId(0), CallId(0))), [], "it is not heard any more");
}

#[test]
fn time_runs_from_when_a_call_runs() {
    let mut pool = Pool::new(PoolOptions { min_workers: 1, max_workers: 1, timeout_millis: Some(100), ..options() });
    pool.step(Moment(0), Event::Tick);
    pool.step(Moment(0), Event::Ready(WorkerId(0)));
    pool.step(Moment(0), Event::Called(CallId(0)));
    pool.step(Moment(0), Event::Called(CallId(1)));
    pool.step(Moment(90), Event::Returned(WorkerId(0), CallId(0)));
    assert_eq!(pool.step(Moment(150), Event::Tick), [], "the second call has run for 60");
    let actions = pool.step(Moment(190), Event::Tick);
    assert_eq!(
        actions,
        [Action::Stop(WorkerId(0)), Action::Fail(CallId(1), Loss::TimedOut), Action::Start(WorkerId(1))]
    );
}

#[test]
fn the_largest_worker_over_the_limit_is_stopped() {
    let mut pool = Pool::new(PoolOptions { memory: Some(100), ..options() });
    started(&mut pool);
    pool.step(Moment(2), Event::Called(CallId(0)));
    pool.step(Moment(2), Event::Called(CallId(1)));
    let resident = vec![(WorkerId(0), 101), (WorkerId(1), 150)];
    let actions = pool.step(Moment(3), Event::Resident(resident));
    let expected =
        [Action::Stop(WorkerId(1)), Action::Fail(CallId(1), Loss::OutOfMemory(150)), Action::Start(WorkerId(2))];
    assert_eq!(actions, expected);
}

#[test]
fn a_pool_grows_while_calls_wait_and_shrinks_when_none_do() {
    let mut pool = Pool::new(PoolOptions { min_workers: 1, max_workers: 2, ahead: 0, ..options() });
    assert_eq!(pool.step(Moment(0), Event::Tick), [Action::Start(WorkerId(0))]);
    pool.step(Moment(0), Event::Called(CallId(0)));
    assert_eq!(pool.step(Moment(1), Event::Ready(WorkerId(0))), [Action::Make(WorkerId(0), CallId(0))]);
    assert_eq!(pool.step(Moment(1), Event::Called(CallId(1))), [Action::Start(WorkerId(1))]);
    pool.step(Moment(2), Event::Ready(WorkerId(1)));
    pool.step(Moment(3), Event::Returned(WorkerId(0), CallId(0)));
    pool.step(Moment(3), Event::Returned(WorkerId(1), CallId(1)));
    assert_eq!(pool.step(Moment(3 + IDLE_MILLIS), Event::Tick), [Action::Stop(WorkerId(1))]);
    assert_eq!(pool.step(Moment(4 + 2 * IDLE_MILLIS), Event::Tick), [], "the least number stays");
}

#[test]
fn what_cannot_start_is_told_and_what_dies_at_its_start_ends_the_pool() {
    let mut pool = Pool::new(options());
    pool.step(Moment(0), Event::Tick);
    pool.step(Moment(1), Event::Ready(WorkerId(0)));
    let told = pool.step(Moment(UNREADY_MILLIS), Event::Tick);
    assert_eq!(told, [Action::TellUnready(vec![WorkerId(1)], 1)]);
    assert_eq!(pool.step(Moment(2 * UNREADY_MILLIS), Event::Tick), [], "once");

    let mut pool = Pool::new(PoolOptions { min_workers: 1, max_workers: 1, ..options() });
    pool.step(Moment(0), Event::Tick);
    for start in 0..2 {
        assert_eq!(pool.step(Moment(1), Event::Ended(WorkerId(start))), [Action::Start(WorkerId(start + 1))]);
    }
    let broken = pool.step(Moment(1), Event::Ended(WorkerId(2)));
    assert_eq!(broken, [Action::Break(WorkerId(2)), Action::Stop(WorkerId(2))]);
    assert_eq!(pool.step(Moment(2), Event::Tick), []);
}

#[test]
fn more_calls_go_ahead_while_they_are_quick() {
    let mut pool = Pool::new(PoolOptions { min_workers: 1, max_workers: 1, ahead_of_quick: 3, ..options() });
    pool.step(Moment(0), Event::Tick);
    pool.step(Moment(0), Event::Ready(WorkerId(0)));
    let made = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Make(..))).count();
    let called: usize = (0..9).map(|call| made(&pool.step(Moment(0), Event::Called(CallId(call))))).sum();
    assert_eq!(called, 2, "one that runs, and one ahead");
    assert_eq!(made(&pool.step(Moment(QUICK_MILLIS - 1), Event::Returned(WorkerId(0), CallId(0)))), 3);
    let slow = Moment(3 * QUICK_MILLIS);
    assert_eq!(made(&pool.step(slow, Event::Returned(WorkerId(0), CallId(1)))), 0, "four were made, and are enough");
}

#[test]
fn a_stall_is_told_once_until_something_ends() {
    let mut pool = Pool::new(PoolOptions { stall_millis: 1_000, ..options() });
    started(&mut pool);
    pool.step(Moment(10), Event::Called(CallId(0)));
    assert_eq!(pool.step(Moment(900), Event::Tick), []);
    let told = pool.step(Moment(1_010), Event::Tick);
    assert_eq!(told, [Action::TellStall(vec![(WorkerId(0), CallId(0), 1_000)], 0)]);
    assert_eq!(pool.step(Moment(5_000), Event::Tick), []);
    pool.step(Moment(5_001), Event::Returned(WorkerId(0), CallId(0)));
    assert_eq!(pool.step(Moment(9_000), Event::Tick), [], "nothing runs");
}
