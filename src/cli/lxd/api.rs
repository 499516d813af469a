//! What the commands need of the API: one call, its answer.

use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// A successful answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The object asked for.
    pub metadata: Value,
    /// Its version, to be sent with a change of it.
    pub etag: Option<String>,
}

/// Calls to a daemon. Calls block until the answer is there.
pub trait Api {
    /// One request. An asynchronous one is waited for.
    ///
    /// # Errors
    /// The server's own text and kind, or `Unavailable` when there is no daemon.
    fn call(&self, method: &str, path: &str, body: Option<&Value>, etag: Option<&str>) -> Result<Reply>;

    /// The object at `path`.
    fn get(&self, path: &str) -> Result<Reply> {
        self.call("GET", path, None, None)
    }

    /// Replaces the object at `path`, if it is still the one that `etag` names.
    fn put(&self, path: &str, body: &Value, etag: Option<&str>) -> Result<()> {
        self.call("PUT", path, Some(body), etag).map(drop)
    }

    /// Makes a new object.
    fn post(&self, path: &str, body: &Value) -> Result<()> {
        self.call("POST", path, Some(body), None).map(drop)
    }

    /// Removes the object at `path`.
    fn delete(&self, path: &str) -> Result<()> {
        self.call("DELETE", path, None, None).map(drop)
    }

    /// The object at `path`, or `None` when there is none.
    fn find(&self, path: &str) -> Result<Option<Reply>> {
        match self.get(path) {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The error a server answered with.
pub(super) fn server_error(code: u64, text: &str) -> Error {
    let kind = match code {
        404 => Kind::NotFound,
        403 | 401 => Kind::Forbidden,
        409 => Kind::Exists,
        412 => Kind::Precondition,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        400..=499 => Kind::Invalid,
        _ => Kind::Internal,
    };
    Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_segment() {
        assert_eq!(segment("a-b_c.1"), "a-b_c.1");
        assert_eq!(segment("../x y?"), "..%2Fx%20y%3F");
    }
}
