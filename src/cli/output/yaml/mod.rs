//! YAML laid out as LXD's client lays it out, byte for byte: scripts compare it and people keep it in files.
//!
//! That is the style of the YAML library for Go in its second version: lists at the indentation of their key, texts
//! bare where they can be, lines folded after 80 cells, keys sorted with numbers as numbers. The input is JSON, whose
//! objects keep the order of the API's fields.

use crate::order::Order;
use serde_json::{Map, Value};

mod scalar;

/// A document made of the API's objects.
pub fn yaml(value: &Value) -> String {
    document(value, true)
}

/// A document of which nothing is known: all keys are sorted, and points in time are texts.
pub fn yaml_untyped(value: &Value) -> String {
    document(value, false)
}

fn document(value: &Value, typed: bool) -> String {
    let mut out = Writer { out: String::new(), typed };
    match value {
        Value::Object(map) if !map.is_empty() => out.mapping(map, 0, false, false),
        Value::Array(items) if !items.is_empty() => out.sequence(items, 0),
        value => {
            out.scalar(value, "", 0);
            out.out.push('\n');
        }
    }
    out.out
}

struct Writer {
    out: String,
    typed: bool,
}

/// Members of the API's objects that are maps with free keys; all others are structures with an order of their own.
const MAPS: &[&str] = &["config", "devices", "expanded_config", "expanded_devices", "properties", "network", "disk"];

/// Maps of maps.
const DEEP: &[&str] = &["devices", "expanded_devices"];

impl Writer {
    /// `started` says that the line has its indentation already (the first member after a dash).
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, sorted: bool, started: bool) {
        let mut members: Vec<(&String, &Value)> = map.iter().collect();
        if sorted || !self.typed {
            members.order_by(|a, b| key_order(a.0, b.0));
        }
        for (at, (key, value)) in members.into_iter().enumerate() {
            if at > 0 || !started {
                self.pad(indent);
            }
            let column = self.column();
            self.out.push_str(&scalar::key(key, column));
            self.out.push(':');
            self.member(key, value, indent);
        }
    }

    /// What follows `key:`.
    fn member(&mut self, key: &str, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.out.push('\n');
                if DEEP.contains(&key) {
                    return self.deep(map, indent + 2);
                }
                self.mapping(map, indent + 2, MAPS.contains(&key), false);
            }
            Value::Array(items) if !items.is_empty() => {
                self.out.push('\n');
                self.sequence(items, indent);
            }
            value => {
                self.out.push(' ');
                self.scalar(value, key, indent + 2);
                self.out.push('\n');
            }
        }
    }

    fn deep(&mut self, map: &Map<String, Value>, indent: usize) {
        let mut members: Vec<(&String, &Value)> = map.iter().collect();
        members.order_by(|a, b| key_order(a.0, b.0));
        for (key, value) in members {
            self.pad(indent);
            let column = self.column();
            self.out.push_str(&scalar::key(key, column));
            self.out.push(':');
            self.member("config", value, indent);
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize) {
        for item in items {
            self.pad(indent);
            self.out.push_str("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.mapping(map, indent + 2, false, true),
                value => {
                    self.scalar(value, "", indent + 2);
                    self.out.push('\n');
                }
            }
        }
    }

    fn scalar(&mut self, value: &Value, key: &str, indent: usize) {
        let column = self.column();
        match value {
            // Points in time are bare, though texts that look like them are quoted.
            Value::String(text) if self.typed && key.ends_with("_at") && is_time(text) => self.out.push_str(text),
            Value::String(text) => self.out.push_str(&scalar::text(text, indent, column)),
            Value::Object(_) => self.out.push_str("{}"),
            Value::Array(_) => self.out.push_str("[]"),
            value => self.out.push_str(&value.to_string()),
        }
    }

    fn pad(&mut self, indent: usize) {
        self.out.push_str(&" ".repeat(indent));
    }

    /// Characters on the line so far.
    fn column(&self) -> usize {
        self.out.rsplit('\n').next().map_or(0, |line| line.chars().count())
    }
}

fn is_time(text: &str) -> bool {
    crate::api::types::Timestamp::parse(text).is_some()
}

/// Letters after everything else, runs of digits by value.
fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = x.iter().zip(&y).position(|(p, q)| p != q) else { return x.len().cmp(&y.len()) };
    let (p, q) = (x[at], y[at]);
    match (p.is_alphabetic(), q.is_alphabetic()) {
        (true, true) => return p.cmp(&q),
        (true, false) => return std::cmp::Ordering::Greater,
        (false, true) => return std::cmp::Ordering::Less,
        (false, false) => {}
    }
    // A zero inside a number is no leading zero: both then start from the same digit before it.
    let before = x[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let start = u64::from((p == '0' || q == '0') && before);
    let number = |text: &[char]| {
        let digits: Vec<u64> = text.iter().map_while(|c| c.to_digit(10).map(u64::from)).collect();
        let value = digits.iter().fold(start, |n, d| n.saturating_mul(10).saturating_add(*d));
        (value, digits.len())
    };
    number(&x[at..]).cmp(&number(&y[at..])).then(p.cmp(&q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_looks_as_lxd_prints_it() {
        let cases: Vec<(Value, &str)> = serde_json::from_str::<Vec<Value>>(include_str!("cases.json"))
            .unwrap()
            .into_iter()
            .zip(include_str!("cases.yaml").split("%%\n"))
            .collect();
        assert!(cases.len() > 1);
        for (value, expected) in cases {
            assert_eq!(yaml(&value), expected);
        }
    }
}
