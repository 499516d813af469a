//! Compiled policy: made by apparmor_parser(8) once for each variant and version of the kernel's features, kept in files, and given
//! the name of each guest without compiling it again.
//!
//! A policy is a row of tagged values (`security/apparmor/policy_unpack.c`). The profile's name is one string of it; the tables
//! behind that are aligned to 8 bytes from the beginning. So a name can be put in the place of another one whose length
//! differs by a multiple of 8, and there are at most eight files for a variant.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use ring::digest;

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::sys::executable;

/// Where the parser may be beside `PATH`.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];
/// The tag of a string, which is followed by its length with the NUL at its end (16 bits, little endian).
const STRING: u8 = 5;

/// The name that stands in a policy for one that is as long, but for a multiple of 8.
pub(super) fn placeholder(name: &str) -> String {
    format!("lxd-{}", "x".repeat(16 + (name.len() + 4) % 8))
}

/// Puts `name` in the place of the name `old`. `None` when that isn't there exactly once, or the lengths don't fit.
pub(super) fn renamed(policy: &[u8], old: &str, name: &str) -> Option<Vec<u8>> {
    let tagged = |name: &str| -> Option<Vec<u8>> {
        let length = u16::try_from(name.len() + 1).ok()?;
        Some([&[STRING], &length.to_le_bytes()[..], name.as_bytes(), &[0]].concat())
    };
    let (from, to) = (tagged(old)?, tagged(name)?);
    let mut found = policy.windows(from.len()).enumerate().filter(|(_, window)| *window == from);
    let at = found.next()?.0;
    if found.next().is_some() || old.len() % 8 != name.len() % 8 {
        return None;
    }
    Some([&policy[..at], &to, &policy[at + from.len()..]].concat())
}

/// What identifies a text compiled for a kernel with these features.
pub(super) fn hash(features: &str, text: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    [features, text].iter().for_each(|part| {
        context.update(&part.len().to_le_bytes());
        context.update(part.as_bytes());
    });
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The parser, where there is one.
pub(super) fn parser() -> Option<PathBuf> {
    executable::find("apparmor_parser", &PLACES)
}

/// The file of a policy: `STEM.HASH`.
pub(super) fn file(cache: &Path, stem: &str, hash: &str) -> PathBuf {
    cache.join(format!("{stem}.{hash}"))
}

/// Reads a policy that was compiled before.
pub(super) fn cached(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).ctx(Kind::Internal, || format!("Failed reading {file:?}")),
    }
}

/// Compiles a text with this parser, and keeps it in `file`, in place of what there was under the same stem. Takes some hundredths of a second.
///
/// # Errors
/// [`Kind::Invalid`] with the parser's words.
pub(super) fn compile(parser: &Path, text: &str, file: &Path) -> Result<Vec<u8>> {
    let cache = file.parent().unwrap_or(Path::new("/"));
    let keeping = || format!("Failed writing {file:?}");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(cache).ctx(Kind::Internal, keeping)?;
    let source = file.with_extension("text");
    write(&source, text.as_bytes()).ctx(Kind::Internal, keeping)?;
    // No loading, no cache of its own, the policy to standard output.
    let ran = Command::new(parser).args(["-Q", "-T", "-K", "-S", "--"]).arg(&source).env_clear().output();
    let _ = fs::remove_file(&source);
    let ran = ran.ctx(Kind::Internal, || format!("Failed running {parser:?}"))?;
    if !ran.status.success() || ran.stdout.is_empty() {
        let said = String::from_utf8_lossy(&ran.stderr).replace(&*source.to_string_lossy(), "the profile");
        return Err(Error::invalid(format!("Failed compiling an AppArmor profile: {}", said.trim())));
    }
    let new = file.with_extension("new");
    write(&new, &ran.stdout).and_then(|()| fs::rename(&new, file)).ctx(Kind::Internal, keeping)?;
    forget(file, true);
    Ok(ran.stdout)
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Removes the files of the stem of `file`, but for itself when `but_itself`.
pub(super) fn forget(file: &Path, but_itself: bool) {
    let stem = file.file_stem();
    for entry in file.parent().and_then(|cache| fs::read_dir(cache).ok()).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.file_stem() == stem && !(but_itself && path == file) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_put_in_the_place_of_another() {
        let policy = |name: &str| {
            let length = (name.len() + 1) as u8;
            [b"\x04\x08\x00profile\x00\x07\x05", &[length, 0][..], name.as_bytes(), b"\x00rest"].concat()
        };
        for name in ["lxd-c1_</var/lib/lxd>", "lxd-a-longer-one_</var/lib/lxd>", "lxd-x_</srv>"] {
            let old = placeholder(name);
            assert_eq!(old.len() % 8, name.len() % 8, "{name}");
            assert_eq!(renamed(&policy(&old), &old, name), Some(policy(name)));
            assert_eq!(renamed(&policy(&old), &old, &format!("{name}x")), None);
            assert_eq!(renamed(&[policy(&old), policy(&old)].concat(), &old, name), None);
        }
    }

    #[test]
    fn texts_and_kernels_are_told_apart() {
        assert_ne!(hash("a", "bc"), hash("ab", "c"));
        assert_eq!(hash("a", "b").len(), 32);
    }

    #[test]
    fn files_of_another_hash_go() {
        let cache = std::env::temp_dir().join(format!("lxbox-policies-{}", std::process::id()));
        fs::create_dir_all(&cache).unwrap();
        for name in ["1.old", "1.new", "10.old"] {
            fs::write(cache.join(name), "").unwrap();
        }
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        forget(&file(&cache, "1", "new"), true);
        assert_eq!(names(), ["1.new", "10.old"]);
        forget(&file(&cache, "1", "new"), false);
        assert_eq!(names(), ["10.old"]);
        fs::remove_dir_all(&cache).unwrap();
    }
}
