//! Jobs of which no process is ever started.

use super::*;

fn table(running: usize, kept: usize) -> Table {
    let machine = Resources::new([(CPU, 2.0)]).unwrap();
    Table::new(Limits { running, pending: 3, kept }, machine)
}

fn named(id: &str) -> Event {
    asking(id, 0.0)
}

fn asking(id: &str, cpus: f64) -> Event {
    let submission = Submission {
        submission_id: Some(id.to_string()),
        entrypoint: "true".to_string(),
        entrypoint_num_cpus: Some(cpus),
        ..Submission::default()
    };
    Event::Submit(Box::new(submission), "made up".to_string())
}

fn exit(id: &str, code: i32) -> Event {
    Event::Ended(id.to_string(), Ending::Exit(code, "last words".to_string()))
}

fn started(actions: &[Action]) -> Vec<&str> {
    actions.iter().filter_map(|action| if let Action::Start(id) = action { Some(id.as_str()) } else { None }).collect()
}

fn told(table: &Table, id: &str) -> (JobStatus, String) {
    let job = table.job(id).unwrap();
    (job.status, job.message.clone())
}

#[test]
fn a_job_goes_from_pending_over_running_to_how_it_ended() {
    let mut table = table(9, 9);
    let endings = [
        ("good", Ending::Exit(0, String::new()), JobStatus::Succeeded, "exit code 0"),
        (
            "bad",
            Ending::Exit(3, "last words".to_string()),
            JobStatus::Failed,
            "exit code 3; the last that it printed:\nlast",
        ),
        ("killed", Ending::Signal("SIGSEGV".to_string(), String::new()), JobStatus::Failed, "ended by SIGSEGV"),
        ("absent", Ending::NotBegun("no pip".to_string()), JobStatus::Failed, "could not begin: no pip"),
    ];
    for (number, (id, ending, status, words)) in endings.into_iter().enumerate() {
        let actions = table.step(10, named(id)).unwrap();
        assert_eq!(actions, [Action::Save(id.to_string()), Action::Start(id.to_string())]);
        assert_eq!(told(&table, id), (JobStatus::Pending, "its environment is set up".to_string()));
        if id != "absent" {
            assert_eq!(table.step(11, Event::SetUp(id.to_string())).unwrap(), [Action::Save(id.to_string())]);
            assert_eq!(told(&table, id).0, JobStatus::Running);
        }
        let code = if let Ending::Exit(code, _) = ending { Some(code) } else { None };
        assert_eq!(table.step(12, Event::Ended(id.to_string(), ending)).unwrap(), [Action::Save(id.to_string())]);
        let (found, message) = told(&table, id);
        assert!(found == status && message.contains(words), "{found:?} {message}");
        let job = table.job(id).unwrap();
        assert_eq!((job.number, job.start_time, job.end_time, job.exit_code), (number as u64, 10, Some(12), code));
        assert!(table.step(13, exit(id, 1)).unwrap().is_empty(), "it is over");
        assert_eq!(told(&table, id).0, status);
    }
    assert_eq!(table.going(), 0);
}

#[test]
fn a_stop_is_a_wish_first_and_a_kill_after_three_seconds() {
    let mut table = table(1, 9);
    table.step(0, named("a")).unwrap();
    table.step(0, named("waits")).unwrap();
    let stop = |id: &str| Event::Stop(id.to_string());
    let look = || Event::Look("a".to_string());
    assert_eq!(table.step(5, look()).unwrap(), []);
    assert_eq!(table.step(10, stop("a")).unwrap(), [Action::Terminate("a".to_string())]);
    assert_eq!(table.step(11, stop("a")).unwrap(), [], "once is enough");
    assert_eq!(table.step(10 + GRACE - 1, look()).unwrap(), []);
    assert_eq!(table.step(10 + GRACE, look()).unwrap(), [Action::Kill("a".to_string())]);
    assert_eq!(table.step(10 + GRACE + 1, look()).unwrap(), [], "once is enough");

    assert_eq!(table.step(20, stop("waits")).unwrap(), [Action::Save("waits".to_string())]);
    assert_eq!(told(&table, "waits"), (JobStatus::Stopped, "it was stopped before it began".to_string()));
    // However it took the wish.
    table.step(9_000, exit("a", 0)).unwrap();
    assert_eq!(told(&table, "a").0, JobStatus::Stopped);
    assert_eq!(table.step(9_001, stop("a")).unwrap(), []);
    assert_eq!(table.step(0, stop("nobody")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn jobs_wait_in_line_for_processes_and_for_what_they_ask() {
    let mut table = table(2, 9);
    assert_eq!(started(&table.step(0, asking("two", 2.0)).unwrap()), ["two"]);
    assert!(started(&table.step(0, asking("one", 1.0)).unwrap()).is_empty());
    assert!(started(&table.step(0, named("none")).unwrap()).is_empty(), "nobody overtakes");
    assert_eq!(told(&table, "none"), (JobStatus::Pending, "it waits for other jobs to end".to_string()));
    assert!(started(&table.step(0, named("last")).unwrap()).is_empty());
    let refused = table.step(0, named("more")).unwrap_err();
    assert!(refused.kind().is_retryable(), "{refused}");
    let refused = table.step(0, asking("large", 3.0)).unwrap_err();
    assert!(refused.message().contains("CPU 3"), "{refused}");
    assert_eq!(table.step(0, named("one")).unwrap_err().kind(), ErrorKind::AlreadyExists);

    assert_eq!(started(&table.step(1, exit("two", 0)).unwrap()), ["one", "none"]);
    assert_eq!(started(&table.step(2, exit("one", 0)).unwrap()), ["last"]);
    let ids: Vec<_> = table.jobs().iter().map(|job| job.submission_id.clone()).collect();
    assert_eq!(ids, ["two", "one", "none", "last"]);
}

#[test]
fn of_those_that_are_over_the_last_are_kept() {
    let mut table = table(9, 2);
    for (now, id) in ["a", "b", "c"].into_iter().enumerate() {
        table.step(0, named(id)).unwrap();
        let actions = table.step(now as u64, exit(id, 0)).unwrap();
        assert_eq!(actions.contains(&Action::Forget("a".to_string())), id == "c");
    }
    assert!(table.job("a").is_err() && table.job("b").is_ok());
    table.step(9, named("going")).unwrap();
    let delete = |id: &str| Event::Delete(id.to_string());
    assert_eq!(table.step(9, delete("going")).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(table.step(9, delete("b")).unwrap(), [Action::Forget("b".to_string())]);
    assert_eq!(table.step(9, delete("b")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_another_head_left_is_over_or_begins() {
    let mut before = table(1, 9);
    for id in ["over", "going", "waits"] {
        before.step(0, named(id)).unwrap();
        if id == "over" {
            before.step(1, exit(id, 0)).unwrap();
        }
    }
    before.step(2, Event::SetUp("going".to_string())).unwrap();
    let left: Vec<Job> = before.jobs().into_iter().cloned().collect();
    let mut after = table(1, 9);
    let actions = after.restore(7, left);
    let expected = ["going", "waits"].map(|id| Action::Save(id.to_string()));
    assert_eq!(actions[..2], expected);
    assert_eq!(started(&actions), ["waits"]);
    let (status, message) = told(&after, "going");
    assert!(status == JobStatus::Failed && message.contains("head ended while the job ran"), "{message}");
    assert_eq!(told(&after, "over").0, JobStatus::Succeeded);
    after.step(8, exit("waits", 0)).unwrap();
    after.step(8, named("next")).unwrap();
    assert_eq!(after.job("next").unwrap().number, 3);
}

#[test]
fn a_head_that_ends_ends_its_jobs_and_takes_no_more() {
    let mut table = table(1, 9);
    table.step(0, named("going")).unwrap();
    table.step(0, named("waits")).unwrap();
    assert_eq!(table.step(1, Event::HeadEnds).unwrap(), [Action::Terminate("going".to_string())]);
    assert!(started(&table.step(2, exit("going", 143)).unwrap()).is_empty());
    let (status, message) = told(&table, "going");
    assert!(status == JobStatus::Failed && message.contains("the head was ended"), "{message}");
    assert_eq!(told(&table, "waits").0, JobStatus::Pending, "another head may find it");
    assert!(table.step(3, named("more")).is_err());
}

#[test]
fn what_could_not_be_kept_was_never_there() {
    let mut table = table(1, 9);
    table.step(0, asking("a", 2.0)).unwrap();
    table.withdraw("a");
    assert!(table.job("a").is_err());
    assert_eq!(started(&table.step(0, asking("b", 2.0)).unwrap()), ["b"]);
}
