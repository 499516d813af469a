//! The files that an image's templates make at a start.

use std::os::fd::AsFd;
use std::path::Path;

use super::expand::Expanded;
use super::plan::is_privileged;
use crate::Result;
use crate::runtime::images::place::Place;
use crate::runtime::images::template::{self, Context, Trigger};
use crate::runtime::spec::FileWrite;
use crate::store::records::InstanceRecord;

/// Renders what applies to this start: `start`, after what `volatile.apply_template` still asks for. Blocks.
///
/// `place` is the instance's directory, with `metadata.yaml` and `templates/`; the guest can't reach either.
pub fn files(place: &Path, record: &InstanceRecord, expanded: &Expanded) -> Result<Vec<FileWrite>> {
    let place = Place::open(place)?;
    let Some(metadata) = place.metadata()? else { return Ok(Vec::new()) };
    let texts = match place.templates()? {
        Some(directory) => template::load(directory.as_fd(), &metadata)?,
        None => Default::default(),
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
