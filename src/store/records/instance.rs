//! An instance: a container or a virtual machine.

use serde::Serialize;

use super::{Phase, Record};
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, Devices, Timestamp};
use crate::store::Table;

readable! {
    /// What sort of instance, or what an image makes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum InstanceKind {
        /// A system container.
        #[default]
        Container,
        /// A virtual machine.
        VirtualMachine,
    }
}

impl InstanceKind {
    /// The word of the API: `container` or `virtual-machine`.
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceKind::Container => "container",
            InstanceKind::VirtualMachine => "virtual-machine",
        }
    }

    /// Reads the word of the API.
    pub fn parse(text: &str) -> Option<InstanceKind> {
        [InstanceKind::Container, InstanceKind::VirtualMachine].into_iter().find(|kind| kind.as_str() == text)
    }
}

readable! {
    /// An instance.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct InstanceRecord {
        /// Never used twice; names the instance to helper processes.
        pub id: u64,
        /// The project it belongs to.
        pub project: String,
        /// Unique in its project.
        pub name: String,
        /// Container or virtual machine.
        pub kind: InstanceKind,
        /// `x86_64`, …
        pub architecture: String,
        /// For people.
        pub description: String,
        /// Its own configuration, `volatile.*` keys among it.
        pub config: ConfigMap,
        /// Its own devices.
        pub devices: Devices,
        /// Ids of its profiles, in the order they are applied.
        pub profiles: Vec<u64>,
        /// Whether it is deleted when it stops.
        pub ephemeral: bool,
        /// Whether there is memory state to be restored.
        pub stateful: bool,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it last started.
        pub last_used_at: Timestamp,
        /// How far it has come.
        pub phase: Phase,
    }
}

impl Record for InstanceRecord {
    const TABLE: Table = Table::Instances;
    const VERSION: u32 = 1;
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"id":7,"project":"default","name":"c1","kind":"container","architecture":"x86_64",
            "description":"","config":{"volatile.last_state.power":"RUNNING"},
            "devices":{"root":{"path":"/","pool":"default","type":"disk"}},"profiles":[2],"ephemeral":false,
            "stateful":false,"created_at":"2026-11-21T17:01:31.69783Z","last_used_at":"0001-01-01T00:00:00Z",
            "phase":"created"}"#;
        let record = check_fixtures::<InstanceRecord>(&[v1]);
        assert_eq!((record.phase, record.last_used_at), (Phase::Created, Timestamp::ZERO));
    }
}
