//! What `lxd init` is to set up, and its YAML.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::api::tree::readable;
use crate::api::types::{self, ConfigMap, Devices, Twice};
use crate::error::{Ctx, Kind, Result};

readable! {
    /// What `lxd init` is to set up. Field order is that of LXD's YAML; fields it does not know are refused.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct Preseed {
        /// Server configuration.
        pub config: ConfigMap,
        /// Networks to create or change.
        pub networks: Vec<PreseedNetwork>,
        /// Storage pools to create or change.
        pub storage_pools: Vec<PreseedPool>,
        /// Profiles to create or change.
        pub profiles: Vec<PreseedProfile>,
        /// Projects: any but `default` as it is are refused by name for now.
        pub projects: Vec<PreseedProject>,
        /// Clustering: refused by name for now.
        pub cluster: Option<Value>,
    }

    /// A network of a preseed.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(missing_docs, reason = "the names say it")]
    pub struct PreseedNetwork {
        pub config: ConfigMap,
        pub description: String,
        pub name: String,
        #[serde(rename = "type")]
        pub kind: String,
        pub project: String,
    }

    /// A storage pool of a preseed.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(missing_docs, reason = "the names say it")]
    pub struct PreseedPool {
        pub config: ConfigMap,
        pub description: String,
        pub name: String,
        pub driver: String,
    }

    /// A profile of a preseed.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(missing_docs, reason = "the names say it")]
    pub struct PreseedProfile {
        pub config: ConfigMap,
        pub description: String,
        pub devices: Devices,
        pub name: String,
    }

    /// A project of a preseed.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(missing_docs, reason = "the names say it")]
    pub struct PreseedProject {
        pub config: ConfigMap,
        pub description: String,
        pub name: String,
    }
}

impl Preseed {
    /// Reads a preseed in YAML (or JSON).
    ///
    /// # Errors
    /// `Invalid`, with the place.
    pub fn parse(text: &str) -> Result<Preseed> {
        if text.trim().is_empty() {
            return Ok(Preseed::default());
        }
        types::from_yaml::<Option<Preseed>>(text, Twice::Refused)
            .ctx(Kind::Invalid, || "Failed to parse the preseed")
            .map(Option::unwrap_or_default)
    }

    /// The device that connects instances to a network of ours.
    pub(super) fn connection(network: &str) -> BTreeMap<String, String> {
        [("type", "nic"), ("name", "eth0"), ("network", network)].map(|(k, v)| (k.to_string(), v.to_string())).into()
    }

    /// A preseed that changes the default profile's devices.
    pub(super) fn set_default_device(&mut self, name: &str, device: BTreeMap<String, String>) {
        if self.profiles.is_empty() {
            self.profiles.push(PreseedProfile { name: "default".to_string(), ..PreseedProfile::default() });
        }
        self.profiles[0].devices.insert(name.to_string(), device);
    }
}

/// An object as YAML, in the form LXD prints.
pub(super) fn yaml(object: &impl Serialize) -> Result<String> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true, folded_wrap_chars: usize::MAX };
    let tree = serde_json::to_value(object).ctx(Kind::Internal, || "Failed to write YAML")?;
    serde_saphyr::to_string_with_options(&tree, options).ctx(Kind::Internal, || "Failed to write YAML")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::config::device;

    #[test]
    fn reads_what_people_write() {
        let text = "config: {images.auto_update_interval: 5, user.on: true, user.x: 'a b', user.m: 007}\nnetworks: null\n\
            storage_pools:\n- name: p1\n  driver: dir\nprofiles:\n- name: default\n  devices:\n    root: {type: disk, path: /, pool: p1}\n";
        let preseed = Preseed::parse(text).unwrap();
        let config: Vec<_> = preseed.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let want = [("images.auto_update_interval", "5"), ("user.m", "007"), ("user.on", "true"), ("user.x", "a b")];
        assert_eq!(config, want);
        assert_eq!(preseed.profiles[0].devices["root"], device::root("p1"));
        assert_eq!(Preseed::parse("").unwrap(), Preseed::default());
        assert_eq!(Preseed::parse("# nothing\n").unwrap(), Preseed::default());
        assert_eq!(Preseed::parse("{\"cluster\": null}").unwrap(), Preseed::default());
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused() {
        for text in [
            "bogus: 3\n",
            "storage_pools: 3\n",
            "config: [\n",
            "profiles:\n- nam: x\n",
            "config: {a: {b: c}}\n",
            "config: {a: 1, a: 2}\n",
            "profiles:\n- name: d\nprofiles: []\n",
            "profiles:\n- {name: d, name: e}\n",
        ] {
            let error = Preseed::parse(text).unwrap_err();
            assert!(error.message().starts_with("Failed to parse the preseed: "), "{text}: {error}");
        }
    }

    #[test]
    fn prints_as_lxd_does() {
        let mut preseed = Preseed::default();
        preseed.config.insert("images.auto_update_interval".to_string(), "0".to_string());
        preseed.storage_pools.push(PreseedPool {
            name: "no".to_string(),
            driver: "dir".to_string(),
            ..PreseedPool::default()
        });
        preseed.set_default_device("root", device::root("default"));
        let want = "config:\n  images.auto_update_interval: \"0\"\nnetworks: []\nstorage_pools:\n- config: {}\n  \
            description: \"\"\n  name: \"no\"\n  driver: dir\nprofiles:\n- config: {}\n  description: \"\"\n  devices:\n    \
            root:\n      path: /\n      pool: default\n      type: disk\n  name: default\nprojects: []\ncluster: null\n";
        assert_eq!(yaml(&preseed).unwrap(), want);
        assert_eq!(Preseed::parse(want).unwrap(), preseed);
    }
}
