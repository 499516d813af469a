//! `lxc network forward …`.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::args::{Format, OnMember, Words, fetch, objects};
use super::pairs;
use crate::api::client::{path, with_query};
use crate::api::types::{NetworkForward, NetworkForwardPut, NetworkForwardsPost};
use crate::cli::commands::thing::Thing;
use crate::cli::context::Context;
use crate::cli::input::settings;
use crate::cli::output::{Rows, render, sort_rows};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

const NAME: &str = "network name";

fn thing(cx: &Context, words: &[String], member: &Option<String>) -> Result<Thing> {
    let target = cx.named(&words[0], NAME)?;
    if words[1].is_empty() {
        return Err(Error::invalid("Missing listen address"));
    }
    let address = path(&["networks", &target.name, "forwards", &words[1]]);
    let address = with_query(&address, &[("target", member.as_deref().unwrap_or(""))]);
    Ok(Thing { client: target.client, address })
}

/// `lxc network forward list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let address = format!("{}?recursion=1", path(&["networks", &target.name, "forwards"]));
    let (raw, forwards) = fetch::<NetworkForward>(&target.client, &address)?;
    let row = |f: &NetworkForward| {
        let to = f.config.get("target_address").cloned().unwrap_or_default();
        vec![f.listen_address.clone(), f.description.clone(), to, f.ports.len().to_string()]
    };
    let mut cells: Vec<Vec<String>> = forwards.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["LISTEN ADDRESS", "DESCRIPTION", "DEFAULT TARGET ADDRESS", "PORTS"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &forwards) })?;
    Ok(0)
}

/// `lxc network forward create`.
pub fn create(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let mut post = NetworkForwardsPost { listen_address: args.words[1].clone(), ..NetworkForwardsPost::default() };
    post.config = pairs(&args.words[2..])?;
    let address = path(&["networks", &target.name, "forwards"]);
    target.client.post(&with_query(&address, &[("target", args.target.as_deref().unwrap_or(""))]), &post).wait()?;
    cx.tell(&format!("Network forward {} created", post.listen_address));
    Ok(0)
}

/// `lxc network forward delete`.
pub fn delete(cx: &Context, args: OnMember) -> Result<i32> {
    let thing = thing(cx, &args.words, &args.target)?;
    thing.client.delete(&thing.address).wait()?;
    cx.tell(&format!("Network forward {} deleted", args.words[1]));
    Ok(0)
}

/// `lxc network forward show`.
pub fn show(cx: &Context, args: OnMember) -> Result<i32> {
    thing(cx, &args.words, &args.target)?.show::<NetworkForward>()
}

/// `lxc network forward get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words, &None)?.get(&args.words[2])
}

/// `lxc network forward set`.
pub fn set(cx: &Context, args: OnMember) -> Result<i32> {
    let keys = settings(&args.words[2..])?;
    thing(cx, &args.words, &args.target)?.set::<NetworkForwardPut>(keys)
}

/// `lxc network forward unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    let keys = [(args.words[2].clone(), String::new())].into();
    thing(cx, &args.words, &None)?.set::<NetworkForwardPut>(keys)
}

/// `lxc network forward edit`.
pub fn edit(cx: &Context, args: OnMember) -> Result<i32> {
    let thing = thing(cx, &args.words, &args.target)?;
    thing.edit::<NetworkForward, NetworkForwardPut>("network forward", "all but its address and place")
}

fn ports(put: &mut Value) -> Result<&mut Vec<Value>> {
    put["ports"].as_array_mut().ok_or_else(|| Error::internal("Failed reading the server's answer: it has no ports"))
}

/// `lxc network forward port add`.
pub fn add_port(cx: &Context, args: OnMember) -> Result<i32> {
    let words = &args.words;
    let target = words.get(5).cloned().unwrap_or_default();
    let new = json!({
        "description": "", "protocol": words[2], "listen_port": words[3], "target_port": target,
        "target_address": words[4],
    });
    let holder = thing(cx, words, &args.target)?;
    holder.change::<NetworkForwardPut>(|put| {
        ports(put)?.push(new);
        Ok(())
    })
}

/// `lxc network forward port remove`.
#[derive(FromArgs, ArgsInfo)]
pub struct RemovePort {
    /// all that match
    #[argh(switch)]
    force: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc network forward port remove`.
pub fn remove_port(cx: &Context, args: RemovePort) -> Result<i32> {
    let is =
        |port: &Value, key: &str, n: usize| args.words.get(n).is_none_or(|w| port[key].as_str() == Some(w.as_str()));
    let fits = |port: &Value| is(port, "protocol", 2) && is(port, "listen_port", 3);
    let holder = thing(cx, &args.words, &args.target)?;
    holder.change::<NetworkForwardPut>(|put| {
        let ports = ports(put)?;
        match ports.iter().filter(|port| fits(port)).count() {
            0 => return Err(Error::not_found("No matching port(s) found")),
            1 => {}
            _ if args.force => {}
            _ => return Err(Error::invalid("Multiple ports match. Use --force to remove them all")),
        }
        ports.retain(|port| !fits(port));
        Ok(())
    })
}
