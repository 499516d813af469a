//! Networks on the host: links, addresses, routes, firewall, and what configuration makes of them.
//!
//! ```text
//! netlink   links, addresses, routes, neighbours, bridge ports, switches below /proc/sys/net
//! nft       the packet filter: tables, chains, rules
//! rules     which rules networks and NICs want, as plain values
//! tc        how fast a NIC may be
//! subnet   bridge   acl   forward   zone   dnsmasq    what configuration says: pure
//! dns       a zone as it is sent to other servers of names: pure
//! plan (with firewall, serve)                what a bridge is to be on the host: pure
//! apply                                      makes it so
//! serving                                    the helper process that serves addresses and names on a bridge
//! service                                    networks, forwards, access lists and zones as the API has them
//! ```
//!
//! `netlink`, `nft` and `apply` block for as long as the kernel takes, and belong on blocking threads.

pub mod acl;
pub mod apply;
pub mod bridge;
pub mod dns;
pub mod dnsmasq;
pub mod firewall;
pub mod forward;
pub mod netlink;
pub mod nft;
pub mod plan;
pub mod rules;
pub mod serve;
pub mod service;
pub mod serving;
pub mod subnet;
pub mod tc;
pub mod zone;
