//! Links, addresses, routes and firewall on real kernels, each test in network namespaces of its own, compared with what
//! `ip`, `bridge`, `tc` and `nft` say. Needs root, iproute2 and nftables.

mod goldens;
mod links;
mod packet_filter;
mod space;
mod traffic;
