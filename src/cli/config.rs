//! The client's own configuration: `config.yml` with servers and aliases, in the format of LXD's client.
//!
//! It lies in `$LXD_CONF`, else in `~/.config/lxc`. A host-wide one in `$LXD_GLOBAL_CONF`, else `/etc/lxc`, adds servers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::output::yaml;
use super::yaml_in::from_yaml;
use crate::api::tree::readable;
use crate::error::{Ctx, Error, Kind, Result};

/// The configuration of the client.
pub struct Config {
    /// Where it is kept; none when there is no home directory.
    pub file: Option<PathBuf>,
    /// Whether the file was there.
    pub existed: bool,
    /// The server that names without one mean.
    pub default_remote: String,
    /// `LXC_REMOTE`, which counts instead of it.
    for_now: Option<String>,
    /// Servers by name.
    pub remotes: BTreeMap<String, Remote>,
    /// Aliases by name.
    pub aliases: BTreeMap<String, String>,
}

readable! {
    /// A server.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Remote {
        /// Its URL; `unix://` for the one of this host.
        pub addr: String,
        /// How to log in.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub auth_type: String,
        /// Candid domain.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub domain: String,
        /// The project to work in there.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub project: String,
        /// `lxd` or `simplestreams`; empty is `lxd`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub protocol: String,
        /// Whether it serves images to everyone.
        pub public: bool,
        /// Whether it comes from the host-wide file.
        #[serde(skip)]
        pub global: bool,
        /// Whether it is built in and can't be changed.
        #[serde(skip)]
        pub fixed: bool,
    }

    #[derive(Default, Serialize)]
    #[serde(default)]
    struct File {
        #[serde(rename = "default-remote")]
        default_remote: Option<String>,
        remotes: Option<BTreeMap<String, Remote>>,
        aliases: Option<BTreeMap<String, String>>,
    }
}

fn image_server(addr: &str, fixed: bool) -> Remote {
    Remote { addr: addr.into(), protocol: "simplestreams".into(), public: true, fixed, ..Remote::default() }
}

/// The servers every client knows.
fn fixed() -> [(&'static str, Remote); 3] {
    [
        ("local", Remote { addr: "unix://".into(), fixed: true, ..Remote::default() }),
        ("ubuntu", image_server("https://cloud-images.ubuntu.com/releases", true)),
        ("ubuntu-daily", image_server("https://cloud-images.ubuntu.com/daily", true)),
    ]
}

fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LXD_CONF").or_else(|| std::env::home_dir().filter(|home| home.is_absolute()).map(|h| h.join(".config/lxc")))
}

impl Config {
    /// Reads the configuration; a missing file is the default one.
    pub fn load() -> Result<Config> {
        let file = directory().map(|directory| directory.join("config.yml"));
        let text = match &file {
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(error).ctx(Kind::Invalid, || format!("Failed reading {:?}", path.display())),
            },
            None => None,
        };
        let existed = text.is_some();
        let read = match text {
            Some(text) => from_yaml::<File>(&text)?,
            None => File {
                remotes: Some([("images".into(), image_server("https://images.linuxcontainers.org", false))].into()),
                ..File::default()
            },
        };
        let mut remotes = global_remotes();
        remotes.extend(read.remotes.unwrap_or_default());
        remotes.extend(fixed().map(|(name, remote)| {
            let project = remotes.get(name).map(|kept: &Remote| kept.project.clone()).unwrap_or_default();
            (name.to_string(), Remote { project, ..remote })
        }));
        let default_remote = read.default_remote.filter(|n| !n.is_empty()).unwrap_or_else(|| "local".into());
        let for_now = std::env::var("LXC_REMOTE").ok().filter(|name| !name.is_empty());
        Ok(Config { file, existed, default_remote, for_now, remotes, aliases: read.aliases.unwrap_or_default() })
    }

    /// Writes the configuration, atomically.
    pub fn save(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut remotes = Map::new();
        for (name, remote) in &self.remotes {
            let kept = !remote.global && (!remote.fixed || name == "local" || !remote.project.is_empty());
            if let Some(value) = serde_json::to_value(remote).ok().filter(|_| kept) {
                remotes.insert(name.clone(), value);
            }
        }
        let mut all = Map::new();
        all.insert("default-remote".into(), self.default_remote.clone().into());
        all.insert("remotes".into(), Value::Object(remotes));
        all.insert("aliases".into(), serde_json::to_value(&self.aliases).unwrap_or_default());
        let failed = || format!("Failed writing {:?}", file.display());
        if let Some(directory) = file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o750).create(directory).ctx(Kind::Internal, failed)?;
        }
        let new = file.with_extension(format!("yml.{}", std::process::id()));
        fs::write(&new, yaml(&Value::Object(all))).ctx(Kind::Internal, failed)?;
        fs::rename(&new, file).ctx(Kind::Internal, failed)
    }

    /// Splits `remote:name`; without a remote the default one is meant.
    pub fn split<'a>(&'a self, text: &'a str) -> Result<(&'a str, &'a str)> {
        match text.split_once(':') {
            None => Ok((self.default_remote(), text)),
            Some((remote, name)) if self.remotes.contains_key(remote) => Ok((remote, name)),
            // The name of a snapshot may have colons.
            Some((before, _)) if before.contains('/') => Ok((self.default_remote(), text)),
            Some((remote, _)) => Err(Error::not_found(format!("The remote \"{remote}\" doesn't exist"))),
        }
    }

    fn default_remote(&self) -> &str {
        self.for_now.as_deref().unwrap_or(&self.default_remote)
    }

    /// The server of this name.
    pub fn remote(&self, name: &str) -> Result<&Remote> {
        self.remotes.get(name).ok_or_else(|| Error::not_found(format!("The remote \"{name}\" doesn't exist")))
    }
}

/// What the host-wide file adds; one that can't be read adds nothing.
fn global_remotes() -> BTreeMap<String, Remote> {
    let set = std::env::var_os("LXD_GLOBAL_CONF").filter(|value| !value.is_empty());
    let directory = set.map_or_else(|| PathBuf::from("/etc/lxc"), PathBuf::from);
    let text = fs::read_to_string(directory.join("config.yml")).unwrap_or_default();
    let mut remotes = from_yaml::<File>(&text).unwrap_or_default().remotes.unwrap_or_default();
    remotes.values_mut().for_each(|remote| remote.global = true);
    remotes
}
