//! What a helper that outlives the daemon leaves on disk, so that the next one finds it.

use serde::{Deserialize, Serialize};

use super::shim::Process;

/// Written by atomic rename into the helper's run directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the helper's protocol.
    pub version: u32,
    /// `/proc/sys/kernel/random/boot_id`: process ids mean nothing after the host's reboot.
    pub boot_id: String,
    /// The helper.
    pub process: Process,
}
