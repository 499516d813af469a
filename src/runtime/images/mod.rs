//! Images: receiving them, reading what they say of themselves, unpacking them, and their templates.
//!
//! ```text
//! upload ──> import::Receiver (hash, size, file) ──> unpack::inspect (confined process) ──> import::Received::commit
//! first use in a pool ──> unpack::run (confined process) ──> rootfs/, metadata.yaml, templates/
//! create, copy, start, rename ──> template::render ──> files that the start helper writes
//! ```
//!

pub mod architecture;
mod hash;
pub mod import;
pub mod metadata;
pub mod multipart;
pub mod place;
pub mod service;
pub mod template;
pub mod unpack;
