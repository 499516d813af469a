//! Cuts a template into text and the tokens of its tags.

use crate::error::{Error, Result};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Copied as it is.
    Text(String),
    /// `{{ … }}`
    Output(Vec<Token>, usize),
    /// `{% … %}`
    Tag(Vec<Token>, usize),
}

/// A token inside a tag.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Whole(i64),
    Float(f64),
    Symbol(&'static str),
}

/// An error at a line of the template.
pub(super) fn wrong(line: usize, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("line {line}: {what}"))
}

/// Longer ones first.
const SYMBOLS: &[&str] = &[
    "==", ">=", "<=", "!=", "<>", "&&", "||", "(", ")", "+", "-", "*", "/", "^", "%", "<", ">", ",", ".", "!", "|",
    ":", "=",
];

/// Cuts the whole template. One pass: hostile templates may be a megabyte of tags.
pub(super) fn tokens(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim = false;
    while !rest.is_empty() {
        let (before, tag) = rest.split_at(tag_start(rest));
        line += lines(before);
        let cut = tag.as_bytes().get(2) == Some(&b'-');
        push_text(&mut pieces, before, (std::mem::take(&mut trim), cut));
        if tag.is_empty() {
            break;
        }
        let inner = &tag[2 + usize::from(cut)..];
        if tag.starts_with("{#") {
            let end = inner.find("#}").ok_or_else(|| wrong(line, "a comment that doesn't end"))?;
            line += lines(&inner[..end]);
            rest = &inner[end + 2..];
            continue;
        }
        let close = if tag.starts_with("{{") { "}}" } else { "%}" };
        let (tokens, end) = tag_tokens(inner, close, line)?;
        trim = inner[..end].ends_with('-');
        rest = &inner[end + 2..];
        if close == "}}" {
            pieces.push(Piece::Output(tokens, line));
        } else if tokens.first() == Some(&Token::Name("verbatim".into())) {
            let (raw, after) = verbatim(rest, line)?;
            line += lines(raw);
            pieces.push(Piece::Text(raw.to_owned()));
            rest = after;
        } else {
            pieces.push(Piece::Tag(tokens, line));
        }
    }
    Ok(pieces)
}

fn lines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}

/// Where the next tag begins; the end if there is none.
fn tag_start(text: &str) -> usize {
    let bytes = text.as_bytes();
    let starts = |at: &usize| matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#'));
    memchr::memchr_iter(b'{', bytes).find(starts).unwrap_or(bytes.len())
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, (start, end): (bool, bool)) {
    let text = if start { text.trim_start() } else { text };
    let text = if end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn verbatim(rest: &str, line: usize) -> Result<(&str, &str)> {
    let end = rest.find("{% endverbatim %}").ok_or_else(|| wrong(line, "a verbatim block that doesn't end"))?;
    Ok((&rest[..end], &rest[end + "{% endverbatim %}".len()..]))
}

/// The tokens up to `close`, and where that stands (the `-` before it included in what is before).
fn tag_tokens(inner: &str, close: &str, line: usize) -> Result<(Vec<Token>, usize)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = &inner[at..];
        let Some(letter) = rest.chars().next() else { return Err(wrong(line, "a tag that doesn't end")) };
        if rest.starts_with(close) {
            return Ok((tokens, at));
        }
        if letter == '-' && rest[1..].starts_with(close) {
            return Ok((tokens, at + 1));
        }
        at += match letter {
            '\n' => return Err(wrong(line, "a line end inside a tag")),
            _ if letter.is_whitespace() => letter.len_utf8(),
            '"' | '\'' => quoted(rest, letter, &mut tokens, line)?,
            '0'..='9' => number(rest, &mut tokens, line)?,
            _ if letter.is_ascii_alphabetic() || letter == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..end].to_owned()));
                end
            }
            _ => {
                let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| wrong(line, format!("unexpected '{letter}'")))?;
                tokens.push(Token::Symbol(symbol));
                symbol.len()
            }
        };
    }
}

fn quoted(rest: &str, quote: char, tokens: &mut Vec<Token>, line: usize) -> Result<usize> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => {
                tokens.push(Token::Text(text));
                return Ok(at + 1);
            }
            '\\' => match letters.next() {
                Some((_, escaped @ ('"' | '\'' | '\\'))) => text.push(escaped),
                Some((_, other)) => return Err(wrong(line, format!("unknown escape '\\{other}'"))),
                None => break,
            },
            '\n' => return Err(wrong(line, "a line end inside a text")),
            _ => text.push(letter),
        }
    }
    Err(wrong(line, "a text that doesn't end"))
}

fn number(rest: &str, tokens: &mut Vec<Token>, line: usize) -> Result<usize> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(rest);
    let fraction = rest[end..].strip_prefix('.').map(digits).filter(|n| *n > 0);
    let token = match fraction {
        Some(more) => {
            end += 1 + more;
            rest[..end].parse().ok().map(Token::Float)
        }
        None => rest[..end].parse().ok().map(Token::Whole),
    };
    tokens.push(token.ok_or_else(|| wrong(line, "a number out of range"))?);
    Ok(end)
}
