//! Points in time as Go's layouts show them: `2006-01-02 15:04:05` stands for what is in these places.

use jiff::Zoned;

/// What stands for what, longer ones before those that they begin with; as strftime has it.
const LAYOUT: &[(&str, &str)] = &[
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "%Z"),
    ("2006", "%Y"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
    ("__2", "%_j"),
    ("_2", "%e"),
    ("PM", "%p"),
    ("pm", "%P"),
];

/// Offsets, behind a `-` or a `Z`, and the letters of `+01:02:03` that they show.
const OFFSETS: &[(&str, &[usize])] = &[
    ("070000", &[0, 1, 2, 4, 5, 7, 8]),
    ("07:00:00", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ("0700", &[0, 1, 2, 4, 5]),
    ("07:00", &[0, 1, 2, 3, 4, 5]),
    ("07", &[0, 1, 2]),
];

/// How it is printed without a layout.
pub(super) const PLAIN: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// Formats as Go's `time.Format` does.
pub(super) fn format(layout: &str, at: &Zoned) -> String {
    let (mut out, mut rest) = (String::new(), layout);
    while let Some(letter) = rest.chars().next() {
        let (length, text) = piece(rest, at).unwrap_or_else(|| (letter.len_utf8(), letter.to_string()));
        out.push_str(&text);
        rest = &rest[length..];
    }
    out
}

/// What a layout begins with, if that stands for something: its length, and what is shown.
fn piece(rest: &str, at: &Zoned) -> Option<(usize, String)> {
    if let Some((sign, behind)) = rest.split_at_checked(1) {
        match sign {
            "-" | "Z" => {
                if let Some((word, letters)) = OFFSETS.iter().find(|(word, _)| behind.starts_with(word)) {
                    return Some((1 + word.len(), offset(sign == "Z", letters, at)));
                }
            }
            "." | "," => return fraction(sign, behind, at),
            // Two words, not the day and `006`.
            "_" if behind.starts_with("2006") => return None,
            _ => {}
        }
    }
    let (word, format) = LAYOUT.iter().find(|(word, _)| rest.starts_with(word))?;
    let lower = rest[word.len()..].starts_with(|c: char| c.is_ascii_lowercase());
    // `Money` and `Janus` are words of their own.
    (!(lower && matches!(*word, "Jan" | "Mon"))).then(|| (word.len(), at.strftime(format).to_string()))
}

fn offset(zulu: bool, letters: &[usize], at: &Zoned) -> String {
    if zulu && at.offset().is_zero() {
        return "Z".into();
    }
    let whole: Vec<char> = at.strftime("%::z").to_string().chars().collect();
    letters.iter().filter_map(|i| whole.get(*i)).collect()
}

/// Zeros for places of the second's fraction, nines for those that aren't zero at the end.
fn fraction(point: &str, behind: &str, at: &Zoned) -> Option<(usize, String)> {
    let kind = behind.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let places = behind.len() - behind.trim_start_matches(kind).len();
    if behind[places..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{:09}", at.subsec_nanosecond());
    let mut shown = digits[..places.min(9)].to_string();
    if kind == '9' {
        shown.truncate(shown.trim_end_matches('0').len());
    }
    let text = if shown.is_empty() { shown } else { format!("{point}{shown}") };
    Some((1 + places, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_of_go() {
        let zone = jiff::tz::TimeZone::posix("IST-5:30").unwrap();
        let at = "2026-11-02T09:34:09.3990Z".parse::<jiff::Timestamp>().unwrap().to_zoned(zone);
        for (layout, want) in [
            ("2006-01-02_15-04-05", "2026-11-02_15-04-09"),
            ("15:04:05.000", "15:04:09.399"),
            ("05,999999 .9999x .0005", "09,399 .399x .0009"),
            ("Jan 2 06 3PM pm Monday Mon January", "Nov 2 26 3PM pm Monday Mon November"),
            ("_2 __2 002 _2006", " 2 306 306 _2026"),
            ("1 4 5 03 06 Money Janus", "11 4 9 03 26 Money Janus"),
            ("-07:00:00|Z0700|Z07|-070000|-07:00|MST", "+05:30:00|+0530|+05|+053000|+05:30|IST"),
            (PLAIN, "2026-11-02 15:04:09.399 +0530 IST"),
        ] {
            assert_eq!(format(layout, &at), want, "{layout}");
        }
        assert_eq!(format("Z07:00 -07", &at.with_time_zone(jiff::tz::TimeZone::UTC)), "Z +00");
    }
}
