//! The plan of one short visit to a running container: a command, a mount to add or take away.

use std::path::PathBuf;

use serde::Serialize;

use super::cgroup::Group;
use super::container::Mount;
use super::shim::Policy;
use crate::api::tree::readable;

readable! {
    /// What the `attach` helper is told. Descriptors beside it: the pidfd of process 1, the answer's socket, and
    /// the streams when they are not a terminal.
    #[derive(Clone, Debug, Serialize)]
    pub struct AttachPlan {
        /// [`super::VERSION`].
        pub version: u32,
        /// The guest's control groups, joined before its namespaces.
        pub groups: Vec<Group>,
        /// Process 1 of the guest, on the host.
        pub init: i32,
        /// The container's confinement.
        pub policy: Policy,
        /// The shim's run directory, where what commands hand on goes.
        #[serde(default)]
        pub run: PathBuf,
        /// What to do there.
        pub task: Task,
    }

    /// What to do in the container.
    #[derive(Clone, Debug, Serialize)]
    #[serde(tag = "task", rename_all = "snake_case")]
    pub enum Task {
        /// Run a command.
        Exec(Command),
        /// Mount something of the host in it.
        Mount(Mount),
        /// Take the topmost mount of this path away.
        Unmount {
            /// Where in the guest.
            target: PathBuf,
        },
        /// Tell it of devices as its kernel would.
        Announce {
            /// `add` or `remove`.
            action: String,
            /// Of each device its properties: `NAME=value` lines, DEVPATH among them.
            devices: Vec<String>,
        },
    }

    /// A command to run in the container.
    #[derive(Clone, Debug, Serialize)]
    pub struct Command {
        /// Program (searched by the guest's PATH unless it has a slash) and arguments.
        pub command: Vec<String>,
        /// Its whole environment.
        pub environment: Vec<(String, String)>,
        /// Whether PATH is extended by what the guest has: `/snap/bin`, NixOS's profile. (Looked at in the container, by a
        /// process that can be killed: a guest's file system may never answer.)
        pub path_extras: bool,
        /// User id in the guest.
        pub uid: u32,
        /// Group id in the guest.
        pub gid: u32,
        /// Working directory; `/` when it can't be entered.
        pub cwd: String,
        /// Columns and rows of its terminal; `None`: it gets the streams passed along.
        pub terminal: Option<(u16, u16)>,
    }

    /// What the `attach` helper answers.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum AttachAnswer {
        /// The command's process exists; its pidfd comes along.
        Spawned {
            /// Its id on the host.
            pid: i32,
        },
        /// The master of the command's terminal comes along.
        Terminal,
        /// The command was executed, or the mount is done.
        Done,
        /// The command has ended, by itself or by a signal.
        Ended {
            /// Its exit code.
            code: Option<i32>,
            /// The signal that killed it.
            signal: Option<i32>,
        },
        /// It could not be done.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done.
            what: String,
            /// Whether it was the execution of the command itself that failed.
            exec: bool,
        },
    }
}
