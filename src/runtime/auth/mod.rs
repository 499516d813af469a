//! Who asks.
//!
//! Callers of the unix socket are known by their peer credentials (unix(7), SO_PEERCRED) and fully trusted, since the
//! socket's mode and group let nobody else in. Callers over TLS are known by the certificate they have shown, and
//! trusted when it is in the trust store (`runtime::certificates`) at the time of the request.

pub mod password;

use std::net::SocketAddr;

use crate::api::types::EventRequestor;

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// A user name on the unix socket, the certificate's fingerprint over TLS, empty for strangers.
    pub username: String,
    /// `unix`, `tls`; empty for strangers.
    pub protocol: &'static str,
    /// `@` on the unix socket, else the address and port the caller connects from.
    pub address: String,
    /// Whether everything is allowed.
    pub trusted: bool,
}

impl Caller {
    /// A caller of the unix socket.
    pub fn unix(uid: u32) -> Caller {
        Caller { username: user_name(uid), protocol: "unix", address: "@".into(), trusted: true }
    }

    /// A caller over TLS whose certificate of this fingerprint is trusted.
    pub fn tls(fingerprint: &str, from: SocketAddr) -> Caller {
        Caller { username: fingerprint.into(), protocol: "tls", trusted: true, ..Caller::stranger(from) }
    }

    /// A caller over TLS whom nobody knows.
    pub fn stranger(from: SocketAddr) -> Caller {
        Caller { username: String::new(), protocol: "", address: from.to_string(), trusted: false }
    }

    /// The caller as events name it.
    pub fn requestor(&self) -> EventRequestor {
        EventRequestor {
            username: self.username.clone(),
            protocol: self.protocol.into(),
            address: self.address.clone(),
        }
    }
}

/// The name of a uid by `/etc/passwd`, which is read by hand since musl has no NSS; the number when it has none.
fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".into();
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let row = passwd.lines().find(|l| l.split(':').nth(2).and_then(|n| n.parse().ok()) == Some(uid));
    row.and_then(|l| l.split(':').next()).map_or_else(|| uid.to_string(), str::to_owned)
}
