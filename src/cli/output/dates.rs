//! Points in time for people, in UTC as the stock client prints them on a host without a time zone.

use crate::api::types::Timestamp;

/// `2026/11/21 19:26 UTC`; empty for "never".
pub fn date(time: Timestamp) -> String {
    if !time.is_set() {
        return String::new();
    }
    let t = time.to_utc();
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    format!("{year}/{month:02}/{day:02} {:02}:{:02} UTC", t.hour(), t.minute())
}

/// `Nov 21, 2026 at 7:24pm (UTC)`.
pub fn long_date(time: Timestamp) -> String {
    let t = time.to_utc();
    let half = if t.hour() < 12 { "am" } else { "pm" };
    let month: String = t.month().to_string().chars().take(3).collect();
    let hour = (t.hour() + 11) % 12 + 1;
    format!("{month} {}, {} at {hour}:{:02}{half} (UTC)", t.day(), t.year(), t.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_both_forms() {
        let time = Timestamp::parse("2026-11-21T19:04:00Z").unwrap();
        assert_eq!(
            (date(time), long_date(time)),
            ("2026/11/21 19:04 UTC".into(), "Nov 21, 2026 at 7:04pm (UTC)".into())
        );
        let midnight = Timestamp::parse("2026-01-02T00:30:00Z").unwrap();
        assert_eq!(long_date(midnight), "Jan 2, 2026 at 12:30am (UTC)");
        assert_eq!(date(Timestamp::EPOCH), "");
    }
}
