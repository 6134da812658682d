//! Jobs over HTTP: the paths and names are those that clients for Ray's jobs know.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::{Map, Value, json};
use sheaf_core::jobs::{Job, JobStatus, Jobs, LogPart, Submission};
use sheaf_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, timeout_at};

use super::Site;
use super::reply::{Answer, Refusal, json_of};

/// Requests that wait for something to be printed, at once; others are answered without a wait.
pub(super) const FOLLOWERS: usize = 256;
/// How long one may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// What is printed within this time is answered together.
const GATHERING: Duration = Duration::from_millis(50);
/// What of a log is told at once, in bytes: by default, and at most.
const PART_BYTES: (u64, u64) = (1 << 20, 8 << 20);

/// `POST /api/jobs/`: takes a job.
pub(super) async fn submit(State(site): State<Site>, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = body.map_err(|refused| {
        Refusal::with(refused.status(), Error::invalid(format!("the body cannot be taken: {refused}")))
    })?;
    let submission = submission_of(&body)?;
    let job = on_disk(&site, move |jobs| jobs.submit(submission)).await?;
    json_of(&json!({ "submission_id": job.submission_id, "job_id": job.submission_id }))
}

/// `GET /api/jobs/`: all jobs.
pub(super) async fn list(State(site): State<Site>) -> Answer {
    let jobs = on_disk(&site, |jobs| Ok(jobs.list())).await?;
    json_of(&jobs.iter().map(details).collect::<Vec<_>>())
}

/// `GET /api/jobs/{id}`: one job.
pub(super) async fn describe(State(site): State<Site>, Path(id): Path<String>) -> Answer {
    json_of(&details(&on_disk(&site, move |jobs| jobs.job(&id)).await?))
}

/// `DELETE /api/jobs/{id}`: forgets a job that is over.
pub(super) async fn delete(State(site): State<Site>, Path(id): Path<String>) -> Answer {
    on_disk(&site, move |jobs| jobs.delete(&id)).await?;
    json_of(&json!({ "deleted": true }))
}

/// `POST /api/jobs/{id}/stop`: lets a job end, and says whether it was not over.
pub(super) async fn stop(State(site): State<Site>, Path(id): Path<String>) -> Answer {
    let stopped = on_disk(&site, move |jobs| jobs.stop(&id)).await?;
    json_of(&json!({ "stopped": stopped }))
}

/// `GET /api/jobs/{id}/logs`: what a job printed. With `offset`, from that byte on, at most `limit` bytes; with `wait`,
/// it is answered when there is something, the job is over, or so many seconds have passed. `next` is where to go on.
pub(super) async fn logs(State(site): State<Site>, Path(id): Path<String>, uri: Uri) -> Answer {
    let query = Query::of(&uri)?;
    let permit = site.followers.try_acquire();
    let until = Instant::now() + if permit.is_ok() { query.wait } else { Duration::ZERO };
    let mut changes = site.jobs_here()?.changes();
    loop {
        changes.mark_unchanged();
        let (name, asked) = (id.clone(), query.offset);
        let (job, part) = on_disk(&site, move |jobs| read(jobs, &name, asked, query.limit)).await?;
        let is_over = job.status.is_terminal();
        let told = Told::of(query.offset, part, is_over);
        if told.has_news() || is_over || Instant::now() >= until {
            return json_of(&json!({
                "logs": told.text,
                "offset": told.from,
                "next": told.next,
                "is_over": is_over && told.next >= told.end,
                "status": job.status,
            }));
        }
        // In time or not, what there is then is told.
        if timeout_at(until, changes.changed()).await.is_ok() {
            sleep(GATHERING).await;
        }
    }
}

fn read(jobs: &Jobs, id: &str, offset: Option<u64>, limit: u64) -> Result<(Job, LogPart)> {
    let offset = match offset {
        Some(offset) => offset,
        None => jobs.log(id, u64::MAX, 0)?.1.end.saturating_sub(PART_BYTES.1),
    };
    jobs.log(id, offset, limit as usize)
}

struct Query {
    offset: Option<u64>,
    limit: u64,
    wait: Duration,
}

impl Query {
    fn of(uri: &Uri) -> Result<Self> {
        let mut query = Self { offset: None, limit: PART_BYTES.0, wait: Duration::ZERO };
        let mut has_limit = false;
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let number = text.parse::<u64>().map_err(|_| {
                Error::invalid(format!("{name}={text} is not understood"))
                    .with_hint("offset, limit and wait are numbers")
            })?;
            match name {
                "offset" => query.offset = Some(number),
                "limit" => (query.limit, has_limit) = (number.clamp(1, PART_BYTES.1), true),
                "wait" => query.wait = Duration::from_secs(number).min(LONGEST_WAIT),
                other => {
                    return Err(Error::invalid(format!("there is no {other:?} to ask for"))
                        .with_hint("there are offset, limit and wait"));
                }
            }
        }
        if query.offset.is_none() && !has_limit {
            query.limit = PART_BYTES.1;
        }
        Ok(query)
    }
}

/// A part of a log as text.
struct Told {
    text: String,
    from: u64,
    next: u64,
    end: u64,
}

impl Told {
    /// A character that is not all there is told with the next part, unless there will be none.
    fn of(asked: Option<u64>, part: LogPart, is_over: bool) -> Self {
        let LogPart { from, mut bytes, end } = part;
        let is_last = is_over && from + bytes.len() as u64 >= end;
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
            && !is_last
        {
            bytes.truncate(error.valid_up_to());
        } else if !is_last {
            bytes.truncate(bytes.len() - half_character(&bytes));
        }
        let next = from + bytes.len() as u64;
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if from > asked.unwrap_or(0) {
            text.insert_str(0, &format!("[{} bytes before this are left out]\n", from - asked.unwrap_or(0)));
        }
        Self { text, from, next, end }
    }

    fn has_news(&self) -> bool {
        !self.text.is_empty()
    }
}

/// How many bytes at the end are the beginning of a character.
fn half_character(bytes: &[u8]) -> usize {
    let begins = bytes.iter().rev().take(3).position(|byte| byte & 0xC0 != 0x80);
    let Some(back) = begins.map(|at| at + 1) else { return 0 };
    let length = match bytes[bytes.len() - back] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    if back < length { back } else { 0 }
}

fn submission_of(body: &[u8]) -> Result<Submission> {
    let wrong = |error: serde_json::Error| {
        Error::invalid(format!("the body does not describe a job: {error}"))
            .with_hint("such as {\"entrypoint\": \"python script.py\", \"runtime_env\": {}, \"metadata\": {}}")
    };
    let mut told: Map<String, Value> = serde_json::from_slice(body).map_err(wrong)?;
    // Clients write what they do not ask for as null.
    told.retain(|_, value| !value.is_null());
    // An old name of it.
    if let Some(id) = told.remove("job_id") {
        told.entry("submission_id").or_insert(id);
    }
    serde_json::from_value(Value::Object(told)).map_err(wrong)
}

/// A job under the names that clients know.
fn details(job: &Job) -> Value {
    json!({
        "type": "SUBMISSION",
        "submission_id": job.submission_id,
        "job_id": null,
        "driver_info": null,
        "status": job.status,
        "message": job.message,
        "error_type": if job.status == JobStatus::Failed { Some("JOB_FAILED") } else { None },
        "entrypoint": job.entrypoint,
        "start_time": job.start_time,
        "end_time": job.end_time,
        "metadata": job.metadata,
        "runtime_env": job.runtime_env,
        "entrypoint_resources": job.needs,
        "driver_agent_http_address": null,
        "driver_node_id": null,
        "driver_exit_code": job.exit_code,
    })
}

impl Site {
    fn jobs_here(&self) -> Result<&Arc<Jobs>, Refusal> {
        if self.board.is_head() && self.jobs.is_none() {
            return Err(Error::new(ErrorKind::Unsupported, "this head takes no jobs").into());
        }
        self.of_head(self.jobs.as_ref(), "jobs")
    }
}

/// Does what may wait for a disk where nothing waits behind it.
async fn on_disk<T: Send + 'static>(
    site: &Site,
    work: impl FnOnce(&Jobs) -> Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let jobs = Arc::clone(site.jobs_here()?);
    let done = tokio::task::spawn_blocking(move || work(&jobs)).await;
    let done = done.map_err(|error| Error::internal(format!("a request about jobs broke off: {error}")))?;
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8], end: u64, is_over: bool) -> (String, u64) {
        let told = Told::of(Some(10), LogPart { from: 10, bytes: bytes.to_vec(), end }, is_over);
        (told.text, told.next)
    }

    #[test]
    fn characters_are_told_whole() {
        let text = "aß€🦀".as_bytes();
        for (cut, whole) in
            [(10, "aß€🦀"), (9, "aß€"), (7, "aß€"), (6, "aß€"), (5, "aß"), (4, "aß"), (2, "a"), (1, "a")]
        {
            assert_eq!(told(&text[..cut], 99, false), (whole.to_string(), 10 + whole.len() as u64), "{cut}");
        }
        assert_eq!(told(&text[..2], 12, true), ("a\u{fffd}".to_string(), 12), "no more will come");
        assert_eq!(told(b"\xff\xfe caf\xc3", 99, false), ("\u{fffd}\u{fffd} caf".to_string(), 16));
        let left_out = Told::of(Some(0), LogPart { from: 7, bytes: b"rest".to_vec(), end: 11 }, false);
        assert_eq!((left_out.text.as_str(), left_out.next), ("[7 bytes before this are left out]\nrest", 11));
    }

    #[test]
    fn what_a_client_does_not_ask_for_is_null() {
        let of = |text: &str| submission_of(text.as_bytes());
        let submission = of(r#"{"entrypoint": "true", "job_id": null, "runtime_env": null, "entrypoint_num_cpus": 1}"#);
        assert_eq!(submission.unwrap().entrypoint_num_cpus, Some(1.0));
        assert_eq!(of(r#"{"entrypoint": "a", "job_id": "b"}"#).unwrap().submission_id.as_deref(), Some("b"));
        for wrong in ["", "[]", r#"{"entrypoint": 1}"#, r#"{"entry": "a"}"#, r#"{"metadata": {"a": 1}}"#] {
            assert_eq!(of(wrong).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
    }
}
