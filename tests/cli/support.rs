//! Runs the binary in a folder of the test's own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any step takes on a busy machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Flights of three carriers, one without a delay.
pub(crate) const FLIGHTS: &str = "carrier,delay,day\nUA,5,2013-01-01\nAA,,2013-01-02\nB6,-3,2013-01-03\n";

/// A working folder with its own home.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (name, text) in files {
            std::fs::write(place.path(name), text).unwrap();
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.path("state/sheaf/history")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The binary, told to keep all it keeps inside of the folder.
    pub(crate) fn sheaf(&self, args: &[&str]) -> Command {
        let spill = self.path("spill");
        std::fs::create_dir_all(&spill).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
        command.args(args).arg("--threads=2").arg("--spill-dir").arg(spill);
        command.current_dir(self.folder.path());
        command.env("HOME", self.folder.path()).env("XDG_STATE_HOME", self.path("state")).env("TERM", "xterm");
        command.env_remove("NO_COLOR");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.sheaf(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Standard output of a run that has to succeed.
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{args:?} has nothing to complain of");
        text(&output.stdout)
    }

    /// A run that reads this from standard input.
    pub(crate) fn piped(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.sheaf(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Nothing is left of a session that is over.
    pub(crate) fn assert_no_spill(&self) {
        assert!(is_empty(&self.path("spill")), "spill files are left");
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits for a process, and ends it when it takes too long.
pub(crate) fn finish(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the process did not end by itself");
}
