//! The process from which workers are forked: one thread, the program's own code, and what `local/zygote.rs` says to
//! it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdout, fork, getppid, setpgid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Functions, work};

/// Files that come with each request for a worker: its socket, its standard output and its standard error.
const FILES: usize = 3;
const READ_BYTES: usize = 64 << 10;
/// Of 1,000: who has more is ended first when the machine has no memory left.
const OOM_SCORE: &str = "900";

/// What the node asks for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Fork { fork: u64, env: String },
    Kill { kill: u64 },
}

struct Forks<'a> {
    node: UnixStream,
    ends: SignalFd,
    functions: &'a Functions,
    /// By process, the number that the node gave it.
    workers: BTreeMap<Pid, u64>,
    begun: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

/// Forks workers until the node is gone.
#[expect(unsafe_code, reason = "the socket is inherited as a number")]
pub(super) fn serve(socket: RawFd, functions: &Functions) -> ! {
    // SAFETY: whoever started this process left the socket for it, and nothing else here knows of it.
    let node = unsafe { UnixStream::from_raw_fd(socket) };
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    let begun = signals.thread_block().and_then(|()| SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC));
    let code = match begun {
        Ok(ends) => {
            let (workers, begun, files) = (BTreeMap::new(), Vec::new(), VecDeque::new());
            // It ends when the node does: the workers then end by their own sockets.
            let _ = Forks { node, ends, functions, workers, begun, files }.run();
            0
        }
        Err(_) => 1,
    };
    std::process::exit(code)
}

impl Forks<'_> {
    fn run(mut self) -> io::Result<()> {
        loop {
            let mut ready =
                [PollFd::new(self.node.as_fd(), PollFlags::POLLIN), PollFd::new(self.ends.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let is_ready = ready.map(|each| each.any().unwrap_or(true));
            if is_ready[1] {
                let _ = self.ends.read_signal()?;
                self.reap()?;
            }
            if is_ready[0] {
                self.hear()?;
            }
        }
    }

    fn hear(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; READ_BYTES];
        let mut space = nix::cmsg_space!([RawFd; 250]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let (count, files) = {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let heard = recvmsg::<()>(self.node.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
            (heard.bytes, heard.cmsgs()?.flat_map(files_of).collect::<Vec<_>>())
        };
        self.files.extend(files);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.begun.extend_from_slice(&bytes[..count]);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            match serde_json::from_slice(&line).map_err(io::Error::other)? {
                Asked::Fork { fork, env } => self.fork(fork, &env)?,
                Asked::Kill { kill: number } => {
                    for (process, _) in self.workers.iter().filter(|(_, own)| **own == number) {
                        // One that ended meanwhile is heard of in a moment.
                        let _ = kill(*process, Signal::SIGKILL);
                    }
                }
            }
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "a fork of a process of one thread")]
    fn fork(&mut self, number: u64, env: &str) -> io::Result<()> {
        let files: Vec<OwnedFd> = self.files.drain(..FILES.min(self.files.len())).collect();
        let Ok([socket, output, errors]) = <[OwnedFd; FILES]>::try_from(files) else {
            return Err(io::Error::other("a worker without its files"));
        };
        if !env.is_empty() {
            return self.say(&json!({ "failed": number, "error": "environments are for workers of Python" }));
        }
        let parent = Pid::this();
        // SAFETY: there is one thread, so that no lock is held by another one.
        match unsafe { fork() } {
            Err(error) => {
                self.say(&json!({ "failed": number, "error": format!("a worker cannot be forked: {error}") }))
            }
            Ok(ForkResult::Parent { child }) => {
                self.workers.insert(child, number);
                self.say(&json!({ "forked": number, "pid": child.as_raw() }))
            }
            Ok(ForkResult::Child) => self.become_worker(parent, socket, [output, errors]),
        }
    }

    /// In the child, which has the parent's sockets too: it is killed with the parent, so that the node hears of that.
    #[expect(unsafe_code, reason = "calls of the C library without a safe form")]
    fn become_worker(&self, parent: Pid, socket: OwnedFd, [output, errors]: [OwnedFd; 2]) -> ! {
        // What it starts ends with it.
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        // SAFETY: it names a signal for the end of the parent.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let begun = (getppid() == parent) && dup2_stdout(&output).and_then(|()| dup2_stderr(&errors)).is_ok();
        drop((output, errors));
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
        let _ = SigSet::all().thread_unblock();
        let ended = begun && work::serve(socket.into(), self.functions).is_ok();
        let _ = io::stdout().flush();
        // SAFETY: it ends the process; nothing of the parent's is freed here.
        unsafe { libc::_exit(i32::from(!ended)) }
    }

    /// Tells of workers that ended, and ends what they started.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let (process, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(process, code)) => (process, code << 8),
                Ok(WaitStatus::Signaled(process, signal, _)) => (process, signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if self.workers.remove(&process).is_some() {
                let _ = killpg(process, Signal::SIGKILL);
                self.say(&json!({ "exited": process.as_raw(), "status": status }))?;
            }
        }
    }

    fn say(&mut self, what: &Value) -> io::Result<()> {
        self.node.write_all(format!("{what}\n").as_bytes())
    }
}

#[expect(unsafe_code, reason = "files arrive as numbers")]
fn files_of(message: ControlMessageOwned) -> Vec<OwnedFd> {
    match message {
        ControlMessageOwned::ScmRights(files) => {
            // SAFETY: the kernel made these numbers for this process just now.
            let own = |file| unsafe { OwnedFd::from_raw_fd(file) };
            files.into_iter().map(own).collect()
        }
        _ => Vec::new(),
    }
}
