//! `lxc config metadata` and `lxc config template`.

use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use super::args::{Format, Words, fetch, objects};
use crate::api::client::{path, with_query};
use crate::api::types::ImageMetadata;
use crate::cli::context::{Context, Target};
use crate::cli::edit::edit as in_editor;
use crate::cli::input::piped;
use crate::cli::output::{Rows, emit, render, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::cli::yaml_in::from_yaml;
use crate::error::Result;

const HELP: &str = "### Metadata of an instance's image. Lines that begin with # are left out.
###
### It looks like this:
###
### architecture: x86_64
### creation_date: 1700000000
### expiry_date: 0
### properties:
###   description: BusyBox x86_64
### templates:
###   /etc/hostname:
###     when:
###     - create
###     create_only: false
###     template: hostname.tpl
###     properties: {}

";

fn named(cx: &Context, word: &str) -> Result<(Target, String)> {
    let target = cx.named(word, "instance name")?;
    let address = path(&["instances", &target.name, "metadata"]);
    Ok((target, address))
}

/// `lxc config metadata show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    let (target, address) = named(cx, &args.words[0])?;
    let metadata: ImageMetadata = target.client.read(&address)?;
    emit(yaml(&json!(metadata)).as_bytes());
    Ok(0)
}

/// `lxc config metadata edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let (target, address) = named(cx, &args.words[0])?;
    let put = |text: &str, etag: &str| target.client.put(&address, &from_yaml::<ImageMetadata>(text)?, etag).wait();
    match piped()? {
        Some(text) => put(&text, "")?,
        None => {
            let (metadata, etag): (ImageMetadata, String) = target.client.read_with_etag(&address)?;
            let text = yaml(&json!(metadata));
            in_editor(&format!("{HELP}{text}"), &mut |text| put(text, &etag))?;
        }
    }
    Ok(0)
}

/// The address of a template.
fn template(cx: &Context, words: &[String]) -> Result<(Target, String)> {
    let (target, address) = named(cx, &words[0])?;
    let address = with_query(&format!("{address}/templates"), &[("path", &words[1])]);
    Ok((target, address))
}

/// `lxc config template list`.
pub fn list_templates(cx: &Context, args: Format) -> Result<i32> {
    let (target, address) = named(cx, &args.words[0])?;
    let (raw, names) = fetch::<String>(&target.client, &format!("{address}/templates"))?;
    let mut cells: Vec<Vec<String>> = names.iter().map(|name| vec![name.clone()]).collect();
    sort_rows(&mut cells);
    let head = vec!["FILENAME".to_owned()];
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &names) })?;
    Ok(0)
}

/// `lxc config template show`.
pub fn show_template(cx: &Context, args: Words) -> Result<i32> {
    let (target, address) = template(cx, &args.words)?;
    emit(&target.client.text(&address).wait()?);
    Ok(0)
}

/// `lxc config template create`: an empty one, whatever standard input has.
pub fn create_template(cx: &Context, args: Words) -> Result<i32> {
    let (target, address) = template(cx, &args.words)?;
    target.client.call(Method::POST, &address, Bytes::new(), "").wait()?;
    Ok(0)
}

/// `lxc config template delete`.
pub fn delete_template(cx: &Context, args: Words) -> Result<i32> {
    let (target, address) = template(cx, &args.words)?;
    target.client.delete(&address).wait()?;
    Ok(0)
}

/// `lxc config template edit`.
pub fn edit_template(cx: &Context, args: Words) -> Result<i32> {
    let (target, address) = template(cx, &args.words)?;
    let mut put = |text: &str| {
        let text = Bytes::copy_from_slice(text.as_bytes());
        target.client.call(Method::POST, &address, text, "").wait().map(drop)
    };
    match piped()? {
        Some(text) => put(&text)?,
        None => {
            let text = target.client.text(&address).wait()?;
            in_editor(&String::from_utf8_lossy(&text), &mut put)?;
        }
    }
    Ok(0)
}
