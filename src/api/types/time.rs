//! Points in time as Go's `time.Time` prints them in JSON (RFC 3339, trailing zeros of the fraction dropped).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Zoned;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::api::tree::{FromTree, Tree, Wrong};

/// The start of year 2, in seconds since 1970.
const YEAR_2: i64 = -62_104_060_800;

/// Nanoseconds since 1970 in UTC; `None` inside is Go's zero time, year 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Option<i64>);

impl Timestamp {
    /// Go's zero time, `0001-01-01T00:00:00Z`: "never".
    pub const ZERO: Timestamp = Timestamp(None);
    /// The start of 1970, which LXD shows for "no date" on images.
    pub const EPOCH: Timestamp = Timestamp(Some(0));

    /// The host's clock.
    pub fn now() -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    /// Whole seconds since 1970.
    pub fn from_unix(seconds: i64) -> Timestamp {
        Timestamp(seconds.checked_mul(1_000_000_000))
    }

    /// Seconds since 1970; 0 for the zero time.
    pub fn unix(self) -> i64 {
        self.0.unwrap_or(0).div_euclid(1_000_000_000)
    }

    /// Whether this is Go's zero time.
    pub fn is_zero(self) -> bool {
        self.0.is_none()
    }

    /// Whether this is a date at all: neither Go's zero time nor the start of 1970.
    pub fn is_set(self) -> bool {
        self.0.is_some_and(|n| n > 0)
    }

    /// Reads RFC 3339; any offset is taken and kept as UTC, and what is less than a nanosecond left out.
    pub fn parse(text: &str) -> Option<Timestamp> {
        // jiff reads more than that: it is given what it can't take for anything else.
        let (clock, rest) = text.split_at_checked(19)?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?),
            None => ("", rest),
        };
        let is_zone = zone == "Z" || is_like(zone, "+00:00") || is_like(zone, "-00:00");
        if !is_like(clock, "0000-00-00T00:00:00") || clock.ends_with("60") || !is_zone {
            return None;
        }
        let t: jiff::Timestamp = match fraction.get(..9) {
            Some(nanoseconds) => format!("{clock}.{nanoseconds}{zone}").parse().ok()?,
            None => text.parse().ok()?,
        };
        if t.as_second() < YEAR_2 {
            return Some(Timestamp::ZERO);
        }
        i64::try_from(t.as_nanosecond()).ok().map(|n| Timestamp(Some(n)))
    }

    /// In a time zone; the zero time is the start of 1970.
    pub fn in_zone(self, zone: TimeZone) -> Zoned {
        jiff::Timestamp::from_nanosecond(self.0.unwrap_or(0).into()).unwrap_or_default().to_zoned(zone)
    }

    /// In the time zone of this host, or that of `TZ`. Reads it from the disk now and then.
    pub fn local(self) -> Zoned {
        self.in_zone(TimeZone::system())
    }

    /// The date and time in UTC; the zero time is the start of year 1.
    pub fn to_utc(self) -> DateTime {
        match self.0 {
            Some(_) => self.in_zone(TimeZone::UTC).datetime(),
            None => date(1, 1, 1).at(0, 0, 0, 0),
        }
    }
}

/// Whether a text has digits where `shape` has zeros, and is like it elsewhere.
fn is_like(text: &str, shape: &str) -> bool {
    let same = |(is, wanted): (u8, u8)| if wanted == b'0' { is.is_ascii_digit() } else { is == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(same)
}

impl From<SystemTime> for Timestamp {
    fn from(t: SystemTime) -> Timestamp {
        let since = t.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(i64::try_from(since.as_nanos()).ok())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.to_utc();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )?;
        if t.subsec_nanosecond() != 0 {
            let fraction = format!("{:09}", t.subsec_nanosecond());
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl FromTree for Timestamp {
    fn of(tree: Tree) -> Result<Timestamp, Wrong> {
        match Option::<String>::of(tree)?.as_deref() {
            None | Some("") => Ok(Timestamp::ZERO),
            Some(text) => Timestamp::parse(text).ok_or_else(|| Wrong::new(format!("invalid time {text:?}"))),
        }
    }

    fn blank() -> Timestamp {
        Timestamp::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        for text in ["2026-11-21T17:01:31.69783Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        }
        assert_eq!(
            Timestamp::parse("2026-11-21T17:01:31+02:00").map(|t| t.to_string()).as_deref(),
            Some("2026-11-21T15:01:31Z")
        );
        assert_eq!(
            Timestamp::parse("2026-11-21T17:01:31.1234567899Z").map(|t| t.to_string()).as_deref(),
            Some("2026-11-21T17:01:31.123456789Z")
        );
        assert_eq!(Timestamp::parse("0001-12-31T23:59:59Z"), Some(Timestamp::ZERO));
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21 17:01:31Z",
            "2026-11-21T17:01:31",
            "2026-11-21T17:01:31Z[UTC]",
            "2026-13-01T00:00:00Z",
            "2026-11-21T17Z",
            "2026-11-21T17:01Z",
            "2026-11-21T170131Z",
            "2026-11-21T17:01:60Z",
            "2026-11-21T17:01:31.Z",
            "2026-11-21T17:01:31+02",
            "2026-11-21T17:01:31+0200",
            "2026-11-21T17:01:31+02:00:30",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
    }
}
