//! Hardware addresses of Ethernet.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Six bytes, printed as `00:16:3e:00:00:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The address in a kernel's answer; none when it isn't six bytes long (tunnels).
    pub fn from_bytes(bytes: &[u8]) -> Option<MacAddr> {
        bytes.try_into().ok().map(MacAddr)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = Error;

    /// Accepts colons or dashes between the bytes, and letters of both cases.
    fn from_str(text: &str) -> Result<MacAddr, Error> {
        let byte = |part: &str| match part.len() {
            2 if part.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(part, 16).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
        let address = bytes.and_then(|bytes| MacAddr::from_bytes(&bytes));
        address.ok_or_else(|| Error::invalid(format!("Invalid MAC address {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_parsing_are_inverse() {
        let mac: MacAddr = "00:16:3E:0a:ff:01".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:0a:ff:01");
        assert_eq!(mac.to_string().parse::<MacAddr>().unwrap(), mac);
        for wrong in ["", "00:16:3e:00:00", "00:16:3e:00:00:0", "00:16:3e:00:00:+1", "00:16:3e:00:00:01:02", "x"] {
            assert!(wrong.parse::<MacAddr>().is_err(), "{wrong}");
        }
    }
}
