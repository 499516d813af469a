//! Reading the small files of `/proc`, `/sys` and `/etc` below a root that tests can move.

use crate::order::Order;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest file that is read: `/proc/cpuinfo` of the largest machines has less.
const LONGEST: u64 = 4 << 20;

/// A host's file tree: `/`, or a directory that looks like one.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The host this program runs on.
    pub fn host() -> Tree {
        Tree::below("/")
    }

    /// A tree below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Tree {
        Tree { root: root.into() }
    }

    /// Where `path` (without a leading slash) really is.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Whether `path` exists, symbolic links followed.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// The content of a file as text, spaces around it removed; `None` when it can't be read.
    ///
    /// Drivers answer with errors of all kinds where a value means nothing for them.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// The content of a file, as far as the limit of 4 MiB.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(path)).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A file that holds one decimal number.
    pub fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// A file that holds one decimal number, negative ones (the kernel's "unknown") as 0.
    pub fn count(&self, path: impl AsRef<Path>) -> u64 {
        self.text(path).and_then(|t| t.parse::<i64>().ok()).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }

    /// Names in a directory, sorted; none when it can't be read.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else { return Vec::new() };
        let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        names.order();
        names
    }

    /// The path a symbolic link leads to in the end, relative to the root of this tree.
    pub fn target(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let real = self.path(path).canonicalize().ok()?;
        let root = self.root.canonicalize().ok()?;
        Some(real.strip_prefix(root).ok()?.to_path_buf())
    }

    /// The last name of what a symbolic link leads to.
    pub fn target_name(&self, path: impl AsRef<Path>) -> Option<String> {
        self.target(path)?.file_name()?.to_str().map(str::to_string)
    }
}

/// The values of `NAME=value` lines, quotes removed, as in `/etc/os-release` and `uevent` files.
pub(super) fn assignment(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim();
    let bare = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
    Some(bare.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_lose_their_quotes() {
        let text = "PRETTY_NAME=\"x\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\nID=debian\n";
        assert_eq!(assignment(text, "NAME").as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(assignment(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(assignment(text, "ID").as_deref(), Some("debian"));
        assert_eq!(assignment(text, "VERSION"), None);
    }

    #[test]
    fn unknown_numbers_count_as_zero() {
        let host = super::super::fixture::Fixture::new();
        host.write("sys/numa_node", "-1\n");
        host.write("sys/other", "7\n");
        let tree = host.tree();
        assert_eq!((tree.count("sys/numa_node"), tree.count("sys/other"), tree.count("sys/none")), (0, 7, 0));
        assert_eq!(tree.list("sys"), ["numa_node", "other"]);
        assert_eq!(tree.list("nowhere"), Vec::<String>::new());
    }
}
