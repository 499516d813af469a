//! Notice of what comes and goes on the host: names in directories (inotify(7)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::watch::Watch;

/// Directories that are watched.
#[derive(Debug)]
pub struct Names(Watch);

impl Names {
    /// Watches the directories in which these files are, or would be: of each the nearest that exists. Inside the async runtime.
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> io::Result<Names> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let flags = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::DELETE_SELF;
        for file in files {
            let directory = file.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new("/"));
            inotify::add_watch(&fd, directory, flags | WatchFlags::ONLYDIR)?;
        }
        Ok(Names(Watch::for_reading(fd)?))
    }

    /// Waits until a name has come or gone, and takes what was told.
    pub async fn change(&self) -> io::Result<()> {
        self.0.reading(taken).await
    }
}

fn taken(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut told = false;
    loop {
        match rustix::io::read(fd, &mut buffer[..]) {
            Ok(_) => told = true,
            Err(rustix::io::Errno::AGAIN) if told => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}
