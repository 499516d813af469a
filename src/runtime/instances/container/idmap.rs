//! The host's range of ids for containers.

use std::fs;
use std::io;

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::spec::Idmap;
use crate::runtime::spec::idmap::{DEFAULT_RANGE, mapped_range, root_range};

/// The map of root's first range in `/etc/subuid` and `/etc/subgid`; without these files, or a line for root
/// in them, 1000000 to 1000999999, as LXD takes it; in a user namespace that lacks these, what it has above 65536.
///
/// Error: root has less than 65536 ids there, or none, and somebody else has some of the default. Reads two small files.
pub fn host_range() -> Result<Idmap> {
    Ok(Idmap::ranges(range("/etc/subuid", "/proc/self/uid_map")?, range("/etc/subgid", "/proc/self/gid_map")?))
}

fn range(path: &str, map: &str) -> Result<(u32, u32)> {
    let found = granted(path)?;
    if found != DEFAULT_RANGE {
        return Ok(found);
    }
    Ok(mapped_range(&fs::read_to_string(map).unwrap_or_default()).unwrap_or(found))
}

fn granted(path: &str) -> Result<(u32, u32)> {
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
