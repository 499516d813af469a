//! The plan of a `tpm` device's helper: which program plays the chip, and where its state is.

use std::path::PathBuf;

use serde::Serialize;

use super::shim::Process;
use crate::api::tree::readable;

readable! {
    /// What the helper is told.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct TpmPlan {
        /// [`super::VERSION`].
        pub version: u32,
        /// The device's name.
        pub device: String,
        /// Process 1 of the guest: with its end the helper's comes.
        pub init: Process,
        /// The program (`swtpm`).
        pub program: PathBuf,
        /// The directory in which the chip keeps what it knows.
        pub state: PathBuf,
    }

    /// One that plays a chip.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Chip {
        /// What it was told.
        pub plan: TpmPlan,
        /// The number of the chip: `N` of `/dev/tpmN`.
        pub number: u32,
    }
}

/// The number of the chip in what the program says: `New TPM device: /dev/tpm1 (major/minor = 253/1)`.
pub fn chip(said: &str) -> Option<u32> {
    let behind = said.split("/dev/tpm").nth(1)?;
    let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chip_is_in_what_the_program_says() {
        assert_eq!(chip("New TPM device: /dev/tpm12 (major/minor = 253/1)\n"), Some(12));
        for text in ["", "/dev/tpm", "/dev/tpmrm0", "Could not open /dev/vtpmx: No such file"] {
            assert_eq!(chip(text), None, "{text}");
        }
    }
}
