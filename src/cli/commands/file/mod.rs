//! `lxc file …`.

use crate::cli::context::{Context, Target};
use crate::error::{Error, Kind, Result};

mod delete;
mod edit;
mod listen;
mod mount;
mod pull;
mod push;

pub use delete::delete;
pub use edit::edit;
pub use mount::{Mount, mount};
pub use pull::{Pull, pull};
pub use push::{Push, push};

/// A path in an instance.
struct Place {
    target: Target,
    instance: String,
    /// As it was typed, without what separates it from the instance.
    path: String,
}

/// Understands `[remote:]instance/path`; `what` it is stands in the error.
fn place(cx: &Context, word: &str, what: &str) -> Result<Place> {
    let target = cx.target(word)?;
    let split = target.name.split_once('/').map(|(instance, path)| (instance.to_string(), path.to_string()));
    let (instance, path) = split.ok_or_else(|| Error::invalid(format!("Invalid {what} {}", target.name)))?;
    Ok(Place { target, instance, path })
}

/// A path without what means nothing, as Go's `path.Clean` writes it.
fn clean(path: &str) -> String {
    let (rooted, mut parts) = (path.starts_with('/'), Vec::new());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

/// The last part of a path.
fn base(path: &str) -> String {
    match clean(path).rsplit('/').next() {
        Some("") | None => "/".into(),
        Some(name) => name.into(),
    }
}

/// What the system says of a failed call on a path here, in the words people know from LXD's client.
pub fn local(call: &str, path: &str, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Invalid,
    };
    Error::new(kind, format!("{call} {path}: {}", reason(error)))
}

/// The system's text for an error, the first letter small.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, wanted) in
            [("/a/../b/", "/b"), ("a//b/./c", "a/b/c"), ("", "."), ("/..", "/"), ("../x", "../x"), ("/", "/")]
        {
            assert_eq!(clean(path), wanted);
        }
        assert_eq!((base("/a/b/"), base("/")), ("b".into(), "/".into()));
    }

    #[test]
    fn system_errors_read_as_the_stock_clients() {
        let error = std::fs::File::open("/nonexistent").unwrap_err();
        assert_eq!(local("open", "x", &error).to_string(), "open x: no such file or directory");
    }
}
