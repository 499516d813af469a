//! `lxc file mount`: an instance's files in a directory here, by sshfs, which speaks SFTP with the server through us.
//! Without a target path see [`listen`](super::listen).
//!
//! ```text
//! server ═ SFTP ═ lxc ═ one socket, its standard input and output ═ sshfs ─ FUSE
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;

use argh::{ArgsInfo, FromArgs};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::listen::listen;
use super::{clean, local};
use crate::api::client::path;
use crate::cli::context::Context;
use crate::cli::output::emit;
use crate::cli::wait::{Read, Wait};
use crate::error::{Ctx, Error, Kind, Result};
use crate::task::spawn;

/// `lxc file mount`.
#[derive(FromArgs, ArgsInfo)]
pub struct Mount {
    /// user name
    #[argh(option)]
    auth_user: Option<String>,
    /// address
    #[argh(option)]
    listen: Option<String>,
    /// for anyone
    #[argh(switch)]
    no_auth: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc file mount`.
pub fn mount(cx: &Context, args: Mount) -> Result<i32> {
    let source = cx.named(&args.words[0], "instance name")?;
    if args.words.len() > 1 && (args.auth_user.is_some() || args.no_auth) {
        return Err(Error::invalid("The flags --auth-user and --no-auth are for listening, without a target path"));
    }
    let (Some(target), None) = (args.words.get(1), &args.listen) else {
        if args.words.len() > 1 {
            return Err(Error::invalid("Target path and --listen flag cannot be used together"));
        }
        if source.name.contains('/') {
            return Err(Error::invalid("Instance path cannot be used in SSH SFTP listener mode"));
        }
        let _: Value = source.client.read(&path(&["instances", &source.name]))?;
        let who = (args.auth_user, args.no_auth);
        return listen((source.client, source.name), args.listen.as_deref(), who).wait();
    };
    if !std::fs::metadata(target).map_err(|e| local("stat", target, &e))?.is_dir() {
        return Err(Error::invalid("Target path must be a directory"));
    }
    let Some((instance, within)) = source.name.split_once('/') else {
        return Err(Error::invalid(format!("Invalid instance path: {:?}", source.name)));
    };
    let mut server = source.client.sftp(instance).wait()?;
    let (ours, theirs) = UnixStream::pair().ctx(Kind::Internal, || "Failed making a socket pair")?;
    let sshfs = start(theirs, &format!("lxd.{instance}:{}", clean(&format!("/{within}"))), target)?;
    emit(format!("sshfs mounting {:?} on {target:?}\nPress ctrl+c to finish\n", source.name).as_bytes());
    let prepared = ours.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(ours));
    let mut ours = prepared.ctx(Kind::Internal, || "Failed watching a socket")?;
    let bridge = async move {
        // Either end may leave; closing ours lets sshfs find out.
        let _ = tokio::io::copy_bidirectional(&mut server, &mut ours).await;
    };
    let (status, asked) = until_unmounted(sshfs, bridge).wait()?;
    if !status.success() && !asked {
        return Err(Error::internal(format!("sshfs ended with {status}")));
    }
    emit(b"sshfs has stopped\n");
    Ok(0)
}

/// Starts sshfs, in a process group of its own: a terminal's ctrl+c is for us, who pass it on.
fn start(stream: UnixStream, source: &str, target: &str) -> Result<Child> {
    let failed = || "Failed starting sshfs";
    let output: OwnedFd = stream.try_clone().ctx(Kind::Internal, failed)?.into();
    let input: OwnedFd = stream.into();
    let mut command = Command::new("sshfs");
    command.args(["-o", "slave", source, target]).stdin(input).stdout(output).process_group(0);
    match command.spawn() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::not_found("sshfs not found: it is what mounts")),
        started => started.ctx(Kind::Internal, failed),
    }
}

/// Waits for the end of sshfs, which unmounts when it is told to end, as we are; whether we were. One future, as
/// signals and what goes over the bridge come at any time.
async fn until_unmounted(
    mut sshfs: Child,
    bridge: impl Future<Output = ()> + Send + 'static,
) -> Result<(ExitStatus, bool)> {
    let failed = || "Failed waiting for sshfs";
    let mut interrupted = signal(SignalKind::interrupt()).ctx(Kind::Internal, failed)?;
    let mut terminated = signal(SignalKind::terminate()).ctx(Kind::Internal, failed)?;
    // On while it is being unmounted.
    let bridge = spawn(bridge);
    let mut asked = false;
    let status = loop {
        tokio::select! {
            ended = sshfs.wait() => break ended.ctx(Kind::Internal, failed)?,
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        asked = true;
        // One that has ended meanwhile is what we want.
        let pid = sshfs.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    };
    bridge.abort();
    Ok((status, asked))
}
