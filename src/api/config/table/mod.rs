//! The rows, one file per entity. What they mean is in the module above.

pub(super) mod device;
pub(super) mod instance;
pub(super) mod network;
pub(super) mod nic;
pub(super) mod pool;
pub(super) mod project;
pub(super) mod server;
pub(super) mod volatile;
pub(super) mod volume;
