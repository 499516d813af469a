//! `metadata.yaml`: no panic, no bomb.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::images::metadata;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = metadata::checked(text);
    }
});
