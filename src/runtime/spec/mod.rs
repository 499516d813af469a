//! The plain plans that pass between the daemon and its helper processes, and the pure rules that make them.
//!
//! A plan travels as JSON in a sealed memfd; the few messages of a running helper travel over a sequenced-packet
//! socket ([`shim`]). Everything here is data: no system calls, testable without root. Structs only ever grow:
//! a newer daemon talks to helpers that an older one started, so every new field has a default.

pub mod attach;
pub mod capability;
pub mod cgroup;
pub mod container;
pub mod content;
pub mod files;
pub mod idmap;
pub mod intercept;
pub mod limits;
pub mod marks;
pub mod net;
pub mod pack;
pub mod procfs;
pub mod proxy;
pub mod resident;
pub mod shift;
pub mod shim;
pub mod syscalls;
pub mod throttle;
pub mod tpm;

pub use container::{ContainerSpec, FileWrite, Filesystem, Mount, Mounter, Node, RootSource, Shift};
pub use idmap::{Idmap, IdmapEntry};
pub use limits::{Limits, Rlimit};

/// The version of all plans and messages. A helper refuses a plan of a newer major version than its own.
pub const VERSION: u32 = 1;
