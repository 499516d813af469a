//! Archives written by the `pack` helper, from the daemon's side.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use super::running::Running;
use super::squashfs::Conversion;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::pack::MODE;
use crate::runtime::spec::VERSION;
use crate::runtime::spec::pack::{Algorithm, Compression, PackAnswer, PackPlan, Part};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{executable, process};

/// Bytes that the kernel buffers between helper and daemon.
const PIPE: usize = 1 << 20;

/// An archive to write.
pub struct Archive {
    /// What is in it.
    pub parts: Vec<Part>,
    /// Whose tree the part of a running guest is.
    pub guest: Option<Running>,
    /// How it is compressed.
    pub compression: Compression,
    /// Whether it is brought to the disk; for one that goes to a file.
    pub sync: bool,
}

/// One that is being written. Dropping it ends that.
pub struct Packing {
    link: Link,
    helper: OwnedFd,
    conversion: Option<Conversion>,
}

impl Drop for Packing {
    fn drop(&mut self) {
        // One that has ended, or was even reaped, is no error.
        let _ = process::kill(self.helper.as_fd());
    }
}

/// A pipe for an archive: what comes out, and what the helper gets.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let made = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (out, into) = made.ctx(Kind::Internal, || "Failed making a pipe")?;
    // Beyond the limit of an unprivileged daemon it stays at the usual size.
    let _ = rustix::pipe::fcntl_setpipe_size(&into, PIPE);
    Ok((out, into))
}

/// Begins to write an archive to a pipe or file; a squashfs to a file. `held` is dropped when the helper is gone for good.
pub async fn pack(archive: Archive, output: OwnedFd, held: impl Send + 'static) -> Result<Packing> {
    let Archive { parts, guest, mut compression, mut sync } = archive;
    let (mut output, mut conversion) = (output, None);
    if compression.algorithm == Algorithm::Squashfs {
        let (tar, into) = pipe()?;
        conversion = Some(Conversion::start(tar, File::from(output), sync)?);
        (output, compression.algorithm, sync) = (into, Algorithm::None, false);
    }
    let init = guest.map(|running| running.init()).transpose()?.map(|(init, _)| init);
    let plan = PackPlan { version: VERSION, compression, sync, parts };
    let plan = serde_json::to_vec(&plan).ctx(Kind::Internal, || "Failed writing a plan")?;
    // All within the blocking work: a task given up meanwhile must not lose sight of the helper.
    let runtime = tokio::runtime::Handle::current();
    blocking(move || {
        let _inside = runtime.enter();
        let more = [init.as_deref().map(AsFd::as_fd), Some(output.as_fd())];
        let started = executable::with_plan(&plan, &more, |fds| executable::start_bound(&["lxbox", MODE], fds));
        let (socket, spawned) = started.ctx(Kind::Internal, || "Failed starting the pack helper")?;
        drop(output);
        let helper = spawned.pidfd.try_clone().ctx(Kind::Internal, || "Failed duplicating a descriptor")?;
        let watched = Watched::new(spawned.pidfd)?;
        runtime.spawn(async move {
            if let Err(e) = watched.reaped().await {
                tracing::warn!("Failed waiting for a pack helper: {}", e.chain());
            }
            drop(held);
        });
        Ok(Packing { link: Link::new(socket)?, helper, conversion })
    })
    .await
}

impl Packing {
    /// Waits until all is written. `packed` hears how many bytes are, before they are compressed.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the disk is full.
    pub async fn done(mut self, packed: impl FnMut(u64)) -> Result<()> {
        let archived = self.archived(packed).await;
        match self.conversion.take() {
            // What ends the conversion also ends the archive: it is the one to tell.
            Some(conversion) => conversion.done(archived).await,
            None => archived,
        }
    }

    async fn archived(&self, mut packed: impl FnMut(u64)) -> Result<()> {
        loop {
            match self.link.receive::<PackAnswer>().await? {
                Some((PackAnswer::Packed { bytes }, _)) => packed(bytes),
                Some((PackAnswer::Done, _)) => return Ok(()),
                Some((PackAnswer::Failed { errno: 0, what }, _)) => {
                    return Err(Error::internal(format!("Failed {what}")));
                }
                Some((PackAnswer::Failed { errno, what }, _)) => {
                    let e = std::io::Error::from_raw_os_error(errno);
                    return Err(e).ctx(Kind::Internal, || format!("Failed {what}"));
                }
                None => return Err(Error::internal("The pack helper ended too early")),
            }
        }
    }
}
