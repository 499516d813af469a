//! Instances: containers and virtual machines, their state, `exec` and `console`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ConfigMap, Devices, StatusCode, Timestamp};
use crate::api::tree::readable;

readable! {
    /// An instance.
    #[derive(Clone, Debug, Serialize)]
    pub struct Instance {
        /// `x86_64`, …
        pub architecture: String,
        /// Its own configuration, volatile keys among it.
        #[serde(default)]
        pub config: ConfigMap,
        /// Its own devices.
        #[serde(default)]
        pub devices: Devices,
        /// Whether it is deleted when it stops.
        #[serde(default)]
        pub ephemeral: bool,
        /// Profiles, applied in this order.
        #[serde(default)]
        pub profiles: Vec<String>,
        /// Whether memory state is kept.
        #[serde(default)]
        pub stateful: bool,
        /// For people.
        #[serde(default)]
        pub description: String,
        /// When it was made.
        #[serde(default)]
        pub created_at: Timestamp,
        /// Configuration with that of the profiles.
        #[serde(default)]
        pub expanded_config: ConfigMap,
        /// Devices with those of the profiles.
        #[serde(default)]
        pub expanded_devices: Devices,
        /// Unique in its project.
        pub name: String,
        /// The name of `status_code`.
        #[serde(default)]
        pub status: String,
        /// Whether it runs.
        pub status_code: StatusCode,
        /// When it last started.
        #[serde(default)]
        pub last_used_at: Timestamp,
        /// The member it is on; `none` outside clusters.
        #[serde(default)]
        pub location: String,
        /// `container` or `virtual-machine`.
        #[serde(default, rename = "type")]
        pub kind: String,
        /// The project it belongs to.
        #[serde(default)]
        pub project: String,
    }

    /// An instance with all that belongs to it (recursion 2).
    #[derive(Clone, Debug, Serialize)]
    pub struct InstanceFull {
        /// The instance.
        #[serde(flatten)]
        pub instance: Instance,
        /// Its backups; null when there are none.
        #[serde(default)]
        pub backups: Option<Vec<InstanceBackup>>,
        /// Its state now.
        #[serde(default)]
        pub state: Option<InstanceState>,
        /// Its snapshots; null when there are none.
        #[serde(default)]
        pub snapshots: Option<Vec<InstanceSnapshot>>,
    }

    /// A backup of an instance.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceBackup {
        /// Its name.
        pub name: String,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it may go.
        pub expires_at: Timestamp,
        /// Whether snapshots were left out.
        pub instance_only: bool,
        /// Old name of `instance_only`.
        pub container_only: bool,
        /// Whether it is in the storage driver's own format.
        pub optimized_storage: bool,
    }

    /// A new backup of an instance.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceBackupsPost {
        /// Its name; chosen here when empty.
        pub name: String,
        /// When it may go.
        pub expires_at: Timestamp,
        /// Whether snapshots are left out.
        pub instance_only: bool,
        /// Old name of `instance_only`.
        pub container_only: bool,
        /// Whether the storage driver's own format may be used.
        pub optimized_storage: bool,
        /// How to compress it.
        pub compression_algorithm: String,
    }

    /// A snapshot of an instance.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceSnapshot {
        /// When it may go.
        pub expires_at: Timestamp,
        /// `x86_64`, …
        pub architecture: String,
        /// Its own configuration.
        pub config: ConfigMap,
        /// When it was made.
        pub created_at: Timestamp,
        /// Its own devices.
        pub devices: Devices,
        /// As the instance was.
        pub ephemeral: bool,
        /// Configuration with that of the profiles.
        pub expanded_config: ConfigMap,
        /// Devices with those of the profiles.
        pub expanded_devices: Devices,
        /// When the instance had last started.
        pub last_used_at: Timestamp,
        /// Its name.
        pub name: String,
        /// Profiles of the instance.
        pub profiles: Vec<String>,
        /// Whether memory state is in it.
        pub stateful: bool,
        /// Bytes.
        pub size: i64,
    }

    /// A new snapshot.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceSnapshotsPost {
        /// Unique in its instance; empty lets the server choose.
        pub name: String,
        /// Whether memory state is kept.
        pub stateful: bool,
        /// When it may go; the zero time means never, none at all means by `snapshots.expiry`.
        pub expires_at: Option<Timestamp>,
    }

    /// What PUT and PATCH change of a snapshot.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceSnapshotPut {
        /// When it may go; the zero time means never.
        pub expires_at: Option<Timestamp>,
    }

    /// `POST /1.0/instances/{name}/snapshots/{snapshot}`: rename.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceSnapshotPost {
        /// The new name.
        pub name: String,
        /// Whether this is a migration.
        pub migration: bool,
        /// Whether to migrate live.
        pub live: bool,
    }

    /// What PUT and PATCH change of an instance.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstancePut {
        /// `x86_64`, …
        pub architecture: String,
        /// Its own configuration.
        pub config: ConfigMap,
        /// Its own devices.
        pub devices: Devices,
        /// Whether it is deleted when it stops.
        pub ephemeral: bool,
        /// Profiles, applied in this order.
        pub profiles: Vec<String>,
        /// A snapshot to go back to; everything else is ignored then.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub restore: String,
        /// Whether memory state is restored.
        pub stateful: bool,
        /// For people.
        pub description: String,
    }

    /// A new instance.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstancesPost {
        /// `x86_64`, …
        pub architecture: String,
        /// Its own configuration.
        pub config: ConfigMap,
        /// Its own devices.
        pub devices: Devices,
        /// Whether it is deleted when it stops.
        pub ephemeral: bool,
        /// Profiles; missing means `default`, an empty list means none.
        pub profiles: Option<Vec<String>>,
        /// Whether memory state is kept.
        pub stateful: bool,
        /// For people.
        pub description: String,
        /// Unique in its project; empty lets the server choose.
        pub name: String,
        /// What to make it of.
        pub source: InstanceSource,
        /// A cloud instance type to take limits from.
        pub instance_type: String,
        /// `container` or `virtual-machine`.
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// What a new instance is made of.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceSource {
        /// `image`, `copy`, `migration` or `none`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The source server's certificate.
        pub certificate: String,
        /// An image's alias.
        pub alias: String,
        /// An image's fingerprint.
        pub fingerprint: String,
        /// Properties an image must have.
        pub properties: BTreeMap<String, String>,
        /// The server to fetch the image from.
        pub server: String,
        /// One-time secret of a private image.
        pub secret: String,
        /// `lxd` or `simplestreams`.
        pub protocol: String,
        /// The image the migrated instance was made of.
        #[serde(rename = "base-image")]
        pub base_image: String,
        /// `pull` or `push`.
        pub mode: String,
        /// The source's operation URL.
        pub operation: String,
        /// Secrets of the source's websockets.
        #[serde(rename = "secrets")]
        pub websockets: BTreeMap<String, String>,
        /// The instance to copy.
        pub source: String,
        /// Whether to migrate live.
        pub live: bool,
        /// Whether to leave snapshots out.
        pub instance_only: bool,
        /// Old name of `instance_only`.
        pub container_only: bool,
        /// Whether to bring an existing copy up to date.
        pub refresh: bool,
        /// The project of the instance to copy.
        pub project: String,
        /// Whether errors about changing files are ignored.
        pub allow_inconsistent: bool,
    }

    /// `POST /1.0/instances/{name}`: rename or move.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstancePost {
        /// The new name.
        pub name: String,
        /// Whether this is a migration.
        pub migration: bool,
        /// Whether to migrate live.
        pub live: bool,
        /// Whether to leave snapshots out.
        pub instance_only: bool,
        /// Old name of `instance_only`.
        pub container_only: bool,
        /// The pool to move to.
        pub pool: String,
        /// The project to move to.
        pub project: String,
    }

    /// `PUT /1.0/instances/{name}/state`.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceStatePut {
        /// `start`, `stop`, `restart`, `freeze`, `unfreeze`.
        pub action: String,
        /// Seconds to wait for a clean stop; below 0 means for ever.
        pub timeout: i64,
        /// Whether to stop by force.
        pub force: bool,
        /// Whether to keep or restore memory state.
        pub stateful: bool,
    }

    /// `PUT /1.0/instances`: change the state of all.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstancesPut {
        /// The change.
        pub state: Option<InstanceStatePut>,
    }

    /// The state of an instance now.
    #[derive(Clone, Debug, Serialize)]
    pub struct InstanceState {
        /// The name of `status_code`.
        pub status: String,
        /// Whether it runs.
        pub status_code: StatusCode,
        /// Disk usage by device; null when stopped.
        #[serde(default)]
        pub disk: Option<BTreeMap<String, InstanceStateDisk>>,
        /// Memory.
        #[serde(default)]
        pub memory: InstanceStateMemory,
        /// Network by interface of the guest; null when stopped.
        #[serde(default)]
        pub network: Option<BTreeMap<String, InstanceStateNetwork>>,
        /// The host's process id of its init; 0 when stopped.
        #[serde(default)]
        pub pid: i64,
        /// Number of processes; -1 when unknown.
        #[serde(default)]
        pub processes: i64,
        /// Processor time.
        #[serde(default)]
        pub cpu: InstanceStateCpu,
    }

    /// Disk usage of one device.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceStateDisk {
        /// Bytes.
        pub usage: i64,
    }

    /// Memory of an instance, in bytes.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceStateMemory {
        /// Now.
        pub usage: i64,
        /// At most since start.
        pub usage_peak: i64,
        /// Swap now.
        pub swap_usage: i64,
        /// Swap at most since start.
        pub swap_usage_peak: i64,
    }

    /// Processor time of an instance.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceStateCpu {
        /// Nanoseconds; -1 when unknown.
        pub usage: i64,
    }

    /// One network interface of the guest.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceStateNetwork {
        /// Its addresses.
        pub addresses: Vec<InstanceStateNetworkAddress>,
        /// Its counters.
        pub counters: InstanceStateNetworkCounters,
        /// MAC address.
        pub hwaddr: String,
        /// The name of the host's end.
        pub host_name: String,
        /// Bytes.
        pub mtu: i64,
        /// `up` or `down`.
        pub state: String,
        /// `broadcast`, `loopback`, `point-to-point`, …
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// One address of a network interface.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceStateNetworkAddress {
        /// `inet` or `inet6`.
        pub family: String,
        /// The address.
        pub address: String,
        /// Length of the prefix.
        pub netmask: String,
        /// `global`, `link` or `local`.
        pub scope: String,
    }

    /// Counters of a network interface, as the guest sees them.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct InstanceStateNetworkCounters {
        /// Bytes in.
        pub bytes_received: i64,
        /// Bytes out.
        pub bytes_sent: i64,
        /// Packets in.
        pub packets_received: i64,
        /// Packets out.
        pub packets_sent: i64,
        /// Receive errors.
        pub errors_received: i64,
        /// Send errors.
        pub errors_sent: i64,
        /// Packets dropped on the way out.
        pub packets_dropped_outbound: i64,
        /// Packets dropped on the way in.
        pub packets_dropped_inbound: i64,
    }

    /// `POST /1.0/instances/{name}/exec`.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceExecPost {
        /// Program and arguments.
        pub command: Vec<String>,
        /// Whether the caller connects websockets to its standard streams.
        #[serde(rename = "wait-for-websocket")]
        pub wait_for_websocket: bool,
        /// Whether it runs on a terminal.
        pub interactive: bool,
        /// More environment variables.
        pub environment: BTreeMap<String, String>,
        /// Columns of the terminal.
        pub width: i64,
        /// Rows of the terminal.
        pub height: i64,
        /// Whether output goes to files below `/logs`.
        #[serde(rename = "record-output")]
        pub record_output: bool,
        /// Uid in the guest.
        pub user: u32,
        /// Gid in the guest.
        pub group: u32,
        /// Working directory.
        pub cwd: String,
    }

    /// `POST /1.0/instances/{name}/console`.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct InstanceConsolePost {
        /// Columns of the terminal.
        pub width: i64,
        /// Rows of the terminal.
        pub height: i64,
        /// `console` or `vga`.
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// What a client sends on the control websocket of `exec` and `console`.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct ExecControl {
        /// `window-resize` or `signal`.
        pub command: String,
        /// `width` and `height`, as strings.
        pub args: BTreeMap<String, String>,
        /// Signal number.
        pub signal: i32,
    }
}
