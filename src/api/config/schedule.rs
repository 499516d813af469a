//! Spans of time (`snapshots.expiry`) and points in time (`snapshots.schedule`).

use super::kind::require;

/// The letters of a span, one of each at most: seconds, minutes, hours, days, weeks, months, years.
const SPANS: &str = "SMHdwmy";

/// `7S 1M 2H 3d 4w 5m 6y`, each part at most once, one blank between them.
pub(super) fn expiry(text: &str) -> Result<(), String> {
    let mut seen = String::new();
    for part in text.trim().split(' ') {
        let unit = part.chars().last().filter(|c| SPANS.contains(*c) && !seen.contains(*c));
        let digits = part.strip_suffix(|c| SPANS.contains(c)).unwrap_or("");
        let counted = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit());
        match unit {
            Some(unit) if counted => seen.push(unit),
            _ => return Err("Invalid expiry expression".into()),
        }
    }
    Ok(())
}

/// The names LXD knows for whole lines.
pub(super) const ALIASES: &[&str] =
    &["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@annually", "@yearly", "@startup", "@never"];

/// Lowest and highest number of each of the five fields, and names for them.
const FIELDS: &[(u32, u32, &[&str])] = &[
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Cron lines or names, separated by comma and blank.
pub(super) fn check(text: &str) -> Result<(), String> {
    text.to_lowercase().split(", ").try_for_each(|line| {
        if ALIASES.contains(&line) {
            return Ok(());
        }
        let fields: Vec<&str> = line.split(' ').collect();
        require(fields.len() == FIELDS.len(), || {
            "Schedule must be of the form: <minute> <hour> <day-of-month> <month> <day-of-week>".into()
        })?;
        fields
            .iter()
            .zip(FIELDS)
            .try_for_each(|(text, bounds)| field(text, bounds))
            .map_err(|e| format!("Error parsing schedule: {e}"))
    })
}

/// One field: a list of numbers, names, ranges and `*`, each with a step.
fn field(text: &str, &(low, high, names): &(u32, u32, &[&str])) -> Result<(), String> {
    let number = |t: &str| match names.iter().position(|n| *n == t) {
        Some(at) => Ok(low + u32::try_from(at).unwrap_or(0)),
        None => t
            .parse::<u32>()
            .map_err(|e| format!("failed to parse int from {t}: {}", super::units::strconv("Atoi", t, &e))),
    };
    for part in text.split(',') {
        let (span, step) = part.split_once('/').unwrap_or((part, "1"));
        require(number(step)? > 0, || format!("step of range should be a positive number: {part}"))?;
        if matches!(span, "*" | "?") {
            continue;
        }
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        let (first, last) = (number(first)?, number(last)?);
        require(first >= low, || format!("beginning of range ({first}) below minimum ({low}): {part}"))?;
        require(last <= high, || format!("end of range ({last}) above maximum ({high}): {part}"))?;
        require(first <= last, || format!("beginning of range ({first}) beyond end of range ({last}): {part}"))?;
    }
    Ok(())
}

/// A minute, as a clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 1 to 31.
    pub day: u32,
    /// 1 to 12.
    pub month: u32,
    /// 0 (Sunday) to 6.
    pub weekday: u32,
}

/// Whether a schedule ([`check`]ed) names this minute. What is to be done hourly, daily and so on is done at a minute and hour
/// that follow from `seed`, so that not all instances are at it together.
pub fn is_due(text: &str, seed: u64, at: Minute) -> bool {
    let (minute, hour) = (seed.wrapping_mul(7919) % 60, seed.wrapping_mul(104_729) / 60 % 24);
    text.to_lowercase().split(", ").any(|line| {
        let line = match line {
            "@hourly" => format!("{minute} * * * *"),
            "@daily" | "@midnight" => format!("{minute} {hour} * * *"),
            "@weekly" => format!("{minute} {hour} * * 0"),
            "@monthly" => format!("{minute} {hour} 1 * *"),
            "@annually" | "@yearly" => format!("{minute} {hour} 1 1 *"),
            line => line.to_owned(),
        };
        let fields: Vec<&str> = line.split(' ').collect();
        let [m, h, day, month, weekday] = fields[..] else { return false };
        let [ms, hs, days, months, weekdays] = FIELDS else { return false };
        let any = |field: &str| field.starts_with(['*', '?']);
        let (on_day, on_weekday) = (holds(day, days, at.day), holds(weekday, weekdays, at.weekday));
        // As cron has it: of two days that are both said one is enough.
        let days = if any(day) || any(weekday) { on_day && on_weekday } else { on_day || on_weekday };
        holds(m, ms, at.minute) && holds(h, hs, at.hour) && days && holds(month, months, at.month)
    })
}

/// Whether a field names a number.
fn holds(text: &str, &(low, high, names): &(u32, u32, &[&str]), wanted: u32) -> bool {
    let number = |t: &str| match names.iter().position(|n| *n == t) {
        Some(at) => Some(low + u32::try_from(at).unwrap_or(0)),
        None => t.parse().ok(),
    };
    text.split(',').any(|part| {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(step)),
            None => (part, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if matches!(span, "*" | "?") => (Some(low), Some(high)),
            Some((first, last)) => (number(first), number(last)),
            // A number with a step goes on to the end.
            None if step.is_some() => (number(span), Some(high)),
            None => (number(span), number(span)),
        };
        let (Some(first), Some(last), Some(step)) = (first, last, number(step.unwrap_or("1"))) else { return false };
        (first..=last).contains(&wanted) && (wanted - first).is_multiple_of(step.max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        assert!(expiry("1M 2H 3d 4w 5m 6y").is_ok() && expiry("30d").is_ok());
        for wrong in ["x", "1d 1d", "1d  2H", "1D", "1d,2H", "d", " ", "-1d"] {
            assert_eq!(expiry(wrong), Err("Invalid expiry expression".into()), "{wrong:?}");
        }
    }

    #[test]
    fn minutes_are_named_by_lines() {
        // Monday, 2 November, 15:04.
        let at = Minute { minute: 4, hour: 15, day: 2, month: 11, weekday: 1 };
        for due in [
            "4 15 * * *",
            "*/2 * * * *",
            "1-5 15,16 2 nov mon",
            "* * 9 * mon",
            "* * 2 * sun",
            "0/4 * * * *",
            "4 15 * * ?",
        ] {
            assert!(is_due(due, 1, at), "{due}");
        }
        for not in ["5 15 * * *", "*/3 * * * *", "* * 3 * *", "* * 3 * tue", "@never", "@startup", "x"] {
            assert!(!is_due(not, 1, at), "{not}");
        }
        assert!(is_due("5 * * * *, 4 * * * *", 1, at));
    }

    #[test]
    fn names_are_due_once_in_their_time() {
        let all = || (0..24).flat_map(|hour| (0..60).map(move |minute| (hour, minute)));
        for (name, times) in [("@hourly", 24), ("@daily", 1), ("@midnight", 1), ("@weekly", 0), ("@monthly", 1)] {
            for seed in [0, 1, 17, u64::MAX] {
                let due = all().filter(|(hour, minute)| {
                    is_due(name, seed, Minute { minute: *minute, hour: *hour, day: 1, month: 2, weekday: 3 })
                });
                assert_eq!(due.count(), times, "{name} {seed}");
            }
        }
    }

    #[test]
    fn points_in_time() {
        for good in ["@daily, @hourly", "@Daily", "*/5 1-3,5 * jan mon", "0 0 * * *", "@never"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let form = "Schedule must be of the form: <minute> <hour> <day-of-month> <month> <day-of-week>";
        for wrong in ["x", "* * * *", "@daily,@hourly", "@foo", "@reboot"] {
            assert_eq!(check(wrong), Err(form.into()), "{wrong}");
        }
        let parsing = |text: &str| check(text).err();
        assert_eq!(
            parsing("61 * * * *").as_deref(),
            Some("Error parsing schedule: end of range (61) above maximum (59): 61")
        );
        assert_eq!(
            parsing("a b c d e").as_deref(),
            Some(r#"Error parsing schedule: failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax"#)
        );
        assert_eq!(
            parsing("0 0 31 2 7").as_deref(),
            Some("Error parsing schedule: end of range (7) above maximum (6): 7")
        );
    }
}
