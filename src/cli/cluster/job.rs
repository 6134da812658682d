//! `sheaf job`: programs that the head runs, submitted, followed and stopped.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_flight::cluster::{HttpClient, endpoint_of};

use super::super::exit::Stop;
use super::super::output::{self, Format};
use super::AccessFlags;
use super::daemon::ended_by_signal;
use super::resume::{ResumeArguments, resume};

/// How long the head waits for something to be printed before it answers: Ctrl-C is heard between two answers.
const WAIT_SECONDS: u64 = 1;
/// Between two looks at a job that is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a job that was asked to stop is waited for: it is killed after three seconds.
const STOPPING: Duration = Duration::from_secs(15);
/// How often a head that does not answer is asked again, once a second: it may be starting again.
const TRIES: u32 = 30;
/// Checks an environment, and gives the head packages of its folders.
const PACK: &str = "from sheaf._runtime import entrypoint; entrypoint.pack()";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JobCommand {
    /// Run a program on the head's machine, print what it prints, and end as it ends.
    Submit(SubmitArguments),
    /// List the jobs that there are and were.
    List(ListArguments),
    /// Print where a job is.
    Status(OneArguments),
    /// Print what a job printed.
    Logs(LogsArguments),
    /// Let a job end.
    Stop(StopArguments),
    /// Forget a job that is over, and its log.
    Delete(OneArguments),
    /// Run the program again that began a write with a job's name: it goes on where it was.
    Resume(ResumeArguments),
}

#[derive(Debug, Args)]
struct HeadFlags {
    /// Where the head is.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070")]
    address: String,
    #[command(flatten)]
    access: AccessFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "One word after -- is a line for the shell: sheaf job submit -- 'cd code && python train.py'\n\
                        The job goes on when this command ends. Exit code 0: it succeeded; 10: it failed; 130: it was \
                        stopped, or Ctrl-C ended the command.")]
pub(in crate::cli) struct SubmitArguments {
    /// What the job is to be called [default: a new name].
    #[arg(long, value_name = "NAME")]
    submission_id: Option<String>,
    /// A folder that the job gets a copy of, and runs in.
    #[arg(long, value_name = "FOLDER")]
    working_dir: Option<String>,
    /// The environment of the job, such as `{"env_vars": {"A": "1"}, "pip": ["requests"]}`.
    #[arg(long, value_name = "JSON", value_parser = object)]
    runtime_env_json: Option<Map<String, Value>>,
    /// Words of your own, such as `{"team": "a"}`.
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata_json: Option<Map<String, Value>>,
    /// CPUs of the head's machine that it waits for among the other jobs.
    #[arg(long, value_name = "COUNT")]
    entrypoint_num_cpus: Option<f64>,
    /// GPUs, likewise.
    #[arg(long, value_name = "COUNT")]
    entrypoint_num_gpus: Option<f64>,
    /// End when the job is taken.
    #[arg(long)]
    no_wait: bool,
    /// The Python that packs folders; it needs Sheaf.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: String,
    #[command(flatten)]
    head: HeadFlags,
    /// The command.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    entrypoint: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    /// How it is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    head: HeadFlags,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OneArguments {
    /// The job.
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArguments {
    /// The job.
    #[arg(value_name = "JOB")]
    job: String,
    /// Go on until the job is over.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    head: HeadFlags,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StopArguments {
    /// The job.
    #[arg(value_name = "JOB")]
    job: String,
    /// End when the job is told.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    head: HeadFlags,
}

fn object(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; write it as {{\"name\": \"value\"}}"))
}

/// Does what is asked for.
pub(in crate::cli) fn job(command: &JobCommand) -> Result<(), Stop> {
    match command {
        JobCommand::Submit(arguments) => submit(arguments),
        JobCommand::List(arguments) => {
            let told = arguments.head.connect()?.call("GET", "/api/jobs/", None)?;
            print(arguments.format, told.as_array().map_or(&[], Vec::as_slice), false)
        }
        JobCommand::Status(OneArguments { job, list }) => {
            let told = list.head.connect()?.call("GET", &path(job, ""), None)?;
            print(list.format, &[told], true)
        }
        JobCommand::Logs(arguments) => logs(arguments),
        JobCommand::Stop(arguments) => stop(arguments),
        JobCommand::Delete(OneArguments { job, list }) => {
            list.head.connect()?.call("DELETE", &path(job, ""), None)?;
            say(&format!("the job {job} is forgotten\n"))
        }
        JobCommand::Resume(arguments) => resume(arguments),
    }
}

impl HeadFlags {
    fn connect(&self) -> Result<HttpClient> {
        let access = self.access.access()?;
        HttpClient::connect(&endpoint_of(&self.address, &access)?, &access)
    }
}

/// The path of a job, whose name may have been written with anything in it.
fn path(job: &str, rest: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name: String =
        job.bytes().map(|byte| if safe(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect();
    format!("/api/jobs/{name}{rest}")
}

fn submit(arguments: &SubmitArguments) -> Result<(), Stop> {
    let head = arguments.head.connect()?;
    let mut asked = json!({
        "entrypoint": line_of(&arguments.entrypoint),
        "submission_id": arguments.submission_id,
        "metadata": arguments.metadata_json,
        "entrypoint_num_cpus": arguments.entrypoint_num_cpus,
        "entrypoint_num_gpus": arguments.entrypoint_num_gpus,
    });
    let mut environment = arguments.runtime_env_json.clone().unwrap_or_default();
    if let Some(folder) = &arguments.working_dir {
        environment.insert("working_dir".to_string(), Value::from(folder.as_str()));
    }
    if !environment.is_empty() {
        asked["runtime_env"] = packed(arguments, environment)?;
    }
    let told = head.call("POST", "/api/jobs/", Some(&asked))?;
    let job = told["submission_id"].as_str().unwrap_or_default().to_string();
    let hints = |words: &str| {
        let flag = format!("--address {}", arguments.head.address);
        format!(
            "the job {job} {words}\n  its output:  sheaf job logs -f {job} {flag}\n  to end it:   sheaf job stop {job} \
             {flag}\n"
        )
    };
    if arguments.no_wait {
        return say(&hints("is taken"));
    }
    warn(&format!("the job {job} is taken"));
    let interrupted = ended_by_signal()?;
    match follow(&head, &job, Some(&interrupted))? {
        Some(told) => fate(&job, &told),
        None => {
            Err(Error::new(ErrorKind::Cancelled, format!("stopped by Ctrl-C; {}", hints("goes on").trim_end())).into())
        }
    }
}

/// The command as one line for a shell. A single word is a line already.
pub(super) fn line_of(words: &[String]) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "@%+=:,./_-".contains(char);
    let quoted = |word: &String| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    match words {
        [line] => line.clone(),
        words => words.iter().map(quoted).collect::<Vec<_>>().join(" "),
    }
}

/// The environment as the head takes it: checked, and with packages that the head has in the place of folders. Python
/// knows how.
fn packed(arguments: &SubmitArguments, environment: Map<String, Value>) -> Result<Value> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::invalid(format!("{} cannot pack the environment of the job: {why}", arguments.python))
            .with_hint("name a Python in which Sheaf is installed: --python")
    };
    let head = arguments.head.access.for_workers(&arguments.head.address)?;
    let done = Command::new(&arguments.python)
        .args(["-P", "-c", PACK, &Value::Object(environment).to_string(), &head])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(&error))?;
    let told: Value = serde_json::from_slice(&done.stdout).map_err(|error| failed(&error))?;
    match told.get("error").and_then(Value::as_str) {
        Some(why) => Err(Error::invalid(why)),
        None => Ok(told["runtime_env"].clone()),
    }
}

fn logs(arguments: &LogsArguments) -> Result<(), Stop> {
    let head = arguments.head.connect()?;
    if arguments.follow {
        // The log of a job that fails is what was asked for.
        return follow(&head, &arguments.job, None).map(|_| ());
    }
    let mut next = 0;
    loop {
        let told = head.call("GET", &path(&arguments.job, &format!("/logs?offset={next}")), None)?;
        let text = told["logs"].as_str().unwrap_or_default();
        if text.is_empty() {
            return Ok(());
        }
        say(text)?;
        next = told["next"].as_u64().unwrap_or(next);
    }
}

/// Prints what a job prints until it is over, and gives what became of it; `None` when it is not wanted any more.
fn follow(head: &HttpClient, job: &str, interrupted: Option<&Receiver<()>>) -> Result<Option<Value>, Stop> {
    let (mut next, mut tries) = (0, 0);
    loop {
        let asked = path(job, &format!("/logs?offset={next}&wait={WAIT_SECONDS}"));
        let told = match head.call("GET", &asked, None) {
            Ok(told) => told,
            Err(error) if error.kind() == ErrorKind::Io && tries < TRIES => {
                tries += 1;
                if is_interrupted(interrupted, Duration::from_secs(1)) {
                    return Ok(None);
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        tries = 0;
        say(told["logs"].as_str().unwrap_or_default())?;
        next = told["next"].as_u64().unwrap_or(next);
        if told["is_over"] == Value::Bool(true) {
            return Ok(Some(head.call("GET", &path(job, ""), None)?));
        }
        if is_interrupted(interrupted, Duration::ZERO) {
            return Ok(None);
        }
    }
}

fn is_interrupted(signals: Option<&Receiver<()>>, patience: Duration) -> bool {
    match signals {
        Some(signals) => !matches!(signals.recv_timeout(patience), Err(RecvTimeoutError::Timeout)),
        None => {
            std::thread::sleep(patience);
            false
        }
    }
}

/// How the command ends that waited for a job.
fn fate(job: &str, told: &Value) -> Result<(), Stop> {
    let message = told["message"].as_str().unwrap_or_default();
    // What it printed last was printed here too.
    let message = message.lines().next().unwrap_or_default().trim_end_matches("; the last that it printed:");
    match told["status"].as_str() {
        Some("SUCCEEDED") => {
            warn(&format!("the job {job} succeeded"));
            Ok(())
        }
        Some("STOPPED") => Err(Error::new(ErrorKind::Cancelled, format!("the job {job}: {message}")).into()),
        _ => Err(Error::new(ErrorKind::UserFunction, format!("the job {job} failed: {message}")).into()),
    }
}

fn stop(arguments: &StopArguments) -> Result<(), Stop> {
    let (head, job) = (arguments.head.connect()?, &arguments.job);
    let told = head.call("POST", &path(job, "/stop"), None)?;
    if told["stopped"] != Value::Bool(true) {
        return say(&format!("the job {job} was over already\n"));
    }
    if arguments.no_wait {
        return say(&format!("the job {job} is told to end\n"));
    }
    let until = std::time::Instant::now() + STOPPING;
    loop {
        let told = head.call("GET", &path(job, ""), None)?;
        if !told["end_time"].is_null() {
            return say(&format!("the job {job} has ended: {}\n", told["status"].as_str().unwrap_or_default()));
        }
        if std::time::Instant::now() >= until {
            let why = format!("the job {job} has not ended within {} s", STOPPING.as_secs());
            return Err(Error::new(ErrorKind::Io, why).into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn print(format: Format, jobs: &[Value], with_message: bool) -> Result<(), Stop> {
    if format == Format::Parquet {
        return Err(Error::invalid("this is printed as table, csv or json").into());
    }
    let texts = |name: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter(jobs.iter().map(|job| job[name].as_str().map(str::to_string))))
    };
    let times = |name: &str| -> ArrayRef {
        let times: TimestampMillisecondArray = jobs.iter().map(|job| job[name].as_i64()).collect();
        Arc::new(times.with_timezone("UTC"))
    };
    let codes: Int64Array = jobs.iter().map(|job| job["driver_exit_code"].as_i64()).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("job", texts("submission_id")),
        ("status", texts("status")),
        ("entry point", texts("entrypoint")),
        ("began", times("start_time")),
        ("ended", times("end_time")),
        ("exit code", Arc::new(codes)),
    ];
    if with_message {
        columns.push(("message", texts("message")));
    }
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .map_err(|error: ArrowError| Error::internal(format!("jobs do not fit a table: {error}")))?;
    output::print(format, &batch.schema(), &[batch])
}

pub(super) fn say(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Stop::output)
}

/// Words that are not the job's own output.
fn warn(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "sheaf: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_and_one_word_is_a_line() {
        let line = |words: &[&str]| line_of(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(line(&["python", "a.py", "--n=2"]), "python a.py --n=2");
        assert_eq!(line(&["echo", "it's", "a b", "", "$HOME"]), r"echo 'it'\''s' 'a b' '' '$HOME'");
        assert_eq!(line(&["cd x && python a.py"]), "cd x && python a.py");
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(path("a-b_1.c", "/logs"), "/api/jobs/a-b_1.c/logs");
        assert_eq!(path("../x?y", ""), "/api/jobs/..%2Fx%3Fy");
    }
}
