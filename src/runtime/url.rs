//! URLs of things, as `used_by`, `resources` and events show them.

/// `/1.0/KIND/NAME`, with `?project=` when the project isn't the default one.
pub fn of(kind: &str, name: &str, project: &str) -> String {
    let name = encode(name);
    match project {
        "" | "default" => format!("/1.0/{kind}/{name}"),
        project => format!("/1.0/{kind}/{name}?project={}", encode(project)),
    }
}

/// The URL of a snapshot of an instance; LXD leaves its name as it is.
pub fn snapshot(project: &str, instance: &str, name: &str) -> String {
    let plain = format!("/1.0/instances/{}/snapshots/{name}", encode(instance));
    match project {
        "" | "default" => plain,
        project => format!("{plain}?project={}", encode(project)),
    }
}

/// Percent-encodes everything a path segment can't hold (RFC 3986 section 3.3).
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_encoded_and_the_default_project_is_left_out() {
        assert_eq!(super::of("images/aliases", "a/b", "default"), "/1.0/images/aliases/a%2Fb");
        assert_eq!(super::of("instances", "c1", "p 1"), "/1.0/instances/c1?project=p%201");
    }
}
