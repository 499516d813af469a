//! Sealed memory files: how a plan gets from the daemon to a helper unchangeable.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

/// The longest plan a helper reads: rendered templates are in it, so this is generous.
pub const MAX_PLAN: u64 = 16 << 20;

/// A memory file holding `content`, sealed against every change.
pub fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    let fd = OwnedFd::from(file);
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(fd)
}

/// Reads a whole memory file made by [`sealed`], from its beginning. One without the seals is refused.
pub fn read(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let seals = rustix::fs::fcntl_get_seals(fd)?;
    if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the plan is not sealed"));
    }
    let mut file = File::from(fd.try_clone_to_owned()?);
    file.seek(SeekFrom::Start(0))?;
    let mut content = Vec::new();
    file.take(MAX_PLAN + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_PLAN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the plan is too long"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_sealed_file_reads_back_and_refuses_writes() {
        let fd = sealed("t", b"plan").unwrap();
        assert_eq!(read(fd.as_fd()).unwrap(), b"plan");
        assert_eq!(read(fd.as_fd()).unwrap(), b"plan");
        assert!(rustix::io::pwrite(&fd, b"x", 0).is_err());
    }

    #[test]
    fn an_unsealed_file_is_refused() {
        let fd = rustix::fs::memfd_create("t", MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(read(fd.as_fd()).is_err());
    }
}
