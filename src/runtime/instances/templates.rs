//! The files that an image's templates make at a start.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;

use super::expand::Expanded;
use super::plan::is_privileged;
use crate::runtime::images::metadata;
use crate::runtime::images::template::{self, Context, Trigger};
use crate::runtime::spec::FileWrite;
use crate::store::records::InstanceRecord;
use crate::{Ctx, Kind, Result};

/// The largest `metadata.yaml` that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Renders what applies to this start: `start`, after what `volatile.apply_template` still asks for. Blocks.
///
/// `place` is the instance's directory, with `metadata.yaml` and `templates/`; the guest can't reach either.
pub fn files(place: &Path, record: &InstanceRecord, expanded: &Expanded) -> Result<Vec<FileWrite>> {
    let Some(text) = metadata_text(place)? else { return Ok(Vec::new()) };
    let metadata = metadata::parse(&text)?;
    let texts = match File::open(place.join("templates")) {
        Ok(directory) => template::load(directory.as_fd(), &metadata)?,
        Err(e) if e.kind() == ErrorKind::NotFound => Default::default(),
        Err(e) => return Err(e).ctx(Kind::Internal, || "Failed opening the templates"),
    };
    let context = Context {
        name: &record.name,
        kind: record.kind.as_str(),
        architecture: &record.architecture,
        privileged: is_privileged(&expanded.config),
        ephemeral: record.ephemeral,
        config: &expanded.config,
        devices: &expanded.devices,
    };
    let first = record.config.get("volatile.apply_template").and_then(|name| Trigger::parse(name));
    let mut files = Vec::new();
    for trigger in first.into_iter().chain([Trigger::Start]) {
        let rendered = template::render(&metadata, &texts, trigger, &context)?;
        files.extend(rendered.into_iter().map(|f| FileWrite {
            path: f.path,
            content: f.content,
            mode: 0o644,
            create_only: f.create_only,
        }));
    }
    Ok(files)
}

/// The image's `metadata.yaml`; none for an instance without an image.
pub(super) fn metadata_text(place: &Path) -> Result<Option<String>> {
    let path = place.join("metadata.yaml");
    match fs::symlink_metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Ok(meta) if meta.is_file() && meta.len() <= LIMIT => {
            fs::read_to_string(&path).map(Some).ctx(Kind::Internal, || format!("Failed reading {path:?}"))
        }
        Ok(_) => Err(crate::Error::invalid(format!("{path:?} is no metadata file"))),
        Err(e) => Err(e).ctx(Kind::Internal, || format!("Failed reading {path:?}")),
    }
}
