//! (being written)

pub mod unpack;
