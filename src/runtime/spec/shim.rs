//! What the daemon and a container's shim say to each other, and what a shim leaves in its run directory.
//!
//! Messages are one JSON object a packet on a `SOCK_SEQPACKET` unix socket. The connection that the shim was started with
//! reports the start; a later daemon connects to [`SOCKET`] in the run directory and begins with `hello`.
//!
//! ```text
//! daemon                      shim
//!   | -- spawn(plan, socket) -> |
//!   | <- step* ---------------- |   numbered, typed; `failed` ends it
//!   | <- held [pid] ----------- |   only when the plan says so: network devices are moved in now
//!   | -- go ------------------> |
//!   | <- started [netlink] ---- |   the record says Running before this leaves
//!   |                           |
//!   | <- rebooting ------------ |   the guest asked for a reboot; its cgroups are empty
//!   | -- next [plan] | stop --> |   within 5 s, else the shim runs its last plan again ("stale")
//!   | <- started | exited ----- |
//! ```

use std::path::PathBuf;

use serde::Serialize;

use super::Rlimit;
use super::cgroup::Group;
use crate::api::tree::readable;

/// The shim's socket below the run directory.
pub const SOCKET: &str = "shim.sock";
/// The shim's record below the run directory ([`RunRecord`]).
pub const RECORD: &str = "run.json";
/// How the container ended, below the run directory ([`ExitRecord`]); exists only once it is down.
pub const EXIT: &str = "exit.json";
/// Bytes of one message to the daemon, at most.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Bytes of one message to a shim, at most: they are all short, and a shim is small.
pub const MAX_REQUEST: usize = 1024;
/// Seconds the shim waits for the daemon's next plan when the guest reboots.
pub const REBOOT_WAIT: u64 = 5;

readable! {
    /// The steps of a start, in order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Step {
        /// Plan read, volume locked, record written.
        Prepared,
        /// Control groups made, owned by the guest's root, limits written.
        Limits,
        /// Namespaces exist and ids are mapped.
        Mapped,
        /// The root file system is mounted (detached).
        Rootfs,
        /// `/proc`, `/sys`, `/dev` and the devices are mounted, files written, root pivoted.
        Mounts,
        /// Capabilities and seccomp are in force.
        Security,
        /// Process 1 is executed.
        Exec,
    }
}

impl Step {
    /// Its number in the protocol, from 1.
    pub fn number(self) -> u32 {
        self as u32 + 1
    }
}

readable! {
    /// Why a start failed.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Failure {
        /// The step that failed.
        pub step: Step,
        /// The system's error number; 0 when there was none.
        pub errno: i32,
        /// What was being done, with names in quotes.
        pub what: String,
    }

    /// Messages of the shim.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum FromShim {
        /// A step of the start is done.
        Step {
            /// Which.
            step: Step,
        },
        /// The start failed; everything is undone already.
        Failed(Failure),
        /// The namespaces exist and the shim waits for `go`.
        Held {
            /// Process 1 on the host.
            pid: i32,
        },
        /// The container runs; the rest stands in the [`RunRecord`] on disk (which may be longer than a message). Carries a route-netlink
        /// socket of its network namespace.
        Started,
        /// The guest asked for a reboot and is down.
        Rebooting,
        /// The container is down for good; the shim ends after this.
        Exited(ExitRecord),
        /// The console: a stream socket (output and input), and the pty's master for its size.
        Console,
        /// Somebody else has the console.
        ConsoleBusy,
        /// The request was not understood (by an older shim), or this message isn't (by an older daemon).
        #[serde(other)]
        Unknown,
    }

    /// Messages of the daemon.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "do", rename_all = "snake_case")]
    pub enum ToShim {
        /// A daemon is here now: answer `started` (or `rebooting`). From here on this is the connection that hears of reboots.
        Hello {
            /// Its version of the protocol.
            version: u32,
        },
        /// Go on after `held`.
        Go,
        /// The plan (a memfd) to run after a reboot.
        Next,
        /// Don't run again after a reboot.
        Stop,
        /// A command is about to begin: the next message of this connection, empty but for its descriptor, has the listener of its filter.
        Visit,
        /// Hand out the console. Whoever holds it is cut off when `force`.
        Console {
            /// Whether to take it from somebody else.
            #[serde(default)]
            force: bool,
        },
    }

    /// Where a shim is in the life of its container.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Phase {
        /// Not yet `started`.
        Starting,
        /// Process 1 was executed.
        Running,
        /// Between a reboot of the guest and its next start.
        Rebooting,
    }

    /// What a shim writes to [`RECORD`], by atomic rename, whenever it changes.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct RunRecord {
        /// Version of the shim's protocol.
        pub version: u32,
        /// `/proc/sys/kernel/random/boot_id`: process ids mean nothing after the host's reboot.
        pub boot_id: String,
        /// The instance's number.
        pub id: u64,
        /// The instance's name.
        pub name: String,
        /// Its project.
        pub project: String,
        /// Where it is.
        pub phase: Phase,
        /// The shim.
        pub shim: Process,
        /// Process 1 of the guest, on the host.
        pub init: Option<Process>,
        /// The guest's control groups. `claimed` ones only may have been made: they are removed when empty, never killed.
        pub groups: Vec<Group>,
        /// Whether `groups` are surely ours.
        pub claimed: bool,
        /// The file that the shim and its helpers hold a lock on as long as one of them lives.
        #[serde(default)]
        pub lock: Option<PathBuf>,
        /// When process 1 was executed, in milliseconds since 1970.
        pub started_ms: u64,
        /// How often the guest has rebooted under this shim.
        #[serde(default)]
        pub reboots: u32,
        /// Whether it runs an old plan, because no daemon was there when the guest rebooted.
        #[serde(default)]
        pub stale: bool,
        /// What an `exec` needs to know.
        pub policy: Policy,
    }

    /// The confinement of a container, which everything executed in it shares.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Policy {
        /// Whether it has no user namespace.
        pub privileged: bool,
        /// As in the plan.
        pub drop_capabilities: u64,
        /// As in the plan.
        pub seccomp: String,
        /// Whether that hands calls on: each command's listener goes to the shim.
        #[serde(default)]
        pub listens: bool,
        /// As in the plan.
        #[serde(default)]
        pub apparmor: String,
        /// As in the plan.
        pub no_new_privs: bool,
        /// As in the plan.
        #[serde(default)]
        pub linux32: bool,
        /// As in the plan.
        pub environment: Vec<(String, String)>,
        /// As in the plan.
        #[serde(default)]
        pub rlimits: Vec<Rlimit>,
    }

    /// A process that can be told from a later one with the same id.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub struct Process {
        /// Its id on the host.
        pub pid: i32,
        /// Field 22 of `/proc/PID/stat`: clock ticks from boot to its start.
        pub start: u64,
    }

    /// How a container came down.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ExitReason {
        /// The guest powered itself off or its process 1 ended.
        PowerOff,
        /// The guest asked for a reboot.
        Reboot,
        /// Process 1 was killed by a signal.
        Killed,
        /// The shim died; the guest was brought down.
        ShimLost,
        /// The start after a guest's reboot failed.
        StartFailed,
        /// The host was rebooted beneath it.
        HostReboot,
    }

    /// What a shim writes to [`EXIT`] once the guest is down and its control groups are empty and gone.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct ExitRecord {
        /// Why.
        pub reason: ExitReason,
        /// Exit code of process 1, when it exited by itself.
        pub code: Option<i32>,
        /// The signal that ended process 1.
        pub signal: Option<i32>,
        /// When, in milliseconds since 1970.
        pub ended_ms: u64,
        /// The failed start, for [`ExitReason::StartFailed`].
        #[serde(default)]
        pub failure: Option<Failure>,
    }
}

/// Parses `/proc/PID/stat` and gives field 22, the start time in clock ticks.
pub fn start_time(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and may hold anything, spaces and parentheses too.
    let after = stat.get(stat.rfind(')')? + 1..)?;
    after.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tree::from_slice;

    #[test]
    fn start_time_survives_odd_names() {
        let stat = "382 (a) b (c)) S 374 382 382 0 -1 4194560 216 414 0 0 0 0 0 0 20 0 1 0 100901 2322432 385";
        assert_eq!(start_time(stat), Some(100_901));
        assert_eq!(start_time(""), None);
        assert_eq!(start_time("1 (x) S 1"), None);
    }

    #[test]
    fn messages_are_small_and_tagged() {
        assert_eq!(
            serde_json::to_string(&ToShim::Console { force: true }).unwrap(),
            r#"{"do":"console","force":true}"#
        );
        let failed = FromShim::Failed(Failure { step: Step::Exec, errno: 2, what: "x".into() });
        let text = serde_json::to_string(&failed).unwrap();
        assert_eq!(text, r#"{"say":"failed","step":"exec","errno":2,"what":"x"}"#);
        assert_eq!(from_slice::<FromShim>(text.as_bytes()).unwrap(), failed);
        assert_eq!(from_slice::<FromShim>(br#"{"say":"later","x":1}"#).unwrap(), FromShim::Unknown);
        assert_eq!(Step::Exec.number(), 7);
    }
}
