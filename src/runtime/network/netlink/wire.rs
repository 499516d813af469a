//! The one shape all of netlink has: attributes with a length and a kind, nested (netlink(7), `NLA_*`).

/// Marks an attribute whose value is attributes again.
const NESTED: u16 = 0x8000;
/// The bits of a kind that are not flags.
const KIND: u16 = 0x3fff;
/// Bytes in front of an attribute's value.
const HEAD: usize = 4;

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

    /// Attributes in an attribute.
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
    fn what_is_cut_off_is_no_attribute() {
        assert_eq!(attributes(&[1, 2, 3]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[200, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(text(b"abc"), "abc");
        assert_eq!(word(&[1, 2, 3]), None);
    }
}
