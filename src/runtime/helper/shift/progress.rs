//! How far a shift has come, in two small files beside the tree.
//!
//! `idmap.json` says whose ids are on disk, or from which to which a shift was begun and when. Entries changed since then
//! are done: a change of owner changes the time too, in the same write. Entries with capabilities, ACLs or set-id bits take
//! several writes; `idmap-entry.json` holds what the last of them had, until the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{OFlags, Stat};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::api::tree::{self, FromTree, Tree, Wrong, readable};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::Idmap;

/// Seconds and nanoseconds of the clock that file systems use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Moment(i64, i64);

impl FromTree for Moment {
    fn of(tree: Tree) -> std::result::Result<Moment, Wrong> {
        <(i64, i64)>::of(tree).map(|(seconds, nanoseconds)| Moment(seconds, nanoseconds))
    }

    fn blank() -> Moment {
        Moment(0, 0)
    }
}

impl Moment {
    /// Whether the inode was changed after it.
    pub(super) fn is_before(self, stat: &Stat) -> bool {
        self < Moment(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0))
    }
}

readable! {
    /// What is on disk.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "state", rename_all = "snake_case")]
    pub(super) enum State {
        /// The host's ids of this map; of an empty one: the guest's own.
        Shifted { to: Idmap },
        /// Both: a shift was begun.
        Shifting { from: Idmap, to: Idmap, since: Moment },
    }

    /// What an entry had before its shift.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub(super) struct Before {
        pub(super) device: u64,
        pub(super) inode: u64,
        pub(super) uid: u32,
        pub(super) gid: u32,
        pub(super) mode: u32,
        pub(super) capabilities: Option<Vec<u8>>,
        /// For access and by default.
        pub(super) acls: [Option<Vec<u8>>; 2],
    }
}

impl Before {
    /// Whether this is that inode's.
    pub(super) fn is_of(&self, stat: &Stat) -> bool {
        (self.device, self.inode) == (stat.st_dev, stat.st_ino)
    }

    /// Whether the shift takes more than one write.
    pub(super) fn is_more_than_an_owner(&self) -> bool {
        self.mode & 0o6000 != 0 || self.capabilities.is_some() || self.acls.iter().any(Option::is_some)
    }
}

/// The files beside one tree.
pub(super) struct Progress {
    state: PathBuf,
    entry: PathBuf,
}

impl Progress {
    /// Those of the tree at `path`.
    pub(super) fn beside(path: &Path) -> Result<Progress, Fail> {
        let dir = path.parent().ok_or_else(|| Fail::new(format!("{path:?} is below nothing")))?;
        Ok(Progress { state: dir.join("idmap.json"), entry: dir.join("idmap-entry.json") })
    }

    /// What is known; `None`: it was never shifted by us.
    pub(super) fn state(&self) -> Result<Option<State>, Fail> {
        read(&self.state)
    }

    /// Notes that all entries are shifted from now on. Waits until the clock of the file system has gone on.
    pub(super) fn begun(&self, from: &Idmap, to: &Idmap) -> Result<(), Fail> {
        let now = clock_gettime(ClockId::Realtime);
        // Times of inodes are those of the last tick: at most 10 ms (CONFIG_HZ=100).
        std::thread::sleep(Duration::from_millis(20));
        let since = Moment(now.tv_sec, now.tv_nsec);
        self.forget_entry()?;
        write(&self.state, &State::Shifting { from: from.clone(), to: to.clone(), since })
    }

    /// Notes that all entries are shifted.
    pub(super) fn finished(&self, to: &Idmap) -> Result<(), Fail> {
        write(&self.state, &State::Shifted { to: to.clone() })?;
        self.forget_entry()
    }

    /// Keeps what an entry has, as its shift begins.
    pub(super) fn begin_entry(&self, before: &Before) -> Result<(), Fail> {
        write(&self.entry, before)
    }

    /// The last entry whose shift was begun.
    pub(super) fn entry(&self) -> Result<Option<Before>, Fail> {
        read(&self.entry)
    }

    fn forget_entry(&self) -> Result<(), Fail> {
        match fs::remove_file(&self.entry) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).what(|| format!("removing {:?}", self.entry)),
            _ => Ok(()),
        }
    }
}

fn read<T: FromTree>(path: &Path) -> Result<Option<T>, Fail> {
    match fs::read(path) {
        Ok(content) => tree::from_slice(&content).map(Some).map_err(|e| Fail::new(format!("reading {path:?}: {e}"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).what(|| format!("reading {path:?}")),
    }
}

/// The new content or the old, also after a power cut.
fn write(path: &Path, content: &impl Serialize) -> Result<(), Fail> {
    let what = || format!("writing {path:?}");
    let next = path.with_extension("json.new");
    let content = serde_json::to_vec(content).map_err(|e| Fail::new(format!("{}: {e}", what())))?;
    fs::write(&next, content).what(what)?;
    fs::File::open(&next).and_then(|f| f.sync_all()).what(what)?;
    fs::rename(&next, path).what(what)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let dir = rustix::fs::open(dir, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty()).what(what)?;
    rustix::fs::fsync(dir).what(what)
}
