//! Reads the program's own source, for the tests that check its shape.
//!
//! No parser: comments and literals are blanked out first, after which words, braces and paths can be found as text.
// Each test that includes this module uses its own part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// One source file.
pub struct Source {
    /// Its path below the repository, with `/`.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The same text, byte for byte as long, with comments, strings and characters turned into spaces.
    pub code: String,
    /// `code` with everything that exists only for unit tests turned into spaces as well.
    pub product: String,
}

/// Every Rust file below `folder` of the repository, in order of path.
pub fn below(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            Source::new(relative, text)
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The fuzz targets are built in their own folder.
        if path.is_dir() && !path.ends_with("fuzz/target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    /// A file with the given text.
    pub fn new(path: String, text: String) -> Source {
        let code = blank_literals(&text);
        let product = if is_test_file(&path) { spaces(&code) } else { blank_tests(&code) };
        Source { path, text, code, product }
    }

    /// The line of a byte offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count() + 1
    }
}

/// Unit tests too long for their module live in a file of their own beside it.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

fn spaces(text: &str) -> String {
    text.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect()
}

/// Turns comments, strings and character literals into spaces, keeping every line break.
fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        let keep = end == at;
        let end = if keep { at + 1 } else { end };
        for &b in &bytes[at..end] {
            out.push(if b == b'\n' || (keep && b.is_ascii()) { b } else { b' ' });
        }
        at = end;
    }
    String::from_utf8(out).unwrap()
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(b: &[u8], at: usize) -> usize {
    let next = |n: usize| b.get(at + n).copied().unwrap_or(0);
    let after_word = at > 0 && is_word(b[at - 1]);
    match b[at] {
        b'/' if next(1) == b'/' => find(b, at, b"\n"),
        b'/' if next(1) == b'*' => block_comment_end(b, at),
        b'"' => string_end(b, at + 1),
        b'r' if !after_word && (next(1) == b'"' || next(1) == b'#') => raw_string_end(b, at + 1).unwrap_or(at),
        b'b' if !after_word && next(1) == b'r' => raw_string_end(b, at + 2).unwrap_or(at),
        b'\'' => char_end(b, at).unwrap_or(at),
        _ => at,
    }
}

fn find(b: &[u8], from: usize, what: &[u8]) -> usize {
    b[from..].windows(what.len()).position(|w| w == what).map_or(b.len(), |n| from + n)
}

fn block_comment_end(b: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < b.len() {
        match &b[i..i + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    b.len()
}

fn string_end(b: &[u8], mut i: usize) -> usize {
    while i < b.len() && b[i] != b'"' {
        i += if b[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(b.len())
}

/// The end of a raw string whose hashes or quote begin at `i`; `None` for a raw identifier.
fn raw_string_end(b: &[u8], i: usize) -> Option<usize> {
    let hashes = b[i..].iter().take_while(|c| **c == b'#').count();
    if b.get(i + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    Some((find(b, i + hashes + 1, &close) + close.len()).min(b.len()))
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(b: &[u8], at: usize) -> Option<usize> {
    if b.get(at + 1) == Some(&b'\\') {
        // `'\''` and `'\u{1f600}'`: the character after the backslash is never the closing quote.
        return Some(find(b, at + 3, b"'") + 1);
    }
    let width = match b.get(at + 1)? {
        0x00..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    };
    (b.get(at + 1 + width) == Some(&b'\'')).then_some(at + 2 + width)
}

/// Turns each item behind `#[cfg(test)]` into spaces.
fn blank_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]").map(|n| n + from) {
        let end = item_end(code, found + "#[cfg(test)]".len());
        for b in &mut out[found..end] {
            if *b != b'\n' {
                *b = b' ';
            }
        }
        from = end;
    }
    String::from_utf8(out).unwrap()
}

/// The end of the item that begins at `from`: its closing brace, or its semicolon when it has none.
fn item_end(code: &str, from: usize) -> usize {
    let b = code.as_bytes();
    match code[from..].find(['{', ';']).map(|n| n + from) {
        Some(open) if b[open] == b'{' => closing(code, open) + 1,
        Some(semicolon) => semicolon + 1,
        None => b.len(),
    }
}

/// The bracket that closes the one at `open`; the last byte when none does.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, b) in code.bytes().enumerate().skip(open) {
        match b {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    code.len() - 1
}

/// Whether a byte can stand in a Rust name.
pub fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The offsets of `word` in `code` where it stands alone.
pub fn words(code: &str, word: &str) -> Vec<usize> {
    let b = code.as_bytes();
    code.match_indices(word)
        .map(|(i, _)| i)
        .filter(|&i| (i == 0 || !is_word(b[i - 1])) && b.get(i + word.len()).is_none_or(|c| !is_word(*c)))
        .collect()
}

/// Whether there is the test that a document names as `file below tests: name in it`.
pub fn has_test(named: &str) -> bool {
    let Some((file, name)) = named.split_once(": ") else { return false };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
    let line = if file.ends_with(".rs") { format!("fn {name}(") } else { format!("it \"{name}\"") };
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(&line))
}
