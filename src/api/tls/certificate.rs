//! A certificate: its bytes, what it is known by, and the little of it that people are shown.

use data_encoding::BASE64;
use jiff::civil::{Date, DateTime, Time};
use ring::digest::{SHA256, digest};

use super::der::{self, Reader};
use crate::error::{Error, Result};

/// The largest certificate that is taken, in bytes of DER.
const LARGEST: usize = 64 << 10;

/// A certificate (X.509, RFC 5280). Its signature is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
}

/// What a certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The subject's common name; may be empty.
    pub common_name: String,
    /// From when on it is valid, in UTC.
    pub not_before: DateTime,
    /// Until when it is valid, likewise. Not a timestamp: those end before the certificates that are meant to be good for ever.
    pub not_after: DateTime,
}

fn malformed() -> Error {
    Error::invalid("Invalid certificate material: x509: malformed certificate")
}

impl Certificate {
    /// Takes the DER form.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) when it is none.
    pub fn from_der(der: &[u8]) -> Result<Certificate> {
        let certificate = Certificate { der: der.to_vec() };
        let known = der.len() <= LARGEST && facts(der).is_some();
        if known { Ok(certificate) } else { Err(malformed()) }
    }

    /// Takes the first certificate of a PEM file (RFC 7468).
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) when there is none.
    pub fn from_pem(text: &str) -> Result<Certificate> {
        let der = unarmoured(text, "CERTIFICATE").ok_or_else(|| Error::invalid("Invalid certificate: no PEM block"))?;
        Certificate::from_der(&der)
    }

    /// The DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM form, as LXD stores and shows it.
    pub fn pem(&self) -> String {
        armoured(&self.der, "CERTIFICATE")
    }

    /// SHA-256 of the DER form in lower case hexadecimal digits: what it is known by.
    pub fn fingerprint(&self) -> String {
        digest(&SHA256, &self.der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What it says.
    pub fn facts(&self) -> Facts {
        facts(&self.der).unwrap_or_default()
    }

    /// Whether it is valid at this time, in UTC.
    pub fn is_valid_at(&self, now: DateTime) -> bool {
        let facts = self.facts();
        (facts.not_before..=facts.not_after).contains(&now)
    }
}

/// PEM of these bytes.
pub(super) fn armoured(der: &[u8], label: &str) -> String {
    let text = BASE64.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + &format!("-----END {label}-----\n")
}

/// The bytes of the first PEM block of this label.
pub(super) fn unarmoured(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(body.as_bytes()).ok()
}

/// RFC 5280 section 4.1.
fn facts(bytes: &[u8]) -> Option<Facts> {
    let mut outer = Reader(bytes);
    let mut certificate = Reader(outer.expect(der::SEQUENCE)?);
    if !outer.0.is_empty() {
        return None;
    }
    let mut signed = Reader(certificate.expect(der::SEQUENCE)?);
    certificate.expect(der::SEQUENCE)?;
    certificate.expect(der::BIT_STRING)?;
    signed.skip_optional(der::context(0));
    signed.expect(der::INTEGER)?;
    signed.expect(der::SEQUENCE)?;
    signed.expect(der::SEQUENCE)?;
    let mut validity = Reader(signed.expect(der::SEQUENCE)?);
    let subject = signed.expect(der::SEQUENCE)?;
    signed.expect(der::SEQUENCE)?;
    let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
    Some(Facts { common_name: common_name(subject), not_before, not_after })
}

/// The last common name, as Go has it.
fn common_name(subject: &[u8]) -> String {
    let (mut names, mut found) = (Reader(subject), String::new());
    while let Some(set) = names.expect(der::SET) {
        let mut set = Reader(set);
        while let Some(pair) = set.expect(der::SEQUENCE) {
            let mut pair = Reader(pair);
            if pair.expect(der::OID) == Some(super::pair::COMMON_NAME)
                && let Some((_, text)) = pair.next()
            {
                found = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect();
            }
        }
    }
    found
}

/// The time of a UTCTime or GeneralizedTime, both of which end in seconds and `Z` (RFC 5280 section 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<DateTime> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |at: std::ops::Range<usize>| {
        digits.get(at).map(|part| part.iter().fold(0, |n, d| n * 10 + i32::from(d - b'0')))
    };
    let (year, rest) = match (tag, digits.len()) {
        (der::UTC_TIME, 12) => (number(0..2).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        (der::GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let part = |n: usize| number(rest + 2 * n..rest + 2 * n + 2).and_then(|v| i8::try_from(v).ok());
    let date = Date::new(i16::try_from(year).ok()?, part(0)?, part(1)?).ok()?;
    let clock = Time::new(part(2)?, part(3)?, part(4)?.min(59), 0).ok()?;
    Some(date.to_datetime(clock))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(time((der::UTC_TIME, b"700101000000Z")), Some(date(1970, 1, 1).at(0, 0, 0, 0)));
        assert_eq!(time((der::UTC_TIME, b"261122051202Z")), Some(date(2026, 11, 22).at(5, 12, 2, 0)));
        assert_eq!(time((der::GENERALIZED_TIME, b"20500101000000Z")), Some(date(2050, 1, 1).at(0, 0, 0, 0)));
        assert_eq!(time((der::GENERALIZED_TIME, b"99991231235959Z")), Some(date(9999, 12, 31).at(23, 59, 59, 0)));
        for bad in [&b"700101000000"[..], b"701301000000Z", b"7001010000Z", b"7001010000+1Z"] {
            assert_eq!(time((der::UTC_TIME, bad)), None);
        }
    }

    #[test]
    fn rubbish_is_no_certificate() {
        assert!(Certificate::from_der(b"xxx").is_err());
        assert!(Certificate::from_pem("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").is_err());
        assert_eq!(unarmoured(&armoured(&[7; 100], "X"), "X"), Some(vec![7; 100]));
    }
}
