//! `lxc file pull`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use super::{Place, base, clean, local, place};
use crate::api::client::{FileContent, InstanceFile};
use crate::cli::context::Context;
use crate::cli::transfer::receive;
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

/// Links that are followed one after another.
const MAX_LINKS: usize = 100;

/// `lxc file pull`.
#[derive(FromArgs, ArgsInfo)]
pub struct Pull {
    /// with directories
    #[argh(switch)]
    create_dirs: bool,
    /// with what is in them
    #[argh(switch)]
    recursive: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc file pull`.
pub fn pull(cx: &Context, args: Pull) -> Result<i32> {
    let Some((last, sources)) = args.words.split_last() else { return cx.wrong_count(0) };
    let target = clean(last);
    let mut directory = prepare(&target, last, (sources.len(), args.create_dirs))?;
    let places = sources.iter().map(|word| place(cx, word, "source")).collect::<Result<Vec<_>>>()?;
    for from in &places {
        let found = from.target.client.file(&from.instance, &from.path).wait()?;
        if matches!(found.content, FileContent::Directory(_)) {
            if !args.recursive {
                return Err(Error::invalid("Can't pull a directory without --recursive"));
            }
            if !Path::new(&target).exists() {
                fs::create_dir_all(&target).map_err(|e| local("mkdir", &target, &e))?;
                directory = true;
            }
            tree(cx, from, found, &target)?;
            continue;
        }
        let path = if directory { clean(&format!("{target}/{}", base(&from.path))) } else { target.clone() };
        let found = if path == "-" { followed(from, found)? } else { found };
        one(cx, found, (&from.path, &path))?;
    }
    Ok(0)
}

/// Whether the target is a directory; makes those that are wished for.
fn prepare(target: &str, typed: &str, how: (usize, bool)) -> Result<bool> {
    let (sources, create) = how;
    match fs::metadata(target) {
        Ok(found) if !found.is_dir() && sources > 1 => {
            Err(Error::invalid("More than one file to download, but target is not a directory"))
        }
        Ok(found) => Ok(found.is_dir()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(local("stat", target, &error)),
        Err(_) if typed.ends_with('/') || sources > 1 => {
            fs::create_dir_all(target).map_err(|e| local("mkdir", target, &e))?;
            Ok(true)
        }
        Err(_) if create => {
            let parent = Path::new(target).parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            fs::create_dir_all(parent).map_err(|e| local("mkdir", &parent.to_string_lossy(), &e))?;
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

/// What links lead to in the end.
fn followed(from: &Place, mut found: InstanceFile) -> Result<InstanceFile> {
    let mut path = clean(&format!("/{}", from.path));
    for _ in 0..MAX_LINKS {
        let FileContent::Link(target) = &found.content else { return Ok(found) };
        path = beside(&path, target);
        found = from.target.client.file(&from.instance, &path).wait()?;
    }
    Err(Error::invalid("Too many links"))
}

/// Where a link leads to.
fn beside(link: &str, target: &str) -> String {
    let parent = link.rsplit_once('/').map_or("", |(parent, _)| parent);
    if target.starts_with('/') { clean(target) } else { clean(&format!("{parent}/{target}")) }
}

/// Fetches one file or link to a path, or a file to standard output.
fn one(cx: &Context, found: InstanceFile, way: (&str, &str)) -> Result<()> {
    let (from, path) = way;
    tracing::info!("Pulling {path} from {from}");
    match found.content {
        FileContent::File(download) if path == "-" => receive(cx, download, &mut std::io::stdout().lock(), ("", path)),
        FileContent::File(download) => {
            let mut file = File::create(path).map_err(|e| local("open", path, &e))?;
            let regular = file.metadata().is_ok_and(|found| found.is_file());
            if regular {
                let mode = Permissions::from_mode(found.mode & 0o777);
                file.set_permissions(mode).map_err(|e| local("chmod", path, &e))?;
            }
            receive(cx, download, &mut file, (&format!("Pulling {path} from {from}"), path))
        }
        FileContent::Link(target) => link(&target, path),
        FileContent::Directory(_) => Err(Error::invalid("Can't pull a directory without --recursive")),
    }
}

fn link(target: &str, path: &str) -> Result<()> {
    std::os::unix::fs::symlink(target, path).map_err(|e| local(&format!("symlink {target}"), path, &e))
}

/// Fetches a directory with what is in it, below the directory `to`, where it must not be yet.
///
/// The tree is a guest's: what it sends is never looked up twice here, so that a link it sends can't lead what follows
/// astray.
fn tree(cx: &Context, from: &Place, found: InstanceFile, to: &str) -> Result<()> {
    let start = clean(&format!("{to}/{}", base(&from.path)));
    let mut left = vec![(from.path.clone(), start, Some(found))];
    while let Some((path, here, known)) = left.pop() {
        let found = match known {
            Some(found) => found,
            None => from.target.client.file(&from.instance, &path).wait()?,
        };
        let mode = found.mode & 0o777;
        match found.content {
            FileContent::Directory(names) => {
                DirBuilder::new().mode(mode | 0o700).create(&here).map_err(|e| local("mkdir", &here, &e))?;
                fs::set_permissions(&here, Permissions::from_mode(mode | 0o300))
                    .map_err(|e| local("chmod", &here, &e))?;
                for name in names.iter().rev() {
                    if name.contains('/') || matches!(name.as_str(), "" | "." | "..") {
                        return Err(Error::invalid(format!("The server sent the file name {name:?}")));
                    }
                    left.push((format!("{}/{name}", path.trim_end_matches('/')), format!("{here}/{name}"), None));
                }
            }
            FileContent::Link(target) => link(&target, &here)?,
            FileContent::File(download) => {
                let file = OpenOptions::new().write(true).create_new(true).mode(mode | 0o200).open(&here);
                let mut file = file.map_err(|e| local("open", &here, &e))?;
                file.set_permissions(Permissions::from_mode(mode)).map_err(|e| local("chmod", &here, &e))?;
                receive(cx, download, &mut file, (&format!("Pulling {here} from {path}"), &here))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_on_from_where_they_lie() {
        assert_eq!(beside("/tmp/a", "b"), "/tmp/b");
        assert_eq!(beside("/a", "./b/c"), "/b/c");
        assert_eq!(beside("/tmp/t/a", "../../../x"), "/x");
        assert_eq!(beside("/tmp/a", "/etc/b"), "/etc/b");
    }
}
