//! A program that registers functions, runs them in processes of its own, and checks what came of that: it has a `main`
//! of its own, since its workers are itself.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "it is a test, with a main of its own"
)]

use std::time::{Duration, Instant};

use sheaf_core::native::{Class, Function, Functions, Method, Runtime, Task};
use sheaf_core::{Error, ErrorKind, Result};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

const PROCESS: Function<(), u32> = Function::named("process");
const SQUARE: Function<i64, i64> = Function::named("square");
const ADD: Function<i64, i64> = Function::named("add");
const COUNT: Function<u64, Vec<u64>> = Function::named("count");
const SUM: Function<(), u64> = Function::named("sum");
const REFUSE: Function<String, ()> = Function::named("refuse");
const PANIC: Function<String, ()> = Function::named("panic");
const NOBODY: Function<String, ()> = Function::named("nobody");
const SLEEP: Function<(), ()> = Function::named("sleep");
const FIBONACCI: Function<u64, u64> = Function::named("fibonacci");
const DIES_ONCE: Function<String, u32> = Function::named("dies once");
const UNTIL_CANCELLED: Function<(), ()> = Function::named("until cancelled");
const COUNTER: Class<i64, Counter> = Class::named("counter");
const COUNTER_ADD: Method<Counter, i64, i64> = Method::named("counter.add");
const COUNTER_DIE: Method<Counter, (), ()> = Method::named("counter.die");

fn fibonacci(task: &Task, n: u64) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let parts = [n - 1, n - 2].map(|n| task.call(FIBONACCI).submit(&n));
    let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(task.get_all(&parts, PATIENCE)?.iter().sum())
}

fn dies_once(_: &Task, path: String) -> Result<u32> {
    let times = std::fs::read_to_string(&path).unwrap_or_default().len();
    std::fs::write(&path, "x".repeat(times + 1)).map_err(Error::from)?;
    if times == 0 {
        std::process::abort();
    }
    Ok(std::process::id())
}

fn until_cancelled(task: &Task, (): ()) -> Result<()> {
    while !task.is_cancelled() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

struct Counter {
    total: i64,
}

fn functions() -> Functions {
    Functions::new()
        .function(PROCESS, |_, ()| Ok(std::process::id()))
        .function(SQUARE, |_, x| Ok(x * x))
        .function(ADD, |task, by| Ok(task.input::<i64>(0)? + task.input::<i64>(1)? + by))
        .function(SUM, |task, ()| Ok(task.input::<Vec<u64>>(0)?.iter().sum::<u64>()))
        .function(COUNT, |_, to| Ok((0..to).collect::<Vec<u64>>()))
        .function(REFUSE, |_, why| Err(Error::invalid(why)))
        .function(PANIC, |_, why| panic!("{why}"))
        .function(SLEEP, |_, ()| {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        })
        .function(FIBONACCI, fibonacci)
        .function(DIES_ONCE, dies_once)
        .function(UNTIL_CANCELLED, until_cancelled)
        .actor(COUNTER, |_, total| Ok(Counter { total }))
        .method(COUNTER_ADD, |counter, _, by| {
            counter.total += by;
            Ok(counter.total)
        })
        .method(COUNTER_DIE, |_, _, ()| std::process::abort())
}

fn tasks_run_in_other_processes(runtime: &Runtime) -> Result<()> {
    let process = runtime.call(PROCESS).submit(&())?;
    assert_ne!(runtime.get(&process, PATIENCE)?, std::process::id());
    let squares = (0..100).map(|x| runtime.call(SQUARE).submit(&x)).collect::<Result<Vec<_>>>()?;
    assert_eq!(runtime.get_all(&squares, PATIENCE)?, (0..100).map(|x| x * x).collect::<Vec<i64>>());
    let sum = runtime.call(ADD).input(&squares[3]).input(&runtime.put(&4_i64)?).submit(&2)?;
    assert_eq!(runtime.get(&sum, PATIENCE)?, 15);
    let numbers = runtime.call(COUNT).submit(&1_000_000)?;
    let total = runtime.call(SUM).input(&numbers).submit(&())?;
    assert_eq!(runtime.get(&total, PATIENCE)?, 499_999_500_000);
    let fibonacci = runtime.call(FIBONACCI).submit(&10)?;
    assert_eq!(runtime.get(&fibonacci, PATIENCE)?, 55);
    Ok(())
}

fn failures_say_what_and_where(runtime: &Runtime) -> Result<()> {
    let told = |function: Function<String, ()>, arguments: &str| {
        let failed = runtime.call(function).submit(&arguments.to_string())?;
        Ok::<_, Error>(runtime.get(&failed, PATIENCE).unwrap_err())
    };
    let refused = told(REFUSE, "the reason")?;
    assert!(refused.kind() == ErrorKind::UserFunction && refused.to_string().contains("the reason"), "{refused}");
    assert!(told(PANIC, "the words")?.to_string().contains("it panicked: the words"));
    assert!(told(NOBODY, "")?.to_string().contains("no function \"nobody\""));
    let wrong = runtime.call(ADD).input(&runtime.put(&1_u8)?).input(&runtime.put(&1_i64)?).submit(&1)?;
    assert!(runtime.get(&wrong, PATIENCE).unwrap_err().to_string().contains("of the type u8, and not i64"));
    let without = runtime.call(ADD).submit(&1)?;
    assert!(runtime.get(&without, PATIENCE).unwrap_err().to_string().contains("no input 0"));
    let slow = runtime.call(SLEEP).submit(&())?;
    let late = runtime.get(&slow, Some(Duration::from_millis(200))).unwrap_err();
    assert!(late.kind() == ErrorKind::Io && late.to_string().contains("not there after 0.2 s"), "{late}");
    assert_eq!(runtime.wait(std::slice::from_ref(&slow), 1, Some(Duration::ZERO))?, [false]);
    runtime.cancel(&slow, true)?;
    assert_eq!(runtime.get(&slow, PATIENCE).unwrap_err().kind(), ErrorKind::Cancelled);
    let asks = runtime.call(UNTIL_CANCELLED).submit(&())?;
    std::thread::sleep(Duration::from_millis(300));
    runtime.cancel(&asks, false)?;
    let _ = runtime.get(&asks, PATIENCE);
    Ok(())
}

fn a_task_whose_process_dies_runs_again(runtime: &Runtime) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let again = runtime.call(DIES_ONCE).submit(&path("again"))?;
    assert_ne!(runtime.get(&again, PATIENCE)?, std::process::id());
    let never = runtime.call(DIES_ONCE).retries(0).submit(&path("never"))?;
    let crashed = runtime.get(&never, PATIENCE).unwrap_err();
    assert!(crashed.to_string().contains("SIGABRT"), "{crashed}");
    Ok(())
}

fn actors_keep_their_state_and_begin_anew(runtime: &Runtime) -> Result<()> {
    let counter = runtime.actor(COUNTER).cpus(0.0).retries(1).create(&10)?;
    let add = |by: i64| runtime.call_of(&counter, COUNTER_ADD).submit(&by);
    let counts = (0..50).map(|_| add(1)).collect::<Result<Vec<_>>>()?;
    assert_eq!(runtime.get_all(&counts, PATIENCE)?, (11..=60).collect::<Vec<i64>>());
    let died = runtime.call_of(&counter, COUNTER_DIE).submit(&())?;
    assert!(runtime.get(&died, PATIENCE).unwrap_err().to_string().contains("SIGABRT"));
    assert_eq!(runtime.get(&add(1)?, PATIENCE)?, 11, "it was made anew");
    runtime.kill(&counter)?;
    assert!(runtime.get(&add(1)?, PATIENCE).is_err());
    let never = runtime.actor(Class::<(), Counter>::named("nobody")).create(&())?;
    let failed = runtime.get(&runtime.call_of(&never, COUNTER_ADD).submit(&1)?, PATIENCE);
    assert!(failed.unwrap_err().to_string().contains("no actor \"nobody\""));
    Ok(())
}

fn nothing_is_left(runtime: Runtime) {
    let own = std::process::id();
    let children = || std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    assert_ne!(children(), "");
    runtime.shutdown();
    drop(runtime);
    let until = Instant::now() + Duration::from_secs(5);
    while !children().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(children(), "");
}

fn main() -> Result<()> {
    functions().serve();
    let runtime = Runtime::start(2)?;
    tasks_run_in_other_processes(&runtime)?;
    failures_say_what_and_where(&runtime)?;
    a_task_whose_process_dies_runs_again(&runtime)?;
    actors_keep_their_state_and_begin_anew(&runtime)?;
    nothing_is_left(runtime);
    Ok(())
}
