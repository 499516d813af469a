//! What the daemon, shims and the helper process behind the guests' view of `/proc` (`lxbox procfs`) say to each other.
//!
//! Messages are one JSON object a packet on a `SOCK_SEQPACKET` unix socket, [`SOCKET`] in the run directory. Each request gets its answer
//! on its own connection.
//!
//! ```text
//! daemon, shim                  procfs
//!   | -- spawn(launch, socket) -> |
//!   | <- ready [device] | failed  |   the file system exists, the record is written
//!   | -- hello ------------------ |
//!   | <- ready [device] --------- |   whoever has the device can mount the file system
//!   | -- stop ------------------> |
//!   | <- done ------------------- |   it ends
//! ```

use serde::Serialize;

use crate::api::tree::readable;

/// The helper's socket below the run directory.
pub const SOCKET: &str = "procfs.sock";
/// The helper's record below the run directory ([`super::resident::Record`]).
pub const RECORD: &str = "procfs.json";
/// Bytes of one message to the helper, at most.
pub const MAX_REQUEST: usize = 1024;

/// The files: their names in the file system's only directory, and what they lie over in a guest.
pub const FILES: [(&str, &str); 8] = [
    ("meminfo", "proc/meminfo"),
    ("cpuinfo", "proc/cpuinfo"),
    ("uptime", "proc/uptime"),
    ("stat", "proc/stat"),
    ("loadavg", "proc/loadavg"),
    ("swaps", "proc/swaps"),
    ("diskstats", "proc/diskstats"),
    ("online", "sys/devices/system/cpu/online"),
];

readable! {
    /// The plan of the helper. A descriptor behind its run directory is the device of an earlier one, whose mounts it goes on serving.
    #[derive(Clone, Debug, Serialize)]
    pub struct Launch {
        /// [`super::VERSION`] of who wrote it.
        pub version: u32,
        /// Who it becomes; itself when none.
        pub user: Option<u32>,
        /// Its compiled seccomp filter, as hex.
        pub seccomp: String,
    }

    /// Requests.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "do", rename_all = "snake_case")]
    pub enum ToProcfs {
        /// Answer `ready`.
        Hello,
        /// End. Files that are still mounted somewhere give errors from then on.
        Stop,
    }

    /// Answers.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum FromProcfs {
        /// It serves; the device comes along.
        Ready {
            /// Its version of the protocol.
            version: u32,
            /// Whether nothing was mounted before it: what an earlier one had given to guests is lost.
            fresh: bool,
            /// Whether its keeper is dead: it serves, but nobody will start it again.
            orphan: bool,
        },
        /// It does so.
        Done,
        /// It could not start.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done.
            what: String,
        },
        /// The request was not understood.
        #[serde(other)]
        Unknown,
    }
}
