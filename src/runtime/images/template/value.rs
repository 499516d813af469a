//! Values of templates, with pongo2's ideas of truth, numbers and equality.

use crate::order::Gather;
use std::collections::BTreeMap;

use jiff::Zoned;

use super::dates;

/// A value. Printed, compared and converted as pongo2 does it with Go's types.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    /// An unknown name, or a key that isn't there.
    #[default]
    Nothing,
    Bool(bool),
    Whole(i64),
    Float(f64),
    /// The text, and whether escaping leaves it alone.
    Text(String, bool),
    List(Vec<Value>),
    /// The Go type's name, which is what printing a map shows.
    Map(&'static str, BTreeMap<String, Value>),
    /// The trigger. Go gives it a type of its own, so it equals no text (asked of LXD 5.0.2).
    Trigger(&'static str),
    /// The function `config_get`.
    ConfigGet,
    /// A point in time, in a zone.
    Time(Box<Zoned>),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into(), false)
    }

    pub(super) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), Value::text(value)));
        Value::Map("map[string]string", entries.gather())
    }

    /// As `{{ }}` prints it.
    pub(super) fn print(&self) -> String {
        match self {
            Value::Nothing => String::new(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Whole(number) => number.to_string(),
            Value::Float(number) => format!("{number:.6}"),
            Value::Text(text, _) => text.clone(),
            Value::List(_) => "<[]string Value>".into(),
            Value::Map(name, _) => format!("<{name} Value>"),
            Value::Trigger(name) => (*name).into(),
            Value::Time(at) => dates::format(dates::PLAIN, at),
            Value::ConfigGet => "<func(*pongo2.Value, *pongo2.Value) *pongo2.Value Value>".into(),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nothing => false,
            Value::Bool(set) => *set,
            Value::Whole(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::ConfigGet | Value::Time(_) => true,
            _ => self.length() > 0,
        }
    }

    /// `not`: a number stays a number.
    pub(super) fn negated(&self) -> Value {
        match self {
            Value::Whole(number) => Value::Whole(i64::from(*number == 0)),
            Value::Float(number) => Value::Float(if *number == 0.0 { 1.1 } else { 0.0 }),
            Value::ConfigGet | Value::Nothing => Value::Bool(true),
            _ => Value::Bool(!self.is_true()),
        }
    }

    /// Characters, items or keys.
    pub(super) fn length(&self) -> usize {
        match self {
            Value::Text(text, _) => text.chars().count(),
            Value::Trigger(name) => name.len(),
            Value::List(items) => items.len(),
            Value::Map(_, entries) => entries.len(),
            _ => 0,
        }
    }

    /// Bytes that a copy of it takes, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Value::Text(text, _) => text.len(),
            Value::List(items) => items.iter().map(|item| 32 + item.size()).sum(),
            Value::Map(_, entries) => entries.iter().map(|(key, value)| 64 + key.len() + value.size()).sum(),
            _ => 0,
        }
    }

    /// A text is read as a number; what isn't one is 0.
    pub(super) fn float(&self) -> f64 {
        match self {
            Value::Whole(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Text(text, _) => text.parse().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    pub(super) fn whole(&self) -> i64 {
        match self {
            Value::Whole(number) => *number,
            // `as` saturates.
            other => other.float() as i64,
        }
    }

    pub(super) fn is_float(&self) -> bool {
        matches!(self, Value::Float(_))
    }

    /// `==`: Go compares types too, so the text "5" isn't the number 5.
    pub(super) fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Text(a, _), Value::Text(b, _)) => a == b,
            (a, b) => a == b,
        }
    }

    /// Whether `item` is in it: a part of a text, an item, a key.
    pub(super) fn contains(&self, item: &Value) -> bool {
        match self {
            Value::Text(text, _) => text.contains(&item.print()),
            Value::Trigger(name) => name.contains(&item.print()),
            Value::List(items) => items.iter().any(|known| known.equals(item)),
            Value::Map(_, entries) => matches!(item, Value::Text(key, _) if entries.contains_key(key)),
            _ => false,
        }
    }

    /// What a loop goes over: keys of a map (with their values), characters, items.
    pub(super) fn items(&self) -> Vec<(Value, Value)> {
        match self {
            Value::Map(_, entries) => entries.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
            Value::List(items) => items.iter().map(|item| (item.clone(), Value::Nothing)).collect(),
            Value::Text(text, _) => text.chars().map(|c| (Value::text(c), Value::Nothing)).collect(),
            Value::Trigger(name) => name.chars().map(|c| (Value::text(c), Value::Nothing)).collect(),
            _ => Vec::new(),
        }
    }

    /// For `&`, `<`, `>` and quotes in HTML.
    pub(super) fn escaped(&self) -> Value {
        match self {
            Value::Text(_, true) => self.clone(),
            other => {
                let text = other.print().replace('&', "&amp;").replace('>', "&gt;").replace('<', "&lt;");
                Value::Text(text.replace('"', "&quot;").replace('\'', "&#39;"), true)
            }
        }
    }
}
