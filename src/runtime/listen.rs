//! Where the daemon listens for other machines: at one address, which changes while it runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::task::JoinSet;

use crate::{Error, Result};

/// Listens at an address: the tasks do, until they are ended.
pub type Open<'a> = &'a (dyn Fn(SocketAddr) -> Result<JoinSet<()>> + Send + Sync);

/// A place to listen.
#[derive(Default)]
pub struct Listening {
    /// Where to listen.
    wanted: Option<String>,
    /// Who does; the sockets are closed when this is dropped.
    tasks: Option<JoinSet<()>>,
}

impl Listening {
    /// Listens at another address, or no more; without an address's own port at `port`.
    ///
    /// # Errors
    /// Why it can't be listened there. It goes on where it was then.
    pub async fn at(&mut self, address: Option<&str>, port: u16, open: Open<'_>) -> Result<()> {
        if self.wanted.as_deref() == address && (self.tasks.is_some() || address.is_none()) {
            return Ok(());
        }
        if let Some(mut tasks) = self.tasks.take() {
            // They are closed when this returns.
            tasks.shutdown().await;
        }
        match opened(address, port, open) {
            Ok(tasks) => {
                *self = Listening { wanted: address.map(str::to_owned), tasks };
                Ok(())
            }
            Err(e) => {
                self.tasks = opened(self.wanted.as_deref(), port, open).unwrap_or_else(|e| {
                    tracing::warn!("Failed listening again: {}", e.chain());
                    None
                });
                Err(e)
            }
        }
    }

    /// The same, but an address that can't be had is kept for [`Listening::again`]: at a start the network may not be up. Whether it
    /// listens there.
    pub async fn at_last(&mut self, address: Option<&str>, port: u16, open: Open<'_>) -> bool {
        let there = self.at(address, port, open).await;
        if let Err(e) = &there {
            tracing::warn!("{}; trying again", e.chain());
            *self = Listening { wanted: address.map(str::to_owned), tasks: None };
        }
        there.is_ok()
    }

    /// Tries again to listen where it should be. Whether it does.
    pub async fn again(&mut self, port: u16, open: Open<'_>) -> bool {
        let wanted = self.wanted.clone();
        self.at(wanted.as_deref(), port, open).await.is_ok()
    }
}

fn opened(address: Option<&str>, port: u16, open: Open<'_>) -> Result<Option<JoinSet<()>>> {
    let Some(address) = address else { return Ok(None) };
    let at = parse(address, port).ok_or_else(|| Error::invalid(format!("{address:?} is no address to listen on")))?;
    open(at).map(Some)
}

/// A socket that takes connections.
pub fn tcp(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(1024)
}

/// A socket for packets.
pub fn udp(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(at)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// `HOST`, `HOST:PORT` or `:PORT`, at `port` where none is said; the host is an address or `localhost`, as the table of keys has checked.
pub fn parse(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = |host: &str| host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).to_owned();
    if let Ok(ip) = bare(text).parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, "")) => (host, port),
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, port),
    };
    let ip = match bare(host).as_str() {
        // Both families.
        "" => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::from(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, want) in [
            ("[::]", "[::]:8443"),
            (":8443", "[::]:8443"),
            ("127.0.0.1", "127.0.0.1:8443"),
            ("127.0.0.1:", "127.0.0.1:8443"),
            ("127.0.0.1:9443", "127.0.0.1:9443"),
            ("::1", "[::1]:8443"),
            ("[::1]", "[::1]:8443"),
            ("[::1]:9443", "[::1]:9443"),
            ("localhost:9000", "127.0.0.1:9000"),
            ("localhost", "127.0.0.1:8443"),
        ] {
            assert_eq!(parse(text, 8443).map(|a| a.to_string()).as_deref(), Some(want));
        }
        assert_eq!(parse("nope", 53), None);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_leaves_the_old_one() {
        let open = |at: SocketAddr| match at.port() {
            1 => Err(Error::internal("taken")),
            _ => Ok(JoinSet::new()),
        };
        let mut listening = Listening::default();
        listening.at(Some("::1"), 2, &open).await.unwrap();
        listening.at(Some("[::1]:1"), 2, &open).await.unwrap_err();
        assert!(listening.tasks.is_some() && listening.wanted.as_deref() == Some("::1"));
        assert!(!listening.at_last(Some("[::1]:1"), 2, &open).await && !listening.again(2, &open).await);
        assert_eq!(listening.wanted.as_deref(), Some("[::1]:1"));
        listening.at(None, 2, &open).await.unwrap();
        assert!(listening.tasks.is_none() && listening.again(2, &open).await);
    }
}
