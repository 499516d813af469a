//! `lxc delete`.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::Value;

use crate::api::client::path;
use crate::api::types::InstanceStatePut;
use crate::cli::context::{Context, Target};
use crate::cli::input::confirmed;
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Kind, Result};

/// `lxc delete`.
#[derive(FromArgs, ArgsInfo)]
pub struct Delete {
    /// running ones too
    #[argh(switch)]
    force: bool,
    /// ask before each
    #[argh(switch)]
    interactive: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc delete`.
pub fn delete(cx: &Context, args: Delete) -> Result<i32> {
    let targets = args.words.iter().map(|word| cx.named(word, "instance name")).collect::<Result<Vec<_>>>()?;
    // Nothing is deleted when one of the names is wrong.
    for target in &targets {
        let full = format!("{}:{}", target.remote, target.name);
        let found: Result<Value> = target.client.read(&address(target));
        let what = if target.name.contains('/') { "instance snapshot" } else { "instance" };
        found.map_err(|e| Error::new(e.kind(), format!("Failed checking {what} exists {full:?}: {}", e.message())))?;
    }
    for target in &targets {
        if args.interactive && !confirmed(&format!("Remove {} (yes/no): ", target.name))? {
            return Err(Error::invalid("User aborted delete operation"));
        }
        if !target.name.contains('/') && stop_first(target, args.force)? {
            continue;
        }
        let deleted = target.client.delete(&address(target)).wait();
        deleted.map_err(|e| {
            Error::new(
                e.kind(),
                format!(
                    "Failed deleting instance {:?} in project {:?}: {}",
                    target.name,
                    target.project(),
                    e.message()
                ),
            )
        })?;
    }
    Ok(0)
}

/// The URL of an instance, or of a snapshot given as `instance/snapshot`.
fn address(target: &Target) -> String {
    match target.name.split_once('/') {
        Some((instance, snapshot)) => path(&["instances", instance, "snapshots", snapshot]),
        None => path(&["instances", &target.name]),
    }
}

/// Stops a running instance when forced; tells whether it is gone by that (an ephemeral one).
fn stop_first(target: &Target, force: bool) -> Result<bool> {
    let found: Value = target.client.read(&address(target))?;
    if matches!(found["status_code"].as_u64(), Some(102 | 112)) {
        return Ok(false);
    }
    if !force {
        return Err(Error::new(Kind::Conflict, "The instance is currently running, stop it first or pass --force"));
    }
    let put = InstanceStatePut { action: "stop".into(), timeout: -1, force: true, stateful: false };
    let stopped = target.client.send(Method::PUT, &path(&["instances", &target.name, "state"]), &put).wait();
    stopped.map_err(|e| Error::new(e.kind(), format!("Stopping the instance failed: {}", e.message())))?;
    Ok(found["ephemeral"] == true)
}
