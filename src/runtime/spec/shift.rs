//! Moving the ids of a file tree from one map to another: where ids stand, and what they become (pure).

use std::path::PathBuf;

use serde::Serialize;

use super::Idmap;
use super::idmap::Ids;
use crate::api::tree::readable;

readable! {
    /// What the `shift` helper is told.
    #[derive(Clone, Debug, Serialize)]
    pub struct ShiftPlan {
        /// [`super::VERSION`].
        pub version: u32,
        /// The tree; nothing uses it meanwhile.
        pub path: PathBuf,
        /// The map whose host ids are on disk; empty: the guest's own ids are.
        pub from: Idmap,
        /// The map whose host ids shall be on disk; empty: the guest's own ids.
        pub to: Idmap,
    }

    /// What it answers.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum ShiftAnswer {
        /// All is shifted.
        Done,
        /// It stopped half-way.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done.
            what: String,
        },
    }
}

impl ShiftPlan {
    /// What an id on disk becomes; `None` when it belongs to no id of the guest.
    pub fn shift(&self, ids: Ids, id: u32) -> Option<u32> {
        let guest = if self.from.0.is_empty() { Some(id) } else { self.from.to_guest(ids, id) }?;
        if self.to.0.is_empty() { Some(guest) } else { self.to.to_host(ids, guest) }
    }

    /// A POSIX ACL (`system.posix_acl_*`) with its users and groups shifted; `None` when it is damaged or names an unknown id.
    ///
    /// Version 2: a 32-bit version, then entries of 16-bit tag and permissions and 32-bit id, all little-endian (linux/posix_acl_xattr.h).
    pub fn acl(&self, acl: &[u8]) -> Option<Vec<u8>> {
        let (version, entries) = acl.split_at_checked(4)?;
        if version != 2u32.to_le_bytes() || entries.len() % 8 != 0 {
            return None;
        }
        let mut out = version.to_vec();
        for entry in entries.chunks_exact(8) {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let id = match u16::from_le_bytes([entry[0], entry[1]]) {
                2 => self.shift(Ids::Uid, id)?,
                8 => self.shift(Ids::Gid, id)?,
                _ => id,
            };
            out.extend(&entry[..4]);
            out.extend(id.to_le_bytes());
        }
        Some(out)
    }

    /// File capabilities (`security.capability`) that hold for the guest's root; `None` when they are damaged.
    ///
    /// On disk those of the initial user namespace have version 2 (20 bytes), those of another version 3 with the host's id of its
    /// root at the end (capabilities(7), "File capability extended attribute versioning").
    pub fn capabilities(&self, caps: &[u8]) -> Option<Vec<u8>> {
        let magic = u32::from_le_bytes(caps.get(..4)?.try_into().ok()?);
        let body = match (magic >> 24, caps.len()) {
            (2, 20) => &caps[4..],
            (3, 24) => &caps[4..20],
            _ => return None,
        };
        let flags = magic & 0x00ff_ffff;
        let (root, _) = self.to.root();
        let version: u32 = if root == 0 { 2 } else { 3 };
        let mut out = (version << 24 | flags).to_le_bytes().to_vec();
        out.extend(body);
        if root != 0 {
            out.extend(root.to_le_bytes());
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(from: Idmap, to: Idmap) -> ShiftPlan {
        ShiftPlan { version: 1, path: PathBuf::new(), from, to }
    }

    fn map(first: u32) -> Idmap {
        Idmap::ranges((first, 65_536), (first + 1, 65_536))
    }

    #[test]
    fn ids_go_there_and_back() {
        let there = plan(Idmap::default(), map(100_000));
        assert_eq!((there.shift(Ids::Uid, 7), there.shift(Ids::Gid, 7)), (Some(100_007), Some(100_008)));
        assert_eq!(there.shift(Ids::Uid, 65_536), None);
        let back = plan(map(100_000), Idmap::default());
        assert_eq!((back.shift(Ids::Uid, 100_007), back.shift(Ids::Uid, 7)), (Some(7), None));
        assert_eq!(plan(map(100_000), map(300_000)).shift(Ids::Gid, 100_008), Some(300_008));
    }

    #[test]
    fn acls_shift_named_users_and_groups_only() {
        let entry = |tag: u16, id: u32| {
            [tag.to_le_bytes(), 7u16.to_le_bytes()].concat().into_iter().chain(id.to_le_bytes()).collect::<Vec<u8>>()
        };
        let acl = |ids: [u32; 3]| {
            [2u32.to_le_bytes().to_vec(), entry(1, ids[0]), entry(2, ids[1]), entry(8, ids[2])].concat()
        };
        let there = plan(Idmap::default(), map(100_000));
        let back = plan(map(100_000), Idmap::default());
        let before = acl([u32::MAX, 5, 6]);
        let after = there.acl(&before).unwrap();
        assert_eq!(after, acl([u32::MAX, 100_005, 100_007]));
        assert_eq!(back.acl(&after).unwrap(), before);
        assert!(there.acl(&before[..9]).is_none() && there.acl(b"").is_none());
        assert!(there.acl(&acl([0, 70_000, 0])).is_none());
    }

    #[test]
    fn capabilities_get_and_lose_the_root_they_hold_for() {
        let two: Vec<u8> = [0x0200_0001u32.to_le_bytes().to_vec(), vec![9; 16]].concat();
        let there = plan(Idmap::default(), map(100_000));
        let three = there.capabilities(&two).unwrap();
        assert_eq!(three.len(), 24);
        assert_eq!(three[..4], 0x0300_0001u32.to_le_bytes());
        assert_eq!(three[20..], 100_000u32.to_le_bytes());
        assert_eq!(plan(map(100_000), Idmap::default()).capabilities(&three).unwrap(), two);
        assert!(there.capabilities(&two[..19]).is_none());
    }
}
