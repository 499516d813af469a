//! The members of a cluster: shown and changed.

use serde_json::{Value, json};

use super::{Member, MemberPut, clustered, member};
use crate::cli::commands::args::{Format, Words, fetch, objects};
use crate::cli::context::Context;
use crate::cli::input::settings;
use crate::cli::output::{Rows, render, say, sort_rows};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};
use crate::order::Order;

/// `lxc cluster list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    clustered(&target)?;
    let (raw, members) = fetch::<Member>(&target.client, "/1.0/cluster/members?recursion=1")?;
    let row = |m: &Member| {
        let mut roles = m.roles.clone();
        if m.database && !roles.iter().any(|role| role.starts_with("database")) {
            roles.push("database".into());
        }
        roles.order();
        let mut row = vec![m.server_name.clone(), m.url.clone(), roles.join("\n"), m.architecture.clone()];
        row.extend([m.failure_domain.clone(), m.description.clone(), m.status.to_uppercase(), m.message.clone()]);
        row
    };
    let mut cells: Vec<Vec<String>> = members.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "URL", "ROLES", "ARCHITECTURE", "FAILURE DOMAIN", "DESCRIPTION", "STATE", "MESSAGE"];
    let head = head.map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &members) })?;
    Ok(0)
}

/// `lxc cluster show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    member(cx, &args.words[0], "clustering")?.0.show::<Member>()
}

/// `lxc cluster get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    member(cx, &args.words[0], "clustering")?.0.get(&args.words[1])
}

/// `lxc cluster set`.
pub fn set(cx: &Context, args: Words) -> Result<i32> {
    let (thing, _) = member(cx, &args.words[0], "clustering")?;
    let found: Result<Value> = thing.client.read(&thing.address);
    found?;
    thing.set::<MemberPut>(settings(&args.words[1..])?)
}

/// `lxc cluster unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    let keys = [(args.words[1].clone(), String::new())].into();
    member(cx, &args.words[0], "clustering")?.0.set::<MemberPut>(keys)
}

/// `lxc cluster edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let changeable = "roles, failure_domain, description, config and groups";
    let (thing, _) = member(cx, &args.words[0], "clustering_edit_roles")?;
    let found: Result<Value> = thing.client.read(&thing.address);
    found?;
    thing.edit::<Member, MemberPut>("member of a cluster", changeable)
}

/// `lxc cluster rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let ((thing, name), new) = (member(cx, &args.words[0], "clustering")?, &args.words[1]);
    thing.client.post(&thing.address, &json!({ "server_name": new })).wait()?;
    if !cx.quiet {
        say!("Member {name} renamed to {new}");
    }
    Ok(0)
}

/// `lxc cluster role add`.
pub fn role_add(cx: &Context, args: Words) -> Result<i32> {
    let (thing, name) = member(cx, &args.words[0], "clustering")?;
    let wanted = args.words[1].split(',');
    let add = |roles: &mut Vec<Value>| {
        for role in wanted {
            if roles.iter().any(|there| there == role) {
                return Err(Error::invalid(format!("Member {name:?} already has role {role:?}")));
            }
            roles.push(role.into());
        }
        Ok(())
    };
    thing.change::<MemberPut>(|put| put["roles"].as_array_mut().map_or(Ok(()), add))
}

/// `lxc cluster role remove`.
pub fn role_remove(cx: &Context, args: Words) -> Result<i32> {
    let (thing, name) = member(cx, &args.words[0], "clustering")?;
    let unwanted = args.words[1].split(',');
    let remove = |roles: &mut Vec<Value>| {
        for role in unwanted {
            let before = roles.len();
            roles.retain(|there| there != role);
            if roles.len() == before {
                return Err(Error::not_found(format!("Member {name:?} does not have role {role:?}")));
            }
        }
        Ok(())
    };
    thing.change::<MemberPut>(|put| put["roles"].as_array_mut().map_or(Ok(()), remove))
}
