//! Records as clients see them.

use super::Instances;
use super::expand::{Expanded, expand};
use crate::Result;
use crate::api::types::{Instance, StatusCode, Timestamp};
use crate::store::Read;
use crate::store::records::InstanceRecord;

impl Instances {
    /// An instance as clients see it, with whether it runs now.
    pub(super) fn show(&self, r: &impl Read, record: &InstanceRecord) -> Result<Instance> {
        Ok(render(record.clone(), expand(r, record)?, self.status_of(record.id)))
    }

    /// Whether an instance runs now. One that nothing was asked of since the daemon started has no actor and is
    /// stopped.
    pub(super) fn status_of(&self, id: u64) -> StatusCode {
        self.actors().get(&id).map_or(StatusCode::Stopped, |actor| actor.live().state.status())
    }
}

/// An instance as clients see it. Pure.
pub fn render(record: InstanceRecord, expanded: Expanded, status: StatusCode) -> Instance {
    Instance {
        architecture: record.architecture,
        config: record.config,
        devices: record.devices,
        ephemeral: record.ephemeral,
        profiles: expanded.profiles,
        stateful: record.stateful,
        description: record.description,
        created_at: record.created_at,
        expanded_config: expanded.config,
        expanded_devices: expanded.devices,
        name: record.name,
        status: status.name().into(),
        status_code: status,
        // LXD shows the start of 1970 for what never started.
        last_used_at: if record.last_used_at.is_zero() { Timestamp::EPOCH } else { record.last_used_at },
        location: "none".into(),
        kind: record.kind.as_str().into(),
        project: record.project,
    }
}
