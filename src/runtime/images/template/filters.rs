//! Filters of templates.

use super::dates;
use super::value::Value;
use crate::error::{Error, Result};

/// pongo2's filters that need chance or HTML; refused by name.
const UNSUPPORTED: &[&str] = &[
    "random",
    "escapejs",
    "linebreaks",
    "linenumbers",
    "phone2numeric",
    "removetags",
    "truncatechars_html",
    "truncatewords_html",
    "urlize",
    "urlizetrunc",
];

/// Spaces that one padding may add.
const PADDING: i64 = 10_000;

/// Bytes of a text that becomes a list, each item of which takes much more than a letter.
const LISTED: usize = 256 << 10;

fn short(value: &Value) -> Result<String> {
    let text = value.print();
    if text.len() > LISTED { Err(Error::invalid("a text is too long for a list")) } else { Ok(text) }
}

/// What the filter makes of the value.
pub(super) fn apply(name: &str, value: &Value, argument: &Value) -> Result<Value> {
    if let Some(result) = texts(name, value, argument)? {
        return Ok(result);
    }
    Ok(match name {
        "default" => {
            if value.is_true() {
                value.clone()
            } else {
                argument.clone()
            }
        }
        "default_if_none" => {
            if *value == Value::Nothing {
                argument.clone()
            } else {
                value.clone()
            }
        }
        "length" => Value::Whole(value.length() as i64),
        "length_is" => Value::Bool(value.length() as i64 == argument.whole()),
        "first" => value.items().into_iter().next().map(|(item, _)| item).unwrap_or_default(),
        "last" => value.items().pop().map(|(item, _)| item).unwrap_or_default(),
        "join" => join(value, argument),
        "slice" => slice(value, argument)?,
        "add" => add(value, argument),
        "divisibleby" => Value::Bool(argument.whole() != 0 && value.whole().wrapping_rem(argument.whole()) == 0),
        "integer" => Value::Whole(value.whole()),
        "float" => Value::Float(value.float()),
        "floatformat" => floatformat(value, argument),
        "get_digit" => get_digit(value, argument),
        "make_list" => Value::List(short(value)?.chars().map(Value::text).collect()),
        "split" => Value::List(short(value)?.split(argument.print().as_str()).map(Value::text).collect()),
        "wordcount" => Value::Whole(value.print().split_whitespace().count() as i64),
        "date" | "time" => match value {
            Value::Time(at) => Value::text(dates::format(&argument.print(), at)),
            _ => return Err(Error::invalid("filter input argument must be of type 'time.Time'")),
        },
        "yesno" => yesno(value, argument)?,
        "pluralize" => pluralize(value, argument),
        _ if UNSUPPORTED.contains(&name) => return Err(Error::unsupported(format!("Template filter '{name}'"))),
        _ => return Err(Error::invalid(format!("filter '{name}' does not exist"))),
    })
}

/// Filters from text to text; `None` when it is none of these.
fn texts(name: &str, value: &Value, argument: &Value) -> Result<Option<Value>> {
    let text = value.print();
    Ok(Some(Value::text(match name {
        "safe" => return Ok(Some(Value::Text(text, true))),
        "escape" | "e" => value.escaped().print(),
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        "capfirst" => capitalised(&text),
        "title" => titled(&text),
        "addslashes" => text.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'"),
        "cut" => text.replace(&argument.print(), ""),
        "striptags" => without_tags(&text).trim().to_owned(),
        "linebreaksbr" => text.replace('\n', "<br />"),
        "ljust" => format!("{text}{}", spaces(argument.whole() - text.chars().count() as i64)?),
        "rjust" => format!("{}{text}", spaces(argument.whole() - text.chars().count() as i64)?),
        "center" => {
            let room = argument.whole() - text.chars().count() as i64;
            format!("{}{text}{}", spaces(room - room / 2)?, spaces(room / 2)?)
        }
        "truncatechars" => truncated(&text, argument.whole()),
        "truncatewords" => {
            let words: Vec<_> = text.split_whitespace().collect();
            let most = usize::try_from(argument.whole()).unwrap_or(0);
            if most > 0 && words.len() > most { format!("{} ...", words[..most].join(" ")) } else { words.join(" ") }
        }
        "urlencode" => percent_encoded(&text, b"-_.~"),
        "iriencode" => percent_encoded(&text, b"-_.~/#%[]=:;$&()+,!?*@'"),
        "wordwrap" => {
            let per_line = usize::try_from(argument.whole()).unwrap_or(0).max(1);
            let words: Vec<_> = text.split_whitespace().collect();
            words.chunks(per_line).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")
        }
        "stringformat" => formatted(&argument.print(), value)?,
        _ => return Ok(None),
    })))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A capital at the start of each word; a word ends at what is no letter, digit or underscore, as in Go.
fn titled(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for letter in text.chars() {
        if inside {
            out.extend(letter.to_lowercase());
        } else {
            out.extend(letter.to_uppercase());
        }
        inside = letter.is_alphanumeric() || letter == '_';
    }
    out
}

fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        let Some((_, after)) = tag.split_once('>') else { break };
        rest = after;
    }
    out + rest
}

fn spaces(count: i64) -> Result<String> {
    if count > PADDING {
        return Err(Error::invalid(format!("a text can't be padded by more than {PADDING}")));
    }
    Ok(" ".repeat(usize::try_from(count).unwrap_or(0)))
}

fn truncated(text: &str, most: i64) -> String {
    let most = usize::try_from(most).unwrap_or(0);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let dots = if most >= 3 { "..." } else { "" };
    text.chars().take(most - dots.len()).chain(dots.chars()).collect()
}

fn percent_encoded(text: &str, plain: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn join(value: &Value, argument: &Value) -> Value {
    match value {
        Value::List(items) => Value::text(items.iter().map(Value::print).collect::<Vec<_>>().join(&argument.print())),
        Value::Text(text, _) => {
            let letters: Vec<String> = text.chars().map(String::from).collect();
            Value::text(letters.join(&argument.print()))
        }
        other => other.clone(),
    }
}

fn slice(value: &Value, argument: &Value) -> Result<Value> {
    let range = argument.print();
    let (from, to) = range.split_once(':').ok_or_else(|| Error::invalid("a slice has the form 'from:to'"))?;
    let length = value.length();
    let at = |text: &str, default: usize| match text.trim() {
        "" => default,
        number => number.parse().unwrap_or(default).min(length),
    };
    let (from, to) = (at(from, 0), at(to, length));
    let (skip, take) = (from, to.saturating_sub(from));
    Ok(match value {
        Value::List(items) => Value::List(items.iter().skip(skip).take(take).cloned().collect()),
        Value::Text(text, _) => Value::text(text.chars().skip(skip).take(take).collect::<String>()),
        other => other.clone(),
    })
}

fn add(value: &Value, argument: &Value) -> Value {
    let number = |value: &Value| matches!(value, Value::Whole(_) | Value::Float(_));
    if number(value) && number(argument) {
        if value.is_float() || argument.is_float() {
            return Value::Float(value.float() + argument.float());
        }
        return Value::Whole(value.whole().wrapping_add(argument.whole()));
    }
    Value::text(value.print() + &argument.print())
}

fn floatformat(value: &Value, argument: &Value) -> Value {
    let number = value.float();
    let digits = match argument {
        // Without an argument: one digit, and none when it would be 0.
        Value::Nothing if number.fract() == 0.0 => 0,
        Value::Nothing => 1,
        other => other.whole().unsigned_abs().min(100) as usize,
    };
    Value::text(format!("{number:.digits$}"))
}

fn get_digit(value: &Value, argument: &Value) -> Value {
    let text = value.print();
    let from_right = usize::try_from(argument.whole()).unwrap_or(0);
    match text.len().checked_sub(from_right).and_then(|at| text.as_bytes().get(at)) {
        Some(byte) if from_right > 0 => Value::Whole(i64::from(*byte) - 48),
        _ => value.clone(),
    }
}

fn yesno(value: &Value, argument: &Value) -> Result<Value> {
    let choices = argument.print();
    let mut words: Vec<&str> =
        if choices.is_empty() { vec!["yes", "no", "maybe"] } else { choices.split(',').collect() };
    if !(2..=3).contains(&words.len()) {
        return Err(Error::invalid("filter 'yesno' takes two or three words"));
    }
    if words.len() == 2 {
        words.push(words[1]);
    }
    Ok(Value::text(match value {
        Value::Nothing => words[2],
        other if other.is_true() => words[0],
        _ => words[1],
    }))
}

fn pluralize(value: &Value, argument: &Value) -> Value {
    let endings = argument.print();
    let (one, many) = match endings.split_once(',') {
        Some((one, many)) => (one, many),
        None if endings.is_empty() => ("", "s"),
        None => ("", endings.as_str()),
    };
    Value::text(if value.whole() == 1 { one } else { many })
}

/// One of C's conversions with text around it, as far as templates use them: `%s`, `%d`, `%05d`, `%.2f`, `%x`, `%%`.
fn formatted(format: &str, value: &Value) -> Result<String> {
    let unsupported = || Error::unsupported(format!("Template format '{format}'"));
    let Some((before, spec)) = format.split_once('%') else { return Err(unsupported()) };
    let end = spec.find(|c: char| c.is_ascii_alphabetic() || c == '%').ok_or_else(unsupported)?;
    let (flags, rest) = spec.split_at(end);
    let (kind, after) = rest.split_at(1);
    if after.contains('%') {
        return Err(unsupported());
    }
    let (width, precision) = flags.split_once('.').unwrap_or((flags, ""));
    let left = width.starts_with('-');
    let zeros = width.starts_with('0');
    let number = |text: &str| if text.is_empty() { Ok(0usize) } else { text.parse().map_err(|_| unsupported()) };
    let width = number(width.trim_start_matches('-'))?;
    let places = if precision.is_empty() { 6 } else { number(precision)? };
    if width > 1000 || places > 100 {
        return Err(unsupported());
    }
    let body = match kind {
        "s" | "v" => value.print(),
        "d" => value.whole().to_string(),
        "x" => format!("{:x}", value.whole()),
        "f" => format!("{:.places$}", value.float()),
        _ => return Err(unsupported()),
    };
    Ok(match (left, zeros) {
        (true, _) => format!("{before}{body:<width$}{after}"),
        (_, true) => format!("{before}{body:0>width$}{after}"),
        _ => format!("{before}{body:>width$}{after}"),
    })
}
