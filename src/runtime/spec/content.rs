//! The content of a request on its connection: counted, or in chunks (RFC 9112 section 7.1) as far as these must be understood to
//! tell content from what is around it.

use std::io::IoSlice;

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// What is left of a request's content on its connection.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Rest {
        /// So many bytes.
        Counted(u64),
        /// What comes in chunks.
        Chunked(Chunks),
    }
}

impl Rest {
    /// Goes on behind `bytes`, and says which of them are content; what is behind its end isn't.
    pub fn content<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<IoSlice<'a>> {
        let mut found = Vec::new();
        loop {
            if let Rest::Chunked(chunks) = self {
                bytes = &bytes[chunks.frame(bytes)..];
            }
            let (content, behind) = bytes.split_at(self.next().min(bytes.len() as u64) as usize);
            if content.is_empty() {
                return found;
            }
            found.push(IoSlice::new(content));
            match self {
                Rest::Counted(left) => *left -= content.len() as u64,
                Rest::Chunked(chunks) => chunks.pass(content.len() as u64),
            }
            bytes = behind;
        }
    }

    /// How many bytes of content come next, if nothing else does.
    fn next(&self) -> u64 {
        match self {
            Rest::Counted(left) => *left,
            Rest::Chunked(chunks) => chunks.left(),
        }
    }

    /// Whether the content ends here.
    pub fn ended(&self) -> bool {
        match self {
            Rest::Counted(left) => *left == 0,
            Rest::Chunked(chunks) => chunks.ended(),
        }
    }

    /// Whether this isn't understood any more.
    pub fn lost(&self) -> bool {
        matches!(self, Rest::Chunked(chunks) if chunks.lost())
    }
}

/// Digits that a size has at most: so it fits a `u64`.
const DIGITS: u8 = 15;

readable! {
    /// Where in such content a connection is.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Chunks {
        at: At,
        data: u64,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum At {
        /// In a size, of which there are digits already.
        Size {
            size: u64,
            digits: u8,
        },
        /// Behind a size: its line ends with the next byte.
        SizeEnd(u64),
        /// In a chunk, of which so many bytes are to come.
        Data(u64),
        /// Behind a chunk, whose line end has so many bytes more.
        DataEnd(u8),
        /// Behind the last chunk, where a line begins. An empty one ends the content.
        Trailer,
        /// In such a line.
        TrailerLine,
        /// In an empty one.
        TrailerEnd,
        Ended,
        /// In what isn't understood, extensions of chunks among it.
        Lost,
    }
}

impl Default for At {
    fn default() -> At {
        At::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    /// Goes on behind `bytes`.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.at, At::Ended | At::Lost) {
            let data = self.left().min(bytes.len() as u64);
            self.pass(data);
            bytes = &bytes[data as usize..];
            bytes = &bytes[self.frame(bytes)..];
        }
        if !bytes.is_empty() {
            self.at = At::Lost;
        }
    }

    /// Goes on behind what is around the content, at the start of `bytes`, and says how many of them that was.
    fn frame(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            if matches!(self.at, At::Data(_) | At::Ended | At::Lost) {
                break;
            }
            self.at = self.at.behind(*byte);
            count += 1;
        }
        count
    }

    /// How many bytes of content come next; 0 where there is something else.
    fn left(&self) -> u64 {
        if let At::Data(left) = self.at { left } else { 0 }
    }

    /// Goes on behind so many bytes of content.
    fn pass(&mut self, count: u64) {
        if let At::Data(left) = self.at {
            self.data += count;
            self.at = if count < left { At::Data(left - count) } else { At::DataEnd(2) };
        }
    }

    /// The bytes of content until here.
    pub fn passed(&self) -> u64 {
        self.data
    }

    /// Whether the content ends here.
    fn ended(&self) -> bool {
        self.at == At::Ended
    }

    /// Whether this isn't understood any more.
    pub fn lost(&self) -> bool {
        self.at == At::Lost
    }
}

impl At {
    fn behind(self, byte: u8) -> At {
        match (self, byte) {
            (At::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < DIGITS => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                At::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::Size { size, digits: 1.. }, b'\r') => At::SizeEnd(size),
            (At::SizeEnd(0), b'\n') | (At::TrailerLine, b'\n') => At::Trailer,
            (At::SizeEnd(size), b'\n') => At::Data(size),
            (At::DataEnd(2), b'\r') => At::DataEnd(1),
            (At::DataEnd(1), b'\n') => At::default(),
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerEnd, b'\n') => At::Ended,
            (At::Trailer | At::TrailerLine, _) => At::TrailerLine,
            _ => At::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"5\r\nhello\r\n0a\r\n0123456789\r\n0\r\nA: b\r\n\r\n";

    #[test]
    fn content_is_told_from_the_rest_wherever_it_is_cut() {
        for cut in 0..=WHOLE.len() {
            let mut chunks = Chunks::default();
            chunks.feed(&WHOLE[..cut]);
            assert_eq!(chunks.ended(), cut == WHOLE.len(), "{cut}");
            chunks.feed(&WHOLE[cut..]);
            assert!(chunks.ended() && chunks.passed() == 15, "{cut}: {chunks:?}");
        }
        let mut chunks = Chunks::default();
        assert_eq!((chunks.frame(WHOLE), chunks.left()), (3, 5));
        chunks.pass(2);
        assert_eq!((chunks.left(), chunks.frame(b"llo")), (3, 0));
    }

    #[test]
    fn content_comes_without_what_is_around_it() {
        let cut = |rest: &mut Rest, bytes: &[u8]| {
            let parts: Vec<_> = rest.content(bytes).iter().map(|part| part.to_vec()).collect();
            String::from_utf8(parts.concat()).unwrap()
        };
        for at in 0..=WHOLE.len() {
            let mut rest = Rest::Chunked(Chunks::default());
            let found = [cut(&mut rest, &WHOLE[..at]), cut(&mut rest, &WHOLE[at..])].concat();
            assert_eq!((found.as_str(), rest.ended(), rest.lost()), ("hello0123456789", true, false), "{at}");
        }
        let mut rest = Rest::Counted(7);
        assert_eq!((cut(&mut rest, b"hello"), rest.ended()), ("hello".into(), false));
        assert_eq!((cut(&mut rest, b"hello"), rest.ended()), ("he".into(), true));
        let mut rest = Rest::Chunked(Chunks::default());
        assert_eq!((cut(&mut rest, b"2\r\nhello"), rest.lost()), ("he".into(), true));
    }

    #[test]
    fn what_is_no_chunk_is_said() {
        for wrong in ["", "x", "\r\n", "5;a=b\r\n", "5\r\nhello0\r\n", "1234567890abcdef\r\n", "0\r\n\r\nx"] {
            let mut chunks = Chunks::default();
            chunks.feed(wrong.as_bytes());
            assert_eq!(chunks.lost(), !wrong.is_empty(), "{wrong:?}");
        }
    }
}
