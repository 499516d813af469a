//! The one error of the program: a kind, a text for the person who asked, and the source for the log.
//!
//! Nothing here knows of HTTP: `api::response` maps a [`Kind`] to a status in one place.

use std::fmt;

/// What went wrong, as far as a caller may act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The thing named does not exist.
    NotFound,
    /// A thing of that name exists already.
    Exists,
    /// The request or its values are wrong.
    Invalid,
    /// The caller may not do this.
    Forbidden,
    /// The state of the thing does not allow this.
    Conflict,
    /// An `If-Match` or another precondition does not hold.
    Precondition,
    /// The thing is busy with another operation.
    Busy,
    /// The request is understood, but this server does not do that (yet).
    Unsupported,
    /// A resource is temporarily missing (space, descriptors, a stopping daemon).
    Unavailable,
    /// Anything that is nobody's fault but ours or the host's.
    Internal,
}

/// An error with a text fit for the person who asked.
///
/// [`fmt::Display`] prints the text alone; [`Error::chain`] adds the sources, for the log.
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of anything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a source.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// The thing named does not exist.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    /// A wrong request or value.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, message)
    }

    /// Something this server does not do yet; `what` begins the sentence.
    pub fn unsupported(what: impl fmt::Display) -> Error {
        Error::new(Kind::Unsupported, format!("{what} is not supported yet"))
    }

    /// A failure of the host or of this program.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(Kind::Internal, message)
    }

    /// What a caller may act on.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The text for the person who asked, without the sources.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error under another kind.
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.kind = kind;
        self
    }

    /// The operating system's error number, when a source carries one.
    pub fn errno(&self) -> Option<i32> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(e) = next {
            if let Some(n) = e.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
                return Some(n);
            }
            if let Some(n) = e.downcast_ref::<rustix::io::Errno>() {
                return Some(n.raw_os_error());
            }
            next = e.source();
        }
        None
    }

    /// The text and every source's text, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(e) = next {
            let more = e.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            next = e.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.chain())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// Turns a foreign error into ours, with what was being done.
pub trait Ctx<T> {
    /// Gives the failure the kind and the text `message()`, followed by the source's own text.
    ///
    /// A full disk or an exhausted quota becomes [`Kind::Unavailable`] whatever `kind` says.
    fn ctx<M: Into<String>>(self, kind: Kind, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E> Ctx<T> for std::result::Result<T, E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    fn ctx<M: Into<String>>(self, kind: Kind, message: impl FnOnce() -> M) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(source) => Err(failed(kind, message().into(), Box::new(source))),
        }
    }
}

/// Once for all types: hundreds of places use it.
#[cold]
fn failed(kind: Kind, text: String, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let error = Error { kind, message: format!("{text}: {source}"), source: Some(source) };
    match error.errno() {
        Some(libc::ENOSPC | libc::EDQUOT) => error.with_kind(Kind::Unavailable),
        _ => error,
    }
}
