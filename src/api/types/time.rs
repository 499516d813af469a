//! Points in time as Go's `time.Time` prints them in JSON (RFC 3339, trailing zeros of the fraction dropped).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::api::tree::{FromTree, Tree, Wrong};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

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

    /// Reads RFC 3339; any offset is taken and kept as UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let t = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        if t.year() <= 1 {
            return Some(Timestamp::ZERO);
        }
        i64::try_from(t.unix_timestamp_nanos()).ok().map(|n| Timestamp(Some(n)))
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
    pub fn to_utc(self) -> UtcDateTime {
        match self.0 {
            Some(n) => UtcDateTime::from_unix_timestamp_nanos(i128::from(n)).unwrap_or(UtcDateTime::UNIX_EPOCH),
            None => time::macros::utc_datetime!(0001-01-01 0:00),
        }
    }
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
        let (date, clock) = (t.date(), t.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), u8::from(date.month()), date.day())?;
        write!(f, "{:02}:{:02}:{:02}", clock.hour(), clock.minute(), clock.second())?;
        if clock.nanosecond() != 0 {
            let fraction = format!("{:09}", clock.nanosecond());
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
    }
}
