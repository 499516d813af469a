//! Asks a real LXD 5.0.2 for each row of the table whether it knows the key, and what it says of a wrong value.
//!
//! Runs only when `LXBOX_ORACLE_SOCKET` names the unix socket of such a server (a fresh one: things called `oracle*`
//! are made and deleted on it, and its default pool must be of the driver `dir`). Everything is tried and all
//! differences are printed, so that one run shows what there is to mend.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use lxbox::api::config::{
    self, Entity, Key, Kind,
    instance::{self, Target},
};
use lxbox::api::types::{ConfigMap, Devices};
use serde_json::{Value, json};

/// Rows a dir-only server without virtual machines, OVN and further tools cannot be asked about, or that are ours.
const SKIPPED: &[(&str, &str)] = &[
    ("storage-overlay", "*"),
    ("storage-btrfs", "*"),
    ("storage-ceph", "*"),
    ("storage-cephfs", "*"),
    ("storage-cephobject", "*"),
    ("storage-lvm", "*"),
    ("storage-zfs", "*"),
    ("device-nic-ovn", "*"),
    // Known for virtual machines alone, and volatile keys can't be asked about without an instance.
    ("instance", "volatile.apply_nvram"),
    // Of later servers: where a filtered device has an address of its network's choice.
    ("instance", "volatile.NAME.last_state.ip_addresses"),
    // Also of later servers.
    ("instance", "security.syscalls.intercept.sysinfo"),
    // Documented for 5.0, refused by its server.
    ("network-bridge", "bgp.ipv4.nexthop"),
    ("network-bridge", "bgp.ipv6.nexthop"),
];

/// Keys of later LXDs and of Incus: neither side may know them.
const UNKNOWN: &[(&str, &[&str])] = &[
    (
        "instance",
        &["boot.mode", "security.csm", "limits.cpu.nodes", "placement.group", "volatile.uuid.generation", "oci.uid"],
    ),
    ("server", &["core.storage_buckets_address", "loki.api.url", "oidc.issuer", "instances.nic.host_name"]),
    ("project", &["features.storage.buckets", "restricted.storage-pools.access", "limits.disk.pool.x"]),
    ("device-disk", &["io.cache", "io.bus", "initial.uid", "source.type"]),
    ("device-nic-bridged", &["queue.tx.length", "limits.priority", "connected"]),
    ("device-nic-routed", &["vrf"]),
    ("device-usb", &["serial", "busnum"]),
    ("device-unix-hotplug", &["subsystem", "ownership.inherit"]),
    ("storage-dir", &["size", "source.recover", "volume.zfs.blocksize"]),
    ("network-bridge", &["ipv6.ra", "dns.nameservers", "bridge.multicast_snooping"]),
    ("network-macvlan", &["bridge.mtu"]),
];

/// Where the text differs and why that is well.
const OTHER_TEXT: &[(&str, &str)] = &[
    ("cloud-init.network-config", "the YAML reader has words of its own"),
    ("limits.kernel.x", "refused only when the container is started"),
    ("images.default_architecture", "LXD lists them in a random order"),
    ("storage.backups_volume", "LXD asks for this after the unknown key"),
    ("storage.images_volume", "LXD asks for this after the unknown key"),
    ("device-nic-bridged ipv4.address", "LXD looks at the parent bridge first"),
    ("device-nic-bridged ipv6.address", "LXD looks at the parent bridge first"),
    ("bridge.external_interfaces", "LXD names the item in another way"),
    ("propagation", "LXD takes any text and fails at the start"),
    ("limits.max", "LXD reads it when it is used"),
    ("limits.read", "LXD reads it when it is used"),
    ("limits.write", "LXD reads it when it is used"),
    ("limits.ingress", "LXD reads it when it is used"),
    ("limits.egress", "LXD reads it when it is used"),
    ("security.ipv4_filtering", "LXD takes any text"),
    ("security.ipv6_filtering", "LXD takes any text"),
    ("security.mac_filtering", "LXD takes any text"),
    ("mode", "LXD's list is written in another way"),
    ("bind", "LXD's list is written in another way"),
    ("acceleration", "LXD's list is written in another way"),
];

struct Oracle {
    socket: String,
}

impl Oracle {
    /// Status and body of one request; HTTP/1.0, so that the answer ends where the connection does.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u64, Value) {
        let mut stream = UnixStream::connect(&self.socket).expect("connect to the oracle");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set a timeout");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: lxd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("send the head");
        stream.write_all(body.as_bytes()).expect("send the body");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read the answer");
        let answer = String::from_utf8_lossy(&answer);
        let json = answer.split_once("\r\n\r\n").map_or("", |(_, json)| json);
        let json: Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{method} {path}: {e}: {answer}"));
        (json["error_code"].as_u64().filter(|c| *c != 0).unwrap_or(200), json)
    }

    /// The error of a request, empty when there is none; an operation is waited for.
    fn error(&self, method: &str, path: &str, body: &Value) -> String {
        let (_, answer) = self.ask(method, path, body);
        if answer["type"] == "async" {
            let operation = answer["operation"].as_str().expect("an operation has a path");
            let (_, done) = self.ask("GET", &format!("{operation}/wait"), &Value::Null);
            return done["metadata"]["err"].as_str().unwrap_or_default().to_owned();
        }
        answer["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The error of setting one key of an entity; what was made is deleted again.
    fn set(&self, entity: &str, name: &str, value: &str) -> String {
        let config = json!({ name: value });
        let made = |url: &str, body: Value| {
            let error = self.error("POST", url, &body);
            self.error("DELETE", &format!("{url}/oracle0"), &Value::Null);
            error
        };
        match entity.split_once('-').unwrap_or((entity, "")) {
            ("instance", _) if name.starts_with("volatile.") || name.starts_with("image.") => {
                let error = self.error("PATCH", "/1.0/instances/oracle1", &json!({ "config": config }));
                error.trim_start_matches("Invalid config: ").to_owned()
            }
            ("instance", _) => made("/1.0/profiles", json!({ "name": "oracle0", "config": config })),
            // Nothing is changed, because the second key is unknown to it.
            ("server", _) => {
                let body = json!({ "config": { name: value, "zzz.unknown": "x" } });
                self.error("PATCH", "/1.0", &body)
            }
            ("project", _) => made("/1.0/projects", json!({ "name": "oracle0", "config": config })),
            ("device", _) => {
                let mut device = base(entity);
                device.insert(name.to_owned(), value.to_owned());
                made("/1.0/profiles", json!({ "name": "oracle0", "devices": { "d": device } }))
            }
            ("network", kind) => {
                let mut config: ConfigMap = [(name.to_owned(), value.to_owned())].into();
                match kind {
                    "bridge" | "ovn" => {
                        config.entry("ipv4.address".into()).or_insert_with(|| "none".into());
                        config.entry("ipv6.address".into()).or_insert_with(|| "none".into());
                    }
                    _ => drop(config.entry("parent".into()).or_insert_with(|| "lo".into())),
                }
                made("/1.0/networks", json!({ "name": "oracle0", "type": kind, "config": config }))
            }
            ("storage", driver) => {
                made("/1.0/storage-pools", json!({ "name": "oracle0", "driver": driver, "config": config }))
            }
            ("volume", _) => {
                made("/1.0/storage-pools/default/volumes/custom", json!({ "name": "oracle0", "config": config }))
            }
            _ => panic!("no way to ask about {entity}"),
        }
    }
}

/// A device of the type that is complete without the key in question.
fn base(entity: &str) -> ConfigMap {
    let parts: Vec<&str> = entity.trim_start_matches("device-").split('-').collect();
    let mut device = ConfigMap::new();
    let mut put = |k: &str, v: &str| drop(device.insert(k.to_owned(), v.to_owned()));
    match parts.as_slice() {
        ["disk"] => [("source", "/tmp"), ("path", "/mnt")].iter().for_each(|(k, v)| put(k, v)),
        ["unix", "hotplug"] => put("vendorid", "1234"),
        ["unix", _] => put("path", "/dev/x"),
        ["pci"] => put("address", "0000:00:00.0"),
        ["proxy"] => [("listen", "unix:/a"), ("connect", "unix:/b")].iter().for_each(|(k, v)| put(k, v)),
        ["tpm"] => [("path", "/dev/tpm0"), ("pathrm", "/dev/tpmrm0")].iter().for_each(|(k, v)| put(k, v)),
        ["gpu", "mdev"] => put("mdev", "x"),
        ["gpu", "mig"] => [("mig.gi", "1"), ("mig.ci", "1")].iter().for_each(|(k, v)| put(k, v)),
        ["nic", "p2p"] => {}
        ["nic" | "infiniband", _] => put("parent", "lo"),
        _ => {}
    }
    let (name, sub) = match parts.as_slice() {
        ["unix", kind] => (format!("unix-{kind}"), None),
        [name, sub] => ((*name).to_owned(), Some(*sub)),
        _ => (parts.join("-"), None),
    };
    if let Some(sub) = sub {
        device.insert(if name == "gpu" { "gputype" } else { "nictype" }.into(), sub.into());
    }
    device.insert("type".into(), name);
    device
}

/// Whether the error says that the key is unknown.
fn unknown(error: &str, name: &str) -> bool {
    let texts = [
        format!("Unknown configuration key: {name}"),
        format!("Invalid project configuration key {name:?}"),
        format!("Invalid option {name:?}"),
    ];
    let ends = [format!("Invalid device option {name:?}"), format!(" option {name:?}")];
    // The unknown key beside it is one error: a second one is about the key asked for.
    let server =
        error.contains("unknown key") && (error.contains(&format!("'{name}'")) || error.contains("more errors"));
    texts.iter().any(|t| t == error) || ends.iter().any(|t| error.ends_with(t.as_str())) || server
}

/// What this crate says of the same.
fn ours(entity: &str, name: &str, value: &str) -> String {
    let config: ConfigMap = [(name.to_owned(), value.to_owned())].into();
    let result = match entity.split_once('-').unwrap_or((entity, "")) {
        ("instance", _) if name.starts_with("volatile.") || name.starts_with("image.") => {
            instance::check(&config, Target::Container)
        }
        ("instance", _) => instance::check(&config, Target::Profile),
        ("server", _) => config::server::check(&config),
        ("project", _) => config::project::check(&config),
        ("device", _) => {
            let mut device = base(entity);
            device.insert(name.to_owned(), value.to_owned());
            config::device::check(&Devices::from([("d".to_owned(), device)]), Target::Profile)
        }
        ("network", kind) => {
            let parent = if matches!(kind, "bridge" | "ovn") { "user.parent" } else { "parent" };
            let mut config = config;
            config.entry(parent.into()).or_insert_with(|| "lo".into());
            config::network::check("oracle0", kind, &config)
        }
        ("storage", driver) => config::pool::check(driver, &config),
        ("volume", driver) => config::volume::check(driver, "default_oracle0", &config),
        _ => panic!("nothing to check {entity} with"),
    };
    result.err().map(|e| e.message().to_owned()).unwrap_or_default()
}

/// The rows with the volumes' under a name of their own, as they are asked about in another way.
fn rows() -> Vec<Entity> {
    config::entities()
        .into_iter()
        .map(|mut entity| {
            if entity.keys.iter().any(|key| key.group == "volume-conf") {
                entity.name = entity.name.replace("storage-", "volume-");
            }
            entity
        })
        .collect()
}

fn skipped(entity: &str, key: &str) -> bool {
    let entity = entity.replace("volume-", "storage-");
    SKIPPED.iter().any(|(e, k)| *e == entity && (*k == "*" || *k == key))
}

fn compare_row(oracle: &Oracle, entity: &str, key: &Key) -> Vec<String> {
    let mut differences = Vec::new();
    let name = key.name.replace("NAME", "xx").replace('*', "x");
    let (good, bad) = key.kind.examples();
    // A good value can have effects, so a bad one is preferred for asking whether the key is known.
    let error = oracle.set(entity, &name, bad.unwrap_or(&good));
    if unknown(&error, &name) {
        differences.push(format!("{entity} {name}: LXD does not know it: {error}"));
    }
    let Some(bad) = bad else { return differences };
    let full = format!("{entity} {name}");
    let accidental = OTHER_TEXT.iter().any(|(other, _)| *other == name || *other == full);
    let mine = ours(entity, &name, bad);
    let prefix = error.split(" (and ").next().unwrap_or(&error);
    let same = mine == error || (entity == "server" && mine == prefix);
    if !accidental && !same {
        differences.push(format!("{entity} {name}={bad:?}\n   LXD:  {error}\n   ours: {mine}"));
    }
    differences
}

#[test]
fn the_table_and_lxd_agree() {
    let Ok(socket) = std::env::var("LXBOX_ORACLE_SOCKET") else {
        println!("LXBOX_ORACLE_SOCKET is not set: no LXD to ask, nothing is compared");
        return;
    };
    let oracle = Oracle { socket };
    let version = oracle.ask("GET", "/1.0", &Value::Null).1["metadata"]["environment"]["server_version"].clone();
    assert_eq!(version, "5.0.2", "the oracle is another version");
    // Of an earlier run that failed.
    oracle.error("DELETE", "/1.0/instances/oracle1", &Value::Null);
    let made = oracle.error("POST", "/1.0/instances", &json!({ "name": "oracle1", "source": { "type": "none" } }));
    assert_eq!(made, "", "an instance to set volatile keys on");
    let mut differences = Vec::new();
    let mut asked = 0;
    for entity in rows() {
        for key in entity.keys.iter().filter(|key| !skipped(&entity.name, key.name)) {
            asked += 1;
            differences.extend(compare_row(&oracle, &entity.name, key));
        }
    }
    for (entity, names) in UNKNOWN {
        for name in *names {
            asked += 1;
            let (theirs, mine) = (oracle.set(entity, name, "x"), ours(entity, name, "x"));
            if !unknown(&theirs, name) || !unknown(&mine, name) {
                differences.push(format!("{entity} {name} should be unknown\n   LXD:  {theirs}\n   ours: {mine}"));
            }
        }
    }
    oracle.error("DELETE", "/1.0/instances/oracle1", &Value::Null);
    println!("{asked} keys asked about");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Keys of a page of LXD's documentation: cells of tables that begin a line.
fn documented(path: &std::path::Path) -> Vec<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("open a page");
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("unpack a page");
    } else {
        (&file).read_to_string(&mut text).expect("read a page");
    }
    let cell = |line: &str| {
        let (name, rest) = line.strip_prefix('`')?.split_once('`')?;
        let key = rest.trim_start().starts_with('|') && !name.contains([' ', '/', '=']);
        key.then(|| name.to_owned())
    };
    text.lines().filter_map(cell).collect()
}

/// Each key in the tables of the pages that Debian's lxd package installs is in the table, where they are installed.
#[test]
fn each_documented_key_is_in_the_table() {
    let root = std::path::Path::new("/usr/share/doc/lxd");
    if std::env::var("LXBOX_ORACLE_SOCKET").is_err() || !root.join("reference").is_dir() {
        println!("LXBOX_ORACLE_SOCKET is not set or the documentation of LXD is not there: nothing is compared");
        return;
    }
    let rows = rows();
    let known = |prefixes: &[String], name: &str| {
        let fitting = rows.iter().filter(|e| prefixes.iter().any(|p| e.name.starts_with(p.as_str())));
        fitting.flat_map(|e| &e.keys).any(|key| key.name.replace("NAME", "<name>") == name || key.matches(name))
    };
    let mut seen = 0;
    let mut missing = Vec::new();
    let pages = std::fs::read_dir(root.join("reference")).expect("list the pages");
    let pages = pages.map(|page| page.expect("an entry").path());
    for page in pages.chain(["server.md.gz", "projects.md.gz"].map(|p| root.join(p))) {
        let name = page.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default().replace('_', "-");
        let prefixes = match stem.split_once('-').unwrap_or((&stem, "")) {
            ("server", "") => vec!["server".to_owned()],
            ("projects", _) => vec!["project".to_owned()],
            ("instance", "options") => vec!["instance".to_owned()],
            ("devices", kind) => vec![format!("device-{kind}")],
            ("network", kind) => vec![format!("network-{kind}")],
            ("storage", driver) => vec![format!("storage-{driver}"), format!("volume-{driver}")],
            _ => continue,
        };
        // The page of network devices begins with the two keys that say the type.
        let wanted = documented(&page).into_iter().filter(|key| key != "nictype");
        for key in wanted {
            seen += 1;
            let plain = key.replace("NAME", "xx");
            if !known(&prefixes, &key) && !known(&prefixes, &plain) {
                missing.push(format!("{name}: {key}"));
            }
        }
    }
    println!("{seen} documented keys looked for");
    assert!(seen > 300, "the pages were not read: {seen} keys");
    assert!(missing.is_empty(), "not in the table:\n{}", missing.join("\n"));
}

/// Needs no server: the list of skipped rows names rows there are.
#[test]
fn skipped_rows_exist() {
    let rows = rows();
    for (entity, key) in SKIPPED {
        let there = rows.iter().any(|e| {
            e.name.replace("volume-", "storage-") == *entity && (*key == "*" || e.keys.iter().any(|k| k.name == *key))
        });
        assert!(there, "{entity} {key}");
    }
    for (name, _) in OTHER_TEXT.iter().filter(|(name, _)| !name.ends_with(".x")) {
        let name = &name.rsplit(' ').next().unwrap_or(name);
        let row = rows.iter().flat_map(|e| &e.keys).find(|k| k.name == *name);
        assert!(row.is_some_and(|row| row.kind != Kind::Text), "{name}");
    }
}
