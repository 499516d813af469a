//! `limits.cpu` (a number of CPUs or a set of them) and `limits.cpu.allowance`.

use super::units::strconv;

/// CPUs as numbers, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(Vec<u32>);

/// The highest CPU number taken (kernels are built for at most 8192).
const MAX_CPU: u32 = 65_535;

impl CpuSet {
    /// The numbers, sorted.
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Reads `0-3,7`; ranges may be written backwards, as LXD has it. `None` when it isn't such a list.
    pub fn parse(text: &str) -> Option<CpuSet> {
        let mut set = std::collections::BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            set.extend(first.min(last)..=first.max(last));
        }
        Some(CpuSet(set.into_iter().collect()))
    }
}

impl std::fmt::Display for CpuSet {
    /// As the kernel's cpuset files have it: `0-3,7`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0.as_slice();
        while let Some(first) = rest.first() {
            let run = rest.iter().zip(*first..).take_while(|(a, b)| *a == b).count();
            let last = rest[run - 1];
            if rest.len() < self.0.len() {
                f.write_str(",")?;
            }
            if last == *first {
                write!(f, "{first}")?
            } else {
                write!(f, "{first}-{last}")?
            }
            rest = &rest[run..];
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return None;
    }
    text.parse().ok().filter(|n| *n <= MAX_CPU)
}

/// What `limits.cpu` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// So many CPUs, whichever.
    Count(u32),
    /// These CPUs.
    Set(CpuSet),
}

impl Cpu {
    /// Reads `2` (a number) or `0-3`, `1,2`, `1-1` (a set); the error is LXD's text.
    ///
    /// LXD takes any number of digits; here numbers end at 65535.
    pub fn parse(text: &str) -> Result<Cpu, String> {
        if let Some(n) = number(text) {
            return Ok(Cpu::Count(n));
        }
        let set = CpuSet::parse(text).ok_or("Invalid CPU limit syntax")?;
        let named = text.split(',').map(|part| {
            let ends = part.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
            ends.map_or(1, |(first, last)| first.abs_diff(last) as usize + 1)
        });
        match named.sum::<usize>() == set.0.len() {
            true => Ok(Cpu::Set(set)),
            false => Err("Cannot define CPU multiple times".into()),
        }
    }
}

/// What `limits.cpu.allowance` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// A soft share, in percent.
    Percent(i64),
    /// A hard limit: so many milliseconds of each period of so many milliseconds.
    Quota {
        /// Milliseconds to run.
        run: i64,
        /// Milliseconds of a period.
        period: i64,
    },
}

impl Allowance {
    /// Reads `50%` or `25ms/100ms`; the error is LXD's text.
    pub fn parse(text: &str) -> Result<Allowance, String> {
        let number = |t: &str| t.parse::<i64>().map_err(|e| strconv("Atoi", t, &e));
        if let Some(percent) = text.strip_suffix('%') {
            return number(percent).map(Allowance::Percent);
        }
        let Some((run, period)) = text.split_once('/').filter(|(_, period)| !period.contains('/')) else {
            return Err(format!("Invalid allowance: {text}"));
        };
        let milliseconds = |t: &str| number(t.strip_suffix("ms").unwrap_or(t));
        Ok(Allowance::Quota { run: milliseconds(run)?, period: milliseconds(period)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_count_and_a_list_is_a_set() {
        assert_eq!(Cpu::parse("2"), Ok(Cpu::Count(2)));
        assert_eq!(Cpu::parse("1-1"), Ok(Cpu::Set(CpuSet(vec![1]))));
        assert_eq!(Cpu::parse("3-1,0"), Ok(Cpu::Set(CpuSet(vec![0, 1, 2, 3]))));
        assert_eq!(Cpu::parse("3-1,2"), Err("Cannot define CPU multiple times".into()));
        for text in ["x", "-1", "1-x", "1,", ",", " 1", "1-", "", "0-4294967295"] {
            assert_eq!(Cpu::parse(text), Err("Invalid CPU limit syntax".into()), "{text:?}");
        }
    }

    #[test]
    fn sets_print_as_the_kernel_reads_them() {
        for (text, printed) in [("0-3,7", "0-3,7"), ("1", "1"), ("5,4,1,0,9", "0-1,4-5,9"), ("2-2", "2")] {
            assert_eq!(CpuSet::parse(text).map(|s| s.to_string()).as_deref(), Some(printed));
        }
    }

    #[test]
    fn allowances_have_lxds_texts() {
        assert_eq!(Allowance::parse("50%"), Ok(Allowance::Percent(50)));
        assert_eq!(Allowance::parse("10ms/20ms"), Ok(Allowance::Quota { run: 10, period: 20 }));
        assert_eq!(Allowance::parse("x"), Err("Invalid allowance: x".into()));
        assert_eq!(Allowance::parse("10ms"), Err("Invalid allowance: 10ms".into()));
        assert_eq!(Allowance::parse("x%"), Err(r#"strconv.Atoi: parsing "x": invalid syntax"#.into()));
        assert_eq!(Allowance::parse("10s/20s"), Err(r#"strconv.Atoi: parsing "10s": invalid syntax"#.into()));
    }
}
