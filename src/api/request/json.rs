//! Reading JSON bodies, with the texts a Go decoder gives for broken ones, since clients show them.

use serde::de::DeserializeOwned;

use crate::api::types;
use crate::{Error, Result};

/// Reads an object; `null` and missing members take their defaults, unknown ones are ignored.
///
/// # Errors
/// [`crate::Kind::Invalid`] with `EOF`, `unexpected EOF` or `invalid character …` as Go says them.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid("EOF"));
    }
    // Ansible sends `null` where there is nothing to say.
    let bytes = if bytes.trim_ascii() == b"null" { b"{}" } else { bytes };
    if let Some(kind) = other_kind(bytes) {
        return Err(Error::invalid(format!("json: cannot unmarshal {kind} into the request, which is an object")));
    }
    types::from_json(bytes).map_err(|e| Error::invalid(go_text(bytes, &e)))
}

/// What a document is that is no object. (A list would be read as the members of an object in their order.)
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes.trim_ascii_start().first()? {
        b'[' => Some("array"),
        b'"' => Some("string"),
        b'0'..=b'9' | b'-' => Some("number"),
        b't' | b'f' if serde_json::from_slice::<bool>(bytes).is_ok() => Some("bool"),
        _ => None,
    }
}

fn go_text(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".into();
    }
    if error.is_data() {
        return format!("json: cannot unmarshal the request: {error}");
    }
    let line = bytes.split(|b| *b == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b' ');
    format!("invalid character {:?} looking for beginning of value", char::from(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_bodies_get_the_text_clients_know() {
        let text = |body: &str| parse::<types::ProfilePut>(body.as_bytes()).err().map(|e| e.to_string());
        assert_eq!(text("").as_deref(), Some("EOF"));
        assert_eq!(text("xyz").as_deref(), Some("invalid character 'x' looking for beginning of value"));
        assert_eq!(text("{\"a\":").as_deref(), Some("unexpected EOF"));
        for (body, kind) in
            [("[]", "array"), (" [\"x\"]", "array"), ("\"x\"", "string"), ("1", "number"), ("true", "bool")]
        {
            assert!(
                text(body).is_some_and(|said| said.starts_with(&format!("json: cannot unmarshal {kind}"))),
                "{body}"
            );
        }
        assert_eq!(text("{\"config\":null,\"unknown\":[1]}"), None);
    }
}
