//! What workers print: lines from their pipes, with the name of the task or actor that printed them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::wire::Line;

use super::logs::WorkerLog;

/// Lines of a worker that are told when it dies.
const LAST_LINES: usize = 30;
/// A line that is longer is cut in parts.
const MAX_LINE_BYTES: usize = 64 << 10;
/// Begins the line with which a worker says what it runs from now on.
const MARK: u8 = 1;

/// One of the pipes of a worker.
#[derive(Debug)]
pub(super) struct Pipe {
    file: File,
    is_error: bool,
    /// What came of a line that has not ended.
    begun: Vec<u8>,
    /// How much of it was there when it was looked at last.
    looked_at: usize,
    name: String,
}

impl Pipe {
    /// The reading end of a pipe that does not block.
    pub(super) fn new(end: OwnedFd, is_error: bool) -> Self {
        Self { file: end.into(), is_error, begun: Vec::new(), looked_at: 0, name: "worker".to_string() }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Hands on the lines that are there; says whether more may come.
    pub(super) fn read(&mut self, pid: u32, mut take: impl FnMut(Line)) -> bool {
        let mut part = [0; 16 << 10];
        // What one worker prints without end must not keep the node from its work.
        for _ in 0..16 {
            match self.file.read(&mut part) {
                Ok(0) => {
                    self.split(pid, &mut take, true);
                    return false;
                }
                Ok(count) => {
                    self.begun.extend_from_slice(&part[..count]);
                    self.split(pid, &mut take, false);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        true
    }

    /// Hands on what came of a line whose end does not come.
    pub(super) fn look(&mut self, pid: u32, mut take: impl FnMut(Line)) {
        if !self.begun.is_empty() && self.begun.len() == self.looked_at {
            self.split(pid, &mut take, true);
        }
        self.looked_at = self.begun.len();
    }

    fn split(&mut self, pid: u32, take: &mut impl FnMut(Line), is_last: bool) {
        let mut from = 0;
        while let Some(end) = self.begun[from..].iter().position(|byte| *byte == b'\n') {
            let line = &self.begun[from..from + end];
            from += end + 1;
            // What was printed without an end of line stands before the mark.
            match line.iter().rposition(|byte| *byte == MARK) {
                Some(mark) => {
                    if mark > 0 {
                        take(said(&self.name, pid, self.is_error, &line[..mark]));
                    }
                    self.name = String::from_utf8_lossy(&line[mark + 1..]).into_owned();
                }
                None => take(said(&self.name, pid, self.is_error, line)),
            }
        }
        self.begun.drain(..from);
        if !self.begun.is_empty() && (is_last || self.begun.len() > MAX_LINE_BYTES) {
            take(said(&self.name, pid, self.is_error, &std::mem::take(&mut self.begun)));
        }
    }
}

fn said(name: &str, pid: u32, is_error: bool, text: &[u8]) -> Line {
    let text = String::from_utf8_lossy(text);
    Line { name: name.to_string(), pid, place: String::new(), is_error, text: text.trim_end_matches('\r').to_string() }
}

/// The last lines of a worker, and the log that has all of them.
#[derive(Debug, Default)]
pub(super) struct Record {
    last: VecDeque<String>,
    log: Option<WorkerLog>,
}

impl Record {
    pub(super) fn log_to(&mut self, log: Option<WorkerLog>) {
        self.log = log;
    }

    pub(super) fn note(&mut self, line: &Line) {
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.text.clone());
        if let Some(log) = &self.log {
            log.write(line.is_error, &line.text);
        }
    }

    /// What it printed last, indented.
    pub(super) fn last_lines(&self) -> String {
        self.last.iter().map(|line| format!("\n  {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_carry_the_name_of_what_printed_them() {
        let (here, there) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        let mut pipe = Pipe::new(here, false);
        let mut writer = File::from(there);
        writer.write_all(b"starts\n\x01f\nfirst\nsec").unwrap();
        let mut lines = Vec::new();
        assert!(pipe.read(7, |line| lines.push((line.name, line.text))));
        writer.write_all(b"ond\r\npart\x01g\nno end").unwrap();
        drop(writer);
        assert!(!pipe.read(7, |line| lines.push((line.name, line.text))));
        let expected = [("worker", "starts"), ("f", "first"), ("f", "second"), ("f", "part"), ("g", "no end")];
        assert_eq!(lines, expected.map(|(name, text)| (name.to_string(), text.to_string())));
    }
}
