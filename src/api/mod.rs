//! The contract with clients and its HTTP transport.

pub mod client;
pub mod config;
pub mod extensions;
pub mod handlers;
pub mod request;
pub mod response;
pub mod routes;
pub mod server;
pub mod tls;
pub mod tree;
pub mod types;
