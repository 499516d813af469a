//! Where the API listens for other machines (`core.https_address`): the socket, the key pair, who is let in to try.
//!
//! What comes in is handed to `api::server`, which this module must not know: see [`Https::serve_with`].

mod address;
mod strangers;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::api::tls::{self, AnyClient, Certificate, Role};
use crate::runtime::listen::{self, Listening};
use crate::runtime::network::netlink::Netlink;
use crate::task::spawn;
use crate::{Ctx, Kind, Result};

pub use strangers::Stranger;
use strangers::Strangers;

/// The port where none is said.
const PORT: u16 = 8443;
/// How often it is tried again to listen where it couldn't be at the start.
const AGAIN: Duration = Duration::from_secs(5);

/// A connection that has come in; nothing has been read from it.
pub struct Arrived {
    /// The connection.
    pub stream: TcpStream,
    /// Its other end.
    pub from: SocketAddr,
    /// How TLS is spoken on it.
    pub tls: Arc<ServerConfig>,
    /// Its place among those whom nobody knows yet.
    pub stranger: Stranger,
}

/// Serves the API on a connection.
pub type Serve = Box<dyn Fn(Arrived) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Https(Arc<Inner>);

struct Inner {
    root: PathBuf,
    serve: OnceLock<Serve>,
    strangers: Strangers,
    certificate: OnceLock<Certificate>,
    /// How TLS is spoken, once it has been.
    config: OnceLock<Arc<ServerConfig>>,
    listening: tokio::sync::Mutex<Listening>,
}

/// `root@HOST`, whom LXD's certificates name.
fn owner() -> String {
    format!("root@{}", rustix::system::uname().nodename().to_string_lossy())
}

impl Https {
    /// With the key pair in this directory (`LXD_DIR`).
    pub fn new(root: &Path) -> Https {
        Https(Arc::new(Inner {
            root: root.to_owned(),
            serve: OnceLock::new(),
            strangers: Strangers::default(),
            certificate: OnceLock::new(),
            config: OnceLock::new(),
            listening: tokio::sync::Mutex::default(),
        }))
    }

    /// Makes `server.crt` and `server.key` where there are none. Blocks.
    pub fn make_pair(&self) -> Result<()> {
        let there = ["server.crt", "server.key"].iter().all(|name| self.0.root.join(name).exists());
        if there { Ok(()) } else { tls::load_or_make(&self.0.root, Role::Server, &owner(), || ()).map(drop) }
    }

    /// The server's certificate. Blocks when it is asked for the first time.
    pub fn certificate(&self) -> Result<Certificate> {
        if let Some(known) = self.0.certificate.get() {
            return Ok(known.clone());
        }
        let read = tls::load_or_make(&self.0.root, Role::Server, &owner(), || ())?.certificate;
        Ok(self.0.certificate.get_or_init(|| read).clone())
    }

    /// Says who serves connections; only the first call counts.
    pub fn serve_with(&self, serve: Serve) {
        // A second one would be the same.
        let _ = self.0.serve.set(serve);
    }

    /// Listens at another address, or no more. Connections that are there stay.
    ///
    /// # Errors
    /// Why it can't be listened there. It goes on where it was then.
    pub async fn listen(&self, address: Option<&str>) -> Result<()> {
        self.0.listening.lock().await.at(address, PORT, &|at| self.open(at)).await
    }

    /// As [`listen`](Self::listen), but an address that can't be had is tried again and again: at a start the network
    /// may not be up.
    pub async fn listen_at_last(&self, address: Option<&str>) {
        if self.0.listening.lock().await.at_last(address, PORT, &|at| self.open(at)).await {
            return;
        }
        let https = self.clone();
        spawn(async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                if https.0.listening.lock().await.again(PORT, &|at| https.open(at)).await {
                    return;
                }
            }
        });
    }

    fn open(&self, at: SocketAddr) -> Result<JoinSet<()>> {
        let tls = self.config()?;
        let listener = listen::tcp(at);
        let listener =
            listener.ctx(Kind::Internal, || format!("Cannot listen on network HTTPS socket {:?}", at.to_string()))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(Arc::downgrade(&self.0), listener, tls).boxed());
        Ok(tasks)
    }

    /// TLS 1.3 with the server's certificate, asking for the client's. Blocks for two small files when it is asked for the first time.
    fn config(&self) -> Result<Arc<ServerConfig>> {
        if let Some(known) = self.0.config.get() {
            return Ok(known.clone());
        }
        let pair = tls::load_or_make(&self.0.root, Role::Server, &owner(), || ())?;
        let bad = || "Failed using the server's certificate";
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .ctx(Kind::Internal, bad)?
            .with_client_cert_verifier(Arc::new(AnyClient::default()));
        let chain = pair.chain();
        let mut config = builder.with_single_cert(chain, pair.key).ctx(Kind::Internal, bad)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Nothing is kept of a connection for the next one: a client is known by what it proves each time.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(self.0.config.get_or_init(|| Arc::new(config)).clone())
    }

    /// Where others reach the API when it listens so. Asks the kernel when that is everywhere.
    pub fn reachable(&self, address: Option<&str>) -> Vec<String> {
        let Some(address) = address else { return Vec::new() };
        let everywhere = listen::parse(address, PORT).is_some_and(|at| at.ip().is_unspecified());
        address::reachable(address, &if everywhere { own_addresses() } else { Vec::new() })
    }
}

/// The host's addresses; none when it doesn't say.
fn own_addresses() -> Vec<IpAddr> {
    let listed = Netlink::open().and_then(|mut netlink| netlink.addresses(None));
    listed.map(|all| all.into_iter().map(|a| a.address).collect()).unwrap_or_default()
}

async fn accept(inner: std::sync::Weak<Inner>, listener: TcpListener, tls: Arc<ServerConfig>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(inner) = inner.upgrade() else { return };
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let stranger = inner.strangers.enter(from.ip());
                if let Some(serve) = inner.serve.get() {
                    spawn(serve(Arrived { stream, from, tls: tls.clone(), stranger }));
                }
            }
            Err(e) => {
                // EMFILE and the like: pause instead of spinning until descriptors are free again.
                tracing::warn!("Failed accepting a connection: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
