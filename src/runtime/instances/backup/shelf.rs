//! Where backups are kept: files of ours below `LXD_DIR/backups/instances/ID/`, which nobody else enters.
//!
//! ```text
//! ID/files/NAME    the archive: it is what says that there is the backup
//! ID/facts/NAME    what is known of it, as JSON; written before, which takes the name
//! ID/draft-RANDOM  an archive in the making
//! ```
//! By an instance's id, which is never used twice and isn't changed by a renaming. All of this blocks.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use serde::Serialize;

use crate::api::tree::readable;
use crate::api::types::{self, Timestamp};
use crate::order::Order;
use crate::runtime::random;
use crate::{Ctx, Error, Kind, Result};

/// The longest name of a backup, in bytes.
const NAME_LIMIT: usize = 200;

readable! {
    /// What is known of a backup beside its name.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    pub struct Facts {
        /// When it was made.
        pub created_at: Timestamp,
        /// When it may go; zero when never.
        pub expires_at: Timestamp,
        /// Whether snapshots were left out.
        pub instance_only: bool,
        /// Whether the storage driver's own format was asked for.
        pub optimized_storage: bool,
    }
}

/// The backups of one instance.
#[derive(Clone, Debug)]
pub struct Shelf {
    directory: PathBuf,
}

/// An archive in the making, removed unless it gets the name that is reserved for it.
pub struct Draft {
    path: PathBuf,
    name: String,
    facts: PathBuf,
    kept: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can be told; the next start meets it again.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.facts);
        }
    }
}

impl Shelf {
    /// Those of the instance of this id, below `backups`.
    pub fn new(backups: &Path, id: u64) -> Shelf {
        Shelf { directory: backups.join(id.to_string()) }
    }

    /// The instances that have some, by their ids, below `backups`; maybe some that have none any more.
    pub fn owners(backups: &Path) -> HashSet<u64> {
        let shelves = fs::read_dir(backups).into_iter().flatten().flatten();
        shelves.filter_map(|shelf| shelf.file_name().to_str()?.parse().ok()).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join("files").join(name)
    }

    fn facts(&self, name: &str) -> PathBuf {
        self.directory.join("facts").join(name)
    }

    /// All backups, by name.
    pub fn list(&self) -> Result<Vec<(String, Facts)>> {
        let directory = self.directory.join("files");
        let entries = match fs::read_dir(&directory) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.ctx(Kind::Internal, || format!("Failed listing {directory:?}"))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.ctx(Kind::Internal, || format!("Failed listing {directory:?}"))?;
            if let Ok(name) = entry.file_name().into_string() {
                match self.get(&name) {
                    Ok(facts) => found.push((name, facts)),
                    // Removed meanwhile.
                    Err(e) if e.kind() == Kind::NotFound => {}
                    Err(e) => tracing::warn!("Failed listing a backup: {}", e.chain()),
                }
            }
        }
        found.order_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// One backup.
    ///
    /// # Errors
    /// [`Kind::NotFound`] with LXD's text.
    pub fn get(&self, name: &str) -> Result<Facts> {
        let path = self.file(name);
        let there = is_name(name) && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        if !there {
            return Err(missing());
        }
        let path = self.facts(name);
        let text = fs::read(&path).ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
        types::from_slice(&text).ctx(Kind::Internal, || format!("Failed reading {path:?}"))
    }

    /// Opens the archive of a backup.
    pub fn open(&self, name: &str) -> Result<File> {
        self.get(name)?;
        let path = self.file(name);
        File::open(&path).ctx(Kind::Internal, || format!("Failed opening {path:?}"))
    }

    /// A name that none has, nor is about to have: LXD's.
    fn next_name(&self) -> String {
        let taken = fs::read_dir(self.directory.join("facts")).into_iter().flatten().flatten();
        let number = |name: &OsStr| name.to_str()?.strip_prefix("backup")?.parse::<u64>().ok();
        let last = taken.filter_map(|entry| number(&entry.file_name())).max();
        format!("backup{}", last.map_or(0, |n| n + 1))
    }

    /// [`Shelf::draft`] with a name that is chosen here, and is told.
    pub fn draft_next(&self, facts: &Facts) -> (String, Result<(Draft, File)>) {
        loop {
            let name = self.next_name();
            match self.draft(&name, facts) {
                Err(e) if e.kind() == Kind::Exists => {}
                drafted => return (name, drafted),
            }
        }
    }

    /// Begins an archive of a name that nobody else gets meanwhile.
    ///
    /// # Errors
    /// [`Kind::Exists`] when it is taken; [`Kind::Invalid`] for one that can't be a name.
    pub fn draft(&self, name: &str, facts: &Facts) -> Result<(Draft, File)> {
        for directory in [&self.directory, &self.directory.join("files"), &self.directory.join("facts")] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.ctx(Kind::Internal, || format!("Failed creating {directory:?}"))?;
        }
        self.reserve(name, facts)?;
        let path = self.directory.join(format!("draft-{}", random::hex(16)));
        let draft = Draft { path, name: name.into(), facts: self.facts(name), kept: false };
        let file = File::options().write(true).create_new(true).mode(0o600).open(&draft.path);
        let file = file.ctx(Kind::Internal, || format!("Failed creating {:?}", draft.path))?;
        Ok((draft, file))
    }

    /// Gives an archive, which is on the disk, its name.
    pub fn keep(&self, mut draft: Draft) -> Result<()> {
        rename(&draft.path, &self.file(&draft.name))?;
        draft.kept = true;
        self.sync()
    }

    /// Takes a name, by the file with the facts.
    fn reserve(&self, name: &str, facts: &Facts) -> Result<()> {
        if !is_name(name) {
            return Err(Error::invalid(format!("Invalid backup name {name:?}")));
        }
        let taken = || Error::new(Kind::Exists, format!("Backup {name:?} already exists"));
        if fs::symlink_metadata(self.file(name)).is_ok() {
            return Err(taken());
        }
        let path = self.facts(name);
        let failed = || format!("Failed writing {path:?}");
        let text = serde_json::to_vec(facts).ctx(Kind::Internal, failed)?;
        let mut file = match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(taken()),
            file => file.ctx(Kind::Internal, failed)?,
        };
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.ctx(Kind::Internal, failed)
    }

    /// Gives a backup another name.
    pub fn rename(&self, name: &str, new_name: &str) -> Result<()> {
        let facts = self.get(name)?;
        self.reserve(new_name, &facts)?;
        let renamed = rename(&self.file(name), &self.file(new_name));
        let _ = fs::remove_file(self.facts(if renamed.is_ok() { name } else { new_name }));
        renamed.and_then(|()| self.sync())
    }

    /// Removes a backup.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.get(name)?;
        let path = self.file(name);
        fs::remove_file(&path).ctx(Kind::Internal, || format!("Failed removing {path:?}"))?;
        let _ = fs::remove_file(self.facts(name));
        Ok(())
    }

    /// Removes all of them; none is fine.
    pub fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.ctx(Kind::Internal, || format!("Failed removing {:?}", self.directory)),
        }
    }

    fn sync(&self) -> Result<()> {
        let directory = self.directory.join("files");
        File::open(&directory)
            .and_then(|directory| directory.sync_all())
            .ctx(Kind::Internal, || format!("Failed writing {directory:?}"))
    }
}

/// The backups whose time is over, by the instance's id. Those of a shelf that can't be read are left out.
pub fn expired(backups: &Path, now: Timestamp) -> Vec<(u64, String)> {
    let shelves = fs::read_dir(backups).into_iter().flatten().flatten();
    let ids = shelves.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let of = |id: u64| {
        let all = Shelf::new(backups, id).list().unwrap_or_else(|e| {
            tracing::warn!(id, "Failed looking for expired backups: {}", e.chain());
            Vec::new()
        });
        let over = all.into_iter().filter(move |(_, facts)| facts.expires_at.is_set() && facts.expires_at <= now);
        over.map(move |(name, _)| (id, name))
    };
    ids.flat_map(of).collect()
}

/// Never in the place of another.
fn rename(from: &Path, to: &Path) -> Result<()> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
        .ctx(Kind::Internal, || format!("Failed renaming {from:?} to {to:?}"))
}

/// Removes what a crash has left: archives in the making, facts without archive, shelves of no instance.
pub fn sweep(backups: &Path, known: impl Fn(u64) -> bool) -> Result<()> {
    let Ok(entries) = fs::read_dir(backups) else { return Ok(()) };
    for entry in entries.flatten() {
        let id = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        match id {
            Some(id) if known(id) => tidy(&entry.path())?,
            Some(id) => Shelf::new(backups, id).clear()?,
            None => {}
        }
    }
    Ok(())
}

fn tidy(directory: &Path) -> Result<()> {
    let failed = || format!("Failed tidying {directory:?}");
    for entry in fs::read_dir(directory).ctx(Kind::Internal, failed)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("draft-") {
            fs::remove_file(entry.path()).ctx(Kind::Internal, failed)?;
        }
    }
    let (files, facts) = (directory.join("files"), directory.join("facts"));
    let Ok(entries) = fs::read_dir(facts) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| !files.join(entry.file_name()).exists()) {
        fs::remove_file(entry.path()).ctx(Kind::Internal, failed)?;
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let component = Path::new(name).file_name() == Some(OsStr::new(name));
    component && name.len() <= NAME_LIMIT && !name.contains(['\0', '\n'])
}

fn missing() -> Error {
    Error::not_found("Load backup from database: Instance backup not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn backups_come_and_go_and_leave_nothing() {
        let scratch = Scratch(std::env::temp_dir().join(format!("lxbox-shelf-{}", std::process::id())));
        let shelf = Shelf::new(&scratch.0, 7);
        assert_eq!(shelf.list().unwrap(), []);
        let facts = Facts { instance_only: true, ..Facts::default() };
        let (name, first) = shelf.draft_next(&facts);
        assert_eq!((name.as_str(), shelf.list().unwrap()), ("backup0", vec![]));
        shelf.keep(shelf.draft("backup3", &facts).unwrap().0).unwrap();
        assert_eq!(shelf.draft("backup3", &facts).err().unwrap().kind(), Kind::Exists);
        // Nobody has its name meanwhile; given up, it leaves nothing.
        assert_eq!(shelf.draft("backup0", &facts).err().unwrap().kind(), Kind::Exists);
        assert_eq!(shelf.rename("backup3", "backup0").unwrap_err().kind(), Kind::Exists);
        assert_eq!(shelf.draft_next(&facts).0, "backup4");
        drop(first);
        assert!(!scratch.0.join("7/facts/backup0").exists());
        shelf.rename("backup3", "b").unwrap();
        assert_eq!(shelf.list().unwrap(), [("b".to_owned(), facts.clone())]);
        std::mem::forget(shelf.draft("x", &facts).unwrap().0);
        fs::write(scratch.0.join("7/facts/lost"), "{}").unwrap();
        fs::create_dir(scratch.0.join("8")).unwrap();
        sweep(&scratch.0, |id| id == 7).unwrap();
        assert!(!scratch.0.join("8").exists() && !scratch.0.join("7/facts/lost").exists());
        assert_eq!(fs::read_dir(scratch.0.join("7")).unwrap().count(), 2);
        let old = Facts { expires_at: Timestamp::from_unix(5), ..facts.clone() };
        shelf.keep(shelf.draft("old", &old).unwrap().0).unwrap();
        shelf.keep(shelf.draft("torn", &old).unwrap().0).unwrap();
        fs::write(scratch.0.join("7/facts/torn"), "{").unwrap();
        assert_eq!(expired(&scratch.0, Timestamp::from_unix(6)), [(7, "old".to_owned())]);
        assert_eq!(shelf.list().unwrap().len(), 2);
        shelf.remove("b").unwrap();
        assert_eq!(shelf.get("b").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let shelf = Shelf::new(Path::new("/nonexistent"), 1);
        for name in ["", ".", "..", "a/b", "../x", "a\0", &"x".repeat(300)] {
            assert_eq!(shelf.reserve(name, &Facts::default()).unwrap_err().kind(), Kind::Invalid, "{name:?}");
            assert_eq!(shelf.get(name).unwrap_err().kind(), Kind::NotFound, "{name:?}");
        }
    }
}
