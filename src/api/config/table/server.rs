//! Keys of the server (LXD 5.0.2, `server.md`).

use crate::api::config::key::On::Member;
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

/// Waits for the rest of what is said over TLS.
const TLS: &str = "tokens, authorities and proxies of the HTTPS listener";
/// Waits for clusters.
const CLUSTER: &str = "clusters";
/// Compression of what the server packs.
const COMPRESSION: Kind = Kind::Compression;

/// The architectures LXD knows.
pub(super) const ARCHITECTURE: Kind = Kind::OneOf(&[
    "aarch64", "armv6l", "armv7l", "armv8l", "i686", "mips", "mips64", "ppc", "ppc64", "ppc64le", "riscv32", "riscv64",
    "s390x", "x86_64",
]);

const fn core(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("core").live()
}

const fn text(name: &'static str, short: &'static str) -> Key {
    key(name, Kind::Text, short).live()
}

/// The rows.
pub const ROWS: &[Key] = &[
    core("core.bgp_address", Kind::Address, "Where the BGP server listens")
        .on(Member)
        .since("network_bgp")
        .later("BGP"),
    core("core.bgp_asn", Kind::Within(0, 4_294_967_294), "Number of the autonomous system")
        .since("network_bgp")
        .later("BGP"),
    core("core.bgp_routerid", Kind::Ip4, "Identity of this router, written as an IPv4 address")
        .on(Member)
        .since("network_bgp")
        .later("BGP"),
    core("core.debug_address", Kind::Address, "Where the profiling server listens").on(Member).later("profiling"),
    core("core.dns_address", Kind::Address, "Where the DNS server of network zones listens")
        .on(Member)
        .since("network_dns")
        .applied(),
    core("core.https_address", Kind::Address, "Where the API listens for other machines").on(Member).applied(),
    core("core.https_allowed_credentials", Kind::Bool, "Send Access-Control-Allow-Credentials with `true`").applied(),
    core("core.https_allowed_headers", Kind::Text, "Value of Access-Control-Allow-Headers").applied(),
    core("core.https_allowed_methods", Kind::Text, "Value of Access-Control-Allow-Methods").applied(),
    core("core.https_allowed_origin", Kind::Text, "Value of Access-Control-Allow-Origin").applied(),
    core(
        "core.https_trusted_proxy",
        Kind::Text,
        "Proxies that may say on whose behalf they connect, with commas between them",
    )
    .later(TLS),
    core("core.metrics_address", Kind::Address, "Where metrics are served")
        .on(Member)
        .since("metrics")
        .later("metrics"),
    core("core.metrics_authentication", Kind::Bool, "Ask those who fetch metrics for a certificate")
        .default("true")
        .since("metrics_authentication")
        .later("metrics"),
    core("core.proxy_http", Kind::Text, "Proxy for http, in place of HTTP_PROXY").applied(),
    core("core.proxy_https", Kind::Text, "Proxy for https, in place of HTTPS_PROXY").applied(),
    core("core.proxy_ignore_hosts", Kind::Text, "Hosts reached without a proxy, in place of NO_PROXY").applied(),
    core("core.remote_token_expiry", Kind::Expiry, "How long a token for adding a client is good")
        .default("no expiry")
        .later(TLS),
    core("core.shutdown_timeout", Kind::Integer, "Minutes a stopping server waits for running operations")
        .default("5")
        .applied(),
    core("core.trust_ca_certificates", Kind::Bool, "Trust every client with a certificate of the authority").later(TLS),
    core("core.trust_password", Kind::Text, "Password with which a client can add itself").applied(),
    text("candid.api.key", "Public key of the Candid server").group("candid").later("Candid"),
    text("candid.api.url", "Where the Candid server is").group("candid").later("Candid"),
    text("candid.domains", "Candid domains that are taken, with commas between them").group("candid").later("Candid"),
    key("candid.expiry", Kind::Integer, "Seconds a macaroon is good")
        .group("candid")
        .live()
        .default("3600")
        .later("Candid"),
    text("rbac.agent.private_key", "Private key of the RBAC agent").group("rbac").later("RBAC"),
    text("rbac.agent.public_key", "Public key of the RBAC agent").group("rbac").later("RBAC"),
    text("rbac.agent.url", "Where the agent's Candid server is").group("rbac").later("RBAC"),
    text("rbac.agent.username", "Name of the RBAC agent").group("rbac").later("RBAC"),
    key("rbac.api.expiry", Kind::Integer, "Seconds a macaroon is good").group("rbac").live().later("RBAC"),
    text("rbac.api.key", "Public key of the RBAC server").group("rbac").later("RBAC"),
    text("rbac.api.url", "Where the RBAC server is").group("rbac").later("RBAC"),
    key("cluster.https_address", Kind::Address, "Where this member listens for the others")
        .on(Member)
        .group("cluster")
        .live()
        .later(CLUSTER),
    key("cluster.images_minimal_replica", Kind::Integer, "How many members have a copy of an image; -1 for all")
        .group("cluster")
        .live()
        .default("3")
        .later(CLUSTER),
    key("cluster.join_token_expiry", Kind::Expiry, "How long a token for joining is good")
        .group("cluster")
        .live()
        .default("3H")
        .later(CLUSTER),
    key("cluster.max_standby", Kind::Standby, "How many members stand by for the database")
        .group("cluster")
        .live()
        .default("2")
        .later(CLUSTER),
    key("cluster.max_voters", Kind::Voters, "How many members vote in the database")
        .group("cluster")
        .live()
        .default("3")
        .later(CLUSTER),
    key("cluster.offline_threshold", Kind::Integer, "Seconds of silence after which a member counts as gone")
        .group("cluster")
        .live()
        .default("20")
        .later(CLUSTER),
    key("images.auto_update_cached", Kind::Bool, "Keep cached images up to date")
        .group("images")
        .live()
        .default("true")
        .off("remote images"),
    key("images.auto_update_interval", Kind::Integer, "Hours between looks for newer images; 0 for never")
        .group("images")
        .live()
        .default("6")
        .off("remote images"),
    key("images.compression_algorithm", COMPRESSION, "How new images are compressed")
        .group("images")
        .live()
        .default("gzip")
        .applied(),
    key("images.default_architecture", ARCHITECTURE, "Architecture to take where members have several")
        .live()
        .group("images")
        .later(CLUSTER),
    key("images.remote_cache_expiry", Kind::Integer, "Days after which an unused cached image goes")
        .group("images")
        .live()
        .default("10")
        .later("remote images"),
    key("backups.compression_algorithm", COMPRESSION, "How backups are compressed")
        .group("backups")
        .live()
        .default("gzip")
        .applied(),
    text("maas.api.key", "Key of the MAAS server").group("maas").later("MAAS"),
    text("maas.api.url", "Where the MAAS server is").group("maas").later("MAAS"),
    text("maas.machine", "What this host is called in MAAS")
        .on(Member)
        .group("maas")
        .default("host name")
        .later("MAAS"),
    text("network.ovn.integration_bridge", "The bridge of Open vSwitch that OVN uses")
        .group("network")
        .default("br-int")
        .later("OVN"),
    text("network.ovn.northbound_connection", "How the northbound database of OVN is reached")
        .group("network")
        .default("unix:/var/run/ovn/ovnnb_db.sock")
        .later("OVN"),
    key("storage.backups_volume", Kind::PoolVolume, "The volume that holds backups")
        .on(Member)
        .group("storage")
        .live()
        .later("custom volumes"),
    key("storage.images_volume", Kind::PoolVolume, "The volume that holds images")
        .on(Member)
        .group("storage")
        .live()
        .later("custom volumes"),
    text("user.*", "Free for users").group("miscellaneous").applied(),
];
