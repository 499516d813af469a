//! The rules of shape that a machine can count: sizes, `unsafe`, names, documentation, no unfinished code.
//!
//! An exception stands in one of the lists below, with the reason it was worth it.

mod source;

use std::collections::BTreeSet;
use std::process::Command;

use source::{Source, closing, is_word, words};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;
const ARGUMENTS: usize = 5;

/// Files that may be longer: (path, why).
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer: (path, function, why).
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Functions that may take more arguments: (path, function, why).
const WIDE_FUNCTIONS: &[(&str, &str, &str)] =
    &[("src/api/tls/verify.rs", "verify_server_cert", "the trait is rustls'")];

/// Names that would break the rule of names: (path, name, why).
const NAMES: &[(&str, &str, &str)] = &[];

/// Words that say nothing about what a type or module is.
const EMPTY_WORDS: &[&str] = &["manager", "helper", "helpers", "util", "utils", "data", "common", "misc"];

#[test]
fn files_are_short_enough_to_read() {
    let long = |s: &Source| s.text.lines().count() > FILE_LINES;
    let found: Vec<String> = product().filter(long).map(|s| s.path).collect();
    check("longer than 500 lines", found, LONG_FILES.iter().map(|(path, _)| path.to_string()));
}

#[test]
fn functions_are_short_enough_to_read() {
    let found = functions(|f| f.lines > FUNCTION_LINES);
    check("longer than 60 lines", found, LONG_FUNCTIONS.iter().map(|(path, name, _)| format!("{path} {name}")));
}

#[test]
fn functions_take_few_arguments() {
    let found = functions(|f| f.arguments > ARGUMENTS);
    check("more than 5 arguments", found, WIDE_FUNCTIONS.iter().map(|(path, name, _)| format!("{path} {name}")));
}

#[test]
fn unsafe_code_stays_in_one_module_and_is_justified() {
    let mut found = Vec::new();
    for s in product() {
        let allowed = s.path.starts_with("src/runtime/sys/");
        for at in words(&s.code, "unsafe") {
            let line = s.line(at);
            if !allowed {
                found.push(format!("{}:{line} is outside src/runtime/sys", s.path));
            } else if s.code[at..].trim_start_matches("unsafe").trim_start().starts_with('{') && !justified(&s, line) {
                found.push(format!("{}:{line} has no `// SAFETY:` above it", s.path));
            }
        }
    }
    check("unsafe", found, std::iter::empty());
}

#[test]
fn nothing_unfinished_is_left() {
    let mut found = Vec::new();
    for s in product() {
        for mark in ["todo", "unimplemented", "dbg"] {
            let calls = words(&s.code, mark).into_iter().filter(|at| s.code[at + mark.len()..].starts_with('!'));
            found.extend(calls.map(|at| format!("{}:{} {mark}!", s.path, s.line(at))));
        }
        let notes = s.text.lines().enumerate().filter(|(_, l)| l.contains("TODO") || l.contains("FIXME"));
        found.extend(notes.map(|(n, _)| format!("{}:{} note of unfinished work", s.path, n + 1)));
    }
    check("unfinished code", found, std::iter::empty());
}

#[test]
fn what_the_compiler_makes_for_each_type_anew_is_made_once() {
    // Some kB of the file each time: `order` sorts, `task` spawns, `api::tree` reads.
    let calls = [".sort(", ".sort_by(", ".sort_by_key(", ".sort_unstable", ".sort_by_cached_key(", "tokio::spawn("];
    let calls = calls.into_iter().chain([" Deserialize,", " Deserialize)", "(Deserialize"]);
    let of_tests = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    let mut found = Vec::new();
    for s in product().filter(|s| !of_tests(&s.path) && !matches!(s.path.as_str(), "src/order.rs" | "src/task.rs")) {
        let made = calls.clone().filter(|call| s.product.contains(call));
        found.extend(made.map(|call| format!("{} {call}", s.path)));
    }
    // What it gets there has one type; an envelope is read without what is in it.
    let known = ["src/runtime/mod.rs tokio::spawn(", "src/api/client/envelope.rs  Deserialize)"];
    check("what is made anew for each type", found, known.map(str::to_owned).into_iter());
}

#[test]
fn names_say_what_a_thing_is() {
    let mut found = Vec::new();
    for s in product() {
        for keyword in ["struct", "enum", "trait", "type", "mod"] {
            for at in words(&s.product, keyword) {
                // An associated type of somebody else's trait (`Body::Data`) is named by that trait.
                if keyword == "type" && s.product[..at].ends_with("    ") {
                    continue;
                }
                let name: String = s.product[at + keyword.len()..].trim_start().chars().take_while(is_name).collect();
                if has_empty_word(&name) {
                    found.push(format!("{} {name}", s.path));
                }
            }
        }
    }
    // `runtime::helper` is the folder of the re-executed helper processes: there the word is the thing itself.
    found.retain(|f| f != "src/runtime/mod.rs helper");
    check("names without meaning", found, NAMES.iter().map(|(path, name, _)| format!("{path} {name}")));
}

#[test]
fn every_module_says_what_it_owns() {
    let files = product().chain(source::below("tests"));
    let found: Vec<String> = files.filter(|s| !s.text.starts_with("//!")).map(|s| s.path).collect();
    check("no `//!` at the top", found, std::iter::empty());
}

/// What git keeps at the top of the repository; whatever else is there was left by a run of something.
const TOP: &[&str] = &[
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "docs",
    "packaging",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "src",
    "tests",
];

#[test]
fn nothing_strange_is_committed() {
    // Whoever runs this need not own the files.
    let mut git = Command::new("git");
    let git = git.args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = git.output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = String::from_utf8(output.stdout).unwrap();
    let tops: BTreeSet<&str> = files.split_terminator('\0').filter_map(|file| file.split('/').next()).collect();
    assert!(tops.contains("Cargo.toml"), "{tops:?}");
    let found = tops.into_iter().filter(|top| !TOP.contains(top)).map(str::to_owned).collect();
    check("files that don't belong here", found, std::iter::empty());
}

/// Each line of the threat model's tables ends with tests, as `file below tests: name in it`.
#[test]
fn every_threat_names_tests_that_there_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let mut found = Vec::new();
    let rows = model.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what "));
    for row in rows.clone() {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            found.push(format!("no test: {row}"));
        }
        found.extend(named.into_iter().filter(|named| !source::has_test(named)).map(str::to_owned));
    }
    assert!(rows.count() > 20);
    check("tests of the threat model", found, std::iter::empty());
}

/// The rules above are only worth something while they find what they look for.
#[test]
fn the_rules_see_what_they_are_for() {
    let body = "    let x = 1;\n".repeat(FUNCTION_LINES);
    let text = format!(
        "//! A \"quoted\" {{ brace.\nfn long(a: [u8; 2], b: Map<(u8, u8), u8>) -> char {{\n{body}    '{{'\n}}\n\
         #[cfg(test)]\nmod tests {{\n    fn ignored(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {{}}\n}}\n\
         fn wide(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8,) {{}}\n"
    );
    let s = Source::new("src/x.rs".into(), text);
    let seen: Vec<_> = signatures(&s).into_iter().map(|f| (f.name, f.lines, f.arguments)).collect();
    assert_eq!(seen, [("long".to_owned(), FUNCTION_LINES + 3, 2), ("wide".to_owned(), 1, 6)]);
    assert!(has_empty_word("ImageData") && has_empty_word("io_utils") && !has_empty_word("Metadata"));
    let s = Source::new("src/y.rs".into(), "// unsafe\nlet s = r#\"unsafe \"{\"#; unsafe {}\n".into());
    assert_eq!(words(&s.code, "unsafe").len(), 1);
    assert!(!justified(&s, 2));
}

fn product() -> impl Iterator<Item = Source> {
    source::below("src").into_iter()
}

/// Fails with everything found that no exception names, and with every exception that is not needed any more.
fn check(what: &str, found: Vec<String>, exceptions: impl Iterator<Item = String>) {
    let exceptions: Vec<String> = exceptions.collect();
    let broken: Vec<_> = found.iter().filter(|f| !exceptions.iter().any(|e| f.starts_with(e.as_str()))).collect();
    assert!(broken.is_empty(), "{what}:\n{broken:#?}");
    let stale: Vec<_> = exceptions.iter().filter(|e| !found.iter().any(|f| f.starts_with(e.as_str()))).collect();
    assert!(stale.is_empty(), "exceptions that are not needed any more ({what}):\n{stale:#?}");
}

/// A comment directly above, or above the statement that the line continues.
fn justified(s: &Source, line: usize) -> bool {
    let lines: Vec<&str> = s.text.lines().collect();
    let from = line.saturating_sub(8);
    lines[from..line].iter().any(|l| l.contains("SAFETY:"))
}

struct Signature {
    name: String,
    at: usize,
    lines: usize,
    arguments: usize,
}

fn functions(bad: impl Fn(&Signature) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for s in product() {
        for f in signatures(&s).into_iter().filter(&bad) {
            let place = s.line(f.at);
            found.push(format!("{} {} (line {place}: {} lines, {} arguments)", s.path, f.name, f.lines, f.arguments));
        }
    }
    found
}

/// Every function with a body in what is not a unit test.
fn signatures(s: &Source) -> Vec<Signature> {
    let code = &s.product;
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let name: String = code[at + 2..].trim_start().chars().take_while(is_name).collect();
        let Some(open) = parameters(code, at).filter(|_| !name.is_empty()) else { continue };
        let close = closing(code, open);
        // The body is the first brace behind the parameters; a declaration in a trait ends in a semicolon.
        let Some(body) = code[close..].find(['{', ';']).map(|n| n + close) else { continue };
        if code.as_bytes()[body] == b'{' {
            let lines = s.line(closing(code, body)) - s.line(at) + 1;
            found.push(Signature { name, at, lines, arguments: arguments(&code[open + 1..close]) });
        }
    }
    found
}

/// The bracket that opens the parameters of the function at `at`, behind its generics.
fn parameters(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0;
    let mut before = b' ';
    for (i, b) in code.bytes().enumerate().skip(at) {
        match b {
            b'<' => depth += 1,
            b'>' if before != b'-' => depth -= 1,
            b'(' if depth == 0 => return Some(i),
            b'{' | b';' if depth == 0 => return None,
            _ => {}
        }
        before = b;
    }
    None
}

/// How many parameters a list has.
fn arguments(list: &str) -> usize {
    let (mut depth, mut count, mut filled, mut before) = (0, 0, false, b' ');
    for b in list.bytes() {
        match b {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'>' if before != b'-' => depth -= 1,
            b',' if depth == 0 => filled = false,
            _ => {
                if !b.is_ascii_whitespace() && !filled {
                    filled = true;
                    count += 1;
                }
            }
        }
        before = b;
    }
    count
}

fn is_name(c: &char) -> bool {
    c.is_ascii() && is_word(*c as u8)
}

/// Whether a name's words, split at capitals and underscores, contain one that says nothing.
fn has_empty_word(name: &str) -> bool {
    let mut split = String::new();
    for c in name.chars() {
        if c.is_uppercase() || c == '_' {
            split.push(' ');
        }
        split.extend(c.to_lowercase());
    }
    split.split([' ', '_']).any(|w| EMPTY_WORDS.contains(&w))
}
