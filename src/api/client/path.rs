//! Paths and queries of requests, escaped.

use std::fmt::Write;

/// Escapes one segment of a path or one value of a query (RFC 3986: all but unreserved characters).
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

/// What is escaped so, as it was; a `%` that escapes nothing stays.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        let digits = more.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    out
}

/// `/1.0/` and the segments, escaped: `path(&["instances", name, "state"])`.
pub fn path(segments: &[&str]) -> String {
    let mut out = String::from("/1.0");
    for segment in segments {
        out.push('/');
        out.push_str(&escape(segment));
    }
    out
}

/// Names and values of a query.
pub type Query<'a> = [(&'a str, &'a str)];

/// Adds a query to a path that may have one already; empty values are left out.
pub fn with_query(path: &str, query: &Query) -> String {
    let mut out = path.to_string();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(if out.contains('?') { '&' } else { '?' });
        _ = write!(out, "{name}={}", escape(value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_would_change_the_path() {
        assert_eq!(path(&["images", "aliases", "a/b c"]), "/1.0/images/aliases/a%2Fb%20c");
        assert_eq!(with_query("/1.0/x", &[("a", "1&2"), ("b", ""), ("c", "ä")]), "/1.0/x?a=1%262&c=%C3%A4");
        assert_eq!(with_query("/1.0/x?y=1", &[("a", "1")]), "/1.0/x?y=1&a=1");
        assert_eq!(unescape("a%2Fb%20%C3%A4%%zz%2"), "a/b ä%%zz%2".as_bytes());
    }
}
