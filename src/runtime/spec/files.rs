//! The plan of one look at, or change of, one path in a guest's tree: what the `files` helper is told and what it answers.

use serde::Serialize;

use super::container::ContainerSpec;
use crate::api::tree::readable;

/// The longest path, and target of a symbolic link, in bytes (PATH_MAX without the final zero).
pub const MAX_PATH: usize = 4095;

readable! {
    /// What the `files` helper is told. Descriptors beside it: the answer's socket, what leads to the tree ([`Place`]), one end of the
    /// pipe that carries content, and the lock of a root that is mounted (or anything).
    #[derive(Clone, Debug, Serialize)]
    pub struct FilesPlan {
        /// [`super::VERSION`].
        pub version: u32,
        /// Whose tree.
        pub place: Place,
        /// Where in it; links are followed inside of it only.
        pub path: String,
        /// What to do.
        pub task: FilesTask,
    }

    /// Whose tree.
    #[derive(Clone, Debug, Serialize)]
    #[serde(tag = "place", rename_all = "snake_case")]
    pub enum Place {
        /// What process 1 of a running container sees; its pidfd leads there.
        Running {
            /// Whether it is without a user namespace.
            privileged: bool,
        },
        /// The root of one that is stopped: its lock is held and it is mounted while the helper lives.
        Stopped(Box<ContainerSpec>),
        /// The same while another helper has it mounted, whose root directory leads there.
        Mounted(Box<ContainerSpec>),
    }

    /// What to do with the path.
    #[derive(Clone, Debug, Serialize)]
    #[serde(tag = "task", rename_all = "snake_case")]
    pub enum FilesTask {
        /// Say what it is; a link is not followed.
        Stat,
        /// The same, and send its content: the bytes of a file, the names in a directory, each with a zero behind it.
        Read,
        /// Write the content that comes into a file: by the pipe, and then on a connection that is sent, with what is left on it
        /// ([`super::content::Rest`]), before the pipe ends.
        Write {
            /// Behind what is there already; then the file must exist.
            append: bool,
            /// Of a new file.
            fresh: Fresh,
        },
        /// Make a directory, unless there is one.
        Directory {
            /// Of a new directory.
            fresh: Fresh,
        },
        /// Make a symbolic link, unless it is there already.
        Link {
            /// Where it points.
            target: String,
        },
        /// Remove a file, a link, or an empty directory.
        Delete,
        /// Speak SFTP with who is at the other end of the stream; the path counts for nothing.
        Sftp,
    }

    /// What something new is given, in the guest's ids; `None` leaves the usual.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Fresh {
        /// Its owner.
        pub uid: Option<u32>,
        /// Its group.
        pub gid: Option<u32>,
        /// Its permission bits.
        pub mode: Option<u32>,
    }

    /// What something in a guest's tree is. Ids are the guest's.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Found {
        /// What kind of thing.
        pub kind: FoundKind,
        /// Its owner.
        pub uid: u32,
        /// Its group.
        pub gid: u32,
        /// Its permission bits.
        pub mode: u32,
        /// Bytes that [`FilesTask::Read`] gives of a file.
        pub size: u64,
        /// Its last change, in seconds and nanoseconds since 1970.
        pub modified: (i64, u32),
        /// Where a link points, as bytes.
        pub target: Vec<u8>,
    }

    /// The kinds of things that clients tell apart.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum FoundKind {
        /// A file; what is neither of the others counts as one without content, and is never opened.
        File,
        /// A directory.
        Directory,
        /// A symbolic link.
        Symlink,
    }

    /// What the `files` helper answers.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum FilesAnswer {
        /// The root of a stopped container is mounted: its directory comes along, and its lock when there is one.
        Mounted,
        /// What is there; content follows in the pipe when it was asked for.
        Found(Found),
        /// A file is open: content may be sent.
        Ready,
        /// All is done.
        Done,
        /// It could not be done.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done. With a `call` it is the name of that alone.
            what: String,
            /// Whether it is the path that was wrong, not us.
            call: bool,
        },
    }
}
