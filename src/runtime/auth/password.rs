//! The password that lets new clients in: kept as a salted hash that is slow to guess at (PBKDF2, RFC 8018).

use std::num::NonZeroU32;

use data_encoding::HEXLOWER;
use ring::pbkdf2::{PBKDF2_HMAC_SHA512, derive, verify};

use crate::runtime::random;

/// What a kept password begins with.
const SCHEME: &str = "pbkdf2-sha512";
/// Rounds of a new hash: about a sixth of a second of a processor.
const ROUNDS: NonZeroU32 = NonZeroU32::new(210_000).unwrap();

/// What is kept of a password. Takes a good part of a second of a processor.
pub fn hash(password: &str) -> String {
    let (salt, mut key) = (random::bytes::<16>(), [0; 32]);
    derive(PBKDF2_HMAC_SHA512, ROUNDS, &salt, password.as_bytes(), &mut key);
    format!("{SCHEME}${ROUNDS}${}${}", HEXLOWER.encode(&salt), HEXLOWER.encode(&key))
}

/// Whether this is the password that was kept so; takes as long either way, and as long as [`hash`].
pub fn matches(kept: &str, password: &str) -> bool {
    let parts: Vec<&str> = kept.split('$').collect();
    let [SCHEME, rounds, salt, key] = parts[..] else { return false };
    let (Ok(rounds), Ok(salt), Ok(key)) =
        (rounds.parse(), HEXLOWER.decode(salt.as_bytes()), HEXLOWER.decode(key.as_bytes()))
    else {
        return false;
    };
    verify(PBKDF2_HMAC_SHA512, rounds, &salt, password.as_bytes(), &key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_matches() {
        let kept = hash("sekret");
        assert!(!kept.contains("sekret"));
        assert!(matches(&kept, "sekret"));
        for (kept, password) in [(kept.as_str(), ""), (&kept, "sekres"), ("", ""), ("sekret", "sekret"), ("a$0$$", "")]
        {
            assert!(!matches(kept, password));
        }
    }
}
