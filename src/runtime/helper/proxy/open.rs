//! Sockets: those it listens at, and those it makes to its target.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, FileType, Gid, Mode, Uid};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::runtime::helper::{Fail, What, hear, say};
use crate::runtime::spec::proxy::{Place, ProxyPlan};
use crate::runtime::spec::resident::Begun;
use crate::runtime::sys::{capset, channel, fork};

/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Opens all that the plan listens at, here.
pub(super) fn listeners(plan: &ProxyPlan) -> Result<Vec<OwnedFd>, Fail> {
    plan.listen.iter().map(|place| listen(plan, place).what(|| format!("listening on {place}"))).collect()
}

/// Opens them in the guest, as its root: by a copy of this process, since nobody comes back from a user namespace.
pub(super) fn in_guest(plan: &ProxyPlan, init: &OwnedFd) -> Result<Vec<OwnedFd>, Fail> {
    let (ours, theirs) = channel::pair().what(|| "making a socket pair")?;
    let (_, pidfd) = match fork::fork(&fork::Options::default()).what(|| "forking")? {
        fork::Forked::Child => {
            drop(ours);
            let files = plan.listen.iter().any(|place| place.path().is_some());
            let opened = fork::join_network(init.as_fd(), plan.unprivileged, files)
                .and_then(|()| capset::become_user(0, 0))
                .what(|| "entering the container")
                .and_then(|()| listeners(plan));
            let sent = match opened {
                Ok(opened) => opened.chunks(channel::MAX_FDS).try_for_each(|some| {
                    let fds: Vec<_> = some.iter().map(AsFd::as_fd).collect();
                    say(&theirs, &Begun::Ready, &fds)
                }),
                Err(fail) => say(&theirs, &Begun::Failed { errno: fail.errno, what: fail.what }, &[]),
            };
            fork::exit(i32::from(sent.is_err()))
        }
        fork::Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(theirs);
    let mut opened = Vec::new();
    while opened.len() < plan.listen.len() {
        match hear::<Begun>(&ours).what(|| "hearing from the container")? {
            Some((Begun::Ready, fds)) => opened.extend(fds),
            Some((Begun::Failed { errno, what }, _)) => return Err(Fail { errno, what }),
            None => return Err(Fail::new("listening in the container")),
        }
    }
    let _ = crate::runtime::sys::process::reap(&pidfd, true);
    Ok(opened)
}

fn listen(plan: &ProxyPlan, place: &Place) -> io::Result<OwnedFd> {
    let every = every(place);
    let (place, socket) = match every.as_ref().map(socket) {
        Some(Ok(socket)) => (every.as_ref().unwrap_or(place), socket),
        // No IPv6 here.
        _ => (place, socket(place)?),
    };
    if every.is_some() {
        let _ = sockopt::set_ipv6_v6only(&socket, false);
    }
    match place {
        Place::Tcp(address) => {
            sockopt::set_socket_reuseaddr(&socket, true)?;
            rustix::net::bind(&socket, address)?;
        }
        Place::Udp(address) => return rustix::net::bind(&socket, address).map(|()| socket).map_err(io::Error::from),
        Place::Unix(path) => bind_unix(plan, path, &socket)?,
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Where it listens when it listens on all addresses, of whichever version.
fn every(place: &Place) -> Option<Place> {
    let any = |address: &SocketAddr| SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
    match place {
        Place::Tcp(address) if address.ip().is_unspecified() => Some(Place::Tcp(any(address))),
        Place::Udp(address) if address.ip().is_unspecified() => Some(Place::Udp(any(address))),
        _ => None,
    }
}

fn bind_unix(plan: &ProxyPlan, path: &str, socket: &OwnedFd) -> io::Result<()> {
    let address = unix(path)?;
    if path.starts_with('@') {
        return Ok(rustix::net::bind(socket, &address)?);
    }
    // What a helper before us has left; nothing else is taken away.
    if let Ok(status) = rustix::fs::lstat(path)
        && FileType::from_raw_mode(status.st_mode) == FileType::Socket
    {
        let _ = rustix::fs::unlink(path);
    }
    // Nobody gets in before owner and mode are right.
    let old = rustix::process::umask(Mode::from_raw_mode(0o777));
    let bound = rustix::net::bind(socket, &address);
    rustix::process::umask(old);
    bound?;
    rustix::fs::chown(path, Some(Uid::from_raw(plan.owner.0)), Some(Gid::from_raw(plan.owner.1)))?;
    Ok(rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(plan.mode & 0o777), rustix::fs::AtFlags::empty())?)
}

/// A socket that is connected to the target, or about to be.
pub(super) fn connect(place: &Place) -> io::Result<OwnedFd> {
    let socket = socket(place)?;
    let connected = match place {
        Place::Tcp(address) | Place::Udp(address) => rustix::net::connect(&socket, address),
        Place::Unix(path) => rustix::net::connect(&socket, &unix(path)?),
    };
    match connected {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(e) => Err(e.into()),
    }
}

fn socket(place: &Place) -> io::Result<OwnedFd> {
    let (family, kind) = match place {
        Place::Tcp(address) => (inet(address), SocketType::STREAM),
        Place::Udp(address) => (inet(address), SocketType::DGRAM),
        Place::Unix(_) => (AddressFamily::UNIX, SocketType::STREAM),
    };
    Ok(rustix::net::socket_with(family, kind, FLAGS, None)?)
}

fn inet(address: &std::net::SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn unix(path: &str) -> io::Result<SocketAddrUnix> {
    Ok(match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(path)?,
    })
}
