//! YAML as a tree: YAML 1.2 with the truth values of 1.1 (`yes`, `off`) and `<<`, as LXD reads it.
//!
//! Strangers' texts are read here too (images, backups): what they may make of how little is limited.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};
use serde::Serialize;
use serde::de::Error as _;
use serde_json::Number;

use super::{FromTree, Tree, Wrong, read};

/// Nodes a document may have.
const NODES: usize = 250_000;
/// Nodes with anchors, those in them counted again. A long text counts as many.
const ANCHORED: usize = 1_000_000;
/// Nodes that aliases stand for: anchors are for people who write something twice, not for a billion laughs.
const REPEATED: usize = 20_000;
/// Lists and maps in each other.
const DEPTH: usize = 64;

/// What a key that stands twice in a map means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// A mistake; null is an empty value.
    Refused,
    /// That the last one counts.
    LastCounts,
    /// The same, in a text in which null is an empty value, as LXD's client reads it.
    LastCountsNullIsEmpty,
}

/// Reads a document in YAML; an empty one is null.
///
/// # Errors
/// What is no YAML, with its line; what isn't as the type wants it, by the names of the members it is in.
pub fn from_yaml<T: FromTree>(text: &str, twice: Twice) -> serde_json::Result<T> {
    read(document(text, twice).map_err(serde_json::Error::custom)?)
}

/// Writes a document in YAML. By way of a tree: the writer, too, is made for that alone.
///
/// # Errors
/// What neither JSON nor YAML can say.
pub fn to_yaml(of: &impl Serialize) -> serde_json::Result<String> {
    serde_saphyr::to_string(&serde_json::to_value(of)?).map_err(serde_json::Error::custom)
}

/// Whether a document is a map, or none at all; a key may be there twice.
///
/// # Errors
/// As [`from_yaml`].
pub fn is_yaml_map(text: &str) -> serde_json::Result<bool> {
    let tree = document(text, Twice::LastCounts).map_err(serde_json::Error::custom)?;
    Ok(matches!(tree, Tree::Map(_) | Tree::Null))
}

fn document(text: &str, twice: Twice) -> Result<Tree, Wrong> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut building = Building { twice, root: None, open: Vec::new(), anchors: BTreeMap::new(), counts: [0; 3] };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(Wrong::custom)?;
        let line = span.start.line();
        building.take(event).map_err(|what| Wrong::custom(format!("{what} at line {line}")))?;
    }
    Ok(building.root.unwrap_or(Tree::Null))
}

/// A list or map that isn't at its end.
enum Open {
    List(Vec<Tree>),
    Map { members: Vec<(String, Tree)>, key: Option<String>, merged: Vec<(String, Tree)> },
}

struct Building {
    twice: Twice,
    root: Option<Tree>,
    /// Each with its anchor.
    open: Vec<(Open, usize)>,
    anchors: BTreeMap<usize, Tree>,
    /// Nodes, those with anchors, those repeated.
    counts: [usize; 3],
}

/// The key that takes over another map's members.
const MERGE: &str = "<<";

impl Building {
    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let node = scalar(text.into_owned(), plain, tag.as_deref(), self.twice)?;
                self.put(node, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.enter(Open::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => {
                self.enter(Open::Map { members: Vec::new(), key: None, merged: Vec::new() }, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(list), anchor)) => self.put(Tree::List(list), anchor),
                Some((Open::Map { members, merged, .. }, anchor)) => {
                    let node = map(members, merged, self.twice)?;
                    self.put(node, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias stands within what it stands for")?;
                let (node, weight) = (node.clone(), weight(node));
                self.count(2, weight, REPEATED)?;
                self.put(node, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err("there is more than one document".into()),
            _ => Ok(()),
        }
    }

    fn count(&mut self, what: usize, more: usize, limit: usize) -> Result<(), String> {
        self.counts[what] += more;
        if self.counts[what] > limit {
            return Err("the document is too large".into());
        }
        Ok(())
    }

    fn enter(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        self.open.push((open, anchor));
        match self.open.len() > DEPTH {
            true => Err("the document is too deep".into()),
            false => Ok(()),
        }
    }

    /// Puts a node that is complete where it belongs.
    fn put(&mut self, node: Tree, anchor: usize) -> Result<(), String> {
        self.count(0, 1, NODES)?;
        if anchor > 0 {
            self.count(1, weight(&node), ANCHORED)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Open::List(list), _)) => list.push(node),
            Some((Open::Map { members, key, merged }, _)) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some(name) if name == MERGE => merged.extend(members_to_merge(node)?),
                Some(name) => members.push((name, node)),
            },
        }
        Ok(())
    }
}

/// What a node counts.
fn weight(node: &Tree) -> usize {
    let inner = match node {
        Tree::Text(text) | Tree::Plain(text) => text.len() / 100,
        Tree::List(list) => list.iter().map(weight).sum(),
        Tree::Map(members) => members.iter().map(|(key, member)| key.len() / 100 + weight(member)).sum(),
        _ => 0,
    };
    inner + 1
}

fn scalar(text: String, plain: bool, tag: Option<&Tag>, twice: Twice) -> Result<Tree, String> {
    let tag = tag.map(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:").unwrap_or_default());
    let null = || if twice == Twice::LastCounts { Tree::Null } else { Tree::Blank };
    Ok(match tag.as_deref() {
        Some("null") => null(),
        Some("int" | "float" | "bool") => Tree::Plain(text),
        Some("binary") => {
            let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let bytes = BASE64.decode(&packed).map_err(|_| "!!binary isn't Base64".to_owned())?;
            Tree::Text(String::from_utf8(bytes).map_err(|_| "!!binary isn't UTF-8".to_owned())?)
        }
        None if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => null(),
        None if plain => Tree::Plain(text),
        _ => Tree::Text(text),
    })
}

fn key_of(node: Tree) -> Result<String, String> {
    match node {
        Tree::Text(text) | Tree::Plain(text) => Ok(text),
        Tree::Null | Tree::Blank => Ok(String::new()),
        _ => Err("a key is no text".into()),
    }
}

fn members_to_merge(node: Tree) -> Result<Vec<(String, Tree)>, String> {
    match node {
        Tree::Map(members) => Ok(members),
        Tree::List(maps) => {
            let maps: Result<Vec<_>, String> = maps.into_iter().map(members_to_merge).collect();
            Ok(maps?.into_iter().flatten().collect())
        }
        _ => Err("only a map can be merged".into()),
    }
}

/// A map of its own members and, where it has none of the name, of merged ones, of which the first counts.
fn map(members: Vec<(String, Tree)>, merged: Vec<(String, Tree)>, twice: Twice) -> Result<Tree, String> {
    let mut known = BTreeSet::new();
    let mut kept: Vec<(String, Tree)> = Vec::with_capacity(members.len() + merged.len());
    for (key, member) in members.into_iter().rev() {
        if known.insert(key.clone()) {
            kept.push((key, member));
        } else if twice == Twice::Refused {
            return Err(format!("the key {key:?} stands twice"));
        }
    }
    kept.reverse();
    kept.extend(merged.into_iter().filter(|(key, _)| known.insert(key.clone())));
    Ok(Tree::Map(kept))
}

/// What a scalar without quotes means as a truth value.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Some(true),
        "false" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// As a whole number: `-5`, `1_000`, `0x1F`, `0o17`, `0b1`; none with leading zeros.
pub(super) fn whole(text: &str) -> Option<Number> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let radix = match unsigned.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ => 10,
    };
    let digits = if radix == 10 { unsigned } else { &unsigned[2..] };
    let underscores = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if digits.starts_with(['+', '-']) || underscores || radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let digits = format!("{}{}", if text.starts_with('-') { "-" } else { "" }, digits.replace('_', ""));
    Number::from_i128(i128::from_str_radix(&digits, radix).ok()?)
}

/// As a number with a fraction or an exponent.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    let digit = |c: char| c.is_ascii_digit() || c == '.';
    text.strip_prefix(['+', '-']).unwrap_or(text).starts_with(digit).then_some(())?;
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Value {
        from_yaml(text, Twice::LastCounts).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn scalars_are_what_they_look_like_unless_a_text_is_wanted() {
        let text = "[yes, Off, 1_0, 0x1F, 010, -7, +7, 1.50, 1e3, 1._, '1', \"a\\tb\", ~, !!str 5, !!int '5', !!binary aGk=, inf, 2020-01-01, 18446744073709551615]";
        assert_eq!(
            value(text),
            json!([
                true,
                false,
                10,
                31,
                10.0,
                -7,
                7,
                1.5,
                1000.0,
                "1._",
                "1",
                "a\tb",
                null,
                "5",
                5,
                "hi",
                "inf",
                "2020-01-01",
                u64::MAX
            ])
        );
        let texts: Vec<String> = from_yaml("[yes, 010, 1.50, 0x1F, '~']", Twice::Refused).unwrap();
        assert_eq!(texts, ["yes", "010", "1.50", "0x1F", "~"]);
        assert!(from_yaml::<Vec<String>>("[~]", Twice::LastCounts).is_err());
        assert_eq!(from_yaml::<Vec<String>>("[~]", Twice::LastCountsNullIsEmpty).unwrap(), [""]);
        for wrong in ["'true'", "2", "maybe"] {
            assert!(from_yaml::<bool>(wrong, Twice::LastCounts).is_err(), "{wrong}");
        }
    }

    #[test]
    fn anchors_merges_and_keys_that_stand_twice() {
        let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: *a}\nc: {<<: [{x: 4}, *a]}\n";
        assert_eq!(
            value(text),
            json!({"a": {"x": 1, "y": 2}, "b": {"y": 3, "z": {"x": 1, "y": 2}, "x": 1}, "c": {"x": 4, "y": 2}})
        );
        assert_eq!(value("a: 1\nb: 2\na: 3\n"), json!({"b": 2, "a": 3}));
        assert!(from_yaml::<Value>("a: 1\na: 3\n", Twice::Refused).is_err());
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for wrong in ["a: [", "--- 1\n--- 2\n", "{[a]: b}", "*a", "&a [*a]", "a: 1\n b: 2", "<<: 1", "!!binary '!'"] {
            assert!(from_yaml::<Value>(wrong, Twice::LastCounts).is_err(), "{wrong}");
        }
        assert_eq!(value(""), Value::Null);
        assert_eq!(value("# nothing\n"), Value::Null);
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(from_yaml::<Value>(&deep(DEPTH), Twice::LastCounts).is_ok());
        assert!(from_yaml::<Value>(&deep(DEPTH + 1), Twice::LastCounts).is_err());
        assert!(from_yaml::<Value>(&format!("[{}]", "1, ".repeat(NODES)), Twice::LastCounts).is_err());
        assert!(is_yaml_map("a: 1").unwrap() && is_yaml_map("").unwrap() && !is_yaml_map("[1]").unwrap());
    }
}
