//! Sizes with LXD's suffixes (`kB`, `MiB`, `Gbit`...), and memory as bytes or a share of the host's.

/// What a memory limit says: a number of bytes or a percentage of the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Bytes.
    Bytes(u64),
    /// Percent of what the host has.
    Percent(u64),
}

impl Memory {
    /// Reads `512MiB` or `25%`; the error is LXD's text.
    pub fn parse(text: &str) -> Result<Memory, String> {
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.parse::<i64>() {
                Ok(0) => Err("Memory limit can't be 0%".into()),
                // LXD takes a negative percentage and makes no limit of it; here it is refused.
                Ok(n) => u64::try_from(n).map(Memory::Percent).map_err(|_| format!("Invalid value: {text}")),
                Err(e) => Err(strconv("ParseInt", percent, &e)),
            };
        }
        match bytes(text)? {
            0 => Err("Memory limit can't be 0".into()),
            n => Ok(Memory::Bytes(n)),
        }
    }

    /// The limit in bytes on a host with `total` bytes of memory.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Memory::Bytes(n) => n,
            Memory::Percent(p) => u64::try_from(u128::from(total) * u128::from(p) / 100).unwrap_or(u64::MAX),
        }
    }
}

/// Number and suffix of a size; the error is LXD's text.
fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(format!("Invalid value: {text}"));
    }
    let (number, suffix) = text.split_at(digits);
    // LXD counts in signed 64 bit numbers.
    let number = number.parse::<i64>().map_err(|_| format!("Invalid integer: {text}"))?;
    Ok((number.unsigned_abs(), suffix))
}

/// `number * factor` within a signed 64 bit number; the error is LXD's text.
fn scale(number: u64, factor: u64) -> Result<u64, String> {
    number
        .checked_mul(factor)
        .filter(|n| i64::try_from(*n).is_ok())
        .ok_or_else(|| format!("Overflow multiplying {number} with {factor}"))
}

/// The prefixes of units and their factors.
const PREFIXES: &[(&str, u64)] = &[
    ("", 1),
    ("k", 1000),
    ("M", 1000u64.pow(2)),
    ("G", 1000u64.pow(3)),
    ("T", 1000u64.pow(4)),
    ("P", 1000u64.pow(5)),
    ("E", 1000u64.pow(6)),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

/// The factor of `suffix` when `unit` is what it counts.
fn factor(suffix: &str, unit: &str) -> Option<u64> {
    let prefix = suffix.strip_suffix(unit)?;
    PREFIXES.iter().find(|row| row.0 == prefix).map(|row| row.1)
}

/// Bytes of `10`, `10B`, `10 bytes`, `10kB`, `10MiB`...; an empty text is 0. The error is LXD's text.
pub fn bytes(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (number, suffix) = split(text)?;
    let factor = match suffix {
        "" | " bytes" => Some(1),
        _ => factor(suffix, "B"),
    };
    scale(number, factor.ok_or_else(|| format!("Invalid value: {text}"))?)
}

/// Bits of `10`, `10bit`, `10Mbit`, `10Gibit`...; an empty text is 0. The error is LXD's text.
pub fn bits(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (number, suffix) = split(text)?;
    let factor = if suffix.is_empty() { Some(1) } else { factor(suffix, "bit") };
    scale(number, factor.ok_or_else(|| format!("Invalid value: {text}"))?)
}

/// The text Go's strconv has for a number that isn't one.
pub(super) fn strconv(function: &str, text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = if matches!(error.kind(), PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_lxd_reads_them() {
        assert_eq!(bytes(""), Ok(0));
        assert_eq!(bytes("10"), Ok(10));
        assert_eq!(bytes("10B"), Ok(10));
        assert_eq!(bytes("10 bytes"), Ok(10));
        assert_eq!(bytes("10kB"), Ok(10_000));
        assert_eq!(bytes("10KiB"), Ok(10_240));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bits("2Mbit"), Ok(2_000_000));
        assert_eq!(bits("2Kibit"), Ok(2048));
    }

    #[test]
    fn wrong_sizes_have_lxds_text() {
        for text in ["abc", "-1", "1.5GB", "10 MB", "1MBx", "10bytes", "10kb", "10KB", "10K", "é"] {
            assert_eq!(bytes(text), Err(format!("Invalid value: {text}")));
        }
        assert_eq!(bytes("99999999999999999999"), Err("Invalid integer: 99999999999999999999".into()));
        assert_eq!(
            bytes("9223372036854775807GB"),
            Err("Overflow multiplying 9223372036854775807 with 1000000000".into())
        );
    }

    #[test]
    fn memory_is_bytes_or_a_share() {
        assert_eq!(Memory::parse("10%").map(|m| m.of(1000)), Ok(100));
        assert_eq!(Memory::parse("200%").map(|m| m.of(1000)), Ok(2000));
        assert_eq!(Memory::parse("1KiB").map(|m| m.of(1)), Ok(1024));
        assert_eq!(Memory::parse("0"), Err("Memory limit can't be 0".into()));
        assert_eq!(Memory::parse("0%"), Err("Memory limit can't be 0%".into()));
        assert_eq!(Memory::parse("x%"), Err(r#"strconv.ParseInt: parsing "x": invalid syntax"#.into()));
        assert_eq!(Memory::parse("9223372036854775807%").map(|m| m.of(u64::MAX)), Ok(u64::MAX));
    }
}
