//! The commands, one file each or a few verbs of one noun together. A function gets its typed arguments, asks the
//! server and prints; it returns the exit code.

pub mod args;
pub mod create;
pub mod delete;
pub mod exec;
pub mod image;
pub mod list;
pub mod state;
