//! Archives made byte by byte, since no honest program writes them.

use tar::{EntryType, Header};

/// An archive with the members of a unified image before anything else.
pub struct Made {
    builder: tar::Builder<Vec<u8>>,
}

impl Made {
    /// Begins with a good `metadata.yaml` and an empty root.
    pub fn image() -> Made {
        let mut made = Made::empty();
        made.file("metadata.yaml", b"architecture: x86_64\ncreation_date: 1700000000\n");
        made.node("rootfs/", EntryType::Directory, (0, 0));
        made
    }

    pub fn empty() -> Made {
        Made { builder: tar::Builder::new(Vec::new()) }
    }

    pub fn header(path: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        // Not set_path: it would refuse what these tests are about.
        header.as_mut_bytes()[..path.len().min(100)].copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_cksum();
        header
    }

    pub fn file(&mut self, path: &str, content: &[u8]) -> &mut Made {
        let header = Made::header(path, EntryType::Regular, content.len() as u64);
        self.builder.append(&header, content).unwrap();
        self
    }

    pub fn link(&mut self, path: &str, kind: EntryType, target: &str) -> &mut Made {
        let mut header = Made::header(path, kind, 0);
        header.set_link_name_literal(target).unwrap();
        header.set_cksum();
        self.builder.append(&header, &b""[..]).unwrap();
        self
    }

    pub fn symlink(&mut self, path: &str, target: &str) -> &mut Made {
        self.link(path, EntryType::Symlink, target)
    }

    pub fn hardlink(&mut self, path: &str, target: &str) -> &mut Made {
        self.link(path, EntryType::Link, target)
    }

    pub fn node(&mut self, path: &str, kind: EntryType, device: (u32, u32)) -> &mut Made {
        let mut header = Made::header(path, kind, 0);
        header.set_device_major(device.0).unwrap();
        header.set_device_minor(device.1).unwrap();
        header.set_cksum();
        self.builder.append(&header, &b""[..]).unwrap();
        self
    }

    /// Extended records for the next member.
    pub fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Made {
        self.builder.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let builder = std::mem::replace(&mut self.builder, tar::Builder::new(Vec::new()));
        builder.into_inner().unwrap()
    }
}
