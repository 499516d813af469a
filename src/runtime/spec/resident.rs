//! What helpers that outlive the daemon have in common: what they leave on disk, so that the next one finds them, and what they say
//! at first.

use serde::Serialize;

use super::shim::Process;
use crate::api::tree::readable;

readable! {
    /// Written by atomic rename into the helper's run directory.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Record {
        /// Version of the helper's protocol.
        pub version: u32,
        /// `/proc/sys/kernel/random/boot_id`: process ids mean nothing after the host's reboot.
        pub boot_id: String,
        /// The helper.
        pub process: Process,
    }

    /// Written by the helper of a device of a guest.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct DeviceRecord<P> {
        /// The helper.
        pub process: Process,
        /// As in [`Record`].
        pub boot_id: String,
        /// What it does.
        pub plan: P,
    }

    /// What the helper of a device says, once.
    #[derive(Debug, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum Begun {
        /// It serves.
        Ready,
        /// It could not begin.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done.
            what: String,
        },
    }
}

/// The name of a device's file: device names may have slashes. As LXD writes it.
pub fn file_name(device: &str) -> String {
    device.replace('-', "--").replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_paths() {
        assert_eq!((file_name("a/b"), file_name("a-b")), ("a-b".to_owned(), "a--b".to_owned()));
    }
}
