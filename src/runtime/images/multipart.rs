//! A streaming reader of `multipart/form-data` (RFC 7578), as the clients of split images send it.
//!
//! Parts are handed on as they come; nothing but headers and a boundary's length is ever held. Tolerated, because
//! clients do it: unquoted parameters, a line end after the closing boundary, spaces after a boundary.

use memchr::memmem::Finder;

use crate::error::{Error, Result};

/// Bytes of one part's headers.
const HEADERS: usize = 16 << 10;
/// Bytes before the first boundary and after the last.
const AROUND: usize = 4 << 10;

/// What is in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part begins; its form name (empty when it has none), and its file name.
    Part(String, String),
    /// Some of its data.
    Data(&'a [u8]),
}

/// The reader. Bytes go in by [`Parser::feed`]; [`Parser::finish`] says whether it was all.
pub struct Parser {
    /// `\r\n--BOUNDARY`
    delimiter: Finder<'static>,
    state: State,
    /// What could not be judged yet.
    held: Vec<u8>,
    around: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: the end of its line, or `--`.
    Boundary,
    Headers,
    Data,
    /// Behind the last boundary.
    Epilogue,
}

fn malformed(what: &str) -> Error {
    Error::invalid(format!("Malformed multipart body: {what}"))
}

/// The boundary of a `Content-Type`; `None` when it isn't `multipart/form-data` with one of a valid length.
pub fn boundary(content_type: &str) -> Option<String> {
    let mut fields = Fields::new(content_type);
    if !fields.value()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = fields.parameter("boundary")?;
    (1..=200).contains(&boundary.len()).then_some(boundary)
}

impl Parser {
    /// A reader of a body with that boundary.
    pub fn new(boundary: &str) -> Parser {
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // The first boundary may stand at the very start, without a line end before it.
        Parser { delimiter, state: State::Preamble, held: b"\r\n".to_vec(), around: 0 }
    }

    /// Takes the next bytes of the body; `on` is called for what they hold and may stop it all by an error.
    pub fn feed(&mut self, bytes: &[u8], on: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        if self.held.is_empty() {
            let used = self.consume(bytes, on)?;
            self.held.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            let used = self.consume(&joined, on)?;
            joined.drain(..used);
            self.held = joined;
        }
        Ok(())
    }

    /// The body has ended: an error unless the closing boundary was seen.
    pub fn finish(self) -> Result<()> {
        match self.state {
            State::Epilogue => Ok(()),
            // LXD's texts.
            State::Preamble => Err(Error::invalid("multipart: NextPart: EOF")),
            _ => Err(Error::invalid("unexpected EOF")),
        }
    }

    /// Goes as far as it can and says how far that was.
    fn consume(&mut self, bytes: &[u8], on: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<usize> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let used = match self.state {
                State::Preamble | State::Data => self.until_delimiter(rest, on)?,
                State::Boundary => self.boundary_line(rest)?,
                State::Headers => self.headers(rest, on)?,
                State::Epilogue => {
                    self.count_around(rest.len())?;
                    return Ok(bytes.len());
                }
            };
            at += used.bytes;
            if used.waits {
                return Ok(at);
            }
        }
    }

    fn count_around(&mut self, bytes: usize) -> Result<()> {
        self.around += bytes;
        if self.around > AROUND { Err(malformed("too much around its parts")) } else { Ok(()) }
    }

    /// Data up to the next delimiter, or as much as can't be the start of one.
    fn until_delimiter(&mut self, rest: &[u8], on: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Used> {
        let found = self.delimiter.find(rest);
        let data = found.unwrap_or_else(|| rest.len() - suspicious(rest, self.delimiter.needle()));
        if self.state == State::Preamble {
            self.count_around(data)?;
        } else if data > 0 {
            on(Event::Data(&rest[..data]))?;
        }
        if found.is_none() {
            return Ok(Used { bytes: data, waits: true });
        }
        self.state = State::Boundary;
        Ok(Used { bytes: data + self.delimiter.needle().len(), waits: false })
    }

    /// What is behind a boundary on its line.
    fn boundary_line(&mut self, rest: &[u8]) -> Result<Used> {
        if rest.starts_with(b"--") {
            self.state = State::Epilogue;
            return Ok(Used { bytes: 2, waits: false });
        }
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > 256 { Err(malformed("a boundary's line doesn't end")) } else { Ok(Used::WAIT) };
        };
        if !rest[..end].iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
            return Err(malformed("text behind a boundary"));
        }
        self.state = State::Headers;
        Ok(Used { bytes: end + 1, waits: false })
    }

    fn headers(&mut self, rest: &[u8], on: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Used> {
        let mut at = 0;
        let mut names = (String::new(), String::new());
        while let Some(length) = memchr::memchr(b'\n', &rest[at..]) {
            let line = &rest[at..at + length];
            at += length + 1;
            if at > HEADERS {
                break;
            }
            let line = std::str::from_utf8(line).map_err(|_| malformed("a header that isn't text"))?.trim_end();
            if line.is_empty() {
                self.state = State::Data;
                on(Event::Part(names.0, names.1))?;
                return Ok(Used { bytes: at, waits: false });
            }
            let (field, value) = line.split_once(':').ok_or_else(|| malformed("a header without a colon"))?;
            if field.trim().eq_ignore_ascii_case("content-disposition") {
                names = form_names(value);
            }
        }
        if rest.len() > HEADERS { Err(malformed("too long headers")) } else { Ok(Used::WAIT) }
    }
}

struct Used {
    bytes: usize,
    /// More input is needed to go on.
    waits: bool,
}

impl Used {
    const WAIT: Used = Used { bytes: 0, waits: true };
}

/// How many bytes at the end of `data` may be the start of the delimiter.
fn suspicious(data: &[u8], delimiter: &[u8]) -> usize {
    let tail = &data[data.len().saturating_sub(delimiter.len() - 1)..];
    (0..tail.len()).find(|at| delimiter.starts_with(&tail[*at..])).map_or(0, |at| tail.len() - at)
}

/// The form name and the file name of a part.
fn form_names(disposition: &str) -> (String, String) {
    let parameter = |wanted| {
        let mut fields = Fields::new(disposition);
        fields.value().filter(|value| value.eq_ignore_ascii_case("form-data"))?;
        fields.parameter(wanted)
    };
    (parameter("name").unwrap_or_default(), parameter("filename").unwrap_or_default())
}

/// A header value with parameters: `value; key=token; key="quoted"`.
struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    fn new(text: &'a str) -> Fields<'a> {
        Fields { rest: text }
    }

    /// What stands before the first parameter.
    fn value(&mut self) -> Option<&'a str> {
        let (value, rest) = self.rest.split_once(';').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// The parameter of that name.
    fn parameter(&mut self, wanted: &str) -> Option<String> {
        while let Some((key, rest)) = self.rest.split_once('=') {
            let rest = rest.trim_start();
            let (value, after) = match rest.strip_prefix('"') {
                Some(quoted) => unquoted(quoted)?,
                None => {
                    let (value, after) = rest.split_once(';').unwrap_or((rest, ""));
                    (value.trim().to_owned(), after)
                }
            };
            self.rest = after.trim_start().trim_start_matches(';');
            if key.trim().eq_ignore_ascii_case(wanted) {
                return Some(value);
            }
        }
        None
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"m\"\r\n\
        Content-Type: application/octet-stream\r\n\r\nab\r\n--X\r\ncd\r\n--XX\r\n\
        content-disposition: form-data; filename=x; name=rootfs.img\r\n\r\n\r\n\r\r\n--XX--\r\n";

    fn parts(body: &[u8], piece: usize) -> Result<Vec<(String, Vec<u8>)>> {
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        let mut parser = Parser::new("XX");
        for piece in body.chunks(piece) {
            parser.feed(piece, &mut |event| {
                match event {
                    Event::Part(name, file) => parts.push((format!("{name}|{file}"), Vec::new())),
                    Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(data),
                }
                Ok(())
            })?;
        }
        parser.finish()?;
        Ok(parts)
    }

    #[test]
    fn parts_are_the_same_however_the_body_is_cut() {
        let expected = vec![
            ("metadata|m".to_owned(), b"ab\r\n--X\r\ncd".to_vec()),
            ("rootfs.img|x".to_owned(), b"\r\n\r".to_vec()),
        ];
        for piece in 1..=BODY.len() {
            assert_eq!(parts(BODY, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn what_is_cut_short_or_endless_is_refused() {
        for end in 0..BODY.len() - 4 {
            assert!(parts(&BODY[..end], 7).is_err(), "{end}");
        }
        assert!(parts(&vec![b'x'; 100_000], 1000).is_err());
        let endless = [b"--XX\r\nA: ".to_vec(), vec![b'x'; 100_000]].concat();
        assert!(parts(&endless, 1000).is_err());
        let endless = [b"--XX".to_vec(), vec![b' '; 100_000]].concat();
        assert!(parts(&endless, 1000).is_err());
        let endless = [BODY.to_vec(), vec![b'x'; 100_000]].concat();
        assert!(parts(&endless, 1000).is_err());
        assert!(parts(b"", 1).is_err());
    }

    #[test]
    fn boundaries_are_found_in_content_types() {
        for (given, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data;boundary=\"a;\\\"c\"", Some("a;\"c")),
            ("multipart/form-data; charset=utf-8; boundary=abc ", Some("abc")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=abc", None),
            ("application/octet-stream", None),
        ] {
            assert_eq!(boundary(given).as_deref(), expected, "{given}");
        }
    }
}
