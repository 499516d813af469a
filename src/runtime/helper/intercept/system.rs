//! sysinfo(2): of the container, as its view of `/proc` has it.

use std::io;

use super::Verdict;
use super::caller::Caller;
use crate::runtime::helper::procfs::System;

/// Tells the caller; words of 32 bits when it is `narrow`.
pub(super) fn tell(caller: &Caller<'_>, narrow: bool) -> io::Result<Verdict> {
    let Some(system) = System::of(caller.notice.pid) else { return Ok(Verdict::Pass) };
    let bytes = if narrow { narrow_words(&system) } else { wide_words(&system) };
    caller.write(caller.notice.args[0], &bytes)?;
    Ok(Verdict::Done)
}

/// `struct sysinfo` of machines with 64 bits: everything counted in bytes.
fn wide_words(system: &System) -> Vec<u8> {
    let mut words = vec![system.uptime];
    words.extend(system.loads.iter().chain(&system.memory));
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
    // `procs`, and what fills it up to a word; no memory is high.
    bytes.extend(u64::from(system.processes).to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// The same of machines with 32 bits: counted in pages, since bytes wouldn't fit.
fn narrow_words(system: &System) -> Vec<u8> {
    const PAGE: u64 = 4096;
    let word = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let mut words = vec![word(system.uptime)];
    words.extend(system.loads.map(word));
    words.extend(system.memory.map(|bytes| word(bytes / PAGE)));
    words.extend([system.processes.into(), 0, 0, PAGE as u32]);
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.extend([0; 8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_the_kernels() {
        let system = System { uptime: 7, loads: [1, 2, 3], memory: [1 << 33, 8192, 0, 0, 0, 4096], processes: 9 };
        let wide = wide_words(&system);
        assert_eq!(wide.len(), size_of::<libc::sysinfo>().min(112));
        let word = |at: usize| u64::from_ne_bytes(wide[at..at + 8].try_into().unwrap());
        assert_eq!((word(0), word(8), word(32), word(40), word(72)), (7, 1, 1 << 33, 8192, 4096));
        assert_eq!((wide[80], wide[104]), (9, 1));
        let narrow = narrow_words(&system);
        let word = |at: usize| u32::from_ne_bytes(narrow[at..at + 4].try_into().unwrap());
        assert_eq!(narrow.len(), 64);
        assert_eq!((word(0), word(16), word(20), word(40), word(52)), (7, 1 << 21, 2, 9, 4096));
    }
}
