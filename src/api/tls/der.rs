//! As much of DER (ITU-T X.690) as certificates take: definite lengths, tags of one byte.

/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(super) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(super) const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(super) const OID: u8 = 0x06;
/// UTF8String.
pub(super) const UTF8: u8 = 0x0c;
/// PrintableString.
pub(super) const PRINTABLE: u8 = 0x13;
/// UTCTime.
pub(super) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub(super) const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// SET.
pub(super) const SET: u8 = 0x31;

/// A constructed field `[n]`.
pub(super) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// One value: tag, length, content.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let bytes = content.len().to_be_bytes();
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        _ => {
            let length: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
            out.push(0x80 | length.len() as u8);
            out.extend(length);
        }
    }
    out.extend(content);
    out
}

/// A value made of values.
pub(super) fn group(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    value(tag, &parts.concat())
}

/// A BIT STRING of whole bytes.
pub(super) fn bits(content: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], content].concat())
}

/// A positive INTEGER of these bytes, most significant first.
pub(super) fn positive(bytes: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    if content.first().is_none_or(|b| *b >= 0x80) {
        content.insert(0, 0);
    }
    value(INTEGER, &content)
}

/// Reads values one after the other; stops at the first that isn't one.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next value's tag and content.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
            }
            _ => return None,
        };
        // Tags of more than one byte don't occur in what is read here.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next value's content if it has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// Takes the next value away if it has this tag.
    pub(super) fn skip_optional(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 70_000] {
            let content = vec![7; length];
            let written = value(SEQUENCE, &content);
            let mut reader = Reader(&written);
            assert_eq!(reader.expect(SEQUENCE), Some(&content[..]));
            assert!(reader.0.is_empty());
        }
        assert_eq!(positive(&[0, 0x80]), [INTEGER, 2, 0, 0x80]);
        assert_eq!(positive(&[]), [INTEGER, 1, 0]);
    }

    #[test]
    fn broken_values_end_the_reading() {
        for bad in
            [&[][..], &[0x30], &[0x30, 2, 0], &[0x30, 0x80], &[0x30, 0x84, 0, 0, 0, 0], &[0x1f, 1, 0], &[4, 0x82, 1]]
        {
            assert_eq!(Reader(bad).next(), None, "{bad:x?}");
        }
    }
}
