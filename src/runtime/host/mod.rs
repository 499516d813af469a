//! What the host is and has: hardware, interfaces, kernel features, accounts.
//!
//! Everything here only reads. What can't be read counts as absent: a host tells what it likes. All paths are taken
//! below the root of a [`Tree`], so that tests can describe hosts of other kinds. Every function here may block.

pub mod accounts;
pub mod doctor;
pub mod environment;
pub mod features;
mod netlink;
pub mod networks;
pub mod resources;
mod tree;

pub use tree::Tree;

#[cfg(test)]
mod fixture;
