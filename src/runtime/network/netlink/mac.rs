//! Hardware addresses: of Ethernet, and of any link.

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
        let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
        let address = bytes.and_then(|bytes| MacAddr::from_bytes(&bytes));
        address.ok_or_else(|| Error::invalid(format!("Invalid MAC address {text:?}")))
    }
}

/// The hardware address of a link of any kind (20 bytes of InfiniBand); empty for one that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardwareAddress(pub Vec<u8>);

impl HardwareAddress {
    /// Bytes that the kernel has room for (MAX_ADDR_LEN of linux/netdevice.h).
    const MOST: usize = 32;
}

impl From<MacAddr> for HardwareAddress {
    fn from(mac: MacAddr) -> Self {
        HardwareAddress(mac.0.to_vec())
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

impl FromStr for HardwareAddress {
    type Err = Error;

    /// Bytes between colons.
    fn from_str(text: &str) -> Result<HardwareAddress, Error> {
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes = bytes.filter(|bytes| bytes.len() <= HardwareAddress::MOST);
        bytes.map(HardwareAddress).ok_or_else(|| Error::invalid(format!("Invalid hardware address {text:?}")))
    }
}

fn byte(text: &str) -> Option<u8> {
    let hex = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_any_length_are_read_as_they_are_written() {
        let long = "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:aa:bb:cc";
        assert_eq!(long.parse::<HardwareAddress>().unwrap().to_string(), long);
        assert_eq!(HardwareAddress::from(MacAddr([0, 0x16, 0x3e, 0, 0, 1])).to_string(), "00:16:3e:00:00:01");
        for wrong in ["", "0", "00:1", "00-11", "zz", &["00"; 33].join(":")] {
            assert!(wrong.parse::<HardwareAddress>().is_err(), "{wrong}");
        }
    }

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
