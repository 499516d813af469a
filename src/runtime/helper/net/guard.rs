//! Decoding of strangers' bytes by crates that panic on some of them: that costs the packet, not the process.

use std::panic::catch_unwind;

/// Runs a decoder; a panic is nothing decoded. What it prints goes to `/dev/null`, which is our standard error.
pub(super) fn guarded<T>(packet: &[u8], decode: fn(&[u8]) -> Option<T>) -> Option<T> {
    catch_unwind(|| decode(packet)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_decoded() {
        assert_eq!(guarded(b"x", |packet| packet.first().copied()), Some(b'x'));
        assert_eq!(guarded(b"", |packet| Some(packet[0])), None);
    }
}
