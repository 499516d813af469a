//! `lxd recover`: asks which pools to look at, shows what is lost on them, brings it back.
//!
//! LXD 5.0's questions, in its order, with its defaults: its answers can be piped in. Both requests are `/internal/recover`'s.

use std::io::{BufRead, Write};

use serde_json::Value;

use super::api::Api;
use super::ask::Ask;
use crate::api::tree::FromTree;
use crate::api::types::{
    ConfigMap, RecoverPost, RecoverResult, RecoverVolume, StoragePool, StoragePoolsPost, from_tree,
};
use crate::error::{Error, Result};
use crate::order::Order;

/// Carries out `lxd recover`. Blocks, also on the answers.
///
/// # Errors
/// What the daemon refuses, and answers that end early. Nothing is changed before the last answer.
pub(super) fn run<I: BufRead, O: Write>(ask: &mut Ask<I, O>, api: &impl Api) -> Result<()> {
    let existing: Vec<StoragePool> = read(api.get("/1.0/storage-pools?recursion=1")?.metadata)?;
    ask.say("This LXD server currently has the following storage pools:")?;
    for pool in &existing {
        ask.say(&format!(" - {} (backend={:?}, source={:?})", pool.name, pool.driver, source(&pool.config)))?;
    }
    let drivers = drivers(&api.get("/1.0")?.metadata);
    let mut unknown = Vec::new();
    while ask.yes("Would you like to recover another storage pool?", false)? {
        let pool = unknown_pool(ask, &drivers, &unknown)?;
        unknown.push(pool);
    }
    ask.say("The recovery process will be scanning the following storage pools:")?;
    let known: Vec<StoragePoolsPost> = existing.into_iter().map(post).collect();
    for (word, pools) in [("EXISTING", &known), ("NEW", &unknown)] {
        for pool in pools {
            let StoragePoolsPost { name, driver, config, .. } = pool;
            ask.say(&format!(" - {word}: {name:?} (backend={driver:?}, source={:?})", source(config)))?;
        }
    }
    if !ask.yes("Would you like to continue with scanning for lost volumes?", true)? {
        return Ok(());
    }
    ask.say("Scanning for unknown volumes...")?;
    let pools = serde_json::to_value(RecoverPost { pools: Some(known.into_iter().chain(unknown).collect()) });
    let pools = pools.map_err(|e| Error::internal(e.to_string()))?;
    if !found(ask, api, &pools)? {
        return ask.say("No unknown volumes found. Nothing to do.");
    }
    if !ask.yes("Would you like those to be recovered?", false)? {
        return Ok(());
    }
    ask.say("Starting recovery...")?;
    let failed = |e: Error| Error::new(e.kind(), format!("Failed import request: {e}"));
    api.post("/internal/recover/import", &pools).map_err(failed)
}

/// Shows what is lost, until nothing is missing to bring it back. Whether anything is lost.
fn found<I: BufRead, O: Write>(ask: &mut Ask<I, O>, api: &impl Api, pools: &Value) -> Result<bool> {
    loop {
        let failed = |e: Error| Error::new(e.kind(), format!("Failed validation request: {e}"));
        let reply = api.call("POST", "/internal/recover/validate", Some(pools), None).map_err(failed)?;
        let result: RecoverResult = read(reply.metadata)?;
        let volumes = result.unknown_volumes.unwrap_or_default();
        let missing = result.dependency_errors.unwrap_or_default();
        if !volumes.is_empty() {
            ask.say("The following unknown volumes have been found:")?;
        }
        for RecoverVolume { name, kind, snapshots, project, pool } in &volumes {
            let kind = kind_word(kind);
            let text =
                format!(" - {kind} {name:?} on pool {pool:?} in project {project:?} (includes {snapshots} snapshots)");
            ask.say(&text)?;
        }
        if missing.is_empty() {
            return Ok(!volumes.is_empty());
        }
        ask.say("You are currently missing the following:")?;
        for text in missing {
            ask.say(&format!(" - {text}"))?;
        }
        ask.maybe_text("Please create those missing entries and then hit ENTER", |_| Ok(()))?;
    }
}

fn unknown_pool<I: BufRead, O: Write>(
    ask: &mut Ask<I, O>,
    drivers: &[String],
    others: &[StoragePoolsPost],
) -> Result<StoragePoolsPost> {
    let wrong = |text: String| Err(format!("Invalid input: {text}\n"));
    let name = ask.maybe_text("Name of the storage pool", |name| match name {
        "" => wrong("Pool name cannot be empty".into()),
        name if others.iter().any(|pool| pool.name == name) => {
            wrong(format!("Storage pool {name:?} is already on recover list"))
        }
        _ => Ok(()),
    })?;
    let question = format!("Name of the storage backend ({})", drivers.join(", "));
    let driver = ask.maybe_text(&question, |driver| match drivers.iter().any(|known| known == driver) {
        true => Ok(()),
        false => wrong(format!("Invalid value {driver:?} (not one of [{}])", drivers.join(" "))),
    })?;
    let question = "Source of the storage pool (block device, volume group, dataset, path, ... as applicable)";
    let source = ask.maybe_text(question, |source| match source {
        "" => wrong("Required value".into()),
        _ => Ok(()),
    })?;
    let mut config = ConfigMap::from([("source".to_string(), source)]);
    loop {
        let question = "Additional storage pool configuration property (KEY=VALUE, empty when done)";
        let pair = ask.maybe_text(question, |pair| match pair.is_empty() || pair.contains('=') {
            true => Ok(()),
            false => wrong("Config option should be in the format KEY=VALUE".into()),
        })?;
        let Some((key, value)) = pair.split_once('=') else { break };
        config.insert(key.to_string(), value.to_string());
    }
    Ok(StoragePoolsPost { name, driver, config, ..StoragePoolsPost::default() })
}

fn post(pool: StoragePool) -> StoragePoolsPost {
    let StoragePool { name, driver, config, description, .. } = pool;
    StoragePoolsPost { name, driver, config, description }
}

fn source(config: &ConfigMap) -> &str {
    config.get("source").map_or("", String::as_str)
}

/// What LXD calls a kind of volume here.
fn kind_word(kind: &str) -> &str {
    match kind {
        "container" => "Container",
        "virtual-machine" => "Virtual-Machine",
        "custom" => "Volume",
        other => other,
    }
}

/// Storage drivers the server has.
fn drivers(server: &Value) -> Vec<String> {
    let told = server.pointer("/environment/storage_supported_drivers").and_then(Value::as_array);
    let mut names: Vec<String> =
        told.into_iter().flatten().filter_map(|driver| driver["Name"].as_str()).map(str::to_string).collect();
    names.order();
    names
}

fn read<T: FromTree>(value: Value) -> Result<T> {
    from_tree(&value).map_err(|e| Error::internal(format!("Failed reading the server's answer: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::init::fake::Fake;
    use super::*;

    fn talk(fake: &Fake, answers: &str) -> (Result<()>, String) {
        let mut out = Vec::new();
        let result = run(&mut Ask::script(answers.as_bytes(), &mut out), fake);
        (result, String::from_utf8(out).unwrap())
    }

    fn server(found: Value) -> Fake {
        let mut fake = Fake::new();
        let pool = json!({"name": "p", "driver": "dir", "config": {"source": "/p"}, "used_by": []});
        fake.add("/1.0/storage-pools?recursion=1", json!([pool])).add("/internal/recover/validate", found);
        fake
    }

    #[test]
    fn asks_in_the_order_of_lxd() {
        let lost = json!({"UnknownVolumes": [{"name": "c", "type": "container", "snapshotCount": 2, "project": "default", "pool": "q"}],
            "DependencyErrors": null});
        let fake = server(lost);
        let (result, shown) = talk(&fake, "yes\n\nq\nbtrfs\ndir\n\n/q\nx\na=b=c\n\ny\nq\nr\ndir\n/r\n\n\n\nyes\n");
        result.unwrap();
        let want = "This LXD server currently has the following storage pools:\n - p (backend=\"dir\", source=\"/p\")\n\
            Would you like to recover another storage pool? (yes/no) [default=no]: \
            Name of the storage pool: Invalid input: Pool name cannot be empty\n\n\
            Name of the storage pool: \
            Name of the storage backend (dir, overlay): Invalid input: Invalid value \"btrfs\" (not one of [dir overlay])\n\n\
            Name of the storage backend (dir, overlay): \
            Source of the storage pool (block device, volume group, dataset, path, ... as applicable): Invalid input: Required value\n\n\
            Source of the storage pool (block device, volume group, dataset, path, ... as applicable): \
            Additional storage pool configuration property (KEY=VALUE, empty when done): \
            Invalid input: Config option should be in the format KEY=VALUE\n\n\
            Additional storage pool configuration property (KEY=VALUE, empty when done): \
            Additional storage pool configuration property (KEY=VALUE, empty when done): \
            Would you like to recover another storage pool? (yes/no) [default=no]: \
            Name of the storage pool: Invalid input: Storage pool \"q\" is already on recover list\n\n\
            Name of the storage pool: Name of the storage backend (dir, overlay): \
            Source of the storage pool (block device, volume group, dataset, path, ... as applicable): \
            Additional storage pool configuration property (KEY=VALUE, empty when done): \
            Would you like to recover another storage pool? (yes/no) [default=no]: \
            The recovery process will be scanning the following storage pools:\n \
            - EXISTING: \"p\" (backend=\"dir\", source=\"/p\")\n \
            - NEW: \"q\" (backend=\"dir\", source=\"/q\")\n \
            - NEW: \"r\" (backend=\"dir\", source=\"/r\")\n\
            Would you like to continue with scanning for lost volumes? (yes/no) [default=yes]: \
            Scanning for unknown volumes...\n\
            The following unknown volumes have been found:\n \
            - Container \"c\" on pool \"q\" in project \"default\" (includes 2 snapshots)\n\
            Would you like those to be recovered? (yes/no) [default=no]: Starting recovery...\n";
        assert_eq!(shown, want);
        let asked = fake.changes();
        assert_eq!(asked.len(), 2);
        let import = asked[1].strip_prefix("POST /internal/recover/import ").unwrap();
        assert_eq!(Some(import), asked[0].strip_prefix("POST /internal/recover/validate "));
        let import: Value = serde_json::from_str(import).unwrap();
        assert_eq!(import["pools"][1]["config"], json!({"a": "b=c", "source": "/q"}));
    }

    #[test]
    fn what_is_missing_is_waited_for() {
        let lost = json!({"UnknownVolumes": [{"name": "c", "type": "container"}], "DependencyErrors": ["Profile \"x\" in project \"default\""]});
        let fake = server(lost);
        let (result, shown) = talk(&fake, "\n\n\n");
        assert_eq!(result.unwrap_err().message(), "EOF");
        assert_eq!(fake.changes().len(), 2);
        let want = "You are currently missing the following:\n - Profile \"x\" in project \"default\"\n\
            Please create those missing entries and then hit ENTER: ";
        assert_eq!(shown.matches(want).count(), 2);
    }

    #[test]
    fn nothing_lost_is_said_and_no_is_no() {
        let fake = server(json!({"UnknownVolumes": null, "DependencyErrors": null}));
        assert!(
            talk(&fake, "\n\n")
                .1
                .ends_with("Scanning for unknown volumes...\nNo unknown volumes found. Nothing to do.\n")
        );
        let fake = server(Value::Null);
        talk(&fake, "no\nno\n").0.unwrap();
        assert!(fake.changes().is_empty());
    }
}
