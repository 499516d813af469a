//! Profiles: configuration shared by instances.

use serde::Serialize;

use super::{ConfigMap, Devices};
use crate::api::tree::readable;

readable! {
    /// A profile.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Profile {
        /// Configuration of the instances that use it.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
        /// Devices of the instances that use it.
        pub devices: Devices,
        /// Unique in its project.
        pub name: String,
        /// URLs of the instances that use it.
        pub used_by: Vec<String>,
    }

    /// What PUT and PATCH change of a profile.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ProfilePut {
        /// Configuration of the instances that use it.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
        /// Devices of the instances that use it.
        pub devices: Devices,
    }

    /// A new profile.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ProfilesPost {
        /// Configuration of the instances that use it.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
        /// Devices of the instances that use it.
        pub devices: Devices,
        /// Unique in its project.
        pub name: String,
    }

    /// A new name: the body of every rename that has only a name (profiles, aliases, networks, projects).
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct RenamePost {
        /// The new name.
        pub name: String,
    }
}
