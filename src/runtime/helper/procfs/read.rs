//! Small files of the kernel, read whole and bounded; what isn't there or isn't as expected is `None`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a file about one group or process, at most. Longer ones are cut.
pub(super) const SMALL: u64 = 64 << 10;
/// Bytes of a file about the whole host, at most: `/proc/cpuinfo` and `/proc/stat` grow with the processors.
pub(super) const LARGE: u64 = 4 << 20;

/// The beginning of a file.
pub(super) fn text(path: impl AsRef<Path>, most: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    // Names of processes may hold anything.
    Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// A file of the group in `directory`.
pub(super) fn file(directory: &Path, name: &str) -> Option<String> {
    text(directory.join(name), SMALL)
}

/// The number that a group's file holds; `None` for `max` and for the -1 of v1.
pub(super) fn number(directory: &Path, name: &str) -> Option<u64> {
    file(directory, name)?.trim().parse().ok()
}

/// The number behind a word at the begin of a line (`memory.stat`, `cpu.stat`).
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
