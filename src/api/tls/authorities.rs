//! The authorities that the host trusts: for servers of the web, which nobody pins.

use std::io::ErrorKind;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Ctx, Error, Kind, Result};

/// Where distributions have them, as one PEM file: Debian, Fedora, openSUSE, RHEL 7 and later, Alpine.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The host's authorities: of the file that `SSL_CERT_FILE` names (as OpenSSL has it), else of the first usual one
/// there is. What in it is no certificate counts for nothing. Blocks.
///
/// # Errors
/// [`Kind::Unavailable`] when there is none.
pub fn authorities() -> Result<RootCertStore> {
    let named = std::env::var("SSL_CERT_FILE").ok().filter(|path| !path.is_empty());
    let usual = if named.is_some() { &[] } else { BUNDLES };
    for path in named.as_deref().into_iter().chain(usual.iter().copied()) {
        let text = match std::fs::read(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            read => read.ctx(Kind::Unavailable, || format!("Failed reading {path:?}"))?,
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
        if !roots.is_empty() {
            return Ok(roots);
        }
    }
    let text = "This host has no list of authorities for https, such as the package \"ca-certificates\" brings";
    Err(Error::new(Kind::Unavailable, text))
}
