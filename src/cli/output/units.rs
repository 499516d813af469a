//! Sizes for people.

/// `1.50MiB`: powers of 1024.
pub fn bytes_iec(bytes: i64, digits: usize) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut value, mut name) = (bytes as f64, "");
    for unit in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        (value, name) = (value / 1024.0, unit);
        if value < 1024.0 {
            break;
        }
    }
    format!("{value:.digits$}{name}")
}

/// Reads a size as configuration has it: `512MiB`, `1GB`, `1024`.
pub fn parse_size(text: &str) -> Option<i64> {
    const UNITS: &[(&str, u32, u32)] = &[
        ("", 10, 0),
        ("B", 10, 0),
        ("kB", 10, 3),
        ("MB", 10, 6),
        ("GB", 10, 9),
        ("TB", 10, 12),
        ("PB", 10, 15),
        ("EB", 10, 18),
        ("KiB", 2, 10),
        ("MiB", 2, 20),
        ("GiB", 2, 30),
        ("TiB", 2, 40),
        ("PiB", 2, 50),
        ("EiB", 2, 60),
    ];
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<i64>().ok()?, text[digits..].trim());
    let (_, base, power) = UNITS.iter().find(|row| row.0 == unit)?;
    number.checked_mul(i64::from(*base).checked_pow(*power)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_rounded_and_named() {
        assert_eq!(super::bytes_iec(409600, 2), "400.00KiB");
        assert_eq!(super::bytes_iec(1466368, 2), "1.40MiB");
        assert_eq!(super::bytes_iec(0, 2), "0B");
        assert_eq!(super::parse_size("2GiB"), Some(2 << 30));
        assert_eq!(super::parse_size("1kB"), Some(1000));
        assert_eq!(super::parse_size("10%"), None);
    }
}
