//! Reading JSON bodies, with the texts a Go decoder gives for broken ones, since clients show them.

use serde_json::{Map, Value};

use crate::api::tree::FromTree;
use crate::api::types::from_request;
use crate::{Error, Result};

/// Reads an object by the rules of [`from_request`]; missing members take their defaults, unknown ones are ignored, and so is
/// what follows the object.
///
/// # Errors
/// [`crate::Kind::Invalid`] with `EOF`, `unexpected EOF` or `invalid character …` as Go says them.
pub fn parse<T: FromTree>(bytes: &[u8]) -> Result<T> {
    read(&tree(bytes)?)
}

/// What a PATCH names, all of which a `T` could have.
///
/// # Errors
/// Those of [`parse`].
pub fn parse_patch<T: FromTree>(bytes: &[u8]) -> Result<Value> {
    let tree = tree(bytes)?;
    read::<T>(&tree)?;
    Ok(tree)
}

fn read<T: FromTree>(tree: &Value) -> Result<T> {
    from_request(tree).map_err(|e| Error::invalid(format!("json: cannot unmarshal the request: {e}")))
}

/// The first value of a body, which has to be an object.
fn tree(bytes: &[u8]) -> Result<Value> {
    let first = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>().next();
    let kind = match first.ok_or_else(|| Error::invalid("EOF"))?.map_err(|e| Error::invalid(go_text(bytes, &e)))? {
        tree @ Value::Object(_) => return Ok(tree),
        // Ansible sends `null` where there is nothing to say.
        Value::Null => return Ok(Value::Object(Map::new())),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    Err(Error::invalid(format!("json: cannot unmarshal {kind} into the request, which is an object")))
}

fn go_text(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".into();
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
        let text = |body: &str| parse::<crate::api::types::ProfilePut>(body.as_bytes()).err().map(|e| e.to_string());
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
        assert_eq!(text("{} {"), None);
        assert_eq!(text("{\"config\":null,\"unknown\":[1]}"), None);
    }
}
