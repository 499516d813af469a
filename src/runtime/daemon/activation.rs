//! The socket that systemd hands over (sd_listen_fds(3)).

use std::os::fd::OwnedFd;

use tokio::net::UnixListener;

use crate::runtime::sys;
use crate::{Ctx, Kind, Result};

/// The first descriptor that systemd passes.
const FIRST: i32 = 3;

/// The listening unix socket that this process was started with, if it was.
pub fn inherited() -> Result<Option<UnixListener>> {
    let ours = std::env::var("LISTEN_PID").ok().and_then(|p| p.parse().ok()) == Some(std::process::id());
    let count: i32 = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    if !ours || count < 1 {
        return Ok(None);
    }
    let Some(fd): Option<OwnedFd> = sys::process::inherited(FIRST) else { return Ok(None) };
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true).ctx(Kind::Internal, || "Failed using the socket that systemd passed")?;
    UnixListener::from_std(listener).ctx(Kind::Internal, || "Failed using the socket that systemd passed").map(Some)
}
