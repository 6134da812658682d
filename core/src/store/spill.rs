//! Objects on disk: files without a name, with a checksum, gone with the process that has them.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc32fast::Hasher;

use super::memory::{Draft, read_parts};

/// An object on disk.
#[derive(Debug)]
pub struct Spilled {
    file: File,
    size: u64,
    /// None where what was written has its own.
    checksum: Option<u32>,
}

impl Spilled {
    /// Writes shared memory to a new file in a folder.
    ///
    /// # Errors
    /// What the system says, such as a full disk.
    pub fn write(memory: &OwnedFd, size: u64, folder: &Path) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(folder)?;
        let mut hasher = Hasher::new();
        read_parts(memory, size, |part| {
            hasher.update(part);
            file.write_all(part)
        })?;
        Ok(Self { file, size, checksum: Some(hasher.finalize()) })
    }

    /// An object in parts, which was written to a file.
    #[must_use]
    pub fn of_parts(file: File, size: u64) -> Self {
        Self { file, size, checksum: None }
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads so many bytes from a place. Their checksum is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] when there are fewer; else what the system says.
    pub fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Brings it back into shared memory.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] when it is not what was written; else what the system says.
    pub fn read_back(&self) -> io::Result<OwnedFd> {
        let draft = Draft::new(self.size)?;
        let (mut hasher, mut part, mut at) = (Hasher::new(), vec![0; 1 << 20], 0);
        while at < self.size {
            let room = part.len().min((self.size - at) as usize);
            self.file.read_exact_at(&mut part[..room], at)?;
            hasher.update(&part[..room]);
            draft.write(&part[..room], at)?;
            at += room as u64;
        }
        if self.checksum.is_some_and(|checksum| hasher.finalize() != checksum) {
            return Err(io::Error::new(ErrorKind::InvalidData, "what was spilled has another checksum"));
        }
        draft.seal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Mapping;

    #[test]
    fn what_is_spilled_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let draft = Draft::new(bytes.len() as u64).unwrap();
        draft.write(&bytes, 0).unwrap();
        let memory = draft.seal().unwrap();
        let spilled = Spilled::write(&memory, bytes.len() as u64, folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
        let back = Mapping::new(&spilled.read_back().unwrap(), bytes.len() as u64).unwrap();
        assert_eq!(&back[..], &bytes[..]);
        assert_eq!(spilled.read_at(1_000_000, 5).unwrap(), bytes[1_000_000..1_000_005]);
        assert!(spilled.read_at(2_999_999, 2).is_err());
        spilled.file.write_all_at(b"?", 1_500_000).unwrap();
        assert_eq!(spilled.read_back().unwrap_err().kind(), ErrorKind::InvalidData);
        spilled.file.set_len(1_000).unwrap();
        assert_eq!(spilled.read_back().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
