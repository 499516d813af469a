//! YAML that people write: configuration files, preseeds, what comes back from the editor.

use crate::api::tree::FromTree;

use crate::api::types::{self, Twice};
use crate::error::{Ctx, Kind, Result};

/// Reads a document. Of a key that stands twice the last one counts, as in LXD; what is `null`, as an empty document is,
/// is what it is by default.
pub fn from_yaml<T: FromTree + Default>(text: &str) -> Result<T> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Ok(T::default());
    }
    types::from_yaml(text, Twice::LastCountsNullIsEmpty).ctx(Kind::Invalid, || "Failed reading YAML")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{InstancePut, ProfilePut};

    #[test]
    fn what_is_null_is_empty() {
        for text in ["~", "null", "---", "description:", "config:\ndevices: ~\ndescription: null"] {
            let read: ProfilePut = from_yaml(text).unwrap();
            assert!(read.config.is_empty() && read.devices.is_empty() && read.description.is_empty(), "{text}");
        }
        let text = "config: {user.a: ~, user.b: 1.50, user.c: 0x10, user.d: '~'}\nephemeral:\nprofiles: [default, ~]\n";
        let read: InstancePut = from_yaml(text).unwrap();
        let values: Vec<&str> = read.config.values().map(String::as_str).collect();
        assert_eq!(values, ["", "1.50", "0x10", "~"]);
        assert_eq!((read.ephemeral, read.profiles), (false, vec!["default".to_string(), String::new()]));
        let read: ProfilePut = from_yaml("devices: {eth0: {type: nic, mtu: ~}}").unwrap();
        assert_eq!(read.devices["eth0"]["mtu"], "");
        assert!(from_yaml::<ProfilePut>("devices: {eth0: [a]}").is_err());
    }
}
