//! `lxc network zone …`.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::args::{Format, Words, fetch, objects};
use super::pairs;
use crate::api::client::path;
use crate::api::types::{
    NetworkZone, NetworkZonePut, NetworkZoneRecord, NetworkZoneRecordPut, NetworkZoneRecordsPost, NetworkZonesPost,
};
use crate::cli::commands::thing::Thing;
use crate::cli::context::Context;
use crate::cli::input::settings;
use crate::cli::output::{Rows, render, sort_rows};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

const NAME: &str = "network zone name";

fn thing(cx: &Context, word: &str) -> Result<Thing> {
    let target = cx.named(word, NAME)?;
    let address = path(&["network-zones", &target.name]);
    Ok(Thing { client: target.client, address })
}

fn record(cx: &Context, words: &[String]) -> Result<Thing> {
    let target = cx.named(&words[0], NAME)?;
    if words[1].is_empty() {
        return Err(Error::invalid("Missing network zone record name"));
    }
    let address = path(&["network-zones", &target.name, "records", &words[1]]);
    Ok(Thing { client: target.client, address })
}

/// `lxc network zone list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    if !target.name.is_empty() {
        return Err(Error::invalid("Filtering isn't supported yet"));
    }
    let (raw, zones) = fetch::<NetworkZone>(&target.client, "/1.0/network-zones?recursion=1")?;
    let row = |z: &NetworkZone| vec![z.name.clone(), z.description.clone(), z.used_by.len().to_string()];
    let mut cells: Vec<Vec<String>> = zones.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "USED BY"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &zones) })?;
    Ok(0)
}

/// `lxc network zone create`.
pub fn create(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let config = pairs(&args.words[1..])?;
    let post = NetworkZonesPost { name: target.name.clone(), config, ..NetworkZonesPost::default() };
    target.client.post("/1.0/network-zones", &post).wait()?;
    cx.tell(&format!("Network Zone {} created", target.name));
    Ok(0)
}

/// `lxc network zone delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    target.client.delete(&path(&["network-zones", &target.name])).wait()?;
    cx.tell(&format!("Network Zone {} deleted", target.name));
    Ok(0)
}

/// `lxc network zone show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.show::<NetworkZone>()
}

/// `lxc network zone get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.get(&args.words[1])
}

/// `lxc network zone set`.
pub fn set(cx: &Context, args: Words) -> Result<i32> {
    let keys = settings(&args.words[1..])?;
    thing(cx, &args.words[0])?.set::<NetworkZonePut>(keys)
}

/// `lxc network zone unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    let keys = [(args.words[1].clone(), String::new())].into();
    thing(cx, &args.words[0])?.set::<NetworkZonePut>(keys)
}

/// `lxc network zone edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.edit::<NetworkZone, NetworkZonePut>("network zone", "config and description")
}

/// `lxc network zone record list`.
pub fn list_records(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let address = format!("{}?recursion=1", path(&["network-zones", &target.name, "records"]));
    let (raw, records) = fetch::<NetworkZoneRecord>(&target.client, &address)?;
    let row = |r: &NetworkZoneRecord| {
        let entries: Vec<String> = r.entries.iter().map(|e| format!("{} {}", e.kind, e.value)).collect();
        vec![r.name.clone(), r.description.clone(), entries.join("\n")]
    };
    let mut cells: Vec<Vec<String>> = records.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "ENTRIES"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &records) })?;
    Ok(0)
}

/// `lxc network zone record create`.
pub fn create_record(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let config = pairs(&args.words[2..])?;
    let post = NetworkZoneRecordsPost { name: args.words[1].clone(), config, ..NetworkZoneRecordsPost::default() };
    target.client.post(&path(&["network-zones", &target.name, "records"]), &post).wait()?;
    cx.tell(&format!("Network zone record {} created", post.name));
    Ok(0)
}

/// `lxc network zone record delete`.
pub fn delete_record(cx: &Context, args: Words) -> Result<i32> {
    let record = record(cx, &args.words)?;
    record.client.delete(&record.address).wait()?;
    cx.tell(&format!("Network zone record {} deleted", args.words[1]));
    Ok(0)
}

/// `lxc network zone record show`.
pub fn show_record(cx: &Context, args: Words) -> Result<i32> {
    record(cx, &args.words)?.show::<NetworkZoneRecord>()
}

/// `lxc network zone record get`.
pub fn get_record(cx: &Context, args: Words) -> Result<i32> {
    record(cx, &args.words)?.get(&args.words[2])
}

/// `lxc network zone record set`.
pub fn set_record(cx: &Context, args: Words) -> Result<i32> {
    let keys = settings(&args.words[2..])?;
    record(cx, &args.words)?.set::<NetworkZoneRecordPut>(keys)
}

/// `lxc network zone record unset`.
pub fn unset_record(cx: &Context, args: Words) -> Result<i32> {
    let keys = [(args.words[2].clone(), String::new())].into();
    record(cx, &args.words)?.set::<NetworkZoneRecordPut>(keys)
}

/// `lxc network zone record edit`.
pub fn edit_record(cx: &Context, args: Words) -> Result<i32> {
    let record = record(cx, &args.words)?;
    record.edit::<NetworkZoneRecord, NetworkZoneRecordPut>("network zone record", "all but its name")
}

/// `lxc network zone record entry add`.
#[derive(FromArgs, ArgsInfo)]
pub struct AddEntry {
    /// seconds
    #[argh(option)]
    ttl: Option<u64>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

fn entries(put: &mut Value) -> Result<&mut Vec<Value>> {
    let missing = || Error::internal("Failed reading the server's answer: it has no entries");
    put["entries"].as_array_mut().ok_or_else(missing)
}

/// `lxc network zone record entry add`.
pub fn add_entry(cx: &Context, args: AddEntry) -> Result<i32> {
    let mut new = json!({ "type": args.words[2], "value": args.words[3] });
    if let Some(ttl) = args.ttl.filter(|ttl| *ttl > 0) {
        new["ttl"] = ttl.into();
    }
    let holder = record(cx, &args.words)?;
    holder.change::<NetworkZoneRecordPut>(|put| {
        entries(put)?.push(new);
        Ok(())
    })
}

/// `lxc network zone record entry remove`.
pub fn remove_entry(cx: &Context, args: Words) -> Result<i32> {
    let fits = |e: &Value| e["type"] == args.words[2].as_str() && e["value"] == args.words[3].as_str();
    let holder = record(cx, &args.words)?;
    holder.change::<NetworkZoneRecordPut>(|put| {
        let entries = entries(put)?;
        let found = entries.iter().position(fits).ok_or_else(|| Error::not_found("Couldn't find a matching entry"))?;
        entries.remove(found);
        Ok(())
    })
}
