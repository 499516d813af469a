//! The trash of a pool: what is deleted is renamed into it at once and removed later, by one thread of low priority.
//!
//! ```text
//! volume --rename--> trash/TOKEN.RANDOM --Emptier--> gone
//! ```
//! What is being made and has no place yet is here too, under a name with a dot in front, which the emptier leaves alone
//! until a restart shows that nobody makes it any more ([`release`]).
//!
//! After a restart the daemon wakes the [`Emptier`] for each pool, which goes on with what a crash left.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::tree::{self, Removal};
use crate::error::{Ctx, Error, Kind, Result};

/// The directory's name in a pool's root.
pub(super) const TRASH: &CStr = c"trash";

/// The niceness of the emptying thread: whatever else runs goes first.
const NICE: i32 = 19;

/// Sixteen random hexadecimal digits.
pub(super) fn random_name() -> Result<String> {
    let mut bytes = [0u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .ctx(Kind::Internal, || "Failed getting random bytes")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// A name for something in the trash that is being made.
pub(super) fn staged_name(what: &str) -> Result<String> {
    Ok(format!(".{what}.{}", random_name()?))
}

/// Gives what a crash has left unfinished to the emptier; at start, when nothing is being made.
pub(super) fn release(trash: impl AsFd) -> Result<()> {
    let trash = trash.as_fd();
    for name in tree::names(trash)?.iter().filter(|n| n.to_bytes().starts_with(b".")) {
        discard(trash, name, trash)?;
    }
    Ok(())
}

/// Renames `name` of `dir` into the open trash directory and returns its name there; `None` when nothing is to be done.
///
/// A disk too full for one more name there must not keep anybody from deleting: then it is removed where it is.
pub(super) fn discard(dir: impl AsFd, name: &CStr, trash: impl AsFd) -> Result<Option<String>> {
    let dir = dir.as_fd();
    let shown = name.to_string_lossy().trim_start_matches('.').chars().take(64).collect::<String>();
    let new = format!("{}.{}", shown.replace('/', "-"), random_name()?);
    match rustix::fs::renameat_with(dir, name, trash, new.as_str(), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Some(new)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOSPC | Errno::DQUOT) => tree::remove(dir, name).map(|()| None),
        Err(e) => Err(e).ctx(kind(e), || format!("Failed moving {name:?} into the trash")),
    }
}

fn kind(e: Errno) -> Kind {
    if e == Errno::BUSY { Kind::Busy } else { Kind::Internal }
}

/// Removes what is in the trash of the pool whose data is in `root`. Blocks, for as long as that takes.
///
/// Returns the number of things removed. A thing that can't be removed doesn't keep others from it; the first error is
/// returned at the end. Ends early when `stop` is set.
pub fn empty(root: &Path, stop: &AtomicBool) -> Result<u64> {
    let Some(trash) = open(root)? else { return Ok(0) };
    let mut removed = 0;
    let mut first = None;
    for name in tree::names(&trash)?.into_iter().filter(|n| !n.to_bytes().starts_with(b".")) {
        match tree::remove_until(&trash, &name, stop) {
            Ok(Removal::Done) => removed += 1,
            Ok(Removal::Stopped) => break,
            Err(e) => first = first.or(Some(e)),
        }
    }
    first.map_or(Ok(removed), Err)
}

fn open(root: &Path) -> Result<Option<OwnedFd>> {
    let path = root.join("trash");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).ctx(Kind::Internal, || format!("Failed opening {path:?}")),
    }
}

/// The thread that empties the trash of every pool; dropping it stops the thread within moments and waits for it.
pub struct Emptier {
    wake: Option<Sender<PathBuf>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Emptier {
    /// Starts the thread; it sleeps until it is woken.
    pub fn start() -> Result<Emptier> {
        let (wake, woken) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("trash".to_owned())
            .spawn(move || work(&woken, &seen))
            .ctx(Kind::Unavailable, || "Failed starting the thread that empties the trash")?;
        Ok(Emptier { wake: Some(wake), stop, thread: Some(thread) })
    }

    /// Asks for the trash of the pool with its data in `root` to be emptied. Doesn't block.
    pub fn wake(&self, root: PathBuf) -> Result<()> {
        let sent = self.wake.as_ref().is_some_and(|wake| wake.send(root).is_ok());
        if sent { Ok(()) } else { Err(Error::internal("The thread that empties the trash is gone")) }
    }
}

impl Drop for Emptier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's loop.
fn work(woken: &Receiver<PathBuf>, stop: &AtomicBool) {
    // On Linux this is the calling thread's alone, in spite of the name (setpriority(2), "C library/kernel differences").
    if let Err(e) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!("Failed lowering the priority of the thread that empties the trash: {e}");
    }
    while let Ok(root) = woken.recv() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Err(e) = empty(&root, stop) {
            tracing::warn!("Failed emptying the trash of {root:?}: {}", e.chain());
        }
    }
}
