//! What a user is told the first time, and the client's configuration made then.

use super::argv::Parsed;
use super::context::Context;
use super::output::note;
use super::wait::Read;

/// Hints for who calls `lxc` for the first time; afterwards `config.yml` is there and this does nothing.
pub fn first_time(cx: &Context, parsed: &Parsed) {
    if cx.config.borrow().existed || cx.config.borrow().file.is_none() {
        return;
    }
    let pools = match cx.client("local") {
        Ok(client) => client.read::<Vec<String>>("/1.0/storage-pools").unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let launching = matches!(parsed.command.name, "init" | "launch");
    if pools.is_empty() {
        note!("This host's LXD has no storage yet: run `lxd init` to set it up.");
    }
    if !launching {
        note!("Import an image and start a container of it with: lxc image import FILE --alias NAME, lxc launch NAME");
    }
    if pools.is_empty() || !launching {
        note!("");
    }
    if let Err(error) = cx.config.borrow().save() {
        note!("Warning: {}", error.message());
    }
}
