//! Members that leave: removed, evacuated, restored.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::json;

use super::member;
use crate::cli::context::Context;
use crate::cli::input::{answer, confirmed};
use crate::cli::output::say;
use crate::cli::wait::Wait;
use crate::cli::waiting::run;
use crate::error::{Error, Result};

/// `lxc cluster evacuate` and `restore`.
#[derive(FromArgs, ArgsInfo)]
pub struct Force {
    /// without asking
    #[argh(switch)]
    force: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc cluster remove`.
#[derive(FromArgs, ArgsInfo)]
pub struct Remove {
    /// by force
    #[argh(switch)]
    force: bool,
    /// without asking
    #[argh(switch)]
    yes: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc cluster remove`.
pub fn remove(cx: &Context, args: Remove) -> Result<i32> {
    let name = cx.named(&args.words[0], "cluster member name")?.name;
    if args.force && !args.yes {
        say!(
            "A member that is removed by force does not work any more afterwards and must be set up anew, and the\n\
             instances, images and volumes that were on it alone are lost. Do it only when the member is gone for good;\n\
             otherwise move away what is on it, and remove it without --force.\n"
        );
        if !confirmed(&format!("Are you really sure you want to force removing {name}? (yes/no): "))? {
            return Err(Error::invalid("User aborted delete operation"));
        }
    }
    let (thing, _) = member(cx, &args.words[0], "clustering")?;
    let force = if args.force { "?force=1" } else { "" };
    thing.client.delete(&format!("{}{force}", thing.address)).wait()?;
    if !cx.quiet {
        say!("Member {name} removed");
    }
    Ok(0)
}

/// `lxc cluster evacuate`.
pub fn evacuate(cx: &Context, args: Force) -> Result<i32> {
    change(cx, args, ("evacuate", "Evacuating"))
}

/// `lxc cluster restore`.
pub fn restore(cx: &Context, args: Force) -> Result<i32> {
    change(cx, args, ("restore", "Restoring"))
}

fn change(cx: &Context, args: Force, words: (&str, &str)) -> Result<i32> {
    let (target, (action, doing)) = (cx.named(&args.words[0], "cluster member name")?, words);
    if !args.force {
        let name = &target.name;
        let question = format!("Are you sure you want to {action} cluster member {name:?}? (yes/no) [default=no]: ");
        if !matches!(answer(&question)?.to_lowercase().as_str(), "yes" | "y") {
            return Ok(0);
        }
    }
    let failed = |e: Error| Error::new(e.kind(), format!("Failed to update cluster member state: {}", e.message()));
    let (thing, _) = member(cx, &args.words[0], "clustering_evacuation").map_err(failed)?;
    let put = json!({ "action": action, "mode": "" });
    let address = format!("{}/state", thing.address);
    let label = format!("{doing} cluster member: ");
    run(cx, &thing.client, (Method::POST, &address, &put), &label).map_err(failed)?;
    Ok(0)
}
