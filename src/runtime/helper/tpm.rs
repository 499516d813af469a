//! `lxbox tpm`: keeps the program that plays a guest's TPM (`swtpm`) for as long as the guest runs (device `tpm`).
//!
//! It outlives the daemon, and ends with the guest's process 1 or with the program; the program ends with it, whatever ends it.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;

use super::{Fail, PLAN_FD, What, read_plan, resident, say};
use crate::runtime::spec::resident::Begun;
use crate::runtime::spec::tpm::{self, TpmPlan};
use crate::runtime::sys::fork::{self, Forked, Options};
use crate::runtime::sys::process;

/// The word that starts this mode.
pub const MODE: &str = "tpm";
/// How long the program may take to say which chip it is.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes of what it says that are looked at.
const MOST: usize = 4096;

/// The program while it runs.
struct Chip {
    pidfd: OwnedFd,
    output: File,
}

impl Drop for Chip {
    fn drop(&mut self) {
        let _ = process::kill(&self.pidfd);
        let _ = process::reap(&self.pidfd, true);
    }
}

/// The entry of the hidden mode: plan, socket, the directory for the record and the pidfd of the guest's process 1 are open
/// descriptors from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    resident::outlive();
    let Some([plan, socket, dir, init]) = process::inherited_row(PLAN_FD) else { return 2 };
    match prepare(&plan, &dir) {
        Ok(chip) => {
            drop((plan, dir));
            let _ = say(&socket, &Begun::Ready, &[]);
            drop(socket);
            keep(chip, &init);
            0
        }
        Err(fail) => {
            let _ = say(&socket, &Begun::Failed { errno: fail.errno, what: fail.what }, &[]);
            1
        }
    }
}

fn prepare(plan: &OwnedFd, dir: &OwnedFd) -> Result<Chip, Fail> {
    let plan: TpmPlan = read_plan(plan.as_fd())?;
    resident::limit(&[])?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&plan.state);
    made.what(|| format!("creating {:?}", plan.state))?;
    let mut running = start(&plan)?;
    let number = introduced(&mut running, &plan)?;
    let device = plan.device.clone();
    resident::record_device(dir.as_fd(), &device, tpm::Chip { plan, number })?;
    Ok(running)
}

/// Starts the program, its words in a pipe.
fn start(plan: &TpmPlan) -> Result<Chip, Fail> {
    let failed = || format!("starting {:?}", plan.program);
    let (output, words) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).what(failed)?;
    match fork::fork(&Options::default()).what(failed)? {
        Forked::Parent { pidfd, .. } => Ok(Chip { pidfd, output: output.into() }),
        Forked::Child => fork::exit(execute(plan, words)),
    }
}

/// Becomes the program. The exit code when that fails; what failed is said where the program would speak.
fn execute(plan: &TpmPlan, words: OwnedFd) -> i32 {
    let Ok(errors) = words.try_clone() else { return 1 };
    let parent = rustix::process::getppid();
    if process::die_with_parent().is_err() || rustix::process::getppid() != parent {
        return 1;
    }
    let state = format!("dir={}", plan.state.display());
    let mut command = Command::new(&plan.program);
    command.args(["chardev", "--tpm2", "--tpmstate", &state, "--vtpm-proxy"]).env_clear().current_dir("/");
    let e = command.stdin(Stdio::null()).stdout(words).stderr(errors).exec();
    // The pipes of the standard streams were put in their places, also when the rest fails.
    eprintln!("{e}");
    1
}

/// Waits until the program says which chip it is.
fn introduced(running: &mut Chip, plan: &TpmPlan) -> Result<u32, Fail> {
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let silent = || format!("waiting for the TPM of {:?}", plan.program);
        process::wait_end(&running.output, left).what(silent)?;
        let mut part = [0; 512];
        let count = running.output.read(&mut part).what(silent)?;
        said.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&said);
        if let Some(number) = text.lines().filter(|_| text.ends_with('\n')).find_map(tpm::chip) {
            return Ok(number);
        }
        if count == 0 || said.len() > MOST {
            let line = text.lines().next().unwrap_or("it said nothing").to_owned();
            return Err(Fail::new(format!("getting TPM device information: {line}")));
        }
    }
}

/// Waits for the end of the guest or of the program, whose further words are thrown away.
fn keep(mut chip: Chip, init: &OwnedFd) {
    let mut speaks = true;
    loop {
        let mut fds = vec![PollFd::new(init, PollFlags::IN), PollFd::new(&chip.pidfd, PollFlags::IN)];
        if speaks {
            fds.push(PollFd::new(&chip.output, PollFlags::IN));
        }
        match rustix::event::poll(&mut fds, None::<&Timespec>) {
            Ok(_) if !fds[0].revents().is_empty() || !fds[1].revents().is_empty() => return,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        let mut part = [0; 512];
        speaks = speaks && chip.output.read(&mut part).is_ok_and(|count| count > 0);
    }
}
