//! Where backups are kept: files of ours below `LXD_DIR/backups/instances/ID/`, which nobody else enters.
//!
//! ```text
//! ID/files/NAME    the archive: it is what says that there is the backup
//! ID/facts/NAME    what is known of it, as JSON; written before
//! ID/draft-RANDOM  an archive in the making
//! ```
//! By an instance's id, which is never used twice and isn't changed by a renaming. All of this blocks.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::api::types::Timestamp;
use crate::runtime::random;
use crate::{Ctx, Error, Kind, Result};

/// The longest name of a backup, in bytes.
const NAME_LIMIT: usize = 200;

/// What is known of a backup beside its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// The backups of one instance.
#[derive(Clone, Debug)]
pub struct Shelf {
    directory: PathBuf,
}

/// An archive in the making, removed unless it gets its name.
pub struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can be told; the next start meets it again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Shelf {
    /// Those of the instance of this id, below `backups`.
    pub fn new(backups: &Path, id: u64) -> Shelf {
        Shelf { directory: backups.join(id.to_string()) }
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
                    // It was removed meanwhile.
                    Err(e) if e.kind() == Kind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
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
        serde_json::from_slice(&text).ctx(Kind::Internal, || format!("Failed reading {path:?}"))
    }

    /// Opens the archive of a backup.
    pub fn open(&self, name: &str) -> Result<File> {
        self.get(name)?;
        let path = self.file(name);
        File::open(&path).ctx(Kind::Internal, || format!("Failed opening {path:?}"))
    }

    /// A name that none has: LXD's.
    pub fn next_name(&self) -> Result<String> {
        let taken = self.list()?;
        let number = taken.iter().filter_map(|(name, _)| name.strip_prefix("backup")?.parse::<u64>().ok()).max();
        Ok(format!("backup{}", number.map_or(0, |n| n + 1)))
    }

    /// Begins an archive.
    pub fn draft(&self) -> Result<(Draft, File)> {
        for directory in [&self.directory, &self.directory.join("files"), &self.directory.join("facts")] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.ctx(Kind::Internal, || format!("Failed creating {directory:?}"))?;
        }
        let path = self.directory.join(format!("draft-{}", random::hex(16)));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.ctx(Kind::Internal, || format!("Failed creating {path:?}"))?;
        Ok((Draft { path, kept: false }, file))
    }

    /// Gives an archive, which is on the disk, its name.
    ///
    /// # Errors
    /// [`Kind::Exists`] when it is taken.
    pub fn keep(&self, mut draft: Draft, name: &str, facts: &Facts) -> Result<()> {
        self.claim(name)?;
        self.write_facts(name, facts)?;
        let to = self.file(name);
        fs::rename(&draft.path, &to).ctx(Kind::Internal, || format!("Failed renaming {:?} to {to:?}", draft.path))?;
        draft.kept = true;
        self.sync()
    }

    fn write_facts(&self, name: &str, facts: &Facts) -> Result<()> {
        let path = self.facts(name);
        let failed = || format!("Failed writing {path:?}");
        let text = serde_json::to_vec(facts).ctx(Kind::Internal, failed)?;
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.as_mut().map_err(|e| std::io::Error::from(e.kind())).ctx(Kind::Internal, failed)?;
        std::io::Write::write_all(file, &text).and_then(|()| file.sync_data()).ctx(Kind::Internal, failed)
    }

    /// Refuses a name that can't be one or is taken.
    pub fn claim(&self, name: &str) -> Result<()> {
        if !is_name(name) {
            return Err(Error::invalid(format!("Invalid backup name {name:?}")));
        }
        match fs::symlink_metadata(self.file(name)) {
            Ok(_) => Err(Error::new(Kind::Exists, format!("Backup {name:?} already exists"))),
            Err(_) => Ok(()),
        }
    }

    /// Gives a backup another name.
    pub fn rename(&self, name: &str, new_name: &str) -> Result<()> {
        let facts = self.get(name)?;
        self.claim(new_name)?;
        self.write_facts(new_name, &facts)?;
        let (from, to) = (self.file(name), self.file(new_name));
        fs::rename(&from, &to).ctx(Kind::Internal, || format!("Failed renaming {from:?} to {to:?}"))?;
        let _ = fs::remove_file(self.facts(name));
        self.sync()
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
        assert_eq!(shelf.next_name().unwrap(), "backup0");
        let facts = Facts { instance_only: true, ..Facts::default() };
        shelf.keep(shelf.draft().unwrap().0, "backup3", &facts).unwrap();
        assert_eq!(shelf.keep(shelf.draft().unwrap().0, "backup3", &facts).unwrap_err().kind(), Kind::Exists);
        assert_eq!(shelf.next_name().unwrap(), "backup4");
        shelf.rename("backup3", "b").unwrap();
        assert_eq!(shelf.list().unwrap(), [("b".to_owned(), facts)]);
        std::mem::forget(shelf.draft().unwrap().0);
        fs::write(scratch.0.join("7/facts/lost"), "{}").unwrap();
        fs::create_dir(scratch.0.join("8")).unwrap();
        sweep(&scratch.0, |id| id == 7).unwrap();
        assert!(!scratch.0.join("8").exists() && !scratch.0.join("7/facts/lost").exists());
        assert_eq!(fs::read_dir(scratch.0.join("7")).unwrap().count(), 2);
        shelf.remove("b").unwrap();
        assert_eq!(shelf.get("b").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let shelf = Shelf::new(Path::new("/nonexistent"), 1);
        for name in ["", ".", "..", "a/b", "../x", "a\0", &"x".repeat(300)] {
            assert_eq!(shelf.claim(name).unwrap_err().kind(), Kind::Invalid, "{name:?}");
            assert_eq!(shelf.get(name).unwrap_err().kind(), Kind::NotFound, "{name:?}");
        }
    }
}
