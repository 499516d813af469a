//! `lxc query`.

use argh::{ArgsInfo, FromArgs};
use bytes::Bytes;
use hyper::Method;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::api::client::{Client, Download};
use crate::cli::context::Context;
use crate::cli::output::{emit, json_indented, say, sorted};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

/// The largest answer, in bytes; what is longer is something else.
const MAX_ANSWER: usize = 512 << 20;

/// `lxc query`.
#[derive(FromArgs, ArgsInfo)]
pub struct Query {
    /// JSON
    #[argh(option)]
    data: Option<String>,
    /// as it came
    #[argh(switch)]
    raw: bool,
    /// HTTP method
    #[argh(option)]
    request: String,
    /// wait for the operation
    #[argh(switch)]
    wait: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc query`.
pub fn query(cx: &Context, args: Query) -> Result<i32> {
    if cx.project.is_some() {
        return Err(Error::invalid("--project cannot be used with the query command"));
    }
    let word = &args.words[0];
    // A colon may also stand in the path itself.
    let target = match word.starts_with('/') {
        true => cx.target("")?,
        false => cx.target(word)?,
    };
    let address = if word.starts_with('/') { word.as_str() } else { &target.name };
    if !address.starts_with('/') {
        return Err(Error::invalid("Query path must start with /"));
    }
    let method = Method::from_bytes(args.request.as_bytes())
        .map_err(|_| Error::invalid(format!("Invalid HTTP method {:?}", args.request)))?;
    let client = target.client.in_project("");
    let data = args.data.as_deref().map_or_else(Bytes::new, body);
    let Some(mut answer) = ask(&client, method, address, data)? else { return Ok(0) };
    if args.wait
        && let Some(operation) = answer["operation"].as_str().filter(|operation| !operation.is_empty())
    {
        let wait = format!("{operation}/wait");
        answer = ask(&client, Method::GET, &wait, Bytes::new())?.unwrap_or_default();
        if let Some(failed) = answer["metadata"]["err"].as_str().filter(|failed| !failed.is_empty()) {
            return Err(Error::invalid(failed));
        }
    }
    match &answer["metadata"] {
        _ if args.raw => say!("{}\n", json_indented(&answer)),
        Value::Null => {}
        Value::Object(map) if map.is_empty() => {}
        value => say!("{}\n", json_indented(&sorted(value))),
    }
    Ok(0)
}

/// Asks, and returns LXD's answer. One that is none, such as a file, is written to standard output.
/// What is sent: JSON as it is, another text as a JSON string.
fn body(data: &str) -> Bytes {
    let json = serde_json::from_str::<IgnoredAny>(data).is_ok();
    if json { Bytes::copy_from_slice(data.as_bytes()) } else { Value::from(data).to_string().into() }
}

fn ask(client: &Client, method: Method, address: &str, data: Bytes) -> Result<Option<Value>> {
    if method == Method::GET && data.is_empty() {
        return match content(client.download(address).wait()?)? {
            Some(text) => answered(&text),
            None => Ok(None),
        };
    }
    let (status, text) = client.raw(method, address, data).wait()?;
    match status {
        ..400 => answered(&text),
        status => match answer(&text) {
            Some(answer) => Err(refusal(&answer)),
            None => Err(Error::invalid(format!("The server answered {address:?} with status {status} and no JSON"))),
        },
    }
}

/// Returns what may be an answer, and writes anything else to standard output as it comes.
fn content(mut download: Download) -> Result<Option<Vec<u8>>> {
    let (mut text, mut json) = (Vec::new(), None);
    while let Some(piece) = download.next().wait()? {
        if piece.is_empty() {
            continue;
        }
        text.extend_from_slice(&piece);
        let begun = *json.get_or_insert_with(|| text.starts_with(b"{"));
        json = Some(begun && text.len() <= MAX_ANSWER);
        if json == Some(false) {
            emit(&text);
            text.clear();
        }
    }
    Ok((json == Some(true)).then_some(text))
}

/// LXD's answer in a text; another text is written to standard output.
fn answered(text: &[u8]) -> Result<Option<Value>> {
    match answer(text) {
        Some(answer) if answer["type"] == "error" => Err(refusal(&answer)),
        Some(answer) => Ok(Some(answer)),
        None => {
            emit(text);
            Ok(None)
        }
    }
}

fn answer(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    matches!(value["type"].as_str(), Some("sync" | "async" | "error")).then_some(value)
}

fn refusal(answer: &Value) -> Error {
    Error::invalid(answer["error"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_type() {
        assert_eq!((&*body("{\"a\": 1}"), &*body("a\"b")), (&b"{\"a\": 1}"[..], &br#""a\"b""#[..]));
        assert_eq!(answer(br#"{"type":"sync","metadata":1}"#).unwrap()["metadata"], 1);
        for text in ["hi", "{", "{}", "[1]", r#"{"type":"disk"}"#] {
            assert!(answer(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(answered(br#"{"type":"error","error":"no"}"#).unwrap_err().message(), "no");
    }
}
