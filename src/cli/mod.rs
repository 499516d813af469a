//! (being written)
pub mod lxd;
