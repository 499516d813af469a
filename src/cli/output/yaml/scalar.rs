//! Texts in YAML: bare, in single or double quotes, or as a block, whichever is the plainest that can hold them.

/// Lines are folded at the first space after this many characters.
const WIDTH: usize = 80;

/// How a text can be written.
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
}

/// A key.
pub(super) fn key(text: &str, column: usize) -> String {
    let shape = shape(text);
    if resolves(text) || text.contains('\n') {
        return double(text, 0, column, false);
    }
    match (shape.plain && !text.is_empty(), shape.single) {
        (true, _) => text.to_string(),
        (false, true) => format!("'{}'", text.replace('\'', "''")),
        _ => double(text, 0, column, false),
    }
}

/// A value that starts at `column` and goes on in lines indented by `indent`.
pub(super) fn text(text: &str, indent: usize, column: usize) -> String {
    let shape = shape(text);
    if text.contains('\n') {
        return if shape.block { block(text, indent) } else { double(text, indent, column, true) };
    }
    if resolves(text) {
        return double(text, indent, column, true);
    }
    match (shape.plain, shape.single) {
        (true, _) => fold(text, indent, column, false),
        (false, true) => format!("'{}'", fold(text, indent, column + 1, true)),
        _ => double(text, indent, column, true),
    }
}

/// What the characters of a text allow (after libyaml's analysis).
fn shape(text: &str) -> Shape {
    let chars: Vec<char> = text.chars().collect();
    let blank = |at: usize| chars.get(at).is_none_or(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    let breaks = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut indicator = text.starts_with("---") || text.starts_with("...");
    let (mut special, mut space_break, mut break_space, mut lines) = (false, false, false, false);
    for (at, c) in chars.iter().copied().enumerate() {
        indicator |= match c {
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => at == 0,
            '#' => at == 0 || blank(at - 1),
            '?' | '-' => at == 0 && blank(at + 1),
            ':' => blank(at + 1),
            _ => false,
        };
        special |= !printable(c);
        lines |= breaks(c);
        let before = at.checked_sub(1).map(|at| chars[at]);
        break_space |= c == ' ' && before.is_some_and(breaks);
        space_break |= breaks(c) && before == Some(' ');
    }
    let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || breaks(*c));
    let (first, last) = (edge(chars.first()), edge(chars.last()));
    let broken = special || space_break;
    Shape {
        plain: !(indicator || first || last || break_space || broken || lines),
        single: !(break_space || broken),
        block: !(broken || chars.last() == Some(&' ')),
    }
}

/// Characters that may stand as they are.
fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}')
}

/// Breaks a text at single spaces once a line is long enough; `quoted` doubles single quotes and keeps the edges.
fn fold(text: &str, indent: usize, mut column: usize, quoted: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut after_space) = (String::with_capacity(text.len()), false);
    for (at, c) in chars.iter().copied().enumerate() {
        let inner = !quoted || (at > 0 && at + 1 < chars.len());
        if c == ' ' && !after_space && column > WIDTH && inner && chars.get(at + 1) != Some(&' ') {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            if c == '\'' && quoted {
                out.push('\'');
                column += 1;
            }
            out.push(c);
            column += 1;
        }
        after_space = c == ' ';
    }
    out
}

fn block(text: &str, indent: usize) -> String {
    let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let chomp = match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.ends_with('\n') || rest.is_empty() => "+",
        Some(_) => "",
    };
    let mut out = format!("|{hint}{chomp}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
    out
}

fn double(text: &str, indent: usize, mut column: usize, may_fold: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut after_space) = (String::from("\""), false);
    column += 1;
    for (at, c) in chars.iter().copied().enumerate() {
        if c == ' ' && may_fold && !after_space && column > WIDTH && at > 0 && at + 1 < chars.len() {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
            if chars[at + 1] == ' ' {
                out.push('\\');
                column += 1;
            }
            after_space = true;
            continue;
        }
        let written = escaped(c);
        column += written.chars().count();
        out.push_str(&written);
        after_space = c == ' ';
    }
    out + "\""
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{A0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if printable(c) => return c.to_string(),
        c => {
            return match u32::from(c) {
                n @ ..=0xFF => format!("\\x{n:02X}"),
                n @ ..=0xFFFF => format!("\\u{n:04X}"),
                n => format!("\\U{n:08X}"),
            };
        }
    };
    format!("\\{short}")
}

/// Whether a bare text would be read as something else than a text.
fn resolves(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO",
        "off", "Off", "OFF", "true", "True", "TRUE", "false", "False", "FALSE", ".nan", ".NaN", ".NAN", ".inf", ".Inf",
        ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    match text.as_bytes().first() {
        Some(b'.') => float(text),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            let bare = text.replace('_', "");
            date(text) || integer(&bare) || float(&bare) || sexagesimal(text)
        }
        _ => false,
    }
}

fn integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, base) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        Some("0o" | "0O") => (&digits[2..], 8),
        Some(_) if digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    !digits.is_empty() && digits.chars().all(|c| c.is_digit(base)) && u128::from_str_radix(digits, base).is_ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn float(text: &str) -> bool {
    let all = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let exponent = exponent.is_none_or(|e| {
        let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
        !digits.is_empty() && all(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent && all(whole) && all(fraction) && !(whole.is_empty() && fraction.is_empty())
}

/// Base 60, as `10:20`, which YAML 1.1 reads as a number.
fn sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = text.split(':');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let first = parts.next().is_some_and(|p| digits(p) && p.as_bytes()[0].is_ascii_digit());
    let mut rest = parts.peekable();
    let some = rest.peek().is_some();
    let sixty =
        |p: &str| p.len() <= 2 && p.parse::<u8>().is_ok_and(|n| n < 60) && p.bytes().all(|b| b.is_ascii_digit());
    first && some && rest.all(sixty) && (fraction.is_empty() || digits(fraction))
}

/// A date, or a date and a time, in the forms Go's library knows.
fn date(text: &str) -> bool {
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let numbers = |text: &str, separator: char, limits: &[(usize, usize, u32)]| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == limits.len()
            && parts.iter().zip(limits).all(|(part, (least, most, top))| {
                let number = part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u32>().is_ok_and(|n| n <= *top);
                (*least..=*most).contains(&part.len()) && number
            })
    };
    if !numbers(date, '-', &[(4, 4, 9999), (1, 2, 12), (1, 2, 31)]) {
        return false;
    }
    let Some(clock) = clock else { return true };
    let zoned = !text.contains(' ');
    let (clock, zone) = match clock.find(['Z', '+', '-']) {
        Some(at) => (&clock[..at], &clock[at..]),
        None => (clock, ""),
    };
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    zoned != zone.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && numbers(seconds, ':', &[(1, 2, 23), (1, 2, 59), (1, 2, 59)])
}
