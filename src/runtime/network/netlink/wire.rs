//! The one shape all of netlink has: attributes with a length and a kind, nested (netlink(7), `NLA_*`).

use std::net::IpAddr;

use super::MacAddr;

/// Marks an attribute whose value is attributes again.
const NESTED: u16 = 0x8000;
/// The bits of a kind that are not flags.
const KIND: u16 = 0x3fff;
/// Bytes in front of an attribute's value.
const HEAD: usize = 4;

/// What an attribute can have as its value; numbers are in the machine's order.
pub trait Value {
    /// Its bytes; none when the attribute is left out.
    fn bytes(&self) -> Option<Vec<u8>>;
}

impl Value for bool {
    fn bytes(&self) -> Option<Vec<u8>> {
        u8::from(*self).bytes()
    }
}

impl Value for u8 {
    fn bytes(&self) -> Option<Vec<u8>> {
        Some(vec![*self])
    }
}

impl Value for u16 {
    fn bytes(&self) -> Option<Vec<u8>> {
        Some(self.to_ne_bytes().to_vec())
    }
}

impl Value for u32 {
    fn bytes(&self) -> Option<Vec<u8>> {
        Some(self.to_ne_bytes().to_vec())
    }
}

impl Value for IpAddr {
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            IpAddr::V4(v4) => Some(v4.octets().to_vec()),
            IpAddr::V6(v6) => Some(v6.octets().to_vec()),
        }
    }
}

impl Value for MacAddr {
    fn bytes(&self) -> Option<Vec<u8>> {
        Some(self.0.to_vec())
    }
}

impl Value for Vec<u8> {
    fn bytes(&self) -> Option<Vec<u8>> {
        Some(self.clone())
    }
}

impl<V: Value> Value for Option<V> {
    fn bytes(&self) -> Option<Vec<u8>> {
        self.as_ref().and_then(V::bytes)
    }
}

/// Attributes as they are written one behind the other.
///
/// A value is at most 65531 bytes long, which the callers' limits see to; a longer one is refused by the kernel, for
/// its length then is not the one it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// None yet.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// None yet, behind the fixed part of a message, whose length is a multiple of four.
    pub fn behind(head: Vec<u8>) -> Attributes {
        Attributes(head)
    }

    /// One with this value, or none.
    pub fn put(&mut self, kind: u16, value: impl Value) -> &mut Attributes {
        match value.bytes() {
            Some(value) => self.bytes(kind, &value),
            None => self,
        }
    }

    /// One with this value.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Attributes {
        let length = u16::try_from(HEAD + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A byte.
    pub fn byte(&mut self, kind: u16, value: u8) -> &mut Attributes {
        self.bytes(kind, &[value])
    }

    /// A number in the machine's order.
    pub fn word(&mut self, kind: u16, value: u32) -> &mut Attributes {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in the network's order.
    pub fn network_word(&mut self, kind: u16, value: u32) -> &mut Attributes {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text with the zero that ends it.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Attributes {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Attributes in an attribute that is marked as having them.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes)) -> &mut Attributes {
        let mut inner = Attributes::new();
        fill(&mut inner);
        self.bytes(kind | NESTED, &inner.0)
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The attributes in what the kernel sent, flags taken off their kinds. Ends at the first that is cut off.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = rest.first_chunk::<HEAD>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = rest.get(HEAD..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[2], head[3]]) & KIND, value))
    })
}

/// The first attribute of a kind.
pub fn find(attributes_of: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(attributes_of).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A text up to the zero that ends it.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

/// A number in the machine's order.
pub fn word(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

/// A number of two bytes in the machine's order.
pub fn half(value: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(value.try_into().ok()?))
}

/// An address, of the family its length says.
pub fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

/// A number in the network's order.
pub fn network_word(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut written = Attributes::new();
        written.text(3, "eth0").word(4, 1500).nest(18, |inner| {
            inner.byte(1, 9).network_word(2, 0x0102_0304);
        });
        assert_eq!(written.as_bytes().len() % 4, 0);
        let read: Vec<_> = attributes(written.as_bytes()).collect();
        assert_eq!(read.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [3, 4, 18]);
        assert_eq!(text(read[0].1), "eth0");
        assert_eq!(word(read[1].1), Some(1500));
        assert_eq!(find(read[2].1, 1), Some(&[9u8][..]));
        assert_eq!(find(read[2].1, 2), Some(&[1u8, 2, 3, 4][..]));
        assert_eq!(find(read[2].1, 2).and_then(network_word), Some(0x0102_0304));
    }

    #[test]
    fn values_are_as_long_as_what_they_say() {
        let (v4, v6) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([7u8; 16]));
        let mut written = Attributes::behind(vec![9; 4]);
        written.put(1, v4).put(2, Some(v6)).put(3, None::<u32>).put(4, true).put(5, 0x0102u16);
        assert_eq!(written.as_bytes()[..4], [9; 4]);
        let read: Vec<_> = attributes(&written.as_bytes()[4..]).collect();
        assert_eq!(
            read.iter().map(|(kind, value)| (*kind, value.len())).collect::<Vec<_>>(),
            [(1, 4), (2, 16), (4, 1), (5, 2)]
        );
        assert_eq!((address(read[0].1), address(read[1].1)), (Some(v4), Some(v6)));
        assert_eq!(half(read[3].1), Some(0x0102));
    }

    #[test]
    fn what_is_cut_off_is_no_attribute() {
        assert_eq!(attributes(&[1, 2, 3]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[200, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(text(b"abc"), "abc");
        assert_eq!(word(&[1, 2, 3]), None);
        assert_eq!(half(&[1, 2, 3]), None);
        assert_eq!(address(&[1, 2, 3]), None);
    }
}
