//! Key pairs as LXD makes them: ECDSA over P-384, with a certificate signed by itself that is good for ten years.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::certificate::{Certificate, armoured, unarmoured};
use super::der::{self, Reader};
use crate::error::{Ctx, Error, Kind, Result};

/// id-at-commonName.
pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-at-organizationName.
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// id-ecPublicKey.
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp384r1.
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// ecdsa-with-SHA384.
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// id-kp, whose children are the uses of a key.
const KEY_PURPOSE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];
/// What LXD 5.0 puts into O.
const MAKER: &str = "linuxcontainers.org";
/// How long a certificate is good.
const LIFE: Duration = Duration::from_hours(10 * 365 * 24);

/// Which end of connections a pair is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `server.crt` and `server.key`.
    Server,
    /// `client.crt` and `client.key`.
    Client,
}

/// A key pair.
pub struct Made {
    /// The certificate.
    pub certificate: Certificate,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

impl Made {
    /// The certificate as rustls takes it.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.certificate.der().to_vec())]
    }
}

/// Reads `NAME.crt` and `NAME.key` of a directory, or makes them; `announce` is called before that. Blocks.
///
/// # Errors
/// [`Kind::Internal`] when they can't be read or written, [`Kind::Invalid`] when they are no key pair.
pub fn load_or_make(directory: &Path, role: Role, host: &str, announce: impl FnOnce()) -> Result<Made> {
    let name = match role {
        Role::Server => "server",
        Role::Client => "client",
    };
    let (crt, key) = (directory.join(name).with_extension("crt"), directory.join(name).with_extension("key"));
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).ctx(Kind::Internal, || format!("Failed reading {path:?}")),
    };
    if let (Some(certificate), Some(secret)) = (read(&crt)?, read(&key)?) {
        let bad = || Error::invalid(format!("Failed reading {key:?}: it is no private key"));
        return Ok(Made {
            certificate: Certificate::from_pem(&certificate)?,
            key: key_from_pem(&secret).ok_or_else(bad)?,
        });
    }
    announce();
    let made = make(role, host)?;
    // The key first: a certificate is there only with its key.
    write(&key, &key_pem(&made.key), 0o600)?;
    write(&crt, &made.certificate.pem(), 0o644)?;
    Ok(made)
}

/// Writes a file so that it is there whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let failed = || format!("Failed writing {path:?}");
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new);
    let mut file = file.ctx(Kind::Internal, failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).ctx(Kind::Internal, failed)?;
    fs::rename(&new, path).ctx(Kind::Internal, failed)
}

/// Makes a pair for the user `root` of this host, or whoever `host` (`user@host`) says.
pub fn make(role: Role, host: &str) -> Result<Made> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P384_SHA384_ASN1_SIGNING;
    let failed = |_| Error::internal("Failed making a key");
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(failed)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
        .map_err(|_| Error::internal("Failed making a key"))?;
    let serial: [u8; 16] = ring::rand::generate(&random).map_err(failed)?.expose();
    let content = content(role, host, pair.public_key().as_ref(), &serial);
    let signature = pair.sign(&random, &content).map_err(failed)?;
    let signed = der::group(der::SEQUENCE, &[content, signature_algorithm(), der::bits(signature.as_ref())]);
    let key = sec1(pkcs8.as_ref(), pair.public_key().as_ref()).ok_or_else(|| Error::internal("Failed making a key"))?;
    Ok(Made { certificate: Certificate::from_der(&signed)?, key: PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(key)) })
}

fn signature_algorithm() -> Vec<u8> {
    der::group(der::SEQUENCE, &[der::value(der::OID, ECDSA_SHA384)])
}

/// The signed part (RFC 5280 section 4.1).
fn content(role: Role, host: &str, public: &[u8], serial: &[u8]) -> Vec<u8> {
    let name = |oid: &[u8], tag: u8, text: &str| {
        let pair = der::group(der::SEQUENCE, &[der::value(der::OID, oid), der::value(tag, text.as_bytes())]);
        der::value(der::SET, &pair)
    };
    let subject =
        der::group(der::SEQUENCE, &[name(ORGANIZATION, der::PRINTABLE, MAKER), name(COMMON_NAME, der::UTF8, host)]);
    let now = SystemTime::now();
    let curve = der::group(der::SEQUENCE, &[der::value(der::OID, EC_KEY), der::value(der::OID, P384)]);
    der::group(
        der::SEQUENCE,
        &[
            der::value(der::context(0), &der::positive(&[2])),
            // Positive also where the first bit is the sign.
            der::positive(serial),
            signature_algorithm(),
            subject.clone(),
            der::group(der::SEQUENCE, &[time(now), time(now + LIFE)]),
            subject,
            der::group(der::SEQUENCE, &[curve, der::bits(public)]),
            der::value(der::context(3), &extensions(role, host)),
        ],
    )
}

fn time(t: SystemTime) -> Vec<u8> {
    let t = TimeZone::UTC.to_datetime(jiff::Timestamp::try_from(t).unwrap_or_default());
    let year = t.year();
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", t.month(), t.day(), t.hour(), t.minute(), t.second());
    match year < 2050 {
        true => der::value(der::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes()),
        false => der::value(der::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes()),
    }
}

/// Key usage, extended key usage, basic constraints, and a server's names (RFC 5280 section 4.2.1).
fn extensions(role: Role, host: &str) -> Vec<u8> {
    let extension = |id: u8, critical: bool, content: Vec<u8>| {
        let mut parts = vec![der::value(der::OID, &[0x55, 0x1d, id])];
        if critical {
            parts.push(der::value(0x01, &[0xff]));
        }
        parts.push(der::value(der::OCTET_STRING, &content));
        der::group(der::SEQUENCE, &parts)
    };
    let purpose = [KEY_PURPOSE, &[if role == Role::Server { 1 } else { 2 }]].concat();
    let mut all = vec![
        // digitalSignature and keyEncipherment.
        extension(15, true, der::value(der::BIT_STRING, &[5, 0xa0])),
        extension(37, false, der::group(der::SEQUENCE, &[der::value(der::OID, &purpose)])),
        extension(19, true, der::group(der::SEQUENCE, &[])),
    ];
    if role == Role::Server {
        let name = host.split_once('@').map_or(host, |(_, name)| name);
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let mut names = vec![der::value(0x82, name.as_bytes())];
        names.extend(addresses.map(|ip| match ip {
            IpAddr::V4(ip) => der::value(0x87, &ip.octets()),
            IpAddr::V6(ip) => der::value(0x87, &ip.octets()),
        }));
        all.push(extension(17, false, der::group(der::SEQUENCE, &names)));
    }
    der::group(der::SEQUENCE, &all)
}

/// The private key in the form of RFC 5915, from that of RFC 5958.
fn sec1(pkcs8: &[u8], public: &[u8]) -> Option<Vec<u8>> {
    let mut outer = Reader(Reader(pkcs8).expect(der::SEQUENCE)?);
    outer.expect(der::INTEGER)?;
    outer.expect(der::SEQUENCE)?;
    let mut inner = Reader(Reader(outer.expect(der::OCTET_STRING)?).expect(der::SEQUENCE)?);
    inner.expect(der::INTEGER)?;
    let secret = inner.expect(der::OCTET_STRING)?;
    Some(der::group(
        der::SEQUENCE,
        &[
            der::positive(&[1]),
            der::value(der::OCTET_STRING, secret),
            der::value(der::context(0), &der::value(der::OID, P384)),
            der::value(der::context(1), &der::bits(public)),
        ],
    ))
}

fn key_pem(key: &PrivateKeyDer<'_>) -> String {
    armoured(key.secret_der(), "EC PRIVATE KEY")
}

/// A private key in PEM: of an elliptic curve, or of any kind in PKCS #8.
fn key_from_pem(text: &str) -> Option<PrivateKeyDer<'static>> {
    if let Some(der) = unarmoured(text, "EC PRIVATE KEY") {
        return Some(PrivateSec1KeyDer::from(der).into());
    }
    if let Some(der) = unarmoured(text, "RSA PRIVATE KEY") {
        return Some(rustls::pki_types::PrivatePkcs1KeyDer::from(der).into());
    }
    unarmoured(text, "PRIVATE KEY").map(|der| PrivatePkcs8KeyDer::from(der).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tls::provider;

    #[test]
    fn what_is_made_is_a_pair_that_rustls_takes() {
        for role in [Role::Server, Role::Client] {
            let made = make(role, "root@h").unwrap();
            let facts = made.certificate.facts();
            assert_eq!(facts.common_name, "root@h");
            assert_eq!(facts.not_after.duration_since(facts.not_before).as_secs(), 10 * 365 * 86400);
            let again = key_from_pem(&key_pem(&made.key)).unwrap();
            let signer = provider().key_provider.load_private_key(again).unwrap();
            let config = rustls::sign::CertifiedKey::new(made.chain(), signer);
            config.keys_match().unwrap();
            assert_eq!(Certificate::from_pem(&made.certificate.pem()).unwrap(), made.certificate);
        }
    }

    #[test]
    fn a_pair_is_made_once() {
        let directory = std::env::temp_dir().join(format!("lxbox-pair-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut told = 0;
        let first = load_or_make(&directory, Role::Server, "root@h", || told += 1).unwrap();
        let second = load_or_make(&directory, Role::Server, "root@h", || told += 1).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((first.certificate, told), (second.certificate, 1));
    }
}
