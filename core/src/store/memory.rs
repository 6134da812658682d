//! Shared memory: sealed files without a name, which are gone with the last process that has them open.

use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;

use nix::errno::Errno;
use nix::fcntl::{F_ADD_SEALS, F_GET_SEALS, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};
use nix::sys::stat::fstat;
use nix::sys::uio::pwrite;
use nix::unistd::ftruncate;
use parking_lot::Mutex;

/// Nobody may cut off under a reader's feet what it has mapped, or map it to write to it. Whoever has mapped it before
/// the seals were set can write to it: that is [`Again`], which does when there are no readers any more.
const SEALS: SealFlag = SealFlag::F_SEAL_FUTURE_WRITE
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

/// Shared memory that is being written.
#[derive(Debug)]
pub struct Draft {
    file: OwnedFd,
}

impl Draft {
    /// Memory for so many bytes. All of them are to be written: that takes the memory, so that a machine that has too
    /// little says so to the writer, and does not end a reader who touches a page later.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(size: u64) -> io::Result<Self> {
        let file = memfd_create(c"sheaf", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        ftruncate(&file, size as i64)?;
        Ok(Self { file })
    }

    /// Maps it, so that it can be written once more after it is sealed.
    ///
    /// # Errors
    /// What the system says.
    pub fn again(&self) -> io::Result<Again> {
        Again::new(&self.file, fstat(&self.file)?.st_size as usize)
    }

    /// Writes bytes at a place. Writing does not map the pages, which takes half of the time.
    ///
    /// # Errors
    /// What the system says, also when there is not enough memory.
    pub fn write(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match pwrite(&self.file, bytes, at as i64) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    at += count as u64;
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Ends the writing, for all who have not mapped it to write.
    ///
    /// # Errors
    /// What the system says.
    pub fn seal(self) -> io::Result<OwnedFd> {
        fcntl(&self.file, F_ADD_SEALS(SEALS))?;
        Ok(self.file)
    }
}

/// Shared memory that this process has mapped to write to it, again and again.
#[derive(Debug)]
pub struct Again {
    start: NonNull<u8>,
    length: usize,
    /// Its children have it not: they would keep the memory for as long as they live.
    process: u32,
    /// Whoever writes has it alone. Whether its pages are mapped already.
    pages: Mutex<bool>,
}

impl Again {
    #[expect(unsafe_code, reason = "mapping memory is unsafe")]
    fn new(file: &OwnedFd, length: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(length).ok_or(ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping of a file that nobody cuts off: it is sealed before another process has it.
        let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0) }?;
        // SAFETY: the mapping is new; a child that is forked does not get it.
        unsafe { madvise(start, length, MmapAdvise::MADV_DONTFORK) }?;
        Ok(Self { start: start.cast(), length, process: std::process::id(), pages: Mutex::new(false) })
    }

    /// Writes each of these at its place.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when one does not fit.
    #[expect(unsafe_code, reason = "the memory is read by other processes")]
    pub fn write<'a>(&self, parts: impl IntoIterator<Item = (&'a [u8], usize)>) -> io::Result<()> {
        let mut has_pages = self.pages.lock();
        if !std::mem::replace(&mut *has_pages, true) {
            // In one go, and not with a fault for each. A kernel that cannot does without.
            // SAFETY: the range is one mapping; the advice changes no byte.
            let _ = unsafe { madvise(self.start.cast(), self.length, MmapAdvise::MADV_POPULATE_WRITE) };
        }
        for (part, at) in parts {
            if at.checked_add(part.len()).is_none_or(|end| end > self.length) {
                return Err(ErrorKind::InvalidInput.into());
            }
            // SAFETY: the place is within the mapping, and no safe reference to that exists: readers have mappings of
            // their own, and the node says that there are none.
            unsafe { self.start.add(at).copy_from_nonoverlapping(NonNull::from(part).cast(), part.len()) };
        }
        Ok(())
    }
}

impl Drop for Again {
    #[expect(unsafe_code, reason = "the mapping is this one's alone")]
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // Something else may be there by now.
            return;
        }
        // SAFETY: nothing borrows from it.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}

#[expect(unsafe_code, reason = "one thread at a time writes")]
// SAFETY: the memory is not bound to a thread.
unsafe impl Send for Again {}
#[expect(unsafe_code, reason = "one thread at a time writes")]
// SAFETY: writing takes the lock.
unsafe impl Sync for Again {}

/// Shared memory that this process reads.
#[derive(Debug)]
pub struct Mapping {
    start: Option<NonNull<u8>>,
    length: usize,
}

impl Mapping {
    /// Maps sealed memory.
    ///
    /// # Errors
    /// When it is shorter than `length` or not sealed: reading it could then end this process.
    #[expect(unsafe_code, reason = "mapping memory is unsafe")]
    pub fn new(file: &impl AsFd, length: u64) -> io::Result<Self> {
        let seals = SealFlag::from_bits_truncate(fcntl(file, F_GET_SEALS)?);
        if !seals.contains(SEALS) || (fstat(file)?.st_size as u64) < length {
            return Err(io::Error::new(ErrorKind::InvalidData, "the memory of an object is not sealed, or too short"));
        }
        let Some(size) = NonZeroUsize::new(length as usize) else { return Ok(Self { start: None, length: 0 }) };
        // SAFETY: a new mapping of a file that cannot shrink any more, and does not change while the node knows of it.
        let start = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { start: Some(start.cast()), length: size.get() })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[expect(unsafe_code, reason = "the memory is mapped as long as this lives")]
    fn deref(&self) -> &[u8] {
        match self.start {
            // SAFETY: `length` bytes are mapped there, and nobody writes to them.
            Some(start) => unsafe { slice::from_raw_parts(start.as_ptr(), self.length) },
            None => &[],
        }
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "the mapping is this one's alone")]
    fn drop(&mut self) {
        if let Some(start) = self.start {
            // SAFETY: nothing borrows from a mapping that is dropped.
            let _ = unsafe { munmap(start.cast(), self.length) };
        }
    }
}

#[expect(unsafe_code, reason = "it is memory that nobody writes to")]
// SAFETY: the memory is read only, and is not bound to a thread.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "it is memory that nobody writes to")]
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// Reads so many bytes from a place.
///
/// # Errors
/// When there are fewer.
pub fn read_at(file: &impl AsFd, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut done = 0;
    while done < length {
        match nix::sys::uio::pread(file, &mut bytes[done..], (at as usize + done) as i64) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the memory of an object is too short")),
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Reads all of a file of shared memory, in parts.
pub(super) fn read_parts(file: &OwnedFd, size: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut part = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let room = part.len().min((size - at) as usize);
        match nix::sys::uio::pread(file, &mut part[..room], at as i64) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{} is cut off", file.as_raw_fd()))),
            Ok(count) => {
                take(&part[..count])?;
                at += count as u64;
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_mapped_before_it_was_sealed_can_be_written_once_more() {
        let draft = Draft::new(10_000).unwrap();
        draft.write(&[1; 10_000], 0).unwrap();
        let again = draft.again().unwrap();
        let mapping = Mapping::new(&draft.seal().unwrap(), 9_000).unwrap();
        again.write([(&[2; 3][..], 4), (&[3; 2][..], 9_998)]).unwrap();
        assert_eq!(mapping[..8], [1, 1, 1, 1, 2, 2, 2, 1]);
        assert!(again.write([(&[3; 3][..], 9_998)]).is_err() && again.write([(&[3; 3][..], usize::MAX)]).is_err());
    }

    #[test]
    fn what_is_sealed_can_be_read_and_not_written() {
        let draft = Draft::new(10_000).unwrap();
        draft.write(b"first", 0).unwrap();
        draft.write(b"last", 9_996).unwrap();
        assert!(Mapping::new(&draft.file, 10_000).is_err(), "it is not sealed yet");
        let file = draft.seal().unwrap();
        let mapping = Mapping::new(&file, 10_000).unwrap();
        assert_eq!((&mapping[..5], &mapping[9_996..], mapping[5_000]), (&b"first"[..], &b"last"[..], 0));
        assert!(pwrite(&file, b"x", 0).is_err());
        assert!(Mapping::new(&file, 10_001).is_err(), "it is too short");
        assert!(Again::new(&file, 10_000).is_err(), "it is too late to map it to write");
        drop(file);
        assert_eq!(&mapping[..5], b"first");
        assert!(Mapping::new(&Draft::new(0).unwrap().seal().unwrap(), 0).unwrap().is_empty());
    }
}
