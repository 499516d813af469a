//! Where in a guest's root marks of overlays are content: below the directories on which overlays of its own stand.
//!
//! Such marks (whiteouts, attributes named `user.overlay.`) hide files where an overlay is mounted over them. In archives they are
//! taken from, and believed for, these directories alone, which are never part of an overlay of ours.

/// The directories, by their paths in the root.
pub const DIRECTORIES: [&str; 5] =
    ["var/lib/containers", "var/lib/containerd", "var/lib/docker", "var/lib/kubelet", "var/lib/lxd"];

/// Whether what is at this path of a root is below one of them.
pub fn belong(path: &[u8]) -> bool {
    let below =
        |directory: &&str| path.strip_prefix(directory.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'));
    DIRECTORIES.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_belong_below_directories_of_overlays_alone() {
        for at_home in ["var/lib/docker/a", "var/lib/containerd/x/y"] {
            assert!(belong(at_home.as_bytes()), "{at_home}");
        }
        for foreign in ["", "var/lib/docker", "var/lib/dockers/a", "etc/x", "x/var/lib/docker/a", "var/lib"] {
            assert!(!belong(foreign.as_bytes()), "{foreign}");
        }
    }
}
