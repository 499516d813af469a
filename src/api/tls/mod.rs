//! What both ends of a TLS connection need: certificates, key pairs, and how the other end's certificate is looked at.
//!
//! Between LXD servers and clients nobody vouches for anybody: a server or a client is known by the SHA-256 of its own certificate.
//! So any certificate passes the handshake, in which its owner proves to have the key (RFC 8446 section 4.4.3), and
//! whether it is a known one is decided above.

mod authorities;
mod certificate;
mod der;
mod pair;
mod verify;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use authorities::authorities;
pub use certificate::{Certificate, Facts};
pub use pair::{Made, Role, load_or_make, make};
pub use verify::{AnyClient, Pinned, Seen};

/// The one implementation of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
