//! The `lxd` command: its words, and the commands among them that talk to a running daemon.
//!
//! [`parse`] turns words into a [`Call`]; the binary runs the daemon, `activateifneeded` and `doctor`, which need more
//! than the API, and hands the rest to [`run`]. Nothing here is asynchronous: each command makes a few small requests.

mod activate;
mod api;
mod ask;
mod init;
mod parse;
mod recover;
mod shutdown;
mod socket;
mod sql;
mod waitready;
mod words;

pub use activate::{ActivateReason, activate_reason, starts_with_daemon};
pub use api::{Api, Reply};
pub use init::{InitFlags, Preseed};
pub use parse::{Call, Command, DaemonFlags, GlobalFlags, parse};
pub use socket::{SocketApi, socket_path};
pub use words::help;

use crate::error::Result;

/// The LXD version this program is to clients and scripts.
pub const LXD_VERSION: &str = "5.0.2";

/// Runs a command that needs only the API. `None`: the command is the binary's own affair ([`Command::Daemon`],
/// [`Command::ActivateIfNeeded`], [`Command::Doctor`]).
///
/// Blocks until the command is done. Output goes to standard output, questions are read from standard input.
pub fn run(command: &Command, api: &SocketApi) -> Option<Result<()>> {
    match command {
        Command::Daemon(_) | Command::ActivateIfNeeded | Command::Doctor => None,
        Command::Help(text) => Some(print(text)),
        Command::Version => Some(print(&format!("{LXD_VERSION}\n"))),
        Command::Init(flags) => Some(init::run(flags, api)),
        Command::Sql { database, query } => Some(sql::run(api, database, query).and_then(|text| print(&text))),
        Command::Recover => Some(recover::run(&mut ask::Ask::terminal(), api)),
        Command::WaitReady { timeout } => Some(waitready::run(api, *timeout)),
        Command::Shutdown { timeout, force } => Some(shutdown::run(api, *timeout, *force)),
    }
}

/// Writes to standard output; a reader that went away is no error.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(())
}
