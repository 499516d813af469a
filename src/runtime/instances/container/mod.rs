//! Containers as the daemon sees them: started through a shim, adopted from one, executed in, measured, brought down.
//!
//! Inputs are plain: a [`ContainerSpec`] and the directories of one instance. Nothing here knows of the store.
//!
//! ```text
//! start ─▶ Running ──wait_exit──▶ Ended::Reboot ──reboot(next plan)──▶ (Running goes on)
//!   ▲         │                        └─decline_reboot──▶ wait_exit ──▶ Ended::Stopped
//! adopt ──────┘──wait_exit──▶ Ended::Stopped(record) ──forget──▶ nothing left
//! ```

mod adopt;
pub mod apparmor;
pub mod cpus;
mod device_process;
mod exec;
pub mod files;
pub mod idmap;
mod network;
pub mod pack;
pub mod plan;
pub mod proxy;
mod running;
pub mod shift;
pub mod squashfs;
mod start;
pub mod tpm;
pub mod view;

use std::path::PathBuf;

pub use adopt::{Adopted, adopt, forget};
pub use exec::{ExecProcess, ExecSpec, ExecStreams, Stdio, return_code};
pub use running::{Ended, Running};
pub use start::{Starting, begin, start};

pub use crate::runtime::spec::ContainerSpec;
pub use crate::runtime::spec::shim::{ExitReason, ExitRecord};
pub use crate::runtime::sys::cgroup::Usage;

/// The directories of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirs {
    /// Its own, made when missing (mode 0700), removed by [`forget`]: the shim's socket and records. Name it by the instance's number
    /// and put it where a reboot of the host clears it, or not: records of an earlier boot are recognised.
    pub run: PathBuf,
}
