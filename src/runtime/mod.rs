//! What happens on the host: services, drivers, helper processes, system calls.

pub mod auth;
pub mod daemon;
pub mod devices;
pub mod events;
pub mod helper;
pub mod host;
pub mod images;
pub mod instances;
pub mod network;
pub mod operations;
pub mod spec;
pub mod storage;
pub mod sys;
