//! `lxc storage volume export` and `import`.

use argh::{ArgsInfo, FromArgs};

use super::volume;
use crate::cli::commands::args::OnMember;
use crate::cli::commands::backup::{Backup, send, take};
use crate::cli::context::Context;
use crate::error::Result;

/// `lxc storage volume export`.
#[derive(FromArgs, ArgsInfo)]
pub struct Export {
    /// how to compress
    #[argh(option)]
    compression: Option<String>,
    /// the driver's own format
    #[argh(switch)]
    optimized_storage: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// without snapshots
    #[argh(switch)]
    volume_only: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc storage volume export`.
pub fn export(cx: &Context, args: Export) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    let backup = Backup {
        address: volume.below(&["backups"], &args.target),
        only: ("volume_only", args.volume_only),
        optimized: args.optimized_storage,
        compression: args.compression.unwrap_or_default(),
        extension: "custom_volume_backup",
        failed: "Failed to create storage volume backup",
        label: "Backing up storage volume: ",
    };
    take(cx, &volume.target.client, backup, args.words.get(2))
}

/// `lxc storage volume import`.
pub fn import(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let name = args.words.get(2).cloned().unwrap_or_default();
    let member = args.target.as_deref().unwrap_or("");
    let address = crate::api::client::path(&["storage-pools", &target.name, "volumes", "custom"]);
    let address = crate::api::client::with_query(&address, &[("target", member)]);
    let headers = if name.is_empty() { Vec::new() } else { vec![("X-LXD-name", name)] };
    send(cx, &target.client, (&args.words[1], address, headers), "Importing custom volume")
}
