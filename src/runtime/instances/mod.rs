//! Instances.

pub mod container;
