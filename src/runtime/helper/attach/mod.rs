//! A short visit to a running container: joins its groups and namespaces, then executes a command, changes a mount or tells of a device.
//!
//! ```text
//! daemon ─ attach ─ command
//! ```
//!
//! Attach stays the command's parent and reports its end: a dead process of a guest that nobody reaps would keep the guest from
//! going down (its process 1 waits for all others), and the daemon may be busy, or gone, at that moment.

mod command;
mod devices;
mod mount;

use std::os::fd::{AsFd, OwnedFd};

pub(super) use command::join_groups;

use super::{Fail, PLAN_FD, STREAM_FD, What, read_plan, say};
use crate::runtime::spec::attach::{AttachAnswer, AttachPlan, Task};
use crate::runtime::sys::{process, signal};

/// The entry of the hidden mode: plan, socket and the pidfd of process 1 are open descriptors
/// from [`PLAN_FD`] on; the command's streams follow from [`STREAM_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    signal::reset_all();
    let _ = process::hide_memory();
    let Some([plan, socket, init]) = process::inherited_row(PLAN_FD) else { return 2 };
    let streams: Vec<OwnedFd> = (STREAM_FD..STREAM_FD + 3).map_while(process::inherited).collect();
    match visit(&plan, &socket, init, streams) {
        Ok(()) => 0,
        Err(e) => {
            let _ = say(&socket, &AttachAnswer::Failed { errno: e.errno, what: e.what, exec: false }, &[]);
            1
        }
    }
}

fn visit(plan: &OwnedFd, socket: &OwnedFd, init: OwnedFd, streams: Vec<OwnedFd>) -> Result<(), Fail> {
    let plan: AttachPlan = read_plan(plan.as_fd())?;
    match &plan.task {
        Task::Exec(command) => command::run(&plan, command, command::Streams { socket, init, streams }),
        Task::Mount(device) => {
            mount::add(&plan, device, &init)?;
            say(socket, &AttachAnswer::Done, &[]).what(|| "answering")
        }
        Task::Unmount { target } => {
            mount::remove(&plan, target, &init)?;
            say(socket, &AttachAnswer::Done, &[]).what(|| "answering")
        }
        Task::Announce { action, devices } => {
            devices::announce(&plan, (action, devices), &init)?;
            say(socket, &AttachAnswer::Done, &[]).what(|| "answering")
        }
    }
}
