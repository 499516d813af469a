//! THE route table: path and method -> handler. Everything served stands here; tests walk it.
//!
//! `{…}` matches one segment, which is decoded, and `{name...}` all that are left. The old spellings `/1.0/containers` and `/1.0/virtual-machines`
//! are the same rows as `/1.0/instances`.

use std::future::Future;
use std::pin::Pin;

use hyper::Method;

use crate::api::handlers::{
    aliases, backups, certificates, cluster, console, events, exec, files, image_files, images, instance_metadata,
    instances, internal, logs, metadata, network_acls, network_forwards, network_zones, networks, operations, pools,
    profiles, projects, server, snapshots, state, warnings,
};
use crate::api::request::{Request, decode};
use crate::api::response::Reply;
use crate::{Error, Kind, Result};

/// A running handler.
pub type Answer = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// One row: what answers a method on a path.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{…}` for variable segments.
    pub path: &'static str,
    /// What answers.
    pub handler: fn(Request) -> Answer,
}

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path,)*) => {
        /// All rows, in the order in which they are tried.
        pub static ROUTES: &[Route] = &[
            $(Route { method: Method::$method, path: $path, handler: |request| Box::pin($handler(request)) },)*
        ];
    };
}

routes! {
    GET "/" => server::root,
    GET "/1.0" => server::get,
    PUT "/1.0" => server::put,
    PATCH "/1.0" => server::patch,
    GET "/1.0/resources" => server::resources,
    GET "/1.0/metadata/configuration" => metadata::configuration,
    GET "/1.0/events" => events::get,

    GET "/1.0/operations" => operations::list,
    GET "/1.0/operations/{id}" => operations::get,
    DELETE "/1.0/operations/{id}" => operations::delete,
    GET "/1.0/operations/{id}/wait" => operations::wait,
    GET "/1.0/operations/{id}/websocket" => operations::websocket,

    GET "/1.0/instances" => instances::list,
    POST "/1.0/instances" => instances::create,
    PUT "/1.0/instances" => state::bulk,
    GET "/1.0/instances/{name}" => instances::get,
    PUT "/1.0/instances/{name}" => instances::put,
    PATCH "/1.0/instances/{name}" => instances::patch,
    POST "/1.0/instances/{name}" => instances::rename,
    DELETE "/1.0/instances/{name}" => instances::delete,
    GET "/1.0/instances/{name}/snapshots" => snapshots::list,
    POST "/1.0/instances/{name}/snapshots" => snapshots::create,
    GET "/1.0/instances/{name}/snapshots/{snapshot}" => snapshots::get,
    PUT "/1.0/instances/{name}/snapshots/{snapshot}" => snapshots::put,
    PATCH "/1.0/instances/{name}/snapshots/{snapshot}" => snapshots::put,
    POST "/1.0/instances/{name}/snapshots/{snapshot}" => snapshots::rename,
    DELETE "/1.0/instances/{name}/snapshots/{snapshot}" => snapshots::delete,
    GET "/1.0/instances/{name}/state" => state::get,
    PUT "/1.0/instances/{name}/state" => state::put,
    POST "/1.0/instances/{name}/exec" => exec::post,
    GET "/1.0/instances/{name}/backups" => backups::list,
    POST "/1.0/instances/{name}/backups" => backups::create,
    GET "/1.0/instances/{name}/backups/{backup}" => backups::get,
    POST "/1.0/instances/{name}/backups/{backup}" => backups::rename,
    DELETE "/1.0/instances/{name}/backups/{backup}" => backups::delete,
    GET "/1.0/instances/{name}/backups/{backup}/export" => backups::export,
    GET "/1.0/instances/{name}/files" => files::get,
    HEAD "/1.0/instances/{name}/files" => files::head,
    POST "/1.0/instances/{name}/files" => files::post,
    DELETE "/1.0/instances/{name}/files" => files::delete,
    GET "/1.0/instances/{name}/sftp" => files::sftp,
    GET "/1.0/instances/{name}/metadata" => instance_metadata::get,
    PUT "/1.0/instances/{name}/metadata" => instance_metadata::put,
    PATCH "/1.0/instances/{name}/metadata" => instance_metadata::patch,
    GET "/1.0/instances/{name}/metadata/templates" => instance_metadata::templates,
    POST "/1.0/instances/{name}/metadata/templates" => instance_metadata::write,
    DELETE "/1.0/instances/{name}/metadata/templates" => instance_metadata::remove,
    POST "/1.0/instances/{name}/console" => console::post,
    GET "/1.0/instances/{name}/console" => console::log,
    DELETE "/1.0/instances/{name}/console" => console::clear,
    GET "/1.0/instances/{name}/logs" => logs::list,
    GET "/1.0/instances/{name}/logs/{file}" => logs::get,
    DELETE "/1.0/instances/{name}/logs/{file}" => logs::delete,

    GET "/1.0/profiles" => profiles::list,
    POST "/1.0/profiles" => profiles::create,
    GET "/1.0/profiles/{name}" => profiles::get,
    PUT "/1.0/profiles/{name}" => profiles::put,
    PATCH "/1.0/profiles/{name}" => profiles::patch,
    POST "/1.0/profiles/{name}" => profiles::rename,
    DELETE "/1.0/profiles/{name}" => profiles::delete,

    GET "/1.0/images" => images::list,
    POST "/1.0/images" => image_files::upload,
    GET "/1.0/images/aliases" => aliases::list,
    POST "/1.0/images/aliases" => aliases::create,
    GET "/1.0/images/aliases/{name...}" => aliases::get,
    PUT "/1.0/images/aliases/{name...}" => aliases::put,
    PATCH "/1.0/images/aliases/{name...}" => aliases::patch,
    POST "/1.0/images/aliases/{name...}" => aliases::rename,
    DELETE "/1.0/images/aliases/{name...}" => aliases::delete,
    GET "/1.0/images/{fingerprint}" => images::get,
    PUT "/1.0/images/{fingerprint}" => images::put,
    PATCH "/1.0/images/{fingerprint}" => images::patch,
    DELETE "/1.0/images/{fingerprint}" => images::delete,
    GET "/1.0/images/{fingerprint}/export" => image_files::export,
    POST "/1.0/images/{fingerprint}/refresh" => images::refresh,
    POST "/1.0/images/{fingerprint}/secret" => images::secret,

    GET "/1.0/storage-pools" => pools::list,
    POST "/1.0/storage-pools" => pools::create,
    GET "/1.0/storage-pools/{pool}" => pools::get,
    PUT "/1.0/storage-pools/{pool}" => pools::put,
    PATCH "/1.0/storage-pools/{pool}" => pools::patch,
    DELETE "/1.0/storage-pools/{pool}" => pools::delete,
    GET "/1.0/storage-pools/{pool}/resources" => pools::resources,

    GET "/1.0/networks" => networks::list,
    POST "/1.0/networks" => networks::create,
    GET "/1.0/networks/{name}" => networks::get,
    PUT "/1.0/networks/{name}" => networks::put,
    PATCH "/1.0/networks/{name}" => networks::patch,
    POST "/1.0/networks/{name}" => networks::rename,
    DELETE "/1.0/networks/{name}" => networks::delete,
    GET "/1.0/networks/{name}/state" => networks::state,
    GET "/1.0/networks/{name}/leases" => networks::leases,
    GET "/1.0/networks/{name}/forwards" => network_forwards::list,
    POST "/1.0/networks/{name}/forwards" => network_forwards::create,
    GET "/1.0/networks/{name}/forwards/{address}" => network_forwards::get,
    PUT "/1.0/networks/{name}/forwards/{address}" => network_forwards::put,
    PATCH "/1.0/networks/{name}/forwards/{address}" => network_forwards::patch,
    DELETE "/1.0/networks/{name}/forwards/{address}" => network_forwards::delete,
    GET "/1.0/networks/{name}/peers" => networks::peers,
    POST "/1.0/networks/{name}/peers" => networks::peers,
    GET "/1.0/networks/{name}/peers/{peer}" => networks::peers,
    PUT "/1.0/networks/{name}/peers/{peer}" => networks::peers,
    PATCH "/1.0/networks/{name}/peers/{peer}" => networks::peers,
    DELETE "/1.0/networks/{name}/peers/{peer}" => networks::peers,

    GET "/1.0/network-acls" => network_acls::list,
    POST "/1.0/network-acls" => network_acls::create,
    GET "/1.0/network-acls/{name}" => network_acls::get,
    PUT "/1.0/network-acls/{name}" => network_acls::put,
    PATCH "/1.0/network-acls/{name}" => network_acls::patch,
    POST "/1.0/network-acls/{name}" => network_acls::rename,
    DELETE "/1.0/network-acls/{name}" => network_acls::delete,
    GET "/1.0/network-acls/{name}/log" => network_acls::log,

    GET "/1.0/network-zones" => network_zones::list,
    POST "/1.0/network-zones" => network_zones::create,
    GET "/1.0/network-zones/{zone}" => network_zones::get,
    PUT "/1.0/network-zones/{zone}" => network_zones::put,
    PATCH "/1.0/network-zones/{zone}" => network_zones::patch,
    DELETE "/1.0/network-zones/{zone}" => network_zones::delete,
    GET "/1.0/network-zones/{zone}/records" => network_zones::records,
    POST "/1.0/network-zones/{zone}/records" => network_zones::create_record,
    GET "/1.0/network-zones/{zone}/records/{name}" => network_zones::get_record,
    PUT "/1.0/network-zones/{zone}/records/{name}" => network_zones::put_record,
    PATCH "/1.0/network-zones/{zone}/records/{name}" => network_zones::patch_record,
    DELETE "/1.0/network-zones/{zone}/records/{name}" => network_zones::delete_record,

    GET "/1.0/warnings" => warnings::list,
    GET "/1.0/warnings/{uuid}" => warnings::get,
    PUT "/1.0/warnings/{uuid}" => warnings::put,
    PATCH "/1.0/warnings/{uuid}" => warnings::put,
    DELETE "/1.0/warnings/{uuid}" => warnings::delete,

    GET "/1.0/certificates" => certificates::list,
    POST "/1.0/certificates" => certificates::create,
    GET "/1.0/certificates/{fingerprint}" => certificates::get,
    PUT "/1.0/certificates/{fingerprint}" => certificates::put,
    PATCH "/1.0/certificates/{fingerprint}" => certificates::patch,
    DELETE "/1.0/certificates/{fingerprint}" => certificates::delete,

    GET "/1.0/projects" => projects::list,
    GET "/1.0/projects/{name}" => projects::get,
    GET "/1.0/cluster" => cluster::get,

    GET "/internal/ready" => internal::ready,
    PUT "/internal/shutdown" => internal::shutdown,
    POST "/internal/recover/validate" => internal::recover_validate,
    POST "/internal/recover/import" => internal::recover_import,
    GET "/internal/sql" => internal::sql_dump,
    POST "/internal/sql" => internal::sql_query,
}

/// The rows for callers who aren't trusted: their handlers look at who asks. Everything else is refused before.
const OPEN: &[(Method, &str)] = &[
    (Method::GET, "/"),
    (Method::GET, "/1.0"),
    (Method::POST, "/1.0/certificates"),
    (Method::GET, "/1.0/images"),
    (Method::GET, "/1.0/images/{fingerprint}"),
    (Method::GET, "/1.0/images/{fingerprint}/export"),
    (Method::GET, "/1.0/images/aliases/{name...}"),
    (Method::GET, "/1.0/operations/{id}/websocket"),
];

/// How paths begin of which LXD 5.0.2 has more than the rows above, and what that is.
const LATER: &[(&str, &str)] = &[
    ("/1.0/projects", "Making and changing projects"),
    ("/1.0/cluster", "Clustering"),
    ("/1.0/metrics", "Metrics"),
    ("/1.0/storage-pools/{pool}/volumes", "Storage volumes of one's own"),
];

/// Where clients may name a member of the cluster by `target`. There is none until there are clusters.
const OF_MEMBERS: &[(&[Method], &str)] = &[
    (&[], "/1.0"),
    (&[], "/1.0/resources"),
    (&[Method::POST], "/1.0/storage-pools"),
    (&[], "/1.0/storage-pools/{pool}"),
    (&[], "/1.0/storage-pools/{pool}/resources"),
    (&[Method::POST], "/1.0/networks"),
    (&[], "/1.0/networks/{name}"),
    (&[], "/1.0/networks/{name}/state"),
];

impl Route {
    /// Refuses a `target` with LXD's texts, wherever it would count.
    pub fn check_target(&self, target: Option<&str>) -> Result<()> {
        if target.is_none_or(|name| name.is_empty() || name == "none") {
            return Ok(());
        }
        let counts = |(methods, path): &(&[Method], &str)| {
            *path == self.path && (methods.is_empty() || methods.contains(&self.method))
        };
        match (&self.method, self.path) {
            (&Method::POST, "/1.0/instances") => Err(Error::invalid("Target only allowed when clustered")),
            _ if OF_MEMBERS.iter().any(counts) => Err(Error::not_found("Cluster member not found")),
            _ => Ok(()),
        }
    }

    /// Whether callers who aren't trusted may ask it.
    pub fn is_open(&self) -> bool {
        OPEN.iter().any(|(method, path)| *method == self.method && *path == self.path)
    }
}

/// The row for a request, and the values of its variable segments.
///
/// # Errors
/// [`Kind::NotFound`] for a path without a row; [`Kind::Unsupported`] for a path whose rows have other methods.
pub fn find(method: &Method, path: &str) -> Result<(&'static Route, Vec<String>)> {
    let mut known = false;
    for route in ROUTES {
        let Some(params) = captures(route.path, path) else { continue };
        known = true;
        if route.method == *method {
            return Ok((route, params));
        }
    }
    if let Some((_, what)) = LATER.iter().find(|(pattern, _)| begins(pattern, path)) {
        return Err(Error::unsupported(what));
    }
    match known {
        true => Err(Error::new(Kind::Unsupported, "not implemented")),
        false => Err(Error::not_found("not found")),
    }
}

/// Whether the first segments of `path` fit `pattern`.
fn begins(pattern: &str, path: &str) -> bool {
    let start: Vec<&str> = path.split('/').take(pattern.split('/').count()).collect();
    captures(pattern, &start.join("/")).is_some()
}

/// The variable segments when `path` fits `pattern`.
fn captures(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(w), Some(g)) if w.ends_with("...}") && !g.is_empty() => {
                let rest: Vec<&str> = std::iter::once(g).chain(given.by_ref()).collect();
                params.push(decode(&rest.join("/"), false));
            }
            (Some(w), Some(g)) if w.starts_with('{') && !g.is_empty() => params.push(decode(g, false)),
            (Some("instances"), Some("containers" | "virtual-machines")) => {}
            (Some(w), Some(g)) if w == g => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_rows() {
        let found = |m: Method, p: &str| find(&m, p).map(|(r, v)| (r.path, v)).map_err(|e| e.kind());
        assert_eq!(found(Method::GET, "/1.0/containers/c%201"), Ok(("/1.0/instances/{name}", vec!["c 1".into()])));
        assert_eq!(found(Method::GET, "/1.0/images/aliases"), Ok(("/1.0/images/aliases", vec![])));
        let slash = Ok(("/1.0/images/aliases/{name...}", vec!["debian/12".into()]));
        assert_eq!(found(Method::GET, "/1.0/images/aliases/debian/12"), slash);
        assert_eq!(found(Method::GET, "/1.0/images/aliases/debian%2F12"), slash);
        assert_eq!(found(Method::POST, "/1.0"), Err(Kind::Unsupported));
        assert_eq!(found(Method::GET, "/1.0/"), Err(Kind::NotFound));
        assert_eq!(found(Method::GET, "/1.0/nope"), Err(Kind::NotFound));
        assert_eq!(found(Method::POST, "/1.0/storage-pools/p/volumes/custom"), Err(Kind::Unsupported));
        assert_eq!(found(Method::GET, "/1.0/storage-pools/p/volume"), Err(Kind::NotFound));
    }

    #[test]
    fn what_is_open_is_there() {
        assert_eq!(ROUTES.iter().filter(|route| route.is_open()).count(), OPEN.len());
    }

    #[test]
    fn members_are_named_where_rows_are() {
        assert!(OF_MEMBERS.iter().all(|(_, path)| ROUTES.iter().any(|route| route.path == *path)));
    }

    #[test]
    fn no_row_stands_twice() {
        let mut seen = std::collections::HashSet::new();
        assert!(ROUTES.iter().all(|r| seen.insert((r.method.clone(), r.path))));
    }
}
