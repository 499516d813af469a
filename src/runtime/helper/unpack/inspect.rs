//! Looks what an image is, without unpacking it.

use std::fs::File;

use super::archive;
use super::compression::Format;
use super::limits::Limits;
use super::member::{Member, MemberKind};
use super::path::TreePath;
use super::plan::{Inspection, RootKind};
use super::reader::Members;
use crate::error::{Error, Kind, Result};

/// Reads `metadata.yaml` and tells the kind of root; stops reading as soon as both are known.
///
/// `files` is the unified file, or metadata and rootfs. Errors are LXD 5.0.2's where it has any.
pub fn image(mut files: Vec<File>, limits: Limits) -> Result<Inspection> {
    let root = if files.len() > 1 { files.pop().map(|mut file| split_root(&mut file)).transpose()? } else { None };
    let file = files.pop().ok_or_else(|| Error::internal("Failed inspecting an image: no file was given"))?;
    let mut reader = archive::look(file, limits)?;
    let mut root = root;
    let mut metadata = None;
    while metadata.is_none() || root.is_none() {
        let Some(member) = reader.next().map_err(archive::broken)? else { break };
        let Ok(path) = TreePath::parse(&member.path, &limits) else { continue };
        if path.as_path() == "metadata.yaml" {
            metadata = Some(text(&mut *reader, &member, &limits)?);
        } else if root.is_none() {
            root = root_of(&path);
        }
    }
    let metadata = metadata.ok_or_else(|| Error::invalid("Metadata tarball is missing metadata.yaml"))?;
    let root = root.ok_or_else(|| Error::invalid("Invalid instance type"))?;
    Ok(Inspection { metadata, root })
}

fn root_of(path: &TreePath) -> Option<RootKind> {
    if path.as_path() == "rootfs.img" { Some(RootKind::Disk) } else { path.below("rootfs").map(|_| RootKind::Tree) }
}

fn split_root(file: &mut File) -> Result<RootKind> {
    Ok(match archive::format(file)? {
        Format::Squashfs => RootKind::Squashfs,
        Format::Qcow2 => RootKind::Disk,
        _ => RootKind::Tree,
    })
}

/// The text of a small regular member.
pub(super) fn text(reader: &mut dyn Members, member: &Member, limits: &Limits) -> Result<String> {
    let bytes = small(reader, member, limits)?;
    String::from_utf8(bytes)
        .map_err(|_| Error::invalid(format!("\"{}\" of the image is not UTF-8", super::path::shown(&member.path))))
}

/// The bytes of a small regular member.
pub(super) fn small(reader: &mut dyn Members, member: &Member, limits: &Limits) -> Result<Vec<u8>> {
    let shown = || super::path::shown(&member.path);
    let MemberKind::File { size, map: None } = &member.kind else {
        return Err(Error::invalid(format!("\"{}\" of the image is not a regular file", shown())));
    };
    if *size > limits.metadata {
        let text = format!("\"{}\" of the image is longer than {} bytes", shown(), limits.metadata);
        return Err(Error::new(Kind::Invalid, text));
    }
    let mut bytes = vec![0; *size as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += reader.read_data(&mut bytes[filled..]).map_err(archive::broken)?;
    }
    Ok(bytes)
}
