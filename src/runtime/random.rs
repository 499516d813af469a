//! Random bytes of the kernel (getrandom(2)), as UUIDs and secrets.

use rustix::rand::{GetRandomFlags, getrandom};

/// `N` random bytes; waits for the kernel's pool at boot.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    let mut filled = 0;
    while filled < N {
        // Fails only with EINTR: the flags are valid and the buffer is ours.
        filled += getrandom(&mut buffer[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    buffer
}

/// Twice as many hex digits as bytes; at most 64 bytes.
pub fn hex(count: usize) -> String {
    bytes::<64>().iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

/// A version 4 UUID (RFC 9562).
pub fn uuid() -> String {
    let mut b = bytes::<16>();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_have_their_form_and_differ() {
        let (a, b) = (super::uuid(), super::uuid());
        assert_ne!(a, b);
        assert_eq!((a.len(), &a[14..15]), (36, "4"));
        assert_eq!(super::hex(32).len(), 64);
    }
}
