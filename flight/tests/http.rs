//! What a node serves by HTTP/1.1, spoken by hand: who may come, packages, and jobs, whose entry points a shell runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot begin fails")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sheaf_core::ErrorKind;
use sheaf_core::jobs::{Jobs, JobsOptions};
use sheaf_core::local::{Inquiry, Local, LocalOptions, Role};
use sheaf_core::resources::Resources;
use sheaf_core::state::MemoryStore;
use sheaf_flight::cluster::{Access, HttpClient, Port, ask};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a token for tests only";
/// `sha256sum` of what is stored, told by another program.
const HELLO: (&str, &[u8]) = ("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", b"hello");

/// A node without CPUs: it forks no workers.
fn node(head: Option<&str>, access: Access) -> (Local, String) {
    let port = Port::bind("127.0.0.1:0", None, access).unwrap();
    let address = port.address().to_string();
    let options = options(head, &address);
    let head = head.map(str::to_string);
    (Local::start_with(options, |inlet| port.open(inlet, head).map(Some)).unwrap(), address)
}

fn options(head: Option<&str>, address: &str) -> LocalOptions {
    LocalOptions {
        state: None,
        role: if head.is_some() { Role::Member(address.to_string()) } else { Role::Head(address.to_string()) },
        resources: Resources::default(),
        labels: BTreeMap::new(),
        store_bytes: 1 << 20,
        spill_dir: std::env::temp_dir(),
        command: ["bash", "-c", "cat <&{fd}"].map(str::to_string).to_vec(),
        query_bytes: 64 << 20,
        executor: None,
        log_dir: None,
    }
}

/// The status, the headers and the body of an answer.
struct Told(u16, String, Vec<u8>);

impl Told {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.2).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.2)))
    }
}

fn say(address: &str, request: &str, headers: &str, body: &[u8]) -> Told {
    let place = address.rsplit('/').next().unwrap();
    let mut socket = TcpStream::connect(place).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    // Who is refused may hang up before all is said.
    let _ = socket.write_all(body);
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Told(status, head, answer[end + 4..].to_vec())
}

#[test]
fn a_node_tells_its_version_beside_flight() {
    let (_head, address) = node(None, Access::default());
    let told = say(&address, "GET /api/version", "", b"");
    assert_eq!((told.0, &told.json()["version"]), (200, &Value::from(env!("CARGO_PKG_VERSION"))));
    assert!(ask(&address, &Access::default(), &Inquiry::Nodes).unwrap().contains("is_head"));

    let told = say(&address, "GET /api/nothing", "", b"");
    assert_eq!((told.0, &told.json()["error"]["kind"]), (404, &Value::from("not found")));
    assert_eq!(say(&address, "DELETE /api/version", "", b"").0, 405);
}

#[test]
fn strangers_and_web_pages_are_kept_out() {
    let (_head, address) = node(None, Access::with_token(TOKEN).unwrap());
    let status = |headers: &str| say(&address, "GET /api/version", headers, b"").0;
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!([status(""), status("authorization: Bearer another one of tests\r\n"), status(&token)], [401, 401, 200]);
    assert_eq!(status(&format!("{token}origin: http://127.0.0.1\r\n")), 403);
    let told = say(&address, "GET /api/version", "", b"").json();
    assert!(told["error"]["hint"].as_str().unwrap().contains("Bearer"), "{told}");

    let (_head, address) = node(None, Access::default());
    let told = say(&address, "POST /arrow.flight.protocol.FlightService/DoAction", "", b"");
    assert_eq!(told.0, 403, "a page could send this: {}", told.1);
}

#[test]
fn packages_are_kept_by_their_hash() {
    let (_head, address) = node(None, Access::default());
    let (sha256, text) = HELLO;
    let path = format!("/api/packages/{sha256}");
    assert_eq!(say(&address, &format!("HEAD {path}"), "", b"").0, 404);
    assert_eq!(say(&address, &format!("PUT {path}"), "", b"hallo").0, 400, "that is another hash");
    assert_eq!(say(&address, &format!("GET {path}"), "", b"").0, 404);
    for _ in 0..2 {
        let told = say(&address, &format!("PUT {path}"), "", text);
        assert_eq!((told.0, &told.json()["size"]), (201, &Value::from(5)));
    }
    let told = say(&address, &format!("HEAD {path}"), "", b"");
    assert!(told.0 == 200 && told.1.contains("content-length: 5") && told.2.is_empty(), "{}", told.1);
    assert_eq!(say(&address, &format!("GET {path}"), "", b"").2, text);
    assert_eq!(say(&address, "PUT /api/packages/../../etc", "", text).0, 404);
    assert_eq!(say(&address, "PUT /api/packages/2cf24dba", "", text).0, 400);
    let told = say(&address, &format!("PUT {path}"), "content-length: 600000000\r\n", b"");
    assert!([400, 413].contains(&told.0), "{}", told.1);

    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let told = say(&address, &format!("PUT /api/packages/{}", "0".repeat(64)), "", &large).json();
    let message = told["error"]["message"].as_str().unwrap();
    let sha256 = message.split(' ').find_map(|word| word.strip_suffix(',')).unwrap();
    assert_eq!(say(&address, &format!("PUT /api/packages/{sha256}"), "", &large).0, 201);
    assert!(say(&address, &format!("GET /api/packages/{sha256}"), "", b"").2 == large);
}

#[test]
fn only_the_head_has_packages() {
    let (_head, address) = node(None, Access::default());
    let (_member, other) = node(Some(&address), Access::default());
    let told = say(&other, &format!("PUT /api/packages/{}", HELLO.0), "", HELLO.1);
    assert_eq!(told.0, 404);
    assert!(told.json()["error"]["hint"].as_str().unwrap().contains(&address), "{}", told.json());
}

/// A head that runs entry points by a shell.
fn head_with_jobs() -> (Local, Arc<Jobs>, String) {
    let jobs = Jobs::start(JobsOptions {
        command: ["sh", "-c"].map(str::to_string).to_vec(),
        variables: Vec::new(),
        machine: Resources::default(),
        store: Arc::new(MemoryStore::default()),
        log_dir: None,
        running: JobsOptions::RUNNING,
    });
    let jobs = jobs.unwrap();
    let port =
        Port::bind("127.0.0.1:0", None, Access::with_token(TOKEN).unwrap()).unwrap().with_jobs(Arc::clone(&jobs));
    let address = port.address().to_string();
    let local = Local::start_with(options(None, &address), |inlet| port.open(inlet, None).map(Some)).unwrap();
    (local, jobs, address)
}

fn with_token(address: &str, request: &str, body: &str) -> Told {
    say(address, request, &format!("authorization: Bearer {TOKEN}\r\n"), body.as_bytes())
}

#[test]
fn a_job_is_submitted_followed_stopped_and_forgotten() {
    let (_head, jobs, address) = head_with_jobs();
    let ask = |request: &str, body: &str| with_token(&address, request, body);
    let submit = |body: &str| ask("POST /api/jobs/", body);
    let told =
        submit(r#"{"entrypoint": "echo eins; read x < /dev/zero; sleep 60", "submission_id": "a", "job_id": null}"#);
    assert_eq!((told.0, &told.json()["submission_id"]), (200, &Value::from("a")));
    let logs = ask("GET /api/jobs/a/logs?offset=0&wait=20", "").json();
    assert_eq!((&logs["logs"], &logs["next"], &logs["is_over"]), (&"eins\n".into(), &5.into(), &false.into()));

    // Who waits is answered when something happens.
    let begun = Instant::now();
    let address_of_thread = address.clone();
    let wait = move || with_token(&address_of_thread, "GET /api/jobs/a/logs?offset=5&wait=20", "");
    let waiting = sheaf_core::env::thread("follows", wait).unwrap();
    assert_eq!(ask("POST /api/jobs/a/stop", "").json()["stopped"], true);
    let logs = waiting.join().unwrap().json();
    assert!(logs["is_over"] == true && logs["status"] == "STOPPED" && logs["next"] == 5, "{logs}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());

    let told = ask("GET /api/jobs/a", "").json();
    assert!(told["status"] == "STOPPED" && told["end_time"].is_u64() && told["type"] == "SUBMISSION", "{told}");
    assert_eq!(ask("GET /api/jobs/", "").json().as_array().unwrap().len(), 1);
    assert_eq!(ask("POST /api/jobs/a/stop", "").json()["stopped"], false);
    assert_eq!(ask("DELETE /api/jobs/a", "").json()["deleted"], true);
    assert_eq!(ask("GET /api/jobs/a", "").0, 404);
    jobs.shutdown();
}

#[test]
fn what_jobs_are_not_is_refused() {
    let (_head, jobs, address) = head_with_jobs();
    assert_eq!(say(&address, "POST /api/jobs/", "", br#"{"entrypoint": "true"}"#).0, 401);
    let ask = |request: &str, body: &str| {
        let told = with_token(&address, request, body);
        (told.0, told.json()["error"]["message"].as_str().unwrap_or_default().to_string())
    };
    let refused = [
        ("POST /api/jobs/", r#"{"entrypoint": ""}"#, 400, "entry point"),
        ("POST /api/jobs/", "entrypoint", 400, "does not describe a job"),
        ("POST /api/jobs/", r#"{"entrypoint": "true", "submission_id": "../x"}"#, 400, "name of a job"),
        ("POST /api/jobs/", r#"{"entrypoint": "true", "entrypoint_num_cpus": 1}"#, 400, "CPU 1"),
        ("POST /api/jobs/", r#"{"entrypoint": "true", "prority": 1}"#, 400, "prority"),
        ("GET /api/jobs/nobody", "", 404, "no job"),
        ("GET /api/jobs/nobody/logs", "", 404, "no job"),
        ("GET /api/jobs/nobody/logs?offset=-1", "", 400, "offset"),
        ("GET /api/jobs/nobody/logs?tail=1", "", 400, "tail"),
        ("POST /api/jobs/nobody/stop", "", 404, "no job"),
        ("DELETE /api/jobs/nobody", "", 404, "no job"),
    ];
    for (request, body, status, words) in refused {
        let told = ask(request, body);
        assert!(told.0 == status && told.1.contains(words), "{request} {body}: {told:?}");
    }
    let large = format!(r#"{{"entrypoint": "{}"}}"#, "x".repeat(2 << 20));
    assert_eq!(ask("POST /api/jobs/", &large).0, 413);
    with_token(&address, "POST /api/jobs/", r#"{"entrypoint": "sleep 60", "submission_id": "a"}"#);
    assert_eq!(ask("POST /api/jobs/", r#"{"entrypoint": "true", "submission_id": "a"}"#).0, 409);
    assert_eq!(ask("DELETE /api/jobs/a", "").0, 409);
    jobs.shutdown();

    let (_head, address) = node(None, Access::default());
    assert_eq!(say(&address, "GET /api/jobs/", "", b"").0, 501, "it was started without");
}

#[test]
fn the_command_line_asks_over_the_same_connection() {
    let (_head, jobs, address) = head_with_jobs();
    let access = Access::with_token(TOKEN).unwrap();
    let head = HttpClient::connect(&address, &access).unwrap();
    let asked = serde_json::json!({ "entrypoint": "echo grün", "submission_id": "a" });
    assert_eq!(head.call("POST", "/api/jobs/", Some(&asked)).unwrap()["submission_id"], "a");
    let error = head.call("POST", "/api/jobs/", Some(&asked)).unwrap_err();
    assert!(error.kind() == ErrorKind::AlreadyExists && error.hint().is_some(), "{error}");
    let mut text = String::new();
    loop {
        let told = head.call("GET", &format!("/api/jobs/a/logs?offset={}&wait=20", text.len()), None).unwrap();
        text += told["logs"].as_str().unwrap();
        if told["is_over"] == true {
            break;
        }
    }
    assert_eq!(text, "grün\n");
    let stranger = HttpClient::connect(&address, &Access::default()).unwrap();
    assert_eq!(stranger.call("GET", "/api/jobs/", None).unwrap_err().kind(), ErrorKind::PermissionDenied);
    jobs.shutdown();
}
