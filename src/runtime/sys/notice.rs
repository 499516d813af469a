//! Notice of what comes and goes on the host: names in directories (inotify(7)), devices (the kernel's uevents),
//! and what is told to a guest of its own devices.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

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

/// The kernel's events of devices.
#[derive(Debug)]
pub struct Uevents(Watch);

impl Uevents {
    /// Hears them from now on. Inside the async runtime.
    pub fn open() -> io::Result<Uevents> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let kind = Some(rustix::net::netlink::KOBJECT_UEVENT);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, kind)?;
        // Group 1 is the kernel's; in the others udev speaks.
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 1))?;
        Ok(Uevents(Watch::for_reading(socket)?))
    }

    /// Waits until there was one, and takes all that were told.
    pub async fn change(&self) -> io::Result<()> {
        let heard = self.0.reading(taken).await;
        match heard {
            // Some were lost: all the more has changed.
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            heard => heard,
        }
    }
}

/// `UEVENT_SEND`, the first type that isn't netlink's own.
const SEND: u16 = 16;
/// Bytes of netlink's header.
const HEADER: usize = 16;

/// Has the kernel tell all who listen in the caller's network namespace of a device, as if it were the namespace's own
/// (Linux 4.18). `properties` are `NAME=value` lines, DEVPATH among them; `action` is `add`, `remove`...
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN in the user namespace that owns the network's; EINVAL for more than the kernel's 2 KB.
pub fn announce(action: &str, properties: &str) -> io::Result<()> {
    let path = properties.lines().find_map(|line| line.strip_prefix("DEVPATH=")).unwrap_or_default();
    let mut text = format!("{action}@{path}\0ACTION={action}\0");
    properties.lines().for_each(|line| text.extend([line, "\0"]));
    let size = u32::try_from(HEADER + text.len()).map_err(io::Error::other)?;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut message = size.to_ne_bytes().to_vec();
    message.extend([SEND.to_ne_bytes(), flags.to_ne_bytes()].concat());
    message.extend([0; 8]);
    message.extend(text.as_bytes());
    let kind = Some(rustix::net::netlink::KOBJECT_UEVENT);
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, kind)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // `struct nlmsgerr` begins with the error number, negated.
    match answer.get(HEADER..HEADER + 4).filter(|_| length >= HEADER + 4) {
        Some(&[a, b, c, d]) => match i32::from_ne_bytes([a, b, c, d]) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        },
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
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
