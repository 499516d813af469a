//! Networks on the host: links, addresses, routes, firewall.
//!
//! ```text
//! netlink   links, addresses, routes, neighbours, bridge ports, switches below /proc/sys/net
//! nft       the packet filter: tables, chains, rules
//! rules     which rules networks and NICs want, as plain values
//! tc        how fast a NIC may be
//! ```
//!
//! Everything here blocks for as long as the kernel takes, and belongs on blocking threads.

pub mod netlink;
pub mod nft;
pub mod rules;
pub mod tc;
