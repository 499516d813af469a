//! What handlers may call: the services, all together only here and in handlers.

use super::Rest;
use crate::runtime::certificates::Certificates;
use crate::runtime::events::Events;
use crate::runtime::https::Https;
use crate::runtime::images::service::Images;
use crate::runtime::instances::Instances;
use crate::runtime::network::service::Networks;
use crate::runtime::operations::Operations;
use crate::runtime::pools::Pools;
use crate::runtime::profiles::Profiles;
use crate::runtime::projects::Projects;
use crate::runtime::server::Server;
use crate::runtime::sql::Sql;
use crate::runtime::warnings::Warnings;

/// The services, as the composition root (`runtime::daemon`) made them. Only handlers see them together.
pub struct Services {
    /// The event bus.
    pub events: Events,
    /// Background operations.
    pub operations: Operations,
    /// The server's own configuration and facts.
    pub server: Server,
    /// Projects.
    pub projects: Projects,
    /// Profiles.
    pub profiles: Profiles,
    /// Images and aliases.
    pub images: Images,
    /// Storage pools.
    pub pools: Pools,
    /// Networks.
    pub networks: Networks,
    /// Instances.
    pub instances: Instances,
    /// Warnings.
    pub warnings: Warnings,
    /// The store as tables.
    pub sql: Sql,
    /// The trust store.
    pub certificates: Certificates,
    /// The API's socket for other machines.
    pub https: Https,
    /// What is given back while nobody asks.
    pub rest: Rest,
}
