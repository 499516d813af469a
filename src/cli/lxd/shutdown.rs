//! `lxd shutdown`: instances down, then the daemon; returns when the daemon's process is gone.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use super::api::Api;
use super::socket::{Request, SocketApi};
use crate::error::{Error, Kind, Result};

/// Asks the daemon to shut down and waits; `timeout` in seconds, `force` does not wait for running operations.
///
/// # Errors
/// What the daemon answers, or `Unavailable` when there is none or the time is over: the shutdown goes on then.
pub(super) fn run(api: &SocketApi, timeout: Option<u64>, force: bool) -> Result<()> {
    let Some(seconds) = timeout else { return shut_down(api, force) };
    let (done, wait) = channel();
    let own = api.clone();
    std::thread::spawn(move || done.send(shut_down(&own, force)).ok());
    match wait.recv_timeout(Duration::from_secs(seconds)) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            Err(Error::new(Kind::Unavailable, format!("LXD still running after {seconds}s timeout")))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Error::internal("Failed waiting for the daemon")),
    }
}

fn shut_down(api: &SocketApi, force: bool) -> Result<()> {
    let mut stream = api.connect()?;
    let process = daemon_process(api, &stream);
    let path = format!("/internal/shutdown?force={force}");
    let request = Request { method: "PUT", path: &path, body: None, etag: None };
    match api.exchange(&mut stream, &request) {
        Ok(answer) => drop(answer.reply("PUT", &path)?),
        // A daemon that goes away in the middle of its answer has done what it was asked for, if it is really gone.
        Err(error) if process.is_none() => return Err(error),
        Err(_) => {}
    }
    if let Some(process) = process {
        poll(&mut [PollFd::new(&process, PollFlags::IN)], None).ok();
    }
    Ok(())
}

/// The daemon's process, when it can be named without doubt.
///
/// The peer of the connection is whoever made the socket: the daemon, or the init system that handed it over; for
/// that case the daemon tells its own pid, which counts only if both are in one pid namespace (same program).
fn daemon_process(api: &SocketApi, stream: &UnixStream) -> Option<OwnedFd> {
    let peer = rustix::net::sockopt::socket_peercred(stream).ok()?.pid;
    let pid = if peer.as_raw_nonzero().get() > 1 {
        peer
    } else {
        let told = api.get("/1.0").ok()?.metadata.pointer("/environment/server_pid").and_then(Value::as_i64)?;
        let ours = std::fs::read_link("/proc/self/exe").ok()?;
        let theirs = std::fs::read_link(format!("/proc/{told}/exe")).ok()?;
        Pid::from_raw(i32::try_from(told).ok()?).filter(|_| ours == theirs)?
    };
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
