//! Templates of an image: files of the guest made from text and the instance's values.
//!
//! The language is pongo2's, that is Django's, as LXD 5.0.2 runs it: what it prints was asked of a running LXD,
//! construct by construct (see the tests). It is interpreted here rather than rewritten for a Jinja engine, because the two
//! disagree where images depend on it: white space after tags, `True`, what equals what, unknown names.
//!
//! ```text
//! text ── lexer ──> tokens ── parser ──> nodes ── render(values, fuel) ──> text
//! ```
//!
//! All of it is pure. Images are hostile: text, nesting, steps and output are bounded.

mod dates;
mod evaluate;
mod expression;
mod filters;
mod lexer;
mod parser;
mod render;
mod value;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::BorrowedFd;

use jiff::Zoned;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use crate::api::types::ImageMetadata;
use crate::error::{Ctx, Error, Kind, Result};
use crate::order::Gather;
use value::Value;

/// Bytes of one template's text.
pub const MAX_TEXT: usize = 1 << 20;

/// What makes templates apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The first start of a new instance.
    Create,
    /// The first start of a copy.
    Copy,
    /// Each start.
    Start,
    /// The first start after a rename.
    Rename,
}

impl Trigger {
    /// Its name in `metadata.yaml` and in `volatile.apply_template`.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::Create => "create",
            Trigger::Copy => "copy",
            Trigger::Start => "start",
            Trigger::Rename => "rename",
        }
    }

    /// The trigger of that name.
    pub fn parse(name: &str) -> Option<Trigger> {
        [Trigger::Create, Trigger::Copy, Trigger::Start, Trigger::Rename].into_iter().find(|t| t.name() == name)
    }
}

/// What templates may know of an instance.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its name.
    pub name: &'a str,
    /// `container` or `virtual-machine`.
    pub kind: &'a str,
    /// `x86_64`, …
    pub architecture: &'a str,
    /// `security.privileged`.
    pub privileged: bool,
    /// Whether it goes when it stops.
    pub ephemeral: bool,
    /// The expanded configuration.
    pub config: &'a BTreeMap<String, String>,
    /// The expanded devices.
    pub devices: &'a BTreeMap<String, BTreeMap<String, String>>,
}

/// A file to write in the guest: owned by its root, mode 0644.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Where, from the guest's root; as the image says it, so to be resolved inside the root.
    pub path: String,
    /// The whole content.
    pub content: String,
    /// Leave an existing file alone.
    pub create_only: bool,
}

/// Renders the templates that the trigger applies. `texts` are the files of `templates/` ([`load`]).
pub fn render(
    metadata: &ImageMetadata,
    texts: &BTreeMap<String, String>,
    trigger: Trigger,
    context: &Context<'_>,
) -> Result<Vec<Rendered>> {
    let mut rendered = Vec::new();
    for (path, template) in &metadata.templates {
        if !template.when.iter().any(|when| when == trigger.name()) {
            continue;
        }
        let text = texts.get(&template.template).ok_or_else(|| {
            Error::invalid(format!("The image has no template \"{}\" for \"{path}\"", template.template))
        })?;
        let values = values(context, (trigger, path), &template.properties);
        let content = text_of(text, values).map_err(|error| {
            Error::new(error.kind(), format!("Failed rendering template \"{}\": {error}", template.template))
        })?;
        rendered.push(Rendered { path: path.clone(), content, create_only: template.create_only });
    }
    Ok(rendered)
}

/// Renders the pattern of a snapshot's or a backup's name. What that prints may be a template again, once.
///
/// # Errors
/// [`Kind::Invalid`] for what isn't a template, [`Kind::Unsupported`] for what of the language isn't there.
pub fn pattern(text: &str, creation_date: &Zoned) -> Result<String> {
    let render = |text: &str| {
        let date = Value::Time(Box::new(creation_date.clone()));
        text_of(text, BTreeMap::from([("creation_date".to_owned(), date)]))
    };
    let name = render(text)?;
    if name.contains("{{") || name.contains("{%") { render(&name) } else { Ok(name) }
}

fn text_of(text: &str, values: BTreeMap<String, Value>) -> Result<String> {
    if text.len() > MAX_TEXT {
        return Err(Error::invalid(format!("it is longer than {MAX_TEXT} bytes")));
    }
    let nodes = parser::parse(lexer::tokens(text)?)?;
    render::nodes(&nodes, values)
}

fn values(
    context: &Context<'_>,
    (trigger, path): (Trigger, &str),
    properties: &BTreeMap<String, String>,
) -> BTreeMap<String, Value> {
    let flag = |set: bool| if set { "true" } else { "false" };
    // Texts all of them, so `{% if instance.privileged %}` is always true, with LXD too.
    let instance = Value::map([
        ("name", context.name),
        ("type", context.kind),
        ("architecture", context.architecture),
        ("privileged", flag(context.privileged)),
        ("ephemeral", flag(context.ephemeral)),
    ]);
    let strings = |map: &BTreeMap<String, String>| Value::map(map.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let devices = context.devices.iter().map(|(name, device)| (name.clone(), strings(device))).gather();
    BTreeMap::from([
        ("trigger".to_owned(), Value::Trigger(trigger.name())),
        ("path".to_owned(), Value::text(path)),
        ("container".to_owned(), instance.clone()),
        ("instance".to_owned(), instance),
        ("config".to_owned(), strings(context.config)),
        ("devices".to_owned(), Value::Map("config.Devices", devices)),
        ("properties".to_owned(), strings(properties)),
        ("config_get".to_owned(), Value::ConfigGet),
    ])
}

/// Reads the files that `metadata` names from an open `templates/` directory. Blocks.
///
/// A name with a slash, a symbolic link, anything but a regular file, and too long a text are refused; one that isn't
/// there is left out ([`render`] says so when it is needed).
pub fn load(directory: BorrowedFd<'_>, metadata: &ImageMetadata) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for template in metadata.templates.values() {
        let name = template.template.as_str();
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            return Err(Error::invalid(format!("Invalid name of a template: \"{name}\"")));
        }
        if !texts.contains_key(name)
            && let Some(text) = load_one(directory, name)?
        {
            texts.insert(name.to_owned(), text);
        }
    }
    Ok(texts)
}

fn load_one(directory: BorrowedFd<'_>, name: &str) -> Result<Option<String>> {
    let failed = || format!("Failed reading template \"{name}\"");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => other.ctx(Kind::Invalid, failed)?,
    };
    let stat = fstat(&file).ctx(Kind::Internal, failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::invalid(format!("{}: it is not a regular file", failed())));
    }
    let mut text = String::new();
    let most = MAX_TEXT as u64 + 1;
    std::fs::File::from(file).take(most).read_to_string(&mut text).ctx(Kind::Invalid, failed)?;
    if text.len() > MAX_TEXT {
        return Err(Error::invalid(format!("{}: it is longer than {MAX_TEXT} bytes", failed())));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
