//! `lxbox net`: DHCP, router advertisements and names of one managed bridge.
//!
//! ```text
//! started as root ── sockets, lease file ── record ── other user, no capability, seccomp ── serving
//!                                                                                             │
//!                  every packet: decode ▶ decide (pure, on the tables) ▶ lease file ▶ answer ◀┘
//! ```
//!
//! It outlives the daemon. Everything a guest sends is hostile: packets are bounded by their buffers, tables and rates by
//! [`limits`], and nothing here can open a file for writing, start a process or look at another one.
//! Leases are on disk before they are promised, so `kill -9` loses none.

mod confine;
mod control;
pub mod dhcp4;
pub mod dhcp6;
pub mod dns;
mod guard;
pub mod lease_file;
pub mod leases;
pub mod limits;
pub mod names;
pub mod ra;
mod router;
mod serve;
mod slaac;
mod sockets;

pub use confine::SYSTEM_CALLS;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use super::{Fail, PLAN_FD, What, read_plan, resident, say};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::net::{FromNet, NetLaunch, RECORD, SOCKET};
use crate::runtime::sys::{channel, process};
use control::Control;
use serve::Server;
use sockets::Sockets;

/// The word that starts this mode.
pub const MODE: &str = "net";

/// The entry of the hidden mode: plan, socket, run directory and lease file are open descriptors
/// from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    resident::outlive();
    let Some([plan, socket, dir, leases]) = process::inherited_row(PLAN_FD) else { return 2 };
    match prepare(&plan, dir, File::from(leases)) {
        Ok((server, listener)) => {
            drop(plan);
            let mut control = Control::new(listener);
            control.greet(socket, &server);
            server.serve(control)
        }
        Err(fail) => {
            let _ = say(&socket, &FromNet::Failed { errno: fail.errno, what: fail.what }, &[]);
            1
        }
    }
}

/// Everything that needs privileges, and then their end.
fn prepare(plan: &OwnedFd, dir: OwnedFd, leases: File) -> Result<(Server, OwnedFd), Fail> {
    let NetLaunch { plan, user, seccomp } = read_plan(plan.as_fd())?;
    if plan.version > VERSION {
        return Err(Fail::new("reading a plan of a newer program"));
    }
    let sockets = Sockets::open(&plan)?;
    let server = Server::new(plan, sockets, leases)?;
    let listener = channel::listen(dir.as_fd(), SOCKET).what(|| "opening the helper's socket")?;
    super::resident::record(dir.as_fd(), RECORD)?;
    drop(dir);
    confine::confine(user, &seccomp)?;
    Ok((server, listener))
}
