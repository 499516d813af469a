//! A squashfs made of an archive, by `tar2sqfs` of the host (Debian: squashfs-tools-ng), as LXD does.
//!
//! ```text
//! pack ── tar, through a pipe ──> tar2sqfs (nobody, no environment) ──> the file itself
//! ```

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;

use rustix::fs::{Gid, Uid, fchown};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::resident::NOBODY;
use crate::runtime::sys::executable;

/// The program.
const PROGRAM: &str = "tar2sqfs";
/// Bytes of what it complains of that are told.
const WORDS: u64 = 4096;

/// Where the program is.
///
/// # Errors
/// [`Kind::Invalid`] when the host has none.
pub fn program() -> Result<PathBuf> {
    executable::find(PROGRAM, &[]).ok_or_else(|| {
        Error::invalid(format!(
            "Compressing by \"squashfs\" needs the program {PROGRAM:?}, which the host doesn't have (Debian: squashfs-tools-ng)"
        ))
    })
}

/// One that is under way. Dropping it ends it.
pub(super) struct Conversion {
    child: Child,
    file: File,
    sync: bool,
}

impl Conversion {
    /// Begins to make the archive that comes out of a pipe into a squashfs in this file, of which nobody else knows. With `sync` it is
    /// brought to the disk, too.
    pub(super) fn start(tar: OwnedFd, file: File, sync: bool) -> Result<Conversion> {
        let program = program()?;
        let failed = || format!("Failed running {program:?}");
        let output = file.try_clone().ctx(Kind::Internal, failed)?;
        // It opens the file again, by the descriptor: it seeks in it, and there is no name that it could reach.
        own(&file, NOBODY).ctx(Kind::Internal, failed)?;
        let child = Command::new(&program)
            .args(["--no-skip", "--force", "--quiet", "--compressor", "xz", "/proc/self/fd/1"])
            .env_clear()
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::from(tar))
            .stdout(Stdio::from(output))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ctx(Kind::Internal, failed)?;
        Ok(Conversion { child, file, sync })
    }

    /// Waits until all of it is written. What became of the archive is told when the program itself had no complaints.
    pub(super) async fn done(mut self, archived: Result<()>) -> Result<()> {
        let failed = || format!("Failed running {PROGRAM:?}");
        let mut words = Vec::new();
        if let Some(said) = self.child.stderr.take() {
            let mut said = said.take(WORDS);
            said.read_to_end(&mut words).await.ctx(Kind::Internal, failed)?;
            // To the end: it must not wait for somebody to read on.
            tokio::io::copy(&mut said.into_inner(), &mut tokio::io::sink()).await.ctx(Kind::Internal, failed)?;
        }
        let status = self.child.wait().await.ctx(Kind::Internal, failed)?;
        let words = String::from_utf8_lossy(&words);
        if !status.success() && !words.trim().is_empty() {
            return Err(Error::internal(format!("Failed making a squashfs: {}", words.trim())));
        }
        archived?;
        if !status.success() {
            return Err(Error::internal(format!("Failed making a squashfs: {PROGRAM:?} ended by {status}")));
        }
        let (file, sync) = (self.file, self.sync);
        blocking(move || {
            let finished = own(&file, 0).map_err(std::io::Error::from);
            let finished = finished.and_then(|()| if sync { file.sync_all() } else { Ok(()) });
            finished.ctx(Kind::Internal, || "Failed writing a squashfs")
        })
        .await
    }
}

/// Gives it to a user and his group. Who isn't root keeps it.
fn own(file: &File, id: u32) -> rustix::io::Result<()> {
    fchown(file.as_fd(), Some(Uid::from_raw(id)), Some(Gid::from_raw(id)))
}
