//! What `.ci/run` and the scripts under it promise: parts are bounded and timed, and the first failure fails the run.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::tree::{read, root};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The search path with `folder` before all others.
fn path_with(folder: &Path) -> OsString {
    let mut path = OsString::from(folder);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    path
}

/// Runs `.ci/run` with a `make` that notes its arguments and does what `body` says.
fn run_with_make(folder: &Path, body: &str) -> Output {
    ci_with_make(folder, body).env_remove("CARGO_TARGET_DIR").output().unwrap()
}

fn ci_with_make(folder: &Path, body: &str) -> Command {
    let make = folder.join("make");
    fs::write(&make, format!("#!/bin/bash\necho \"make $* in ${{CARGO_TARGET_DIR}}\"\n{body}\n")).unwrap();
    fs::set_permissions(&make, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("bash");
    command.arg(root().join(".ci/run")).env("PATH", path_with(folder)).env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

#[test]
fn ci_runs_make_test_and_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_with_make(folder.path(), "scripts/step \"part of $2\" 10 true");
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let target = folder.path().join("cache/sheaf/target");
    assert!(told.contains(&format!("make --no-print-directory test in {}", target.display())), "{told}");
    assert!(told.contains("make --no-print-directory demo PROFILE=dev in "), "{told}");
    assert!(!target.starts_with(root()), "the target folder is outside the checkout");
    let table = told.split("part  ").last().unwrap();
    assert!(table.contains("part of test") && table.contains("part of demo") && table.contains("all "), "{told}");
}

#[test]
fn ci_builds_where_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("elsewhere");
    let output = ci_with_make(folder.path(), "true").env("CARGO_TARGET_DIR", &target).output().unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches(&format!(" in {}\n", target.display())).count(), 2, "{told}");
    assert!(!folder.path().join("cache").exists(), "nothing is made in the cache then");
}

#[test]
fn a_failing_step_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_with_make(folder.path(), "scripts/step \"part of $2\" 10 bash -c 'exit 7'");
    let told = text(&output);
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains("failed (7)") && !told.contains("demo PROFILE=dev"), "{told}");
}

#[test]
fn what_is_left_behind_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_with_make(folder.path(), "touch \"$TMPDIR/forgotten\"");
    assert!(!output.status.success() && text(&output).contains("/forgotten"), "{}", text(&output));

    let output = run_with_make(folder.path(), "sleep 20 >/dev/null 2>&1 </dev/null &");
    let told = text(&output);
    assert!(!output.status.success() && told.contains("sleep 20"), "{told}");
    let processes = told.lines().filter(|line| line.ends_with(" sleep 20 ")).filter_map(|line| line.split(' ').next());
    for process in processes {
        // The shell's own: a small machine has no other.
        let ended = Command::new("bash").args(["-c", "kill \"$0\"", process]).status().unwrap();
        assert!(ended.success(), "{told}");
    }
}

#[test]
fn a_step_over_its_limit_is_ended_with_all_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let times = folder.path().join("times");
    let started = Instant::now();
    let output = Command::new(root().join("scripts/step"))
        .args(["slow", "1", "bash", "-c", "sleep 60 & echo $! > \"$0\"; wait"])
        .arg(folder.path().join("pid"))
        .env("SHEAF_TIMES", &times)
        .output()
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(124), "{}", text(&output));
    assert!(fs::read_to_string(times).unwrap().ends_with("over its limit of 1 s\n"));
    let sleeper = fs::read_to_string(folder.path().join("pid")).unwrap();
    let gone = || !Path::new("/proc").join(sleeper.trim()).join("environ").exists() || is_zombie(sleeper.trim());
    while !gone() && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(gone(), "process {sleeper} is left");
}

fn is_zombie(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[test]
fn the_wheel_is_tested_on_every_python() {
    let script = read("scripts/test-other-pythons");
    assert!(script.contains("for version in 3.11 3.12 3.13; do"));
    assert!(read("Makefile").contains("scripts/test-other-pythons"));
    let project: toml::Table = read("python-bindings/pyproject.toml").parse().unwrap();
    assert_eq!(project["project"]["requires-python"].as_str(), Some(">=3.11"));
}

#[test]
fn a_step_has_no_standard_input() {
    let output = Command::new(root().join("scripts/step")).args(["quiet", "10", "cat"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}
