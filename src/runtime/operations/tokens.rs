//! Operations that do nothing and only say a secret: it opens one thing once, and is no more when it is used or the
//! operation is cancelled.

use serde_json::{Map, Value};

use super::sockets::constant_time_eq;
use super::{Entry, NewOperation, Operations};
use crate::api::types::Operation;
use crate::runtime::random;
use crate::{Error, Kind};

/// The class of such operations.
pub(super) const CLASS: &str = "token";

impl Operations {
    /// A new secret, in the operation's metadata. It is kept in memory alone: a restart of the daemon ends it.
    pub fn token(&self, new: NewOperation) -> Operation {
        let metadata = Map::from_iter([("secret".to_owned(), Value::from(random::hex(32)))]);
        let new = NewOperation { cancellable: true, token: true, metadata: Some(metadata), ..new };
        self.start(new, |handle| async move {
            handle.cancel().cancelled().await;
            Err(Error::new(Kind::Conflict, "Operation was cancelled"))
        })
    }

    /// Whether this secret opens the thing at `url`. With `used` it does so for the last time.
    pub fn opens(&self, secret: &str, kind: &str, url: &str, used: bool) -> bool {
        let fits = |entry: &Entry| {
            let op = entry.state.borrow();
            let said = op.metadata.as_ref().and_then(|m| m.get("secret")).and_then(Value::as_str);
            let about = op.resources.as_ref().and_then(|r| r.get(kind));
            op.class == CLASS
                && about.is_some_and(|urls| urls.iter().any(|u| u == url))
                && said.is_some_and(|said| constant_time_eq(said, secret))
        };
        let all = self.lock();
        let found = all.values().find(|entry| fits(entry) && !entry.cancel.is_cancelled());
        found.is_some_and(|entry| !used || entry.cancel.cancel())
    }
}
