//! Paths of archives, made safe: relative, without `.` and `..`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::limits::Limits;

/// A path below the root of a tree, possibly the root itself. No component is empty, `.` or `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreePath(Vec<u8>);

/// Why a path of an archive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It has a `..` component.
    Escapes,
    /// A component has more than 255 bytes, or all has more than the limit.
    TooLong,
    /// More components than the limit.
    TooDeep,
    /// A NUL byte.
    Nul,
}

impl BadPath {
    /// The end of a sentence that begins with the path.
    pub fn reason(self) -> &'static str {
        match self {
            BadPath::Escapes => "leads out of the archive",
            BadPath::TooLong => "is too long",
            BadPath::TooDeep => "is too deep",
            BadPath::Nul => "has a NUL byte",
        }
    }
}

impl TreePath {
    /// Takes a path of an archive: a leading `/` or `./` is relative, doubled slashes and `.` count for nothing.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<TreePath, BadPath> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut depth = 0;
        if bytes.contains(&0) {
            return Err(BadPath::Nul);
        }
        for component in bytes.split(|b| *b == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(BadPath::Escapes),
                _ if component.len() > 255 => return Err(BadPath::TooLong),
                _ => {}
            }
            depth += 1;
            if depth > limits.depth {
                return Err(BadPath::TooDeep);
            }
            if !out.is_empty() {
                out.push(b'/');
            }
            out.extend_from_slice(component);
            if out.len() > limits.path {
                return Err(BadPath::TooLong);
            }
        }
        Ok(TreePath(out))
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path below its first component, if that is `first`.
    pub fn below(&self, first: &str) -> Option<TreePath> {
        let rest = self.0.strip_prefix(first.as_bytes())?;
        match rest.split_first() {
            None => Some(TreePath::default()),
            Some((b'/', rest)) => Some(TreePath(rest.to_vec())),
            Some(_) => None,
        }
    }

    /// The directory it is in and its name there; `None` for the root.
    pub fn split(&self) -> Option<(TreePath, &OsStr)> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|b| *b == b'/') {
            Some(slash) => (TreePath(self.0[..slash].to_vec()), OsStr::from_bytes(&self.0[slash + 1..])),
            None => (TreePath::default(), OsStr::from_bytes(&self.0)),
        })
    }

    /// Goes down to `name`.
    pub(super) fn push(&mut self, name: &OsStr) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name.as_bytes());
    }

    /// Its components from the root on.
    pub fn components(&self) -> impl Iterator<Item = &OsStr> {
        self.0.split(|b| *b == b'/').filter(|c| !c.is_empty()).map(OsStr::from_bytes)
    }

    /// Its bytes; none for the root.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the system calls take it; `.` for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(if self.is_root() { OsStr::new(".") } else { OsStr::from_bytes(&self.0) })
    }
}

/// A path of an archive for a message: not longer than what helps, and without control characters.
pub fn shown(bytes: &[u8]) -> String {
    let text = OsString::from_vec(bytes[..bytes.len().min(200)].to_vec()).to_string_lossy().into_owned();
    let mut text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if bytes.len() > 200 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<String, BadPath> {
        TreePath::parse(path.as_bytes(), &Limits::default()).map(|p| p.as_path().display().to_string())
    }

    #[test]
    fn paths_become_relative() {
        for (given, expected) in [
            ("a", "a"),
            ("./a", "a"),
            ("/a", "a"),
            ("//a///b/", "a/b"),
            ("./././a/./b", "a/b"),
            ("", "."),
            ("./", "."),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        for given in ["..", "../a", "a/../b", "a/..", "/../a", "./.."] {
            assert_eq!(parse(given), Err(BadPath::Escapes), "{given}");
        }
        assert_eq!(parse(&"x".repeat(256)), Err(BadPath::TooLong));
        assert_eq!(parse(&"xxxxxxxxxxxxxxx/".repeat(300)), Err(BadPath::TooDeep));
        assert_eq!(parse(&format!("{}/", "x".repeat(250)).repeat(17)), Err(BadPath::TooLong));
        assert_eq!(parse("a\0b"), Err(BadPath::Nul));
    }

    #[test]
    fn a_path_is_taken_below_a_first_component() {
        let path = |p: &str| TreePath::parse(p.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(path("rootfs/etc/x").below("rootfs"), Some(path("etc/x")));
        assert_eq!(path("rootfs").below("rootfs"), Some(path("")));
        assert_eq!(path("rootfs.img").below("rootfs"), None);
        assert_eq!(path("etc/x").split().map(|(d, n)| (d, n.to_owned())), Some((path("etc"), "x".into())));
        assert!(path("").split().is_none());
    }
}
