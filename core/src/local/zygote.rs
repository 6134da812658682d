//! The process from which workers are forked. It has one thread, so that a fork of it is safe, and it is the one that
//! hears how workers end.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Deserialize;
use serde_json::json;

use crate::{Error, ErrorKind as Kind, Result};

/// How long it may take to end before it is killed.
const ENDING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// What it says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", untagged)]
pub(super) enum Said {
    /// A worker is there.
    Forked {
        /// Its number.
        forked: u64,
        /// Its process.
        pid: u32,
    },
    /// There is no such worker, and why.
    Failed {
        /// Its number.
        failed: u64,
        /// What went wrong.
        error: String,
    },
    /// A worker's process ended.
    Exited {
        /// The process.
        exited: u32,
        /// As `waitpid` gives it.
        status: i32,
    },
}

/// The process and its socket.
#[derive(Debug)]
pub(super) struct Zygote {
    process: Child,
    pub(super) socket: UnixStream,
    begun: Vec<u8>,
}

impl Zygote {
    /// Starts it. It hears of the end of this process by the end of the socket.
    pub(super) fn start(command: &[String]) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::Io, format!("cannot start the process of the workers ({}): {error}", command.join(" ")))
        };
        let (here, there) = UnixStream::pair().map_err(failed)?;
        let number = there.as_raw_fd();
        let arguments: Vec<String> = command.iter().map(|part| part.replace("{fd}", &number.to_string())).collect();
        let Some((program, arguments)) = arguments.split_first() else {
            return Err(Error::invalid("the command that starts the workers is empty"));
        };
        let mut command_line = Command::new(program);
        command_line.args(arguments).stdin(Stdio::null()).process_group(0);
        inherit(&mut command_line, number);
        let process = command_line.spawn().map_err(failed)?;
        here.set_nonblocking(true).map_err(failed)?;
        Ok(Self { process, socket: here, begun: Vec::new() })
    }

    /// Asks for a worker that has these files: its socket, its standard output and its standard error.
    pub(super) fn fork(&self, number: u64, env: &str, files: &[OwnedFd; 3]) -> std::io::Result<()> {
        let text = json!({ "fork": number, "env": env }).to_string() + "\n";
        let files: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
        self.send(&text, &[ControlMessage::ScmRights(&files)])
    }

    /// Kills the worker of this number, and what sets it up; one that ended already is nobody.
    pub(super) fn kill(&self, number: u64) -> std::io::Result<()> {
        self.send(&(json!({ "kill": number }).to_string() + "\n"), &[])
    }

    /// A socket of this kind takes a short message whole, or not at all.
    fn send(&self, text: &str, control: &[ControlMessage<'_>]) -> std::io::Result<()> {
        let parts = [std::io::IoSlice::new(text.as_bytes())];
        let until = Instant::now() + ENDING;
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                // It forks as fast as it can, and reads its socket between any two.
                Err(nix::errno::Errno::EAGAIN) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What it said since; `Err` when it is gone.
    pub(super) fn read(&mut self) -> std::io::Result<Vec<Said>> {
        let mut part = [0; 4096];
        loop {
            match self.socket.read(&mut part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.begun.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let mut said = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            said.push(serde_json::from_slice(&line).map_err(std::io::Error::other)?);
        }
        Ok(said)
    }
}

impl Drop for Zygote {
    /// Ends it and all workers.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let until = Instant::now() + ENDING;
        while Instant::now() < until {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        // Its workers end when their own sockets do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(unsafe_code, reason = "what runs between fork and exec must be safe there")]
fn inherit(command: &mut Command, file: i32) {
    let keep_open = move || {
        // SAFETY: the descriptor is open until this process has forked, and only a flag of it is set.
        match unsafe { libc::fcntl(file, libc::F_SETFD, 0) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: `fcntl` is safe to call after a fork, and nothing is allocated.
    unsafe { command.pre_exec(keep_open) };
}
