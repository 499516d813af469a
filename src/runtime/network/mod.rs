//! Networks on the host.
//!
//! ```text
//! subnet   bridge   acl   forward   zone     what configuration says: pure
//! plan (with firewall)                       what a bridge is to be on the host: pure
//! apply                                      makes it so
//! service                                    networks, forwards, access lists and zones as the API has them
//! ```

pub mod acl;
pub mod apply;
pub mod bridge;
pub mod firewall;
pub mod forward;
pub mod netlink;
pub mod nft;
pub mod plan;
pub mod service;
pub mod subnet;
pub mod zone;
