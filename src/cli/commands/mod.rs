//! The commands, one file each or a few verbs of one noun together. A function gets its typed arguments, asks the
//! server and prints; it returns the exit code.

pub mod alias;
pub mod args;
pub mod backup;
pub mod cluster;
pub mod completion;
pub mod configure;
pub mod copy;
pub mod create;
pub mod delete;
pub mod device;
pub mod exec;
pub mod file;
pub mod image;
pub mod info;
pub mod list;
pub mod manpage;
pub mod metadata;
pub mod monitor;
pub mod network;
pub mod operation;
pub mod profile;
pub mod project;
pub mod publish;
pub mod query;
pub mod remote;
pub mod remote_add;
mod resources;
pub mod snapshot;
pub mod state;
pub mod storage;
mod thing;
mod tokens;
pub mod trust;
pub mod version;
pub mod volume;
pub mod warning;
