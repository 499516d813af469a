//! Linux capabilities by name and number (capabilities(7)).

/// Names in the order of their numbers.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// What LXD 5.0.2 takes from privileged containers (its `lxc.cap.drop`, measured); unprivileged ones keep all.
pub const PRIVILEGED_DROP: [&str; 5] = ["sys_time", "sys_module", "sys_rawio", "mac_admin", "mac_override"];

/// All that the mounter of an overlay root file system keeps.
///
/// With these and the file-system ids of the map's root every case works; more (SYS_RESOURCE) would let a guest fill
/// the file system's reserve and pass quotas, fewer break opaque directories, device nodes and file capabilities.
pub const OVERLAY_MOUNTER: [&str; 7] = ["sys_admin", "chown", "dac_override", "fowner", "fsetid", "setfcap", "mknod"];

/// The bit mask of the capabilities named (with or without `CAP_`, any case); `Err` names the first unknown one.
pub fn mask<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<u64, String> {
    names.into_iter().try_fold(0, |mask, name| {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
        let number = NAMES.iter().position(|known| *known == bare).ok_or_else(|| name.to_owned())?;
        Ok(mask | 1 << number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileged_containers_lose_what_lxd_takes() {
        assert_eq!(mask(PRIVILEGED_DROP), Ok(0x3_0203_0000));
        assert_eq!(mask(["CAP_SYS_TIME"]), Ok(1 << 25));
        assert_eq!(mask(["sys_tim"]), Err("sys_tim".to_owned()));
    }

    #[test]
    fn numbers_are_the_kernels() {
        for (i, name) in NAMES.iter().enumerate() {
            let cap: caps::Capability = format!("CAP_{}", name.to_ascii_uppercase()).parse().unwrap();
            assert_eq!(usize::from(cap.index()), i, "{name}");
        }
    }
}
