//! `lxc file push`.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use super::{Place, base, clean, local, place};
use crate::api::client::{FileContent, Piece, Upload, file_address};
use crate::cli::context::Context;
use crate::cli::transfer::sending;
use crate::cli::wait::Wait;
use crate::error::{Error, Result};
use crate::order::Order;

/// `lxc file push`.
#[derive(FromArgs, ArgsInfo)]
pub struct Push {
    /// with directories
    #[argh(switch)]
    create_dirs: bool,
    /// group
    #[argh(option)]
    gid: i64,
    /// permissions
    #[argh(option)]
    mode: Option<String>,
    /// with what is in them
    #[argh(switch)]
    recursive: bool,
    /// owner
    #[argh(option)]
    uid: i64,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// Owner and permissions; none is left to the server.
#[derive(Clone, Copy, Default)]
struct Owner {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Owner {
    fn of(found: &Metadata) -> Owner {
        Owner { mode: Some(found.mode() & 0o777), uid: Some(found.uid()), gid: Some(found.gid()) }
    }
}

/// `lxc file push`.
pub fn push(cx: &Context, args: Push) -> Result<i32> {
    let Some((last, sources)) = args.words.split_last() else { return cx.wrong_count(0) };
    let to = place(cx, last, "target")?;
    let directory = format!("/{}", to.path).ends_with('/') || matches!(base_word(&to.path), "." | "..");
    if sources.len() > 1 && !directory {
        return Err(Error::invalid("Missing target directory"));
    }
    let path = clean(&format!("/{}", to.path));
    if args.recursive {
        if args.mode.is_some() || args.uid != -1 || args.gid != -1 {
            return Err(Error::invalid("Can't supply uid/gid/mode in recursive mode"));
        }
        return recursive(cx, &to, (sources, &path), args.create_dirs);
    }
    let wanted = wanted(&args)?;
    // All of them are opened before anything is sent.
    for source in sources.iter().filter(|source| *source != "-") {
        let file = File::open(source).map_err(|e| local("open", source, &e))?;
        if file.metadata().is_ok_and(|found| found.is_dir()) {
            return Err(Error::invalid(format!("read {source}: is a directory")));
        }
    }
    for source in sources {
        let name = if source == "-" { "stdin".to_string() } else { base(source) };
        let path = if directory { clean(&format!("{path}/{name}")) } else { path.clone() };
        one(cx, &to, (source, &path), (wanted, args.create_dirs))?;
    }
    Ok(0)
}

/// The last word of a path, as it was typed.
fn base_word(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Owner and permissions from the flags.
fn wanted(args: &Push) -> Result<Owner> {
    let mode = args.mode.as_deref().filter(|text| !text.is_empty()).map(permissions).transpose()?;
    let id = |id: i64| match id {
        ..0 => Ok(None),
        id => u32::try_from(id).map(Some).map_err(|_| Error::invalid(format!("Invalid id {id}"))),
    };
    Ok(Owner { mode, uid: id(args.uid)?, gid: id(args.gid)? })
}

/// Permissions as Go's `strconv.ParseInt` reads a number that says its base: `0644`, `0o644`, `0x1a4`; three digits are
/// octal in any case. The nine lowest bits count.
fn permissions(text: &str) -> Result<u32> {
    let text = if text.len() == 3 { format!("0{text}") } else { text.to_string() };
    let wrong = |why| Error::invalid(format!("strconv.ParseInt: parsing {text:?}: {why}"));
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text).to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)];
    let based = prefixes.iter().find_map(|(prefix, base)| Some((unsigned.strip_prefix(prefix)?, *base)));
    let (digits, base) = match based.filter(|_| unsigned != "0") {
        // Go lets digits be grouped by `_`, from the prefix on.
        Some((digits, base)) => (digits.strip_prefix('_').unwrap_or(digits), base),
        None => (&unsigned[..], 10),
    };
    if digits.split('_').any(|group| group.is_empty() || !group.chars().all(|c| c.is_digit(base))) {
        return Err(wrong("invalid syntax"));
    }
    let number = i64::from_str_radix(&digits.replace('_', ""), base).map_err(|_| wrong("value out of range"))?;
    let number = if text.starts_with('-') { -number } else { number };
    Ok((number & 0o777) as u32)
}

/// Sends one file.
fn one(cx: &Context, to: &Place, way: (&str, &str), how: (Owner, bool)) -> Result<()> {
    let ((source, path), (mut owner, create)) = (way, how);
    let opened = match source {
        "-" => None,
        source => Some(File::open(source).map_err(|e| local("open", source, &e))?),
    };
    let found = match &opened {
        Some(file) => file.metadata(),
        None => fs::metadata("/dev/stdin"),
    };
    let own = found.as_ref().map(Owner::of).unwrap_or_default();
    owner = Owner { mode: owner.mode.or(own.mode), uid: owner.uid.or(own.uid), gid: owner.gid.or(own.gid) };
    if create {
        let parent = Path::new(path).parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        directories(cx, to, &parent, Owner { mode: None, ..owner })?;
    }
    // A pipe, or a file of /proc, has no length that could be promised.
    let content = match opened {
        Some(_) if found.as_ref().is_ok_and(|found| found.is_file() && found.len() > 0) => {
            Piece::file(Path::new(source)).wait()?
        }
        Some(file) => Piece::Reader(Box::new(tokio::fs::File::from_std(file))),
        None => Piece::Reader(Box::new(tokio::io::stdin())),
    };
    send(cx, to, (source, path), ("file", owner, vec![content]))
}

/// Sends a file, a link or a directory.
fn send(cx: &Context, to: &Place, way: (&str, &str), what: (&str, Owner, Vec<Piece>)) -> Result<()> {
    let ((source, path), (kind, owner, content)) = (way, what);
    let mut headers = vec![("X-LXD-type", kind.to_string())];
    headers.extend(owner.mode.map(|mode| ("X-LXD-mode", format!("{mode:04o}"))));
    headers.extend(owner.uid.map(|uid| ("X-LXD-uid", uid.to_string())));
    headers.extend(owner.gid.map(|gid| ("X-LXD-gid", gid.to_string())));
    let address = file_address(&to.instance, path);
    tracing::info!("Pushing {source} to {path} ({kind})");
    let progress = if kind == "file" { sending(cx, &format!("Pushing {source} to {path}")) } else { None };
    to.target.client.upload(Upload { address, headers, content }, progress).wait()?;
    Ok(())
}

/// Makes the directories of a path that are missing.
fn directories(cx: &Context, to: &Place, path: &str, owner: Owner) -> Result<()> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let upto = |count: usize| format!("/{}", parts[..count].join("/"));
    let mut there = 0;
    for count in (1..=parts.len()).rev() {
        let Ok(found) = to.target.client.file(&to.instance, &upto(count)).wait() else { continue };
        if !matches!(found.content, FileContent::Directory(_)) {
            return Err(Error::invalid(format!("{} is not a directory", &upto(count)[1..])));
        }
        there = count;
        break;
    }
    for count in there + 1..=parts.len() {
        let path = upto(count);
        send(cx, to, (&path, &path), ("directory", owner, Vec::new()))?;
    }
    Ok(())
}

/// Sends files and directories with what is in them.
fn recursive(cx: &Context, to: &Place, way: (&[String], &str), create: bool) -> Result<i32> {
    let (sources, path) = way;
    if create && let Some(first) = sources.first() {
        let found = fs::metadata(first).map_err(|e| local("open", first, &e))?;
        // The permissions of a file would make directories nobody can look into.
        let mode = found.is_dir().then_some(found.mode() & 0o777);
        directories(cx, to, path, Owner { mode, ..Owner::of(&found) })?;
    }
    for source in sources {
        let source = clean(source);
        let parent = source.rfind('/').map_or(0, |at| at + 1);
        let mut left = vec![source.clone()];
        while let Some(next) = left.pop() {
            let below = clean(&format!("{path}/{}", &next[parent..]));
            left.extend(walk(cx, to, &next, &below)?);
        }
    }
    Ok(0)
}

/// Sends one thing of a tree; returns what is in it, the first one last.
fn walk(cx: &Context, to: &Place, source: &str, path: &str) -> Result<Vec<String>> {
    let failed = |call: &str, e: &std::io::Error| {
        let inner = local(call, source, e);
        Error::new(inner.kind(), format!("Failed to walk path for {source}: {inner}"))
    };
    let found = fs::symlink_metadata(source).map_err(|e| failed("lstat", &e))?;
    let kind = found.file_type();
    let owner = Owner::of(&found);
    if kind.is_dir() {
        send(cx, to, (source, path), ("directory", owner, Vec::new()))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(source).map_err(|e| failed("open", &e))? {
            let name = entry.map_err(|e| failed("readdir", &e))?.file_name();
            let name = name.into_string().map_err(|name| Error::invalid(format!("The name {name:?} is no text")))?;
            names.push(format!("{source}/{name}"));
        }
        names.order_by(|a, b| b.cmp(a));
        return Ok(names);
    }
    let content = if kind.is_symlink() {
        let target = fs::read_link(source).map_err(|e| failed("readlink", &e))?;
        let target = target.into_os_string().into_encoded_bytes();
        ("symlink", owner, vec![Piece::Bytes(target.into())])
    } else if kind.is_file() {
        File::open(source).map_err(|e| local("open", source, &e))?;
        ("file", owner, vec![Piece::file(Path::new(source)).wait()?])
    } else {
        let what = if kind.is_fifo() { "a pipe" } else { "a device or socket" };
        tracing::info!("{source} is {what}");
        return Err(Error::invalid(format!("'{source}' isn't a supported file type")));
    };
    send(cx, to, (source, path), content)?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_go_does() {
        for (text, mode) in [
            ("755", 0o755),
            ("0755", 0o755),
            ("04755", 0o755),
            ("4755", 0o223),
            ("01777", 0o777),
            ("0o1777", 0o777),
            ("0x1ff", 0o777),
            ("0b111", 7),
            ("07_55", 0o755),
            ("1_0", 0o10),
            ("0", 0),
            ("00", 0),
            ("7", 7),
            ("77", 0o115),
            ("-1", 0o777),
            ("+755", 0o363),
            ("4294967296", 0),
        ] {
            assert_eq!(permissions(text).unwrap(), mode, "{text}");
        }
        for text in ["999", " 7", "0x", "7__7", "zz", "-", "99999999999999999999"] {
            assert!(permissions(text).is_err(), "{text}");
        }
    }
}
