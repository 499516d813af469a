//! `filter=` of lists: `field eq value`, joined by `and` and `or`, each part negated by `not`, left to right
//! (LXD doc/rest-api.md "Filtering").

use regex_lite::{Regex, RegexBuilder};
use serde_json::Value;

use crate::{Error, Result};

/// A parsed filter.
#[derive(Debug, Clone)]
pub struct Filter(Vec<Clause>);

/// How large an expression may become, bytes. (It is matched in time that grows with the text alone.)
const MOST: usize = 1 << 20;

#[derive(Debug, Clone)]
struct Clause {
    joined_by_or: bool,
    negated: bool,
    field: String,
    equal: bool,
    value: String,
    /// What texts have to match; `None` for what is no expression, and only equals itself.
    pattern: Option<Regex>,
}

impl Filter {
    /// Reads a filter; an empty one lets everything through.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] naming the part that can't be read.
    pub fn parse(text: &str) -> Result<Filter> {
        let mut words = split(text)?.into_iter().peekable();
        let mut clauses: Vec<Clause> = Vec::new();
        while words.peek().is_some() {
            let joined_by_or = match clauses.is_empty() {
                true => false,
                false => match words.next().as_deref() {
                    Some("and") => false,
                    Some("or") => true,
                    other => {
                        return Err(Error::invalid(format!(
                            "Invalid filter: unknown operator {:?}",
                            other.unwrap_or("")
                        )));
                    }
                },
            };
            let negated = words.next_if(|w| w == "not").is_some();
            let field = words.next().ok_or_else(|| Error::invalid("Invalid filter: a field is missing"))?;
            let equal = match words.next().as_deref() {
                Some("eq") => true,
                Some("ne") => false,
                None => return Err(Error::invalid("Invalid filter: clause has no operator")),
                Some(other) => return Err(Error::invalid(format!("Invalid filter: unknown operator {other:?}"))),
            };
            let value = words.next().ok_or_else(|| Error::invalid("Invalid filter: a value is missing"))?;
            clauses.push(Clause { joined_by_or, negated, field, equal, pattern: pattern(&value), value });
        }
        Ok(Filter(clauses))
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this object passes.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().fold(true, |so_far, clause| {
            let one = clause.matches(object);
            if clause.joined_by_or { so_far || one } else { so_far && one }
        })
    }
}

impl Clause {
    fn matches(&self, object: &Value) -> bool {
        let same = lookup(object, &self.field).is_some_and(|found| match found {
            Value::String(text) => match &self.pattern {
                Some(pattern) => pattern.is_match(text),
                None => text.to_lowercase() == self.value.to_lowercase(),
            },
            Value::Bool(flag) => flag.to_string() == self.value,
            Value::Number(number) => number.to_string() == self.value,
            _ => false,
        });
        (same == self.equal) != self.negated
    }
}

/// A value is a regular expression without case, for a whole text unless it says where that begins or ends, as LXD has it.
fn pattern(value: &str) -> Option<Regex> {
    let whole = if value.contains(['^', '$']) { value.to_owned() } else { format!("^(?:{value})$") };
    RegexBuilder::new(&whole).case_insensitive(true).size_limit(MOST).build().ok()
}

/// Follows a dotted name; keys of maps may contain dots themselves.
fn lookup<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let map = object.as_object()?;
    if let Some(found) = map.get(name) {
        return Some(found);
    }
    let mut ends = name.match_indices('.').map(|(at, _)| at);
    ends.find_map(|at| map.get(&name[..at]).and_then(|inner| lookup(inner, &name[at + 1..])))
}

/// Splits at spaces; double quotes keep spaces together.
fn split(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => (open, quoted) = (!open, true),
            ' ' if !open => {
                if quoted || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                quoted = false;
            }
            c => word.push(c),
        }
    }
    if open {
        return Err(Error::invalid("Invalid filter: a quote is not closed"));
    }
    if quoted || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clauses_are_joined_left_to_right() {
        let c1 = json!({"name": "c1", "config": {"image.os": "BusyBox"}, "ephemeral": false});
        let pass = |f: &str| Filter::parse(f).unwrap().matches(&c1);
        assert!(pass(""));
        assert!(pass("name eq c1"));
        assert!(pass("name eq c2 or config.image.os eq BusyBox"));
        assert!(!pass("not name eq c1"));
        assert!(pass("name ne c2 and ephemeral eq false"));
        assert!(!pass("name eq \"c 1\""));
        assert!(pass("name eq C.*") && pass("name eq ^c") && pass("name ne d.*"));
        assert!(!pass("name eq c") && !pass("name eq 1") && !pass("name ne c.*") && !pass("name eq (c1"));
        assert!(Filter::parse("name xx c1").is_err());
        assert!(Filter::parse("name eq").is_err());
    }
}
