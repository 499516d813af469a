//! `lxc image …`.

pub mod alias;
pub mod import;
pub mod list;
pub mod show;
pub mod transfer;
