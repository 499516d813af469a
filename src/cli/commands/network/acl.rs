//! `lxc network acl …`.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::args::{Format, Words, fetch, objects};
use super::pairs;
use crate::api::client::path;
use crate::api::types::{NetworkAcl, NetworkAclPut, NetworkAclsPost, RenamePost};
use crate::cli::commands::thing::Thing;
use crate::cli::context::Context;
use crate::cli::input::settings;
use crate::cli::output::{Rows, render, sort_rows};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

const NAME: &str = "network ACL name";

/// What a rule has, in LXD's spelling.
const KEYS: &[&str] = &[
    "action",
    "source",
    "destination",
    "protocol",
    "source_port",
    "destination_port",
    "icmp_type",
    "icmp_code",
    "description",
    "state",
];

fn thing(cx: &Context, word: &str) -> Result<Thing> {
    let target = cx.named(word, NAME)?;
    let address = path(&["network-acls", &target.name]);
    Ok(Thing { client: target.client, address })
}

/// `lxc network acl list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    if !target.name.is_empty() {
        return Err(Error::invalid("Filtering isn't supported yet"));
    }
    let (raw, acls) = fetch::<NetworkAcl>(&target.client, "/1.0/network-acls?recursion=1")?;
    let row = |a: &NetworkAcl| vec![a.name.clone(), a.description.clone(), a.used_by.len().to_string()];
    let mut cells: Vec<Vec<String>> = acls.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "USED BY"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &acls) })?;
    Ok(0)
}

/// `lxc network acl create`.
pub fn create(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let mut post = NetworkAclsPost { name: target.name.clone(), ..NetworkAclsPost::default() };
    post.config = pairs(&args.words[1..])?;
    target.client.post("/1.0/network-acls", &post).wait()?;
    cx.tell(&format!("Network ACL {} created", target.name));
    Ok(0)
}

/// `lxc network acl delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    target.client.delete(&path(&["network-acls", &target.name])).wait()?;
    cx.tell(&format!("Network ACL {} deleted", target.name));
    Ok(0)
}

/// `lxc network acl rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let post = RenamePost { name: args.words[1].clone() };
    target.client.post(&path(&["network-acls", &target.name]), &post).wait()?;
    cx.tell(&format!("Network ACL {} renamed to {}", target.name, args.words[1]));
    Ok(0)
}

/// `lxc network acl show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.show::<NetworkAcl>()
}

/// `lxc network acl show-log`.
pub fn show_log(cx: &Context, args: Words) -> Result<i32> {
    let thing = thing(cx, &args.words[0])?;
    let reply =
        thing.client.call(hyper::Method::GET, &format!("{}/log", thing.address), Default::default(), "").wait()?;
    crate::cli::output::emit(reply.metadata().as_bytes());
    Ok(0)
}

/// `lxc network acl get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.get(&args.words[1])
}

/// `lxc network acl set`.
pub fn set(cx: &Context, args: Words) -> Result<i32> {
    let keys = settings(&args.words[1..])?;
    thing(cx, &args.words[0])?.set::<NetworkAclPut>(keys)
}

/// `lxc network acl unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    let keys = [(args.words[1].clone(), String::new())].into();
    thing(cx, &args.words[0])?.set::<NetworkAclPut>(keys)
}

/// `lxc network acl edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.edit::<NetworkAcl, NetworkAclPut>("network ACL", "all but name and used_by")
}

/// The list of rules that a direction names.
fn rules<'a>(put: &'a mut Value, direction: &str) -> Result<&'a mut Vec<Value>> {
    match direction {
        "ingress" | "egress" => {}
        _ => return Err(Error::invalid("The direction argument must be one of: ingress, egress")),
    }
    put[direction].as_array_mut().ok_or_else(|| Error::internal("Failed reading the server's answer: it has no rules"))
}

/// `KEY=VALUE` words of a rule.
fn rule(words: &[String]) -> Result<Value> {
    let mut rule = json!({});
    for (key, value) in pairs(words)? {
        if !KEYS.contains(&key.as_str()) {
            return Err(Error::invalid(format!("Unknown key: {key}")));
        }
        rule[&key] = value.into();
    }
    Ok(rule)
}

/// `lxc network acl rule add`.
pub fn add_rule(cx: &Context, args: Words) -> Result<i32> {
    let mut new = rule(&args.words[2..])?;
    if new["state"].as_str().is_none_or(str::is_empty) {
        new["state"] = "enabled".into();
    }
    let holder = thing(cx, &args.words[0])?;
    holder.change::<NetworkAclPut>(|put| {
        rules(put, &args.words[1])?.push(new);
        Ok(())
    })
}

/// `lxc network acl rule remove`.
#[derive(FromArgs, ArgsInfo)]
pub struct RemoveRule {
    /// all that match
    #[argh(switch)]
    force: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc network acl rule remove`.
pub fn remove_rule(cx: &Context, args: RemoveRule) -> Result<i32> {
    let wanted = rule(&args.words[2..])?;
    let fits = |rule: &Value| {
        let empty = Value::from("");
        wanted.as_object().into_iter().flatten().all(|(key, value)| rule.get(key).unwrap_or(&empty) == value)
    };
    let holder = thing(cx, &args.words[0])?;
    holder.change::<NetworkAclPut>(|put| {
        let rules = rules(put, &args.words[1])?;
        match rules.iter().filter(|rule| fits(rule)).count() {
            0 => return Err(Error::not_found("No matching rule(s) found")),
            1 => {}
            _ if args.force => {}
            _ => return Err(Error::invalid("Multiple rules match. Use --force to remove them all")),
        }
        rules.retain(|rule| !fits(rule));
        Ok(())
    })
}
