//! Device drivers: what a device's configuration means for the host and the guest. Pure where it can be.
//!
//! So far the types `disk` (host paths) and `none`; the others are refused by name by `api::config::device`.

pub mod disk;
