//! Jobs with processes of their own, run by a shell in the place of Python.

use std::path::Path;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::*;
use crate::ErrorKind;
use crate::state::MemoryStore;

const PATIENCE: Duration = Duration::from_secs(20);

fn start_with(store: &Arc<MemoryStore>, log_dir: Option<&Path>, command: &[&str]) -> Arc<Jobs> {
    let options = JobsOptions {
        command: command.iter().map(ToString::to_string).collect(),
        variables: vec![("SHEAF_ADDRESS".to_string(), "sheaf://here:1".to_string())],
        machine: Resources::new([("CPU", 1.0)]).unwrap(),
        store: Arc::clone(store) as _,
        log_dir: log_dir.map(Path::to_path_buf),
        running: JobsOptions::RUNNING,
    };
    Jobs::start(options).unwrap()
}

fn start() -> Arc<Jobs> {
    start_with(&Arc::default(), None, &["sh", "-c"])
}

fn asked(id: &str, entrypoint: &str) -> Submission {
    Submission { submission_id: Some(id.to_string()), entrypoint: entrypoint.to_string(), ..Submission::default() }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it does not come to this: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ended(jobs: &Jobs, id: &str) -> Job {
    until("its end", || jobs.job(id).unwrap().status.is_terminal());
    jobs.job(id).unwrap()
}

fn printed(jobs: &Jobs, id: &str) -> String {
    String::from_utf8(jobs.log(id, 0, 1 << 20).unwrap().1.bytes).unwrap()
}

/// The numbers of processes that a job printed, one in each line.
fn pids(jobs: &Jobs, id: &str, count: usize) -> Vec<Pid> {
    until("its processes", || printed(jobs, id).lines().count() >= count);
    printed(jobs, id).lines().map(|line| Pid::from_raw(line.parse().unwrap())).collect()
}

fn lives(process: Pid) -> bool {
    // One that nobody waited for yet is as good as gone.
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    kill(process, None).is_ok() && !status.contains(") Z ")
}

#[test]
fn an_entry_point_runs_with_its_variables_and_its_output_is_kept() {
    let jobs = start();
    let mut changes = jobs.changes();
    let entrypoint = "echo $SHEAF_JOB_ID at $SHEAF_ADDRESS; echo $SHEAF_JOB_RUNTIME_ENV >&2";
    let mut submission = asked("first", entrypoint);
    submission.runtime_env = serde_json::from_str(r#"{"pip": ["x"]}"#).unwrap();
    let told = jobs.submit(submission).unwrap();
    assert_eq!((told.status, told.submission_id.as_str()), (JobStatus::Pending, "first"));
    let job = ended(&jobs, "first");
    assert_eq!((job.status, job.exit_code), (JobStatus::Succeeded, Some(0)));
    assert!(job.end_time.unwrap() >= job.start_time);
    assert_eq!(printed(&jobs, "first"), "first at sheaf://here:1\n{\"pip\":[\"x\"]}\n");
    assert_eq!(jobs.log("first", 9, 5).unwrap().1, LogPart { from: 9, bytes: b"sheaf".to_vec(), end: 38 });
    assert!(changes.has_changed().unwrap() && *changes.borrow_and_update() > 2);

    let unnamed = Submission { entrypoint: "echo out; exit 7".to_string(), ..Submission::default() };
    let name = jobs.submit(unnamed).unwrap().submission_id;
    assert!(name.starts_with(PREFIX) && name.len() == PREFIX.len() + NAME_CHARACTERS, "{name}");
    let job = ended(&jobs, &name);
    assert_eq!((job.status, job.exit_code), (JobStatus::Failed, Some(7)));
    assert!(job.message.ends_with("printed:\nout"), "{}", job.message);
    assert_eq!(jobs.list().len(), 2);
    jobs.delete("first").unwrap();
    assert_eq!(jobs.log("first", 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
    jobs.shutdown();
}

#[test]
fn a_stop_ends_all_processes_of_a_job_also_those_that_will_not() {
    let jobs = start();
    jobs.submit(asked("willing", "sleep 60 & echo $!; echo $$; wait")).unwrap();
    let willing = pids(&jobs, "willing", 2);
    assert_eq!(jobs.job("willing").unwrap().status, JobStatus::Running);
    assert!(jobs.stop("willing").unwrap());
    assert_eq!(ended(&jobs, "willing").status, JobStatus::Stopped);
    until("no process", || !willing.iter().any(|process| lives(*process)));
    assert!(!jobs.stop("willing").unwrap(), "it is over");

    jobs.submit(asked("unwilling", "trap '' TERM; echo $$; while :; do sleep 0.1; done")).unwrap();
    let unwilling = pids(&jobs, "unwilling", 1);
    let begun = Instant::now();
    jobs.stop("unwilling").unwrap();
    assert_eq!(ended(&jobs, "unwilling").status, JobStatus::Stopped);
    assert!(begun.elapsed() >= Duration::from_millis(GRACE - 100), "{:?}", begun.elapsed());
    until("no process", || !lives(unwilling[0]));
    assert_eq!(jobs.stop("nobody").unwrap_err().kind(), ErrorKind::NotFound);
    jobs.shutdown();
}

#[test]
fn what_an_entry_point_leaves_behind_ends_with_it() {
    let jobs = start();
    jobs.submit(asked("leaves", "sleep 60 & echo $!")).unwrap();
    assert_eq!(ended(&jobs, "leaves").status, JobStatus::Succeeded);
    let left = pids(&jobs, "leaves", 1);
    until("no process", || !lives(left[0]));
    jobs.shutdown();
}

#[test]
fn what_keeps_an_entry_point_from_running_is_told() {
    // The first argument is the pipe, the second one the entry point.
    let command = r#"case "$2" in bad) echo "there is no pip" >&$1; exit 1;; esac; eval "exec $1>&-"; exec sh -c "$2""#;
    let jobs = start_with(&Arc::default(), None, &["bash", "-c", command, "bash", "{fd}"]);
    jobs.submit(asked("bad", "bad")).unwrap();
    let job = ended(&jobs, "bad");
    assert!(job.status == JobStatus::Failed && job.message.contains("begin: there is no pip"), "{}", job.message);
    jobs.submit(asked("good", "echo $$; sleep 60")).unwrap();
    let _ = pids(&jobs, "good", 1);
    until("running", || jobs.job("good").unwrap().status == JobStatus::Running);
    jobs.shutdown();
    assert!(jobs.job("good").unwrap().message.contains("the head was ended"));

    let jobs = start_with(&Arc::default(), None, &["/no/such/program"]);
    jobs.submit(asked("none", "true")).unwrap();
    let job = ended(&jobs, "none");
    assert!(job.status == JobStatus::Failed && job.message.contains("/no/such/program"), "{}", job.message);
}

#[test]
fn another_head_finds_what_there_was() {
    let (store, folder) = (Arc::default(), tempfile::tempdir().unwrap());
    let jobs = start_with(&store, Some(folder.path()), &["sh", "-c"]);
    let mut large = asked("holds", "echo $$; sleep 60");
    large.entrypoint_num_cpus = Some(1.0);
    jobs.submit(large.clone()).unwrap();
    let process = pids(&jobs, "holds", 1)[0];
    until("running", || jobs.job("holds").unwrap().status == JobStatus::Running);
    large.submission_id = Some("waits".to_string());
    large.entrypoint = "echo at last".to_string();
    jobs.submit(large).unwrap();
    assert_eq!(jobs.job("waits").unwrap().status, JobStatus::Pending);

    // As if the first one had been killed: it is not told that it ends.
    let next = start_with(&store, Some(folder.path()), &["sh", "-c"]);
    let job = next.job("holds").unwrap();
    assert!(job.status == JobStatus::Failed && job.message.contains("the head ended"), "{}", job.message);
    assert_eq!(printed(&next, "holds"), format!("{process}\n"));
    assert_eq!(ended(&next, "waits").status, JobStatus::Succeeded);
    assert_eq!(printed(&next, "waits"), "at last\n");
    next.delete("holds").unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    next.shutdown();
    jobs.shutdown();
    until("no process", || !lives(process));
}
