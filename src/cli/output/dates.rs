//! Points in time for people, as the stock client prints them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::api::types::Timestamp;

/// `2026/11/21 19:26 UTC`; empty for "never".
pub fn date(time: Timestamp) -> String {
    in_zone(time, TimeZone::UTC)
}

/// `2026/11/21 20:26 CET`: the same in the time zone of this host, or that of `TZ`.
pub fn local_date(time: Timestamp) -> String {
    in_zone(time, TimeZone::system())
}

/// `Nov 21, 2026 at 7:24pm (UTC)`.
pub fn long_date(utc: DateTime) -> String {
    utc.strftime("%b %-d, %Y at %-I:%M%P (UTC)").to_string()
}

fn in_zone(time: Timestamp, zone: TimeZone) -> String {
    match time.is_set() {
        true => time.in_zone(zone).strftime("%Y/%m/%d %H:%M %Z").to_string(),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_both_forms() {
        let time = Timestamp::parse("2026-11-21T19:04:00Z").unwrap();
        assert_eq!(
            (date(time), long_date(time.to_utc())),
            ("2026/11/21 19:04 UTC".into(), "Nov 21, 2026 at 7:04pm (UTC)".into())
        );
        let midnight = Timestamp::parse("2026-01-02T00:30:00Z").unwrap();
        assert_eq!(long_date(midnight.to_utc()), "Jan 2, 2026 at 12:30am (UTC)");
        assert_eq!(date(Timestamp::EPOCH), "");
        assert_eq!(local_date(Timestamp::EPOCH), "");
    }

    #[test]
    fn zones_have_their_offset_and_name() {
        let time = Timestamp::parse("2026-11-21T19:04:00Z").unwrap();
        let tokyo = TimeZone::posix("JST-9").unwrap();
        assert_eq!(in_zone(time, tokyo), "2026/11/22 04:04 JST");
    }
}
