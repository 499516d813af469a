//! `lxc file mount`.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use crate::api::client::path;
use crate::cli::context::Context;
use crate::error::{Error, Result};

/// `lxc file mount`.
#[derive(FromArgs, ArgsInfo)]
pub struct Mount {
    /// user name
    #[argh(option)]
    auth_user: Option<String>,
    /// address
    #[argh(option)]
    listen: Option<String>,
    /// for anyone
    #[argh(switch)]
    no_auth: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc file mount`.
pub async fn mount(cx: &Context, args: Mount) -> Result<i32> {
    let target = cx.named(&args.words[0], "instance name")?;
    if args.listen.is_none() && (args.auth_user.is_some() || args.no_auth) {
        return Err(Error::invalid("The flags --auth-user and --no-auth go with --listen"));
    }
    let instance = target.name.split('/').next().unwrap_or_default();
    let _: Value = target.client.get(&path(&["instances", instance])).await?;
    Err(Error::unsupported("Mounting the files of an instance"))
}
