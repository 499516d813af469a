//! Messages that are signed with a key both sides know (TSIG, RFC 8945).

use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm, make_tsig_record};
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::BinEncoder;
use ring::hmac;

/// Seconds that the two clocks may differ.
pub const FUDGE: u16 = 300;

/// A key: the name that peers call it by, and the secret.
#[derive(Clone)]
pub struct Key {
    /// `ZONE_PEER.`, as LXD names it.
    pub name: Name,
    secret: Vec<u8>,
}

impl Key {
    /// The key of a zone's peer; `None` when the secret isn't base64.
    pub fn new(zone: &str, peer: &str, secret: &str) -> Option<Key> {
        let name = Name::from_ascii(format!("{}_{peer}.", zone.trim_end_matches('.'))).ok()?;
        let secret = data_encoding::BASE64.decode(secret.trim().as_bytes()).ok()?;
        Some(Key { name, secret })
    }
}

/// A signature, and the bytes it is for.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The message as it was before it was signed.
    pub message: Vec<u8>,
    /// The name of the key.
    pub key: Name,
    /// The signature.
    pub tsig: TSIG,
}

impl Signed {
    /// Whether it was signed with this key, at about `now` (seconds since 1970).
    pub fn by(&self, key: &Key, now: u64) -> bool {
        let allowed = u64::from(self.tsig.fudge.min(FUDGE));
        let in_time = now.abs_diff(self.tsig.time) <= allowed;
        let named = self.key.eq_ignore_root(&key.name);
        named && in_time && self.is_right(&key.secret).unwrap_or(false)
    }

    fn is_right(&self, secret: &[u8]) -> Option<bool> {
        let signed = [&self.message[..], &variables(&self.tsig, &self.key)?].concat();
        let key = hmac::Key::new(algorithm(&self.tsig.algorithm)?, secret);
        Some(hmac::verify(&key, &signed, &self.tsig.mac).is_ok())
    }
}

/// Signs the messages of an answer, one after the other.
pub struct Signer {
    key: Key,
    algorithm: TsigAlgorithm,
    id: u16,
    /// Of the message before: the question's at first.
    last: Vec<u8>,
    first: bool,
}

impl Signer {
    /// For the answer to a question that was signed with this key.
    pub fn new(question: &Signed, key: Key) -> Signer {
        let Signed { tsig, .. } = question;
        Signer { key, algorithm: tsig.algorithm.clone(), id: tsig.oid, last: tsig.mac.clone(), first: true }
    }

    /// The record to put at a message's end.
    pub fn sign(&mut self, message: &[u8], now: u64) -> Option<Record<TSIG>> {
        let tsig = TSIG::new(self.algorithm.clone(), now, FUDGE, Vec::new(), self.id, None, Vec::new());
        let mut signed = u16::try_from(self.last.len()).ok()?.to_be_bytes().to_vec();
        signed.extend(&self.last);
        signed.extend(message);
        if self.first {
            signed.extend(variables(&tsig, &self.key.name)?);
        } else {
            // Of the later messages only the times are signed (section 5.3.1).
            signed.extend(&now.to_be_bytes()[2..]);
            signed.extend(FUDGE.to_be_bytes());
        }
        self.first = false;
        self.last = mac(&self.algorithm, &self.key.secret, &signed)?;
        Some(make_tsig_record(self.key.name.clone(), tsig.set_mac(self.last.clone())))
    }
}

/// What of the signature's own record is signed too (section 4.3.3).
fn variables(tsig: &TSIG, key: &Name) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    tsig.emit_tsig_for_mac(&mut BinEncoder::new(&mut buffer), key).ok()?;
    Some(buffer)
}

/// The code of a message; `None` for algorithms that aren't taken.
fn mac(kind: &TsigAlgorithm, secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = hmac::Key::new(algorithm(kind)?, secret);
    Some(hmac::sign(&key, message).as_ref().to_vec())
}

fn algorithm(kind: &TsigAlgorithm) -> Option<hmac::Algorithm> {
    match kind {
        TsigAlgorithm::HmacSha1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        TsigAlgorithm::HmacSha256 => Some(hmac::HMAC_SHA256),
        TsigAlgorithm::HmacSha384 => Some(hmac::HMAC_SHA384),
        TsigAlgorithm::HmacSha512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// The code that a client would send.
#[cfg(test)]
pub fn code_for_tests(key: &Key, message: &[u8]) -> Vec<u8> {
    mac(&TsigAlgorithm::HmacSha256, &key.secret, message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfcs() {
        // RFC 2202 and RFC 4231, test case 2.
        let (key, text) = (b"Jefe", b"what do ya want for nothing?");
        for (algorithm, want) in [
            (TsigAlgorithm::HmacSha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (TsigAlgorithm::HmacSha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ] {
            assert_eq!(data_encoding::HEXLOWER.encode(&mac(&algorithm, key, text).unwrap()), want);
        }
        assert_eq!(mac(&TsigAlgorithm::HmacMd5, key, text), None);
        assert!(Key::new("z", "p", "not base64!").is_none());
    }
}
