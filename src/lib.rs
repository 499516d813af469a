//! lxbox: system containers and virtual machines in one file, compatible with LXD 5.0.
//!
//! `api` is the contract and its transport, `runtime` does the work on the host, `store` keeps what must last,
//! `cli` is the command line client. ARCHITECTURE.md says how they fit together.

pub mod api;
pub mod cli;
pub mod error;
pub mod order;
pub mod runtime;
pub mod store;
pub mod task;

pub use error::{Ctx, Error, Kind, Result};
