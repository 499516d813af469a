//! Instance types: names for limits, such as `c2-m4` (processors, GiB) or those of machines one can rent (`t2.micro`).

use crate::api::types::ConfigMap;
use crate::{Error, Result};

/// Sizes of a family, each with its processors; a processor comes with so many GiB.
type Family = (&'static str, f64, &'static [(&'static str, u32)]);

const BIG: &[(&str, u32)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
];
const COMPUTE: &[(&str, u32)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("9xlarge", 36),
    ("12xlarge", 48),
    ("18xlarge", 72),
    ("24xlarge", 96),
];
const AWS: &[Family] = &[("m5", 4.0, BIG), ("r5", 8.0, BIG), ("c5", 2.0, COMPUTE)];

/// Those of AWS that follow no rule: name, processors, GiB.
const BURSTABLE: &[(&str, u32, f64)] = &[
    ("nano", 1, 0.5),
    ("micro", 1, 1.0),
    ("small", 1, 2.0),
    ("medium", 2, 4.0),
    ("large", 2, 8.0),
    ("xlarge", 4, 16.0),
    ("2xlarge", 8, 32.0),
];

/// Families of Google's: GiB for each processor; the number at the end of the name is how many there are.
const GCE: &[(&str, f64)] = &[
    ("n1-standard-", 3.75),
    ("n1-highmem-", 6.5),
    ("n1-highcpu-", 0.9),
    ("n2-standard-", 4.0),
    ("n2-highmem-", 8.0),
    ("n2-highcpu-", 1.0),
    ("e2-standard-", 4.0),
    ("e2-highmem-", 8.0),
    ("e2-highcpu-", 1.0),
];

/// Gives a configuration the limits of an instance type, where it has none of its own.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text for a type that there isn't.
pub(super) fn apply(config: &mut ConfigMap, wanted: &str) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let size = size(wanted).ok_or_else(|| Error::invalid(format!("Provided instance type doesn't exist: {wanted}")))?;
    for (key, value) in limits(size) {
        config.entry(key.to_owned()).or_insert(value);
    }
    Ok(())
}

/// Processors and GiB.
fn size(wanted: &str) -> Option<(f64, f64)> {
    match wanted.split_once(':') {
        None => plain(wanted).or_else(|| aws(wanted)).or_else(|| gce(wanted)),
        Some(("aws", name)) => aws(name),
        Some(("gce", name)) => gce(name),
        Some(_) => None,
    }
}

/// `cPROCESSORS-mGIB`, or one of the two.
fn plain(name: &str) -> Option<(f64, f64)> {
    let number = |text: &str| {
        let plain =
            text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        text.parse::<f64>().ok().filter(|n| plain && *n < 1e6)
    };
    match name.split_once('-') {
        Some((processors, memory)) => {
            Some((number(processors.strip_prefix('c')?)?, number(memory.strip_prefix('m')?)?))
        }
        None => match name.strip_prefix('c') {
            Some(processors) => Some((number(processors)?, 0.0)),
            None => Some((0.0, number(name.strip_prefix('m')?)?)),
        },
    }
}

fn aws(name: &str) -> Option<(f64, f64)> {
    let (family, size) = name.split_once('.')?;
    if matches!(family, "t2" | "t3") {
        let (_, processors, memory) = BURSTABLE.iter().find(|(name, ..)| *name == size)?;
        let least = if family == "t3" { 2 } else { 1 };
        return Some((f64::from(*processors.max(&least)), *memory));
    }
    let (_, each, sizes) = AWS.iter().find(|(name, ..)| *name == family)?;
    let processors = f64::from(sizes.iter().find(|(name, _)| *name == size)?.1);
    Some((processors, processors * each))
}

fn gce(name: &str) -> Option<(f64, f64)> {
    match name {
        "f1-micro" => return Some((0.2, 0.6)),
        "g1-small" => return Some((0.5, 1.7)),
        _ => {}
    }
    let (count, each) = GCE.iter().find_map(|(family, each)| Some((name.strip_prefix(family)?, each)))?;
    let processors = f64::from(count.parse::<u8>().ok().filter(|n| n.is_power_of_two() || n % 16 == 0)?);
    (processors > 0.0).then_some((processors, processors * each))
}

fn limits((processors, memory): (f64, f64)) -> Vec<(&'static str, String)> {
    let mut limits = Vec::new();
    if processors > 0.0 {
        let whole = processors.ceil();
        limits.push(("limits.cpu", format!("{whole}")));
        if whole > processors {
            limits.push(("limits.cpu.allowance", format!("{}%", (processors / whole * 100.0) as u32)));
        }
    }
    if memory > 0.0 {
        limits.push(("limits.memory", format!("{}MB", (memory * 1024.0) as u64)));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_become_limits() {
        let told = |name: &str| {
            let mut config = ConfigMap::from([("limits.memory".to_owned(), "1GiB".to_owned())]);
            config.extend(size(name).map(limits).unwrap_or_default().into_iter().map(|(k, v)| (k.to_owned(), v)));
            config.into_values().collect::<Vec<_>>().join(" ")
        };
        for (name, want) in [
            ("c2-m4", "2 4096MB"),
            ("c1.5-m1", "2 75% 1024MB"),
            ("c0-m0.25", "256MB"),
            ("c2", "2 1GiB"),
            ("m4", "4096MB"),
            ("t2.micro", "1 1024MB"),
            ("aws:t3.micro", "2 1024MB"),
            ("c5.9xlarge", "36 73728MB"),
            ("gce:n1-standard-4", "4 15360MB"),
            ("f1-micro", "1 20% 614MB"),
        ] {
            assert_eq!(told(name), want, "{name}");
        }
        for wrong in
            ["nope", "c2-m", "C2-M4", "foo:bar", "aws:nope", "c-m4", "c1e3", "n1-standard-0", "m5.nano", "cinf"]
        {
            assert!(size(wrong).is_none(), "{wrong}");
        }
        let mut config = ConfigMap::from([("limits.memory".to_owned(), "1GiB".to_owned())]);
        apply(&mut config, "c2-m4").unwrap();
        assert_eq!(config.into_values().collect::<Vec<_>>(), ["2", "1GiB"]);
    }
}
