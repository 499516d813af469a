//! What the daemon and the unpacking process say to each other.

use serde::Serialize;

use super::limits::Limits;
use crate::api::tree::readable;
use crate::error::{Error, Kind};
use crate::runtime::spec::Idmap;

readable! {
    /// One run of the process. The descriptors come along with it, in the order that [`Job`] says.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Plan {
        /// What to do.
        pub job: Job,
        /// What it may cost.
        pub limits: Limits,
    }

    /// What to do.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub enum Job {
        /// Unpack an image. Descriptors: the (empty) target directory, the file, and the rootfs file of a split image.
        ///
        /// The target gets `rootfs/`, `metadata.yaml` and `templates/`.
        Unpack {
            /// Whether the root file system has a file of its own.
            split: bool,
            /// Make device nodes; without it they are left out.
            devices: bool,
            /// Write everything to the disk before the answer (one `syncfs`).
            sync: bool,
        },
        /// Unpack a backup. Descriptors: for each tree the (empty) directory for what lies beside the root and that of the root, then
        /// the file.
        Restore {
            /// What is unpacked.
            trees: Vec<ArchivedTree>,
            /// Make device nodes; without it they are left out.
            devices: bool,
        },
        /// Read a backup's `index.yaml`. Descriptor: the file.
        Index,
        /// Read an image's `metadata.yaml` and tell what it is. Descriptors: the file, and the rootfs file of a split one.
        Inspect {
            /// Whether the root file system has a file of its own.
            split: bool,
        },
    }

    /// A tree in a backup.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct ArchivedTree {
        /// Its directory in the archive: `backup/container`, `backup/snapshots/NAME`.
        pub prefix: String,
        /// The map whose host ids its files have; empty when they have the guest's own.
        pub ids: Idmap,
    }

    /// The answer.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub enum Reply {
        /// The image is unpacked.
        Unpacked(Outcome),
        /// What the image is.
        Inspected(Inspection),
        /// The index, as it is.
        Index(String),
        /// It failed; what is in the target is for the caller to remove.
        Failed {
            /// The name of an error kind.
            kind: FailureKind,
            /// The text for the user.
            message: String,
        },
    }

    /// The kinds of [`crate::error::Kind`] that this process answers with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub enum FailureKind {
        /// The image is wrong.
        Invalid,
        /// The image is of a sort that isn't supported.
        Unsupported,
        /// The disk or the quota is full.
        Unavailable,
        /// The host.
        Internal,
    }
}

impl Reply {
    /// The answer that says why it failed.
    pub fn failed(error: &Error) -> Reply {
        let kind = match error.kind() {
            Kind::Invalid => FailureKind::Invalid,
            Kind::Unsupported => FailureKind::Unsupported,
            Kind::Unavailable => FailureKind::Unavailable,
            _ => FailureKind::Internal,
        };
        Reply::Failed { kind, message: error.message().to_owned() }
    }
}

impl From<FailureKind> for Kind {
    fn from(kind: FailureKind) -> Kind {
        match kind {
            FailureKind::Invalid => Kind::Invalid,
            FailureKind::Unsupported => Kind::Unsupported,
            FailureKind::Unavailable => Kind::Unavailable,
            FailureKind::Internal => Kind::Internal,
        }
    }
}

readable! {
    /// What was unpacked, and what was left out of it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Outcome {
        /// Members of the root file system.
        pub entries: u64,
        /// Bytes written into files, without holes.
        pub bytes: u64,
        /// Device nodes that weren't made.
        pub devices_skipped: u64,
        /// Extended attributes that aren't allowed or couldn't be set.
        pub attributes_dropped: u64,
        /// Members that are no files, or lie neither in `rootfs/` nor in `templates/`.
        pub ignored: u64,
    }

    /// What an image is.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Inspection {
        /// `metadata.yaml`, as it is.
        pub metadata: String,
        /// What the root is.
        pub root: RootKind,
    }

    /// In which form an image has its root file system.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub enum RootKind {
        /// A directory tree in a tar archive: a container.
        Tree,
        /// A squashfs file: a container.
        Squashfs,
        /// A disk: a virtual machine.
        Disk,
    }
}
