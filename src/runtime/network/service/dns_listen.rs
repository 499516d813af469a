//! Where the server of zones listens (`core.dns_address`): sockets, connections, and how many of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Networks;
use super::dns::{Serials, Way};
use crate::runtime::listen::{self, Listening};
use crate::runtime::network::dns::question::LONGEST;
use crate::{Ctx, Kind, Result};

/// Connections at once, and of one address.
const CONNECTIONS: usize = 64;
/// See [`CONNECTIONS`].
const OF_ONE: usize = 8;
/// How long a client may take to ask, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The port where none is said.
const PORT: u16 = 53;

/// The state of the server.
#[derive(Default)]
pub(super) struct Dns {
    pub(super) serials: Serials,
    listening: tokio::sync::Mutex<Listening>,
}

impl Networks {
    /// Listens for servers of names at another address, or no more.
    ///
    /// # Errors
    /// Why it can't be listened there. It goes on where it was then.
    pub async fn listen_dns(&self, address: Option<&str>) -> Result<()> {
        self.dns.listening.lock().await.at(address, PORT, &|at| self.open(at)).await
    }

    /// As [`listen_dns`](Self::listen_dns), but an address that can't be had yet is tried again by
    /// [`watch_dns`](Self::watch_dns): at a start the network may not be up.
    pub async fn listen_dns_at_last(&self, address: Option<&str>) {
        self.dns.listening.lock().await.at_last(address, PORT, &|at| self.open(at)).await;
    }

    /// Tries again to listen where it should be.
    pub(super) async fn watch_dns(&self) {
        self.dns.listening.lock().await.again(PORT, &|at| self.open(at)).await;
    }

    fn open(&self, at: SocketAddr) -> Result<JoinSet<()>> {
        let failed = || format!("Failed listening for servers of names on {:?}", at.to_string());
        let tcp = listen::tcp(at).ctx(Kind::Internal, failed)?;
        let udp = listen::udp(at).ctx(Kind::Internal, failed)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(packets(self.clone(), udp).boxed());
        tasks.spawn(connections(self.clone(), tcp).boxed());
        Ok(tasks)
    }
}

async fn packets(networks: Networks, socket: UdpSocket) {
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                for answer in networks.answer(&buffer[..length], from.ip().to_canonical(), Way::Udp).await {
                    // Who is gone needs no answer.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
            // An earlier answer that didn't arrive is told here.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connections(networks: Networks, listener: TcpListener) {
    let counts = Arc::new(Counts::default());
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, from)) => {
                let from = from.ip().to_canonical();
                let Some(place) = Counts::take(&counts, from) else { continue };
                let networks = networks.clone();
                let served = async move {
                    serve(&networks, stream, from).await;
                    drop(place);
                };
                open.spawn(served.boxed());
            }
            // Out of descriptors.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers what comes on a connection until its other end is gone or too slow.
async fn serve(networks: &Networks, mut stream: TcpStream, from: IpAddr) -> Option<()> {
    loop {
        let length = usize::from(timeout(PATIENCE, stream.read_u16()).await.ok()?.ok()?);
        if length > LONGEST {
            return None;
        }
        let mut packet = vec![0; length];
        timeout(PATIENCE, stream.read_exact(&mut packet)).await.ok()?.ok()?;
        for answer in networks.answer(&packet, from, Way::Tcp).await {
            let framed = [&u16::try_from(answer.len()).ok()?.to_be_bytes()[..], &answer].concat();
            timeout(PATIENCE, stream.write_all(&framed)).await.ok()?.ok()?;
        }
    }
}

/// Connections that are open, by address.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<IpAddr, usize>>);

/// One of them; counted until it is dropped.
struct Place(Arc<Counts>, IpAddr);

impl Counts {
    fn take(counts: &Arc<Counts>, from: IpAddr) -> Option<Place> {
        let mut all = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = all.values().sum();
        let own = all.get(&from).copied().unwrap_or(0);
        if total >= CONNECTIONS || own >= OF_ONE {
            return None;
        }
        all.insert(from, own + 1);
        Some(Place(counts.clone(), from))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                all.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_connections() {
        let counts = Arc::new(Counts::default());
        let of = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut places: Vec<_> = (0..20).filter_map(|_| Counts::take(&counts, of(1))).collect();
        assert_eq!(places.len(), OF_ONE);
        places.extend((2..20).flat_map(|n| (0..OF_ONE).map(move |_| n)).filter_map(|n| Counts::take(&counts, of(n))));
        assert_eq!(places.len(), CONNECTIONS);
        drop(places);
        assert!(counts.0.lock().unwrap().is_empty());
    }
}
