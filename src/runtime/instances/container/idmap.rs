//! The host's range of ids for containers.

use std::fs;
use std::io;

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::spec::Idmap;
use crate::runtime::spec::idmap::{DEFAULT_RANGE, root_range};

/// The map of root's first range in `/etc/subuid` and `/etc/subgid`; without these files, or a line for root
/// in them, 1000000 to 1000999999, as LXD takes it.
///
/// Error: root has less than 65536 ids there, or none, and somebody else has some of the default. Reads two small files.
pub fn host_range() -> Result<Idmap> {
    Ok(Idmap::ranges(range("/etc/subuid")?, range("/etc/subgid")?))
}

fn range(path: &str) -> Result<(u32, u32)> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(DEFAULT_RANGE),
        text => {
            let text = text.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
            root_range(&text).ok_or_else(|| {
                Error::new(Kind::Unavailable, format!("{path:?} gives root no range of at least 65536 ids"))
            })
        }
    }
}
