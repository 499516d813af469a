//! No route without a contract test: each script below `tests/contract` says in `# covers:` lines which it asks.

use std::collections::BTreeSet;
use std::path::Path;

/// What the scripts say they cover, as `METHOD /path/{name}`.
fn covered() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
    let shared = std::fs::read_to_string(folder.join("lib.bash")).unwrap();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "sh") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, script) = split(&text);
        let script = script + &shared;
        assert!(!head.is_empty(), "{path:?} says nothing of what it covers");
        for route in head {
            // The last fixed word of the path stands in the script, or in the variable that is short for it.
            let word = route.rsplit('/').find(|part| !part.starts_with('{') && !part.is_empty()).unwrap_or("/");
            assert!(script.contains(word.trim()), "{path:?} says it covers {route}, but never asks");
            found.insert(route);
        }
    }
    found
}

/// The routes of the `# covers:` lines, and the rest of the script.
fn split(text: &str) -> (Vec<String>, String) {
    let (head, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.starts_with("# covers:"));
    let routes = head.iter().flat_map(|l| l.trim_start_matches("# covers:").split(','));
    (routes.map(|r| r.trim().to_owned()).collect(), rest.join("\n"))
}

/// One form for all ways to write a path: the name of a part that varies does not matter.
fn plain(route: &str) -> String {
    let part = |p: &str| if p.starts_with('{') { "{}".to_owned() } else { p.to_owned() };
    route.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn what_is_covered_is_written_well() {
    let all = covered();
    assert!(all.len() > 70, "only {} routes", all.len());
    for route in all {
        let (method, path) = route.split_once(' ').unwrap_or_else(|| panic!("{route:?}"));
        assert!(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"].contains(&method), "{route:?}");
        assert!(
            path == "/" || (["/1.0", "/internal/"].iter().any(|p| path.starts_with(p)) && !path.ends_with('/')),
            "{route:?}"
        );
        assert!(!plain(path).contains(' '), "{route:?}");
    }
}

#[test]
fn every_route_has_a_contract_test() {
    let covered: BTreeSet<String> = covered().iter().map(|route| plain(route)).collect();
    let served = lxbox::api::routes::ROUTES.iter().filter(|route| !route.path.starts_with("/internal/"));
    let missing: Vec<String> =
        served.map(|r| plain(&format!("{} {}", r.method, r.path))).filter(|r| !covered.contains(r)).collect();
    assert!(missing.is_empty(), "no contract script covers {missing:#?}");
}
