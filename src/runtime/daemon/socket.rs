//! The unix socket: made here, or handed over by systemd (sd_listen_fds(3)).

use std::os::fd::OwnedFd;
use std::path::Path;

use tokio::net::UnixListener;

use crate::runtime::sys;
use crate::{Ctx, Error, Kind, Result};

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

/// Makes the unix socket with mode 0660 and this group; an old socket file is replaced.
///
/// # Errors
/// [`Kind::Conflict`] when another daemon answers on it; [`Kind::Internal`] when it can't be made.
pub fn bind(path: &Path, group: Option<u32>) -> Result<UnixListener> {
    use std::os::unix::fs::{PermissionsExt, chown};
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::new(Kind::Conflict, format!("LXD is already running: something answers on {path:?}")));
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).ctx(Kind::Internal, || format!("Failed removing the old socket {path:?}"));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).ctx(Kind::Internal, || format!("Failed binding {path:?}"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .ctx(Kind::Internal, || format!("Failed setting the mode of {path:?}"))?;
    if let Some(gid) = group {
        chown(path, None, Some(gid)).ctx(Kind::Internal, || format!("Failed setting the group of {path:?}"))?;
    }
    Ok(listener)
}
