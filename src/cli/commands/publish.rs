//! `lxc publish`.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::{Value, json};

use super::image::alias::ensure;
use crate::api::client::path;
use crate::api::types::{InstanceStatePut, Timestamp};
use crate::cli::context::{Context, Target};
use crate::cli::input::overrides;
use crate::cli::output::{note, say};
use crate::cli::wait::{Read, Wait};
use crate::cli::waiting::run;
use crate::error::{Error, Kind, Result};

/// `lxc publish`.
#[derive(FromArgs, ArgsInfo)]
pub struct Publish {
    /// names
    #[argh(option)]
    alias: Vec<String>,
    /// how to compress
    #[argh(option)]
    compression: Option<String>,
    /// when it may go
    #[argh(option)]
    expire: Option<String>,
    /// stop it
    #[argh(switch)]
    force: bool,
    /// public
    #[argh(switch)]
    public: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc publish`.
pub fn publish(cx: &Context, args: Publish) -> Result<i32> {
    let source = cx.named(&args.words[0], "instance name")?;
    let (to, pairs) = match &args.words[1..] {
        [word, rest @ ..] if !word.contains('=') => (Some(cx.target(word)?), rest),
        rest => (None, rest),
    };
    if to.as_ref().is_some_and(|to| !to.name.is_empty()) {
        return Err(Error::invalid("There is no \"image name\".  Did you want an alias?"));
    }
    if to.as_ref().is_some_and(|to| to.remote != source.remote) {
        return Err(Error::unsupported("Publishing an instance on another server"));
    }
    let post = request(&source, &args, pairs)?;
    if args.compression.is_some() {
        source.client.require("image_compression_algorithm").wait()?;
    }
    let stopped = match source.name.contains('/') {
        true => None,
        false => stop(&source, args.force)?,
    };
    let made = run(cx, &source.client, (Method::POST, "/1.0/images", &post), "Publishing instance: ");
    if let Some(ephemeral) = stopped {
        start(&source, ephemeral);
    }
    let made = made?;
    let fingerprint = made.as_ref().and_then(|operation| operation.metadata.as_ref());
    let fingerprint = fingerprint.and_then(|all| all.get("fingerprint")).and_then(Value::as_str);
    let fingerprint = fingerprint.ok_or_else(|| Error::internal("The server did not say the image's fingerprint"))?;
    for alias in &args.alias {
        ensure(&source, alias, fingerprint)?;
    }
    say!("Instance published with fingerprint: {fingerprint}");
    Ok(0)
}

fn request(source: &Target, args: &Publish, pairs: &[String]) -> Result<Value> {
    let properties = overrides(pairs)?;
    let kind = if source.name.contains('/') { "snapshot" } else { "instance" };
    let mut post = json!({
        "source": { "type": kind, "name": source.name }, "public": args.public,
        "compression_algorithm": args.compression.as_deref().unwrap_or(""),
    });
    if !properties.is_empty() {
        post["properties"] = json!(properties);
    }
    if let Some(text) = &args.expire {
        let wrong = || Error::invalid(format!("Invalid expiration date: {text:?} is not like 2030-12-31T23:59:59Z"));
        post["expires_at"] = json!(Timestamp::parse(text).ok_or_else(wrong)?);
    }
    Ok(post)
}

/// Stops a running instance when forced. Says whether it is to be started again, and whether it is ephemeral, which it
/// must not be while it is stopped.
fn stop(source: &Target, force: bool) -> Result<Option<bool>> {
    let address = path(&["instances", &source.name]);
    let (found, etag): (Value, String) = source.client.read_with_etag(&address)?;
    if matches!(found["status_code"].as_u64(), Some(0 | 102 | 112)) {
        return Ok(None);
    }
    if !force {
        let text = "The instance is currently running. Use --force to have it stopped and restarted";
        return Err(Error::new(Kind::Conflict, text));
    }
    let ephemeral = found["ephemeral"] == true;
    if ephemeral {
        set_ephemeral(source, (found, etag), false)?;
    }
    let put = InstanceStatePut { action: "stop".into(), timeout: -1, force: true, stateful: false };
    let stopped = source.client.send(Method::PUT, &path(&["instances", &source.name, "state"]), &put).wait();
    stopped.map_err(|e| Error::new(e.kind(), format!("Stopping the instance failed: {}", e.message())))?;
    Ok(Some(ephemeral))
}

/// Starts what was stopped. The image is there by then: a failure is said and ends nothing.
fn start(source: &Target, ephemeral: bool) {
    let put = InstanceStatePut { action: "start".into(), timeout: -1, ..InstanceStatePut::default() };
    let started = source.client.send(Method::PUT, &path(&["instances", &source.name, "state"]), &put).wait();
    if let Err(error) = started {
        note!("Starting the instance again failed: {}", error.message());
    }
    if ephemeral {
        let found = source.client.read_with_etag(&path(&["instances", &source.name]));
        let set = match found {
            Ok(found) => set_ephemeral(source, found, true),
            Err(error) => Err(error),
        };
        if let Err(error) = set {
            note!("Making the instance ephemeral again failed: {}", error.message());
        }
    }
}

fn set_ephemeral(source: &Target, found: (Value, String), ephemeral: bool) -> Result<()> {
    let (instance, etag) = found;
    let mut put = json!({});
    for key in ["architecture", "config", "devices", "profiles", "stateful", "description"] {
        put[key] = instance[key].clone();
    }
    put["ephemeral"] = ephemeral.into();
    source.client.put(&path(&["instances", &source.name]), &put, &etag).wait()
}
