//! THE table of configuration keys: every key LXD 5.0.2 has, for every entity, in rows of one shape.
//!
//! From the rows alone come validation with LXD's texts, defaults, what a change means, typed getters, the document
//! of `GET /1.0/metadata/configuration` and the words of completions. A key that exists but isn't acted on yet is
//! refused by name ([`Support::Later`]); a later change makes it work and flips that one mark.
//!
//! Errors are [`crate::error::Kind::Invalid`] with the text LXD has innermost; [`Site`] adds what LXD puts in front of it
//! at each place and the kind that gives LXD's status there.

use crate::api::types::{ConfigMap, Devices};
use crate::error::{Error, Result};

mod complete;
mod cpu;
mod describe;
pub mod device;
mod example;
pub mod instance;
mod key;
mod kind;
pub mod names;
pub mod network;
mod nic;
pub mod pool;
pub mod project;
mod raw_lxc;
pub mod schedule;
pub mod server;
mod site;
mod syntax;
mod table;
pub mod units;
pub mod volume;

pub use complete::{Subject, names as completions, values as value_completions};
pub use cpu::{Allowance, Cpu, CpuSet};
pub use describe::{Entity, describe, entities};
pub use key::{Key, Live, On, Support};
pub use kind::{Kind, is_true};
pub use raw_lxc::{RAW_LXC, RawKey, RawLxc, read as read_raw_lxc};
pub use site::Site;
pub use units::Memory;

/// Takes out what is empty, which is as if it weren't there.
pub fn drop_unset(config: &mut ConfigMap, devices: &mut Devices) {
    config.retain(|_, value| !value.is_empty());
    devices.values_mut().for_each(|device| device.retain(|_, value| !value.is_empty()));
}

/// The longest value taken, in bytes. LXD has no bound; user data of clouds ends at 64 kB.
const MAX_VALUE: usize = 1 << 20;

/// The most keys taken in one object.
const MAX_KEYS: usize = 4096;

/// Refuses an object out of all proportion, before its keys are looked at.
fn bounded(config: &ConfigMap) -> Result<()> {
    if config.len() > MAX_KEYS {
        return Err(Error::invalid(format!("More than {MAX_KEYS} configuration keys")));
    }
    for (name, value) in config {
        if name.len() > 1024 || name.contains('\0') {
            let shown: String = name.chars().take(64).collect();
            return Err(Error::invalid(format!("Invalid configuration key {shown:?}")));
        }
        if value.len() > MAX_VALUE {
            return Err(Error::invalid(format!("The value of {name:?} is longer than {MAX_VALUE} bytes")));
        }
    }
    Ok(())
}

/// Refuses by name what isn't acted on yet.
fn supported<'a>(rows: impl Iterator<Item = (&'a str, &'a str, &'static Key)>) -> Result<()> {
    for (name, value, row) in rows {
        if matches!(row.kind, Kind::RawLxc) {
            raw_lxc::supported(value)?;
        }
        if row.supports(value) {
            continue;
        }
        return Err(Error::unsupported(format_args!("Configuration key {name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
