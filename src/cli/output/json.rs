//! JSON as Go's encoder writes it: `<`, `>`, `&` and the line separators escaped.

use crate::order::Order;
use serde::Serialize;
use serde_json::Value;

/// On one line.
pub fn json_compact(value: &Value) -> String {
    escape(value.to_string())
}

/// With tabs, one member a line.
pub fn json_indented(value: &Value) -> String {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, format));
    match written.map(|()| String::from_utf8(out)) {
        Ok(Ok(text)) => escape(text),
        _ => json_compact(value),
    }
}

/// These characters stand only inside strings, so the text can be changed as a whole.
fn escape(text: String) -> String {
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// The same value with the members of all objects sorted, as Go prints values it has no type for.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.order_by_key(|(name, _)| *name);
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        value => value.clone(),
    }
}
