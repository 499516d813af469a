//! Events of devices, told to a running container as its kernel would.

use std::os::fd::{AsFd, OwnedFd};

use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::attach::AttachPlan;
use crate::runtime::sys::{capset, fork, notice};

/// Tells of devices. As the container's root in its user namespace: its udev hears nobody else.
pub(super) fn announce(plan: &AttachPlan, told: (&str, &[String]), init: &OwnedFd) -> Result<(), Fail> {
    let unprivileged = !plan.policy.privileged;
    fork::join_network(init.as_fd(), unprivileged, false).what(|| "entering the container's network")?;
    if unprivileged {
        capset::become_user(0, 0).what(|| "becoming the guest's root")?;
    }
    let (action, devices) = told;
    devices.iter().try_for_each(|device| notice::announce(action, device)).what(|| "telling of a device")
}
