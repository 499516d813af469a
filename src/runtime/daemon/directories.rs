//! `LXD_DIR`: where it is, what is in it, and that one daemon has it.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::{Ctx, Error, Kind, Result};

/// Directories in `LXD_DIR` and their modes, as LXD 5.0.2 makes them; `run` is ours, and so are the directories in
/// `devlxd`, one a guest, which nobody else may enter.
const DIRECTORIES: &[(&str, u32)] = &[
    ("backups", 0o700),
    ("backups/custom", 0o700),
    ("backups/instances", 0o700),
    ("cache", 0o700),
    ("containers", 0o711),
    ("database", 0o700),
    ("devices", 0o711),
    ("devlxd", 0o700),
    ("disks", 0o700),
    ("images", 0o700),
    ("logs", 0o700),
    ("networks", 0o711),
    ("run", 0o700),
    ("security", 0o700),
    ("shmounts", 0o711),
    ("snapshots", 0o700),
    ("storage-pools", 0o711),
    ("virtual-machines", 0o711),
    ("virtual-machines-snapshots", 0o700),
];

/// `$LXD_DIR`, or `/var/lib/lxd`.
pub fn lxd_dir() -> PathBuf {
    std::env::var_os("LXD_DIR").filter(|d| !d.is_empty()).map_or_else(|| PathBuf::from("/var/lib/lxd"), PathBuf::from)
}

/// `$LXD_SOCKET`, or `unix.socket` in `LXD_DIR`.
pub fn socket_path() -> PathBuf {
    let named = std::env::var_os("LXD_SOCKET").filter(|s| !s.is_empty());
    named.map_or_else(|| lxd_dir().join("unix.socket"), PathBuf::from)
}

/// The store's one file.
pub fn database(root: &Path) -> PathBuf {
    root.join("database/lxbox.redb")
}

/// Makes what is missing; what is there, also of others, stays as it is.
pub fn make(root: &Path) -> Result<()> {
    if !root.is_absolute() {
        return Err(Error::invalid(format!("LXD_DIR {root:?} isn't an absolute path")));
    }
    // The umask must not take bits of the modes away.
    rustix::process::umask(rustix::fs::Mode::empty());
    directory(root, 0o711)?;
    let made = DIRECTORIES.iter().try_for_each(|(name, mode)| directory(&root.join(name), *mode));
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    made
}

fn directory(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let made = DirBuilder::new().recursive(true).mode(mode).create(path);
            made.ctx(Kind::Internal, || format!("Failed making {path:?}"))
        }
        other => other.ctx(Kind::Internal, || format!("Failed making {path:?}")),
    }
}

/// How long a daemon that was killed may take to let go: its threads of low priority end late on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the directory for this daemon alone, until the answer is dropped or the process ends. Blocks for seconds.
///
/// # Errors
/// [`Kind::Conflict`] when another daemon has it.
pub fn lock(root: &Path) -> Result<File> {
    let path = root.join("database/lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.ctx(Kind::Internal, || format!("Failed opening {path:?}"))?;
    let deadline = Instant::now() + PATIENCE;
    let mut locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
    while locked == Err(rustix::io::Errno::WOULDBLOCK) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
    }
    match locked {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::new(Kind::Conflict, format!("LXD is already running: another daemon uses {root:?}")))
        }
        Err(e) => Err(e).ctx(Kind::Internal, || format!("Failed locking {path:?}")),
    }
}
