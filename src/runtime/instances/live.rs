//! What of a change a running guest takes at once. Pure.

use super::expand::Expanded;
use crate::api::config::instance;

/// Whether a guest's limits change with its configuration.
pub fn limits_change(was: &Expanded, becomes: &Expanded) -> bool {
    instance::changed(&was.config, &becomes.config).iter().any(|key| key.starts_with("limits."))
}
