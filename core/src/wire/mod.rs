//! How a node and the processes of its machine speak: messages over a Unix socket, with open files beside them.
//!
//! A frame is four bytes of length, then the message. Files travel with the first byte of their frame; those of a
//! message with very many go ahead of it with empty frames.

mod message;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use message::{
    Answer, Arguments, CallOptions, Coming, Ending, FragmentSubmission, Given, GroupInfo, Kept, Lies, Line, MadeHere,
    NewGroup, NodeInfo, ObjectInfo, Reason, Run, Share, Submission, Terms, ToClient, ToNode, Where, Wish, Work,
};

/// Values up to this size, in bytes, travel inside messages; larger ones lie in the store.
pub const INLINE_BYTES: usize = 100 << 10;

/// Files in one message of the kernel's: it takes 253.
const FILES_AT_ONCE: usize = 250;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// A frame that is longer is none of ours.
const MAX_FRAME_BYTES: usize = 1 << 30;

/// What is to be written, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of the bytes are written.
    written: usize,
    /// Files that go with the byte at this place.
    files: VecDeque<(usize, Vec<OwnedFd>)>,
}

impl Outbox {
    /// Adds a message.
    ///
    /// # Errors
    /// When it cannot be written down, which no message of ours is.
    pub fn push<M: Serialize>(&mut self, message: &M, mut files: Vec<OwnedFd>) -> io::Result<()> {
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
        while files.len() > FILES_AT_ONCE {
            let rest = files.split_off(FILES_AT_ONCE);
            self.files.push_back((self.bytes.len(), std::mem::replace(&mut files, rest)));
            self.bytes.extend_from_slice(&0_u32.to_le_bytes());
        }
        if !files.is_empty() {
            self.files.push_back((self.bytes.len(), files));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
        let length = (self.bytes.len() - start - 4) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Whether all is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Bytes that are not written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Writes what the socket takes; says whether that was all. A socket that blocks takes all.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn write(&mut self, socket: &impl AsRawFd) -> io::Result<bool> {
        while !self.is_empty() {
            // A message of the kernel's ends where the next files begin.
            let here = self.files.front().is_some_and(|(at, _)| *at == self.written);
            let end = self.files.get(usize::from(here)).map_or(self.bytes.len(), |(at, _)| *at);
            let files: Vec<RawFd> = match self.files.front().filter(|_| here) {
                Some((_, files)) => files.iter().map(AsRawFd::as_raw_fd).collect(),
                None => Vec::new(),
            };
            let control = [ControlMessage::ScmRights(&files)];
            let control = if files.is_empty() { &[][..] } else { &control[..] };
            let parts = [IoSlice::new(&self.bytes[self.written..end])];
            match sendmsg::<()>(socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(count) => {
                    self.written += count;
                    if here && count > 0 {
                        self.files.pop_front();
                    }
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.bytes.clear();
        self.written = 0;
        // A large message is rare: its room is not kept.
        self.bytes.shrink_to(READ_BYTES);
        Ok(true)
    }
}

/// What was read, and is not taken out.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    files: VecDeque<OwnedFd>,
    /// What one read brings.
    part: Vec<u8>,
}

impl Inbox {
    /// Reads what is there; `false` when there is nothing for now.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] when the other end is gone.
    pub fn read(&mut self, socket: &impl AsRawFd) -> io::Result<bool> {
        // Cleared once, and not before each read.
        self.part.resize(READ_BYTES, 0);
        match self.receive(socket) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.bytes.extend_from_slice(&self.part[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        let mut control = nix::cmsg_space!([RawFd; FILES_AT_ONCE]);
        loop {
            let mut parts = [IoSliceMut::new(&mut self.part)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for control in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(files) = control {
                    self.files.extend(files.into_iter().map(owned));
                }
            }
            return Ok(message.bytes);
        }
    }

    /// The next message, if all of it is here.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] for what is no message.
    pub fn message<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        loop {
            let rest = &self.bytes[self.taken..];
            let Some((length, rest)) = rest.split_first_chunk::<4>() else { break };
            let length = u32::from_le_bytes(*length) as usize;
            if length > MAX_FRAME_BYTES {
                return Err(io::Error::new(ErrorKind::InvalidData, "no frame of the runtime"));
            }
            if rest.len() < length {
                break;
            }
            let message = &rest[..length];
            self.taken += 4 + length;
            if length > 0 {
                let message = postcard::from_bytes(message);
                return message.map(Some).map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
            }
        }
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.shrink_to(2 * READ_BYTES);
        Ok(None)
    }

    /// The next of the files that came with the messages.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] when there is none.
    pub fn take_file(&mut self) -> io::Result<OwnedFd> {
        self.files.pop_front().ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a file is missing"))
    }
}

#[expect(unsafe_code, reason = "the kernel made the descriptor for this message, and nobody else has it")]
fn owned(file: RawFd) -> OwnedFd {
    // SAFETY: the descriptor is open and is not used anywhere else.
    unsafe { OwnedFd::from_raw_fd(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;

    fn file(text: &str) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file.into()
    }

    #[test]
    fn messages_and_their_files_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        there.set_nonblocking(true).unwrap();
        let (mut out, mut inbox) = (Outbox::default(), Inbox::default());
        out.push(&"small".to_string(), Vec::new()).unwrap();
        out.push(&"x".repeat(1 << 20), Vec::new()).unwrap();
        out.push(&"with files".to_string(), (0..600).map(|n| file(&n.to_string())).collect()).unwrap();
        out.push(&"another".to_string(), vec![file("last")]).unwrap();
        let mut got: Vec<String> = Vec::new();
        while got.len() < 4 {
            out.write(&here).unwrap();
            inbox.read(&there).unwrap();
            while let Some(message) = inbox.message::<String>().unwrap() {
                got.push(message);
            }
        }
        assert_eq!((got[0].as_str(), got[1].len(), got[2].as_str()), ("small", 1 << 20, "with files"));
        for expected in (0..600).map(|n| n.to_string()).chain(["last".to_string()]) {
            let mut text = String::new();
            std::fs::File::from(inbox.take_file().unwrap()).read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
        assert!(inbox.take_file().is_err());
        drop(here);
        assert_eq!(inbox.read(&there).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[0xff; 64]).unwrap();
        let mut inbox = Inbox::default();
        inbox.read(&there).unwrap();
        assert_eq!(inbox.message::<String>().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
