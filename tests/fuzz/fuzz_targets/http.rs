//! What the API reads of a request after HTTP itself: paths, queries, filters, JSON of every kind.
#![no_main]

use hyper::Method;
use libfuzzer_sys::fuzz_target;
use lxbox::api::request::filter::Filter;
use lxbox::api::request::{Query, decode, json};
use lxbox::api::routes;
use lxbox::api::types;
use serde_json::Value;

/// A path finds one route at most, and what its parameters hold fits into it.
fn path(path: &str) {
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        if let Ok((_, params)) = routes::find(&method, path) {
            assert!(params.iter().map(String::len).sum::<usize>() <= path.len());
        }
    }
}

fn bodies(body: &[u8]) {
    let _ = json::parse::<types::InstancesPost>(body);
    let _ = json::parse::<types::InstancePut>(body);
    let _ = json::parse::<types::InstanceExecPost>(body);
    let _ = json::parse::<types::InstanceConsolePost>(body);
    let _ = json::parse::<types::InstanceStatePut>(body);
    let _ = json::parse::<types::ImagesPost>(body);
    let _ = json::parse::<types::ProfilesPost>(body);
    let _ = json::parse::<types::StoragePoolsPost>(body);
    let _ = json::parse::<types::ServerPut>(body);
    let _ = json::parse::<Value>(body);
}

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (head, body) = data.split_at(end);
    bodies(body);
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (before, after) = head.split_once('?').unwrap_or((head, ""));
    path(before);
    let query = Query::parse(after);
    assert!(query.pairs().len() <= after.split('&').count());
    decode(head, true);
    if let Ok(filter) = Filter::parse(after) {
        let object =
            serde_json::json!({"name": "c1", "config": {"limits.memory": "1GiB"}, "profiles": ["default"], "size": 7});
        filter.matches(&object);
    }
});
