//! Names and dates of snapshots: what `snapshots.pattern` and `snapshots.expiry` say. Pure.

use jiff::Zoned;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::api::types::Timestamp;
use crate::runtime::images::template;
use crate::{Error, Result};

/// The pattern when none is configured.
const DEFAULT: &str = "snap%d";

/// Refuses what names a snapshot of a snapshot, with LXD's text.
pub fn check(name: &str) -> Result<()> {
    match name.contains('/') {
        true => Err(Error::invalid("Invalid snapshot name: Cannot contain \"/\"")),
        false => Ok(()),
    }
}

/// Refuses other characters and names that can't be a directory's.
pub fn check_characters(name: &str) -> Result<()> {
    let wrong = |c: char| c == ' ' || c == '/' || c.is_control();
    if name.contains(wrong) {
        return Err(Error::invalid("Invalid instance snapshot name: Cannot contain space or / characters"));
    }
    if name.is_empty() || matches!(name, "." | "..") {
        return Err(Error::invalid(format!("Invalid snapshot name {name:?}")));
    }
    Ok(())
}

/// The next name by a pattern; `%d` in it is a number that grows. One that is taken gets a number behind it.
pub fn next(pattern: &str, taken: &[&str], now: &Zoned) -> Result<String> {
    let pattern = if pattern.is_empty() { DEFAULT } else { pattern };
    let name = template::pattern(pattern, now)?;
    match name.matches("%d").count() {
        0 if !taken.contains(&name.as_str()) => Ok(name),
        0 => Ok(numbered(&format!("{name}-%d"), taken)),
        1 => Ok(numbered(&name, taken)),
        _ => Err(Error::invalid("Snapshot pattern may contain '%d' only once")),
    }
}

fn numbered(pattern: &str, taken: &[&str]) -> String {
    let (before, after) = pattern.split_once("%d").unwrap_or((pattern, ""));
    let number = |name: &&str| name.strip_prefix(before)?.strip_suffix(after)?.parse::<u64>().ok();
    let next = taken.iter().filter_map(number).max().map_or(0, |highest| highest.saturating_add(1));
    format!("{before}{next}{after}")
}

/// When what was made at `from` may go by `1M 2H 3d 4w 5m 6y` (minutes, hours, days, weeks, months, years); zero when never.
pub fn expiry(span: &str, from: Timestamp) -> Timestamp {
    let (mut seconds, mut months) = (0i64, 0i64);
    for part in span.split_whitespace() {
        let Some((number, unit)) = part.split_at_checked(part.len().saturating_sub(1)) else { continue };
        let number: i64 = number.parse().unwrap_or(0);
        match unit {
            "S" => seconds += number,
            "M" => seconds += number * 60,
            "H" => seconds += number * 3600,
            "d" => seconds += number * 86400,
            "w" => seconds += number * 7 * 86400,
            "m" => months += number,
            "y" => months += number * 12,
            _ => {}
        }
    }
    if span.trim().is_empty() {
        return Timestamp::ZERO;
    }
    Timestamp::from_unix(later(from.to_utc(), months).unwrap_or(from.unix()).saturating_add(seconds))
}

/// So many months later, on the same day; one that the month hasn't runs over into the next.
/// In seconds since 1970; `None` beyond the calendar.
fn later(at: DateTime, months: i64) -> Option<i64> {
    let index = i64::from(at.year()) * 12 + i64::from(at.month()) - 1 + months;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
    let first = TimeZone::UTC.to_timestamp(first.to_datetime(at.time())).ok()?;
    first.as_second().checked_add((i64::from(at.day()) - 1) * 86400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn names_follow_the_pattern() {
        let now = at("2026-11-02T15:04:09Z").in_zone(jiff::tz::TimeZone::UTC);
        let next = |pattern: &str, taken: &[&str]| next(pattern, taken, &now);
        assert_eq!(next("", &[]).unwrap(), "snap0");
        assert_eq!(next("", &["snap0", "snap7", "snapx", "x"]).unwrap(), "snap8");
        assert_eq!(next("a%db", &["a3b", "a4"]).unwrap(), "a4b");
        assert_eq!(next("daily", &["daily"]).unwrap(), "daily-0");
        assert_eq!(next("daily", &["daily", "daily-4"]).unwrap(), "daily-5");
        assert_eq!(next("{{ creation_date|date:'2006-01-02_15-04-05' }}", &[]).unwrap(), "2026-11-02_15-04-09");
        assert_eq!(
            next("s-{{creation_date | date:\"Jan 2 06 3PM Monday\"}}-%d", &[]).unwrap(),
            "s-Nov 2 26 3PM Monday-0"
        );
        assert_eq!(
            next("{% if creation_date %}a{% endif %}{{ 5 + 3 }}x{{ x }}{{ \"{{ 5 }}\" }}", &[]).unwrap(),
            "a8x5"
        );
        assert!(next("%d%d", &[]).is_err() && next("{{ x", &[]).is_err() && next("{% if 1 %}", &[]).is_err());
    }

    #[test]
    fn dates_of_expiry_are_added_up() {
        let from = at("2026-11-30T15:04:09Z");
        assert_eq!(expiry("", from), Timestamp::ZERO);
        assert_eq!(expiry("1M 2H 3d", from), at("2026-12-03T17:05:09Z"));
        assert_eq!(expiry("1w 1y", from), at("2027-12-07T15:04:09Z"));
        // As Go adds months: there is no 30th of February.
        assert_eq!(expiry("3m", from), at("2027-03-02T15:04:09Z"));
    }

    #[test]
    fn names_with_slashes_and_spaces_are_refused() {
        assert!(check("a/b").is_err() && check_characters("a b").is_err() && check_characters("..").is_err());
        assert!(check_characters("a_b:c@d").is_ok());
    }
}
