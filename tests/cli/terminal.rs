//! A terminal that a test types into: the master side of a pseudo-terminal whose other side is the child's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::support::{PATIENCE, finish};

pub(crate) struct Terminal {
    master: File,
    child: Child,
    /// What the child wrote and no expectation has used yet.
    unread: String,
}

impl Terminal {
    /// Starts a command on a terminal of this many columns.
    #[expect(unsafe_code, reason = "a pseudo-terminal and its session are made by system calls")]
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (name, modes) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: both descriptors are valid places to write to, and no name or modes are asked for.
        let opened = unsafe { libc::openpty(&mut master, &mut slave, name, modes, &raw const size as *mut _) };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the descriptors were opened just now and nobody else owns them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        // SAFETY: a call on a descriptor that is open; the child must not keep the master's side open.
        unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let side = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(side()).stdout(side()).stderr(side());
        let controlling = || {
            // SAFETY: both calls are allowed between fork and exec; descriptor 0 is the terminal.
            let done = unsafe { libc::setsid() != -1 && libc::ioctl(0, libc::TIOCSCTTY, 0) != -1 };
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: the closure makes system calls only.
        let child = unsafe { command.pre_exec(controlling) }.spawn().unwrap();
        Self { master, child, unread: String::new() }
    }

    /// Types text; a line ends with `\r`.
    pub(crate) fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the child wrote this text, and gives all it wrote up to it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let started = Instant::now();
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(started.elapsed() < PATIENCE, "{text:?} never came, but:\n{}", self.unread);
            assert!(self.read(100), "{text:?} never came before the end, but:\n{}", self.unread);
        }
    }

    /// Everything that is written until the child ends, and how it ended.
    pub(crate) fn end(mut self) -> (String, ExitStatus) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE && self.read(100) {}
        let status = finish(&mut self.child);
        (std::mem::take(&mut self.unread), status)
    }

    /// Reads what comes within this time; false when nothing can come any more.
    #[expect(unsafe_code, reason = "waiting for a descriptor with a bound is a system call")]
    fn read(&mut self, millis: i32) -> bool {
        let mut wait = libc::pollfd { fd: self.master.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, open as long as `self` is.
        if unsafe { libc::poll(&raw mut wait, 1, millis) } == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        // On Linux the end of the other side is the error EIO.
        match self.master.read(&mut bytes) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.unread.push_str(&String::from_utf8_lossy(&bytes[..count]));
                true
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
