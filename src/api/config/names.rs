//! What things may be called, with LXD's texts.

use crate::error::{Error, Result};

use super::kind::require;

/// A host name: 1 to 63 of letters, digits and dashes, no dash at either end, not a number first; LXD's text.
fn hostname(name: &str) -> Result<(), String> {
    require((1..=63).contains(&name.chars().count()), || "Name must be 1-63 characters long".into())?;
    require(!name.starts_with(|c: char| c.is_ascii_digit()), || "Name must not start with a number".into())?;
    require(!name.starts_with('-'), || "Name must not start with \"-\" character".into())?;
    require(!name.ends_with('-'), || "Name must not end with \"-\" character".into())?;
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    require(good, || "Name can only contain alphanumeric and hyphen characters".into())
}

/// The name of an instance.
pub fn instance(name: &str) -> Result<()> {
    if name.contains('/') {
        return Err(Error::invalid("The character \"/\" is reserved for snapshots"));
    }
    hostname(name).map_err(|why| Error::invalid(format!("Invalid instance name: {why}")))
}

/// The name of a snapshot.
pub fn snapshot(name: &str) -> Result<()> {
    bounded(name, "snapshot name")?;
    let good = !name.contains(['/', ' ', '\n', '\t']) && !matches!(name, "." | "..");
    good.then_some(()).ok_or_else(|| Error::invalid(format!("Invalid snapshot name {name:?}")))
}

/// The longest name of a profile, pool, project or alias. LXD has no bound but the file system's.
const MAX_NAME: usize = 255;

/// Refuses what no name may be: empty, longer than a file name, with control characters.
fn bounded(name: &str, what: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid("No name provided"));
    }
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!("The {what} is longer than {MAX_NAME} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!("Invalid {what} {name:?}")));
    }
    Ok(())
}

/// The name of a profile.
pub fn profile(name: &str) -> Result<()> {
    bounded(name, "profile name")?;
    if name.contains('/') {
        return Err(Error::invalid("Profile names may not contain slashes"));
    }
    if matches!(name, "." | "..") {
        return Err(Error::invalid(format!("Invalid profile name {name:?}")));
    }
    Ok(())
}

/// The name of a project.
pub fn project(name: &str) -> Result<()> {
    let wrong = |text: &str| Err(Error::invalid(text));
    bounded(name, "project name")?;
    match name {
        _ if name.contains('/') => wrong("Project names may not contain slashes"),
        _ if name.contains(' ') => wrong("Project names may not contain spaces"),
        _ if name.contains('_') => wrong("Project names may not contain underscores"),
        _ if name.contains(['\'', '"']) => wrong("Project names may not contain quotes"),
        "*" => wrong("Reserved project name"),
        "." | ".." => Err(Error::invalid(format!("Invalid project name {name:?}"))),
        _ => Ok(()),
    }
}

/// The name of a storage pool. It names a directory, so `.` and `..` are none.
pub fn pool(name: &str) -> Result<()> {
    bounded(name, "storage pool name")?;
    if name.contains('/') {
        return Err(Error::invalid("Storage pool names may not contain slashes"));
    }
    if name.contains(char::is_whitespace) {
        return Err(Error::invalid("Storage name cannot contain white space"));
    }
    if matches!(name, "." | "..") {
        return Err(Error::invalid(format!("Invalid storage pool name {name:?}")));
    }
    Ok(())
}

/// The name of an image alias. Slashes are common in them (`debian/12`).
pub fn alias(name: &str) -> Result<()> {
    bounded(name, "alias name")
}

/// The name of a storage volume. It names a directory, so `.` and `..` are none.
pub fn volume(name: &str) -> Result<()> {
    bounded(name, "storage volume name")?;
    if name.contains('/') {
        return Err(Error::invalid("Storage volume names may not contain slashes"));
    }
    if matches!(name, "." | "..") {
        return Err(Error::invalid(format!("Invalid storage volume name {name:?}")));
    }
    Ok(())
}

/// The name of a device; the error is LXD's text.
pub(super) fn device(name: &str) -> Result<(), String> {
    require((1..=63).contains(&name.chars().count()), || "Name must be 1-63 characters long".into())?;
    require(!name.starts_with('.'), || "Name must not start with \".\" character".into())?;
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b':' | b'_' | b'.'));
    require(good, || {
        "Name can only contain alphanumeric, forward slash, hyphen, colon, underscore and full stop characters".into()
    })?;
    // LXD takes these; nothing good can come of them in a path.
    require(!name.split('/').any(|part| matches!(part, "" | "." | "..")), || {
        "Name must not contain empty or dot path parts".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<()>) -> String {
        result.err().map(|e| e.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn instances_are_called_as_hosts_are() {
        let long = "a".repeat(63);
        for good in ["a", "A", "c1", "a-b", long.as_str()] {
            assert_eq!(text(instance(good)), "", "{good}");
        }
        for (name, why) in [
            ("1a", "Name must not start with a number"),
            ("-a", "Name must not start with \"-\" character"),
            ("a-", "Name must not end with \"-\" character"),
            ("a_b", "Name can only contain alphanumeric and hyphen characters"),
            ("a.b", "Name can only contain alphanumeric and hyphen characters"),
            ("é", "Name can only contain alphanumeric and hyphen characters"),
            (&"a".repeat(64), "Name must be 1-63 characters long"),
        ] {
            assert_eq!(text(instance(name)), format!("Invalid instance name: {why}"), "{name}");
        }
        assert_eq!(text(instance("a/b")), "The character \"/\" is reserved for snapshots");
    }

    #[test]
    fn other_names_have_lxds_texts() {
        assert_eq!(text(profile("a/b")), "Profile names may not contain slashes");
        assert_eq!(text(profile("..")), "Invalid profile name \"..\"");
        assert_eq!(text(profile("")), "No name provided");
        assert_eq!(text(profile("a b")), "");
        assert_eq!(text(project("a_b")), "Project names may not contain underscores");
        assert_eq!(text(project("*")), "Reserved project name");
        assert_eq!(text(project("a'b")), "Project names may not contain quotes");
        assert_eq!(text(pool("a/b")), "Storage pool names may not contain slashes");
        assert_eq!(text(pool("a b")), "Storage name cannot contain white space");
        assert_eq!(text(pool("..")), "Invalid storage pool name \"..\"");
        assert_eq!(text(alias("debian/12")), "");
        assert_eq!(text(alias("")), "No name provided");
    }

    #[test]
    fn names_of_devices() {
        assert_eq!(device("eth0"), Ok(()));
        assert_eq!(device("a/b"), Ok(()));
        assert_eq!(device(""), Err("Name must be 1-63 characters long".into()));
        assert_eq!(device(".."), Err("Name must not start with \".\" character".into()));
        assert!(device("a/../b").is_err() && device("a b").is_err());
    }
}
