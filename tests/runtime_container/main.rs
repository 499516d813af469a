//! The container runtime on its own: real containers through shims, without a daemon. Needs root and busybox-static.

mod basics;
mod bench;
mod debian;
mod host;
mod streams;
mod survival;
