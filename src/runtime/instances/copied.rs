//! A running guest whose volume is copied: frozen for a moment, and never left so.

use std::fs;
use std::path::PathBuf;

use tokio::runtime::Handle;

use super::Instances;
use super::actor::Actor;
use super::container::{RunDirs, Running};
use super::machine::State;
use crate::runtime::storage::Guest;
use crate::runtime::sys::fault;
use crate::{Ctx, Kind, Result};

/// The file in a run directory that says that it is us who have frozen the guest, for the daemon that comes after a crash.
const MARK: &str = "copied";

/// The guest of an instance while its volume is copied. To be used on blocking threads.
pub(super) struct CopiedGuest {
    running: Running,
    actor: Actor,
    mark: PathBuf,
    handle: Handle,
}

impl Instances {
    /// The guest that has an instance's volume mounted; none while it is stopped.
    pub(super) fn copied_guest(&self, id: u64) -> Option<CopiedGuest> {
        let actor = self.actor(id);
        let running = actor.live().running?;
        let mark = self.run_directory(id).run.join(MARK);
        Some(CopiedGuest { running, actor, mark, handle: Handle::current() })
    }
}

impl Guest for CopiedGuest {
    fn freeze(&self) -> Result<()> {
        if self.actor.live().state == State::Frozen {
            return Ok(());
        }
        fs::write(&self.mark, "").ctx(Kind::Internal, || "Failed noting that a guest is frozen")?;
        let frozen = self.handle.block_on(self.running.freeze());
        fault("daemon.snapshot.frozen");
        frozen
    }

    fn thaw(&self) -> Result<()> {
        // Somebody who paused it meanwhile wants it so.
        if self.actor.live().state != State::Frozen {
            self.handle.block_on(self.running.unfreeze())?;
        }
        forget(&self.mark)
    }
}

fn forget(mark: &std::path::Path) -> Result<()> {
    match fs::remove_file(mark) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || "Failed noting that a guest goes on")
        }
        _ => Ok(()),
    }
}

/// Lets a guest go on that an earlier daemon had frozen to copy its volume.
pub(super) async fn let_go(dirs: &RunDirs, running: &Running) -> Result<()> {
    let mark = dirs.run.join(MARK);
    if !mark.exists() {
        return Ok(());
    }
    running.unfreeze().await?;
    forget(&mark)
}
