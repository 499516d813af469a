//! The trust store.

use super::super::records::CertificateRecord;
use super::super::{Read, Tx};
use crate::{Error, Kind, Result};

/// Every certificate, by fingerprint.
pub fn list(r: &impl Read) -> Result<Vec<CertificateRecord>> {
    r.scan_all()
}

/// The certificate of exactly this fingerprint.
pub fn get(r: &impl Read, fingerprint: &str) -> Result<Option<CertificateRecord>> {
    r.get(&fingerprint.to_owned())
}

/// The one certificate whose fingerprint begins so.
pub fn by_prefix(r: &impl Read, prefix: &str) -> Result<CertificateRecord> {
    if let Some(exact) = get(r, prefix)? {
        return Ok(exact);
    }
    let mut found = list(r)?.into_iter().filter(|c| !prefix.is_empty() && c.fingerprint.starts_with(prefix));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Error::invalid("More than one certificate matches")),
        (None, _) => Err(Error::not_found("Certificate not found")),
    }
}

/// Adds a certificate.
pub fn insert(tx: &mut Tx, certificate: &CertificateRecord) -> Result<()> {
    match get(tx, &certificate.fingerprint)? {
        Some(_) => Err(Error::new(Kind::Exists, "Certificate already in trust store")),
        None => tx.put(certificate),
    }
}

/// Changes everything but the fingerprint.
pub fn update(tx: &mut Tx, certificate: &CertificateRecord) -> Result<()> {
    by_prefix(tx, &certificate.fingerprint)?;
    tx.put(certificate)
}

/// Removes a certificate.
pub fn remove(tx: &mut Tx, fingerprint: &str) -> Result<()> {
    tx.delete::<CertificateRecord>(&fingerprint.to_owned())
}
