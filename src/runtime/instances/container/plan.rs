//! Pure pieces of a container's plan: what LXD 5.0.2 gives privileged and unprivileged containers (measured).

use crate::error::{Error, Result};
use crate::runtime::spec::capability;
use crate::runtime::spec::syscalls::Policy;
use crate::runtime::sys::seccomp;

/// Device rules of privileged containers. Unprivileged ones get none: nobody can make device nodes in a user namespace.
const DEVICE_RULES: [&str; 13] = [
    "b *:* m",
    "c *:* m",
    "c 136:* rwm",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 10:229 rwm",
    "c 10:200 rwm",
];

/// The command lines that start a container's process 1 by default.
pub const INIT: &str = "/sbin/init";

/// The devices cgroup's rules.
pub fn device_rules(privileged: bool) -> Vec<String> {
    if privileged { DEVICE_RULES.iter().map(|r| (*r).to_owned()).collect() } else { Vec::new() }
}

/// The mask of capabilities taken away.
pub fn dropped_capabilities(privileged: bool) -> Result<u64> {
    if !privileged {
        return Ok(0);
    }
    capability::mask(capability::PRIVILEGED_DROP)
        .map_err(|name| Error::internal(format!("Unknown capability {name:?}")))
}

/// The filter that a policy is compiled to; that of the usual policy once for the life of the process, and none where nothing
/// is denied.
pub fn filter(policy: &Policy) -> Result<String> {
    static USUAL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    if *policy == Policy::denying() {
        return Ok(String::new());
    }
    let usual = *policy == Policy::usual();
    if let Some(known) = USUAL.get().filter(|_| usual) {
        return Ok(known.clone());
    }
    let filter = seccomp::compile(policy)?;
    Ok(if usual { USUAL.get_or_init(|| filter).clone() } else { filter })
}

/// The environment of an executed command, as LXD fills it in: PATH, LANG, and for the guest's root HOME and USER; then `environment.*` of the instance; then the request's own.
pub fn exec_environment(
    instance: &[(String, String)],
    request: &[(String, String)],
    uid: u32,
) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: &str| match env.iter_mut().find(|(k, _)| k == key) {
        Some((_, old)) => *old = value.to_owned(),
        None => env.push((key.to_owned(), value.to_owned())),
    };
    set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    set("container", "lxc");
    set("LANG", "C.UTF-8");
    if uid == 0 {
        set("HOME", "/root");
        set("USER", "root");
    }
    for (key, value) in instance.iter().chain(request) {
        set(key, value);
    }
    env
}

/// The directory a command starts in when the request names none: the guest root's home, else `/`.
pub fn exec_cwd(environment: &[(String, String)]) -> String {
    let home = environment.iter().find(|(k, _)| k == "HOME").map(|(_, v)| v.as_str()).filter(|v| !v.is_empty());
    home.unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn privileged_containers_are_confined_as_lxds() {
        assert_eq!(dropped_capabilities(true).unwrap(), 0x3_0203_0000);
        assert_eq!(dropped_capabilities(false).unwrap(), 0);
        assert_eq!(device_rules(true).len(), 13);
        assert!(device_rules(false).is_empty());
    }

    #[test]
    fn requests_win_over_the_instance_and_that_over_defaults() {
        let env = exec_environment(&[pair("A", "1"), pair("LANG", "de")], &[pair("A", "2"), pair("HOME", "")], 0);
        let get = |key: &str| env.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!(get("A"), ["2"]);
        assert_eq!(get("LANG"), ["de"]);
        assert_eq!(get("HOME"), [""]);
        assert_eq!(exec_cwd(&env), "/");
        assert_eq!(get("USER"), ["root"]);
    }

    #[test]
    fn other_users_get_no_home() {
        let env = exec_environment(&[], &[], 1000);
        assert!(!env.iter().any(|(k, _)| k == "HOME" || k == "USER"));
        assert_eq!(exec_cwd(&exec_environment(&[], &[], 0)), "/root");
    }
}
