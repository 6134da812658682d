//! The processes of one job: started as a group of their own, listened to until the first one ends, and then all ended.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, pipe2};
use parking_lot::Mutex;

use super::guard::Guard;
use super::log::Log;
use super::table::Ending;
use crate::child::end_with_thread;

/// How often a job is looked after that says nothing, in milliseconds.
const LOOK_EVERY: u16 = 100;
/// How long what was printed may take to come, when all who print have been killed.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What is read at once.
const PART_BYTES: usize = 64 << 10;
/// What of a failed set-up is told.
const WHY_BYTES: usize = 32 << 10;
/// The last lines of an entry point that failed, as far as they are told with its end.
const LAST_BYTES: usize = 2 << 10;

/// What is started.
#[derive(Debug)]
pub(super) struct Launch {
    /// The program and its arguments; `{fd}` stands for the number of a pipe, by which it tells what keeps the entry
    /// point from running, and which it closes when that runs.
    pub(super) command: Vec<String>,
    /// What is set in its environment.
    pub(super) variables: Vec<(String, String)>,
}

/// What is told while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The entry point runs.
    SetUp,
    /// Something was printed.
    Printed,
    /// Time passed.
    Nothing,
}

/// The process group of a job, for who wants it to end. `None` before it begins and after its end, when its number may
/// be another one's.
#[derive(Debug, Default)]
pub(super) struct Group(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    leader: Option<Pid>,
    /// What came before the process did.
    wanted: Option<Signal>,
}

impl Group {
    /// Sends a signal to all of it, now or as soon as it is there.
    pub(super) fn signal(&self, signal: Signal) {
        let mut state = self.0.lock();
        match state.leader {
            // One that has ended just now needs no signal.
            Some(leader) => drop(killpg(leader, signal)),
            None => state.wanted = Some(signal),
        }
    }

    fn begin(&self, leader: Pid) {
        let mut state = self.0.lock();
        state.leader = Some(leader);
        if let Some(signal) = state.wanted.take() {
            let _ = killpg(leader, signal);
        }
    }

    /// Ends all that is left of it. Its first process has ended and is not waited for yet.
    fn end(&self) {
        if let Some(leader) = self.0.lock().leader.take() {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Runs a job to its end. The thread that calls this has to stay: the system ends the job with it.
pub(super) fn run(launch: &Launch, group: &Group, guard: &Guard, log: &Log, mut told: impl FnMut(Said)) -> Ending {
    let (mut child, mut printed, mut setup) = match start(launch) {
        Ok(started) => started,
        Err(error) => return Ending::NotBegun(format!("{}: {error}", launch.command.join(" "))),
    };
    let leader = Pid::from_raw(child.id().cast_signed());
    if let Err(error) = guard.add(leader) {
        let _ = (killpg(leader, Signal::SIGKILL), child.wait());
        return Ending::NotBegun(format!("its guard cannot be started: {error}"));
    }
    group.begin(leader);
    while !has_ended(leader) {
        wait(&[printed.source(), setup.source()]);
        let has_printed = printed.read(|bytes| log.append(bytes));
        if setup.is_open() {
            setup.read(|_| {});
            if !setup.is_open() && setup.kept.is_empty() {
                told(Said::SetUp);
            }
        }
        told(if has_printed { Said::Printed } else { Said::Nothing });
    }
    guard.remove(leader);
    group.end();
    let status = child.wait();
    setup.read(|_| {});
    let until = Instant::now() + LAST_WORDS;
    while printed.is_open() && Instant::now() < until {
        wait(&[printed.source()]);
        printed.read(|bytes| log.append(bytes));
    }
    told(Said::Printed);
    if !setup.kept.is_empty() {
        return Ending::NotBegun(String::from_utf8_lossy(&setup.kept).into_owned());
    }
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Exit(code, log.last(LAST_BYTES)),
            (None, signal) => Ending::Signal(name_of(signal.unwrap_or_default()), log.last(LAST_BYTES)),
        },
        Err(error) => Ending::NotBegun(format!("how it ended is not known: {error}")),
    }
}

fn name_of(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_string())
}

/// Whether a process has ended, which stays to be waited for.
fn has_ended(process: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(process), flags), Ok(WaitStatus::StillAlive))
}

fn wait(sources: &[Option<PollFd<'_>>]) {
    let mut open: Vec<PollFd<'_>> = sources.iter().flatten().cloned().collect();
    // An interrupted wait is a short one. Where nothing is open, the end is all that is waited for.
    let patience = if open.is_empty() { LOOK_EVERY / 10 } else { LOOK_EVERY };
    let _ = poll(&mut open, PollTimeout::from(patience));
}

/// The end of a pipe from which is read what there is.
struct Pipe {
    file: Option<std::fs::File>,
    kept: Vec<u8>,
    keeps: usize,
}

impl Pipe {
    fn of(end: OwnedFd, keeps: usize) -> Self {
        Self { file: Some(end.into()), kept: Vec::new(), keeps }
    }

    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn source(&self) -> Option<PollFd<'_>> {
        self.file.as_ref().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN))
    }

    /// Takes what there is, one part at a time, so that others have their turn; says whether there was something.
    fn read(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let Some(file) = &mut self.file else { return false };
        let mut part = [0; PART_BYTES];
        match file.read(&mut part) {
            Ok(0) => self.file = None,
            Ok(count) => {
                let room = self.keeps.saturating_sub(self.kept.len()).min(count);
                self.kept.extend_from_slice(&part[..room]);
                take(&part[..count]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.file = None,
        }
        false
    }
}

fn start(launch: &Launch) -> io::Result<(Child, Pipe, Pipe)> {
    let (printed, to_print) = pipe2(OFlag::O_CLOEXEC)?;
    let (setup, to_tell) = pipe2(OFlag::O_CLOEXEC)?;
    for end in [&printed, &setup] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let number = to_tell.as_raw_fd();
    let is_asked = launch.command.iter().any(|word| word.contains("{fd}"));
    let words: Vec<String> = launch.command.iter().map(|word| word.replace("{fd}", &number.to_string())).collect();
    let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(launch.variables.iter().map(|(name, text)| (name, text)))
        .stdin(Stdio::null())
        .stdout(to_print.try_clone()?)
        .stderr(to_print)
        .process_group(0);
    end_with_thread(&mut command, is_asked.then_some(number));
    let child = command.spawn()?;
    // Both ends that only the child has are closed with these.
    drop((command, to_tell));
    Ok((child, Pipe::of(printed, 0), Pipe::of(setup, WHY_BYTES)))
}
