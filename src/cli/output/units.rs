//! Sizes for people.

fn scaled(bytes: i64, base: f64, suffixes: &[&str], digits: usize) -> String {
    if (bytes as f64) < base {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    for suffix in suffixes {
        value /= base;
        if value < base {
            return format!("{value:.digits$}{suffix}");
        }
    }
    format!("{value:.digits$}{}", suffixes.last().unwrap_or(&"B"))
}

/// `1.50MB`: powers of 1000.
pub fn bytes_decimal(bytes: i64, digits: usize) -> String {
    scaled(bytes, 1000.0, &["kB", "MB", "GB", "TB", "PB", "EB"], digits)
}

/// `1.50MiB`: powers of 1024.
pub fn bytes_iec(bytes: i64, digits: usize) -> String {
    scaled(bytes, 1024.0, &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], digits)
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
        assert_eq!(super::bytes_decimal(999, 2), "999B");
        assert_eq!(super::bytes_decimal(1500, 2), "1.50kB");
    }
}
