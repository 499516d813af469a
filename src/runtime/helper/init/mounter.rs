//! A program of the host that mounts more into the guest's root while the host's tree is still there.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::DumpableBehavior;

use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::Mounter;
use crate::runtime::sys::process;

/// Where it finds other programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of what it says is kept, bytes.
const MOST: usize = 4096;

/// Runs it and waits for its end.
///
/// # Errors
/// With the last line it said.
pub(super) fn run(mounter: &Mounter) -> Result<(), Fail> {
    let failed = || format!("running {:?}", mounter.program);
    let mut command = Command::new(&mounter.program);
    command.args(&mounter.args).arg(&mounter.place).env_clear().env("PATH", PATH).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // As it would be after an execution: or its children couldn't find its namespaces (ptrace(2), access mode checking).
    let show = |how| rustix::process::set_dumpable_behavior(how).what(failed);
    show(DumpableBehavior::Dumpable)?;
    let ran = command.spawn().and_then(|mut child| hear_out(&mut child));
    show(DumpableBehavior::NotDumpable)?;
    let (said, status) = ran.what(failed)?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let reason =
        said.lines().rev().find(|line| !line.trim().is_empty()).map_or_else(|| status.to_string(), str::to_owned);
    Err(Fail::new(format!("{}: {reason}", failed())))
}

/// What it said at last, and how it ended. It is killed when that takes too long.
fn hear_out(child: &mut Child) -> std::io::Result<(Vec<u8>, ExitStatus)> {
    let heard = child.stderr.take().map(|said| listen(said, Instant::now() + PATIENCE));
    let heard = heard.unwrap_or_else(|| Ok(Vec::new()));
    if heard.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    Ok((heard?, status))
}

fn listen(mut said: ChildStderr, until: Instant) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    loop {
        process::wait_end(said.as_fd(), until.saturating_duration_since(Instant::now()))?;
        let mut part = [0; 1024];
        match said.read(&mut part)? {
            0 => return Ok(kept),
            count => kept.extend_from_slice(&part[..count]),
        }
        let surplus = kept.len().saturating_sub(MOST);
        kept.drain(..surplus);
    }
}
