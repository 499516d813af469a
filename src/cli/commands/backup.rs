//! `lxc export` and `import`, and what volumes share of them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::json;

use crate::api::client::{Client, Piece, Upload, path};
use crate::api::types::Timestamp;
use crate::cli::context::Context;
use crate::cli::output::say;
use crate::cli::transfer::{receive, sending};
use crate::cli::wait::Wait;
use crate::cli::waiting::run;
use crate::error::{Error, Kind, Result};

/// `lxc export`.
#[derive(FromArgs, ArgsInfo)]
pub struct Export {
    /// how to compress
    #[argh(option)]
    compression: Option<String>,
    /// without snapshots
    #[argh(switch)]
    instance_only: bool,
    /// the driver's own format
    #[argh(switch)]
    optimized_storage: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc import`.
#[derive(FromArgs, ArgsInfo)]
pub struct Import {
    /// storage pool
    #[argh(option)]
    storage: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// A backup to be made.
pub struct Backup {
    /// The list of backups it becomes one of.
    pub address: String,
    /// What leaves the snapshots out, and whether to.
    pub only: (&'static str, bool),
    /// Whether to use the driver's own format.
    pub optimized: bool,
    /// How to compress; empty leaves it to the server.
    pub compression: String,
    /// What the server must have for it.
    pub extension: &'static str,
    /// What an error begins with.
    pub failed: &'static str,
    /// What progress begins with.
    pub label: &'static str,
}

/// The file that is written without a name being given.
const UNNAMED: &str = "backup.tar.gz";

/// How long the server keeps a backup that nobody fetched, in seconds.
const KEPT: i64 = 24 * 3600;

/// `lxc export`.
pub fn export(cx: &Context, args: Export) -> Result<i32> {
    let target = cx.named(&args.words[0], "instance name")?;
    let backup = Backup {
        address: path(&["instances", &target.name, "backups"]),
        only: ("instance_only", args.instance_only),
        optimized: args.optimized_storage,
        compression: args.compression.unwrap_or_default(),
        extension: "container_backup",
        failed: "Create instance backup",
        label: "Backing up instance: ",
    };
    take(cx, &target.client, backup, args.words.get(1))
}

/// Has a backup made, fetches it into a file (`-`: standard output) and has the server forget it.
pub fn take(cx: &Context, client: &Client, backup: Backup, to: Option<&String>) -> Result<i32> {
    let prefixed = |e: Error| Error::new(e.kind(), format!("{}: {}", backup.failed, e.message()));
    client.require(backup.extension).wait().map_err(prefixed)?;
    let expires = Timestamp::from_unix(Timestamp::now().unix() + KEPT);
    let mut post = json!({
        "name": "", "expires_at": expires, "optimized_storage": backup.optimized,
        "compression_algorithm": backup.compression,
    });
    post[backup.only.0] = backup.only.1.into();
    let quiet = to.is_some_and(|to| to == "-");
    let request = (Method::POST, backup.address.as_str(), &post);
    let label = if quiet { "" } else { backup.label };
    let ended = run(cx, client, request, label).map_err(prefixed)?;
    let made = ended.as_ref().and_then(|operation| operation.resources.as_ref());
    let made = made.and_then(|all| all.get("backups")).and_then(|urls| urls.first());
    let name = made.and_then(|url| url.split('?').next()?.rsplit('/').next()).unwrap_or_default();
    if name.is_empty() {
        return Err(Error::internal("The server did not say the backup's name"));
    }
    let (list, query) = backup.address.split_once('?').unwrap_or((&backup.address, ""));
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let fetched = fetch(cx, client, &format!("{list}/{name}/export{query}"), to);
    let forgotten = client.delete(&format!("{list}/{name}{query}")).wait();
    fetched?;
    forgotten
        .map_err(|e| Error::new(e.kind(), format!("Failed removing the backup from the server: {}", e.message())))?;
    if !cx.quiet && !quiet {
        say!("Backup exported successfully!");
    }
    Ok(0)
}

fn fetch(cx: &Context, client: &Client, address: &str, to: Option<&String>) -> Result<()> {
    let file = to.map_or(UNNAMED, String::as_str);
    if file == "-" {
        let download = client.download(address).wait()?;
        return receive(cx, download, &mut std::io::stdout().lock(), ("", "-"));
    }
    let mut out = File::create(file).map_err(|e| super::file::local("open", file, &e))?;
    let written = match client.download(address).wait() {
        Ok(download) => receive(cx, download, &mut out, ("Exporting the backup", file)),
        Err(error) => Err(Error::new(error.kind(), format!("Fetch instance backup file: {}", error.message()))),
    };
    let written = written.and_then(|()| out.flush().map_err(|e| super::file::local("write", file, &e)));
    // Half a backup is none; a device or pipe that was named stays.
    if written.is_err() && out.metadata().is_ok_and(|found| found.is_file()) {
        std::fs::remove_file(file).ok();
    }
    written
}

/// `lxc import`.
pub fn import(cx: &Context, args: Import) -> Result<i32> {
    let (target, words) = match &args.words[..] {
        [remote, rest @ ..] if remote.ends_with(':') && !Path::new(remote).exists() => (cx.target(remote)?, rest),
        words => (cx.target("")?, words),
    };
    let (Some(file), true) = (words.first(), words.len() <= 2) else { return cx.wrong_count(args.words.len()) };
    let mut headers = Vec::new();
    headers.extend(words.get(1).map(|name| ("X-LXD-name", name.clone())));
    headers.extend(args.storage.map(|pool| ("X-LXD-pool", pool)));
    send(cx, &target.client, (file, "/1.0/instances".into(), headers), "Importing instance")
}

/// Sends a backup file and waits until it is unpacked.
pub fn send(
    cx: &Context,
    client: &Client,
    what: (&str, String, Vec<(&'static str, String)>),
    label: &str,
) -> Result<i32> {
    let (file, address, headers) = what;
    let content = match file {
        "-" => Piece::Reader(Box::new(tokio::io::stdin())),
        file => {
            let opened = File::open(file).and_then(|opened| opened.metadata());
            let found = opened.map_err(|e| super::file::local("open", file, &e))?;
            if found.is_dir() {
                return Err(Error::new(Kind::Invalid, format!("read {file}: is a directory")));
            }
            Piece::file(Path::new(file)).wait()?
        }
    };
    client.require(if address.contains("/volumes/") { "custom_volume_backup" } else { "container_backup" }).wait()?;
    let upload = Upload { address, headers, content: vec![content] };
    let operation = client.upload(upload, sending(cx, label)).wait()?.operation()?;
    client.wait(&operation.id).wait()?;
    Ok(0)
}
