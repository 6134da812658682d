//! Processes that end with the thread that starts them, also when that is killed with all of its process.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Lets the process end with the thread that starts it, and keep this file.
#[expect(unsafe_code, reason = "what runs between fork and exec must be safe there")]
pub(crate) fn end_with_thread(command: &mut Command, kept: Option<RawFd>) {
    let own = std::process::id();
    let prepare = move || {
        // SAFETY: the calls set what is the new process' own, and the descriptor is open until it has executed.
        let is_set = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
                && kept.is_none_or(|file| libc::fcntl(file, libc::F_SETFD, 0) == 0)
        };
        if !is_set {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it has no arguments and cannot fail.
        if unsafe { libc::getppid() }.cast_unsigned() != own {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: all that is called is safe after a fork, and nothing is allocated.
    unsafe { command.pre_exec(prepare) };
}
