//! `lxc version`.

use super::args::Words;
use crate::api::types::Server;
use crate::cli::VERSION;
use crate::cli::context::Context;
use crate::cli::output::say;
use crate::cli::wait::Wait;
use crate::error::Result;

/// `lxc version`.
pub fn version(cx: &Context, args: Words) -> Result<i32> {
    let server: Result<Server> = match cx.server(&args.words) {
        Ok(target) => target.client.server().wait(),
        Err(error) => Err(error),
    };
    say!("Client version: {VERSION}");
    say!("Server version: {}", server.map_or("unreachable".to_string(), |s| s.environment.server_version));
    Ok(0)
}
