//! The objects of the REST API, one file per resource, as LXD 5.0.2 puts them on the wire.
//!
//! Field order is wire order. Readers take unknown and missing fields; read requests with [`from_json`], which
//! takes `null` as missing. Shared by the server, the client and the guest agent.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::tree::{FromTree, Tree, Wrong};

mod certificate;
mod event;
mod image;
mod instance;
mod network;
mod network_acl;
mod network_forward;
mod network_state;
mod network_zone;
mod operation;
mod profile;
mod project;
mod resources;
mod server;
mod sql;
mod storage;
mod time;
mod warning;

pub use self::time::Timestamp;
pub use crate::api::tree::{Twice, from_json, from_request, from_slice, from_tree, from_yaml, is_yaml_map, to_yaml};
pub use certificate::*;
pub use event::*;
pub use image::*;
pub use instance::*;
pub use network::*;
pub use network_acl::*;
pub use network_forward::*;
pub use network_state::*;
pub use network_zone::*;
pub use operation::*;
pub use profile::*;
pub use project::*;
pub use resources::*;
pub use server::*;
pub use sql::*;
pub use storage::*;
pub use warning::*;

/// Configuration keys and values, sorted as Go prints maps.
pub type ConfigMap = BTreeMap<String, String>;
/// One device: its keys and values, `type` among them.
pub type DeviceMap = BTreeMap<String, String>;
/// Devices by name.
pub type Devices = BTreeMap<String, DeviceMap>;

/// Removes members that are `null`, at any depth.
pub fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The status of an operation or an instance (LXD API: 100-113 states, 200 success, 400 failure, 401 cancelled).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusCode {
    /// 100
    OperationCreated,
    /// 101
    Started,
    /// 102
    Stopped,
    /// 103
    Running,
    /// 104
    Cancelling,
    /// 105
    Pending,
    /// 106
    Starting,
    /// 107
    Stopping,
    /// 108
    Aborting,
    /// 109
    Freezing,
    /// 110
    Frozen,
    /// 111
    Thawed,
    /// 112
    Error,
    /// 113
    Ready,
    /// 200
    Success,
    /// 400
    Failure,
    /// 401
    Cancelled,
}

/// Number and name of each status.
const STATUS: &[(StatusCode, u16, &str)] = &[
    (StatusCode::OperationCreated, 100, "Operation created"),
    (StatusCode::Started, 101, "Started"),
    (StatusCode::Stopped, 102, "Stopped"),
    (StatusCode::Running, 103, "Running"),
    (StatusCode::Cancelling, 104, "Cancelling"),
    (StatusCode::Pending, 105, "Pending"),
    (StatusCode::Starting, 106, "Starting"),
    (StatusCode::Stopping, 107, "Stopping"),
    (StatusCode::Aborting, 108, "Aborting"),
    (StatusCode::Freezing, 109, "Freezing"),
    (StatusCode::Frozen, 110, "Frozen"),
    (StatusCode::Thawed, 111, "Thawed"),
    (StatusCode::Error, 112, "Error"),
    (StatusCode::Ready, 113, "Ready"),
    (StatusCode::Success, 200, "Success"),
    (StatusCode::Failure, 400, "Failure"),
    (StatusCode::Cancelled, 401, "Cancelled"),
];

impl StatusCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        STATUS.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        STATUS.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// Whether an operation in this state has ended.
    pub fn is_final(self) -> bool {
        self.code() >= 200
    }

    /// The status with this number.
    pub fn from_code(code: u16) -> Option<StatusCode> {
        STATUS.iter().find(|row| row.1 == code).map(|row| row.0)
    }
}

impl Serialize for StatusCode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u16(self.code())
    }
}

impl FromTree for StatusCode {
    fn of(tree: Tree) -> Result<StatusCode, Wrong> {
        let code = u16::of(tree)?;
        StatusCode::from_code(code).ok_or_else(|| Wrong::new(format!("unknown status code {code}")))
    }

    fn blank() -> StatusCode {
        StatusCode::Success
    }
}
