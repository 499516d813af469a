//! `lxc file mount` without a target path: an instance's files for any SFTP client, by an SSH server of ours that
//! knows nothing else.
//!
//! ```text
//! server ═ SFTP ═ lxc ═ SSH ═ sftp, sshfs, a file manager
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use ring::rand::{SystemRandom, generate};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, RunningSession, Session, run_stream};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet, SshId};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::reason;
use crate::api::client::Client;
use crate::cli::output::emit;
use crate::error::{Ctx, Error, Kind, Result};
use crate::task::spawn;

/// How long a client may take until it has said who it is.
const LOGIN: Duration = Duration::from_secs(60);
/// A client that doesn't answer three of these in a row is gone.
const ALIVE: Duration = Duration::from_secs(60);
/// Channels of one connection, each of which is a connection with the server.
const CHANNELS: usize = 16;

/// Who may come in; anyone without it.
struct Login {
    user: String,
    password: String,
}

/// What is served, and to whom.
struct Served {
    client: Client,
    instance: String,
    login: Option<Login>,
}

/// Serves an instance's files at `address`, a free port of this machine alone without one, until the program is ended.
/// Prints where, and the name and password to log in with unless `anyone` may. One future with all its visitors.
pub(super) async fn listen(
    (client, instance): (Client, String),
    address: Option<&str>,
    (user, anyone): (Option<String>, bool),
) -> Result<i32> {
    let listener = bind(address.unwrap_or("127.0.0.1:0")).await?;
    let at = listener.local_addr().ctx(Kind::Internal, || "Failed asking for the own address")?;
    emit(format!("SSH SFTP listening on {at}\n").as_bytes());
    let login = if anyone {
        emit(b"Login without username and password\n");
        None
    } else {
        let login = Login { user: user.map_or_else(secret::<4>, Ok)?, password: secret::<8>()? };
        emit(format!("Login with username {:?} and password {:?}\n", login.user, login.password).as_bytes());
        Some(login)
    };
    let config = Arc::new(config(login.is_some())?);
    let served = Arc::new(Served { client, instance, login });
    loop {
        match listener.accept().await {
            Ok((stream, from)) => _ = spawn(serve(stream, from, config.clone(), served.clone())),
            // Out of descriptors, or a client that has left again.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn bind(address: &str) -> Result<TcpListener> {
    let everywhere = address.starts_with(':').then(|| format!("[::]{address}"));
    let bound = TcpListener::bind(everywhere.as_deref().unwrap_or(address)).await;
    bound.map_err(|e| {
        let why = match e.kind() {
            // As the stock client says it; musl has other words.
            std::io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
            _ => reason(&e),
        };
        Error::invalid(format!("Failed to listen for connection: listen tcp {address}: {why}"))
    })
}

/// Random hex digits, twice as many as bytes.
fn secret<const N: usize>() -> Result<String>
where
    [u8; N]: ring::rand::RandomlyConstructable,
{
    Ok(HEXLOWER.encode(&random::<[u8; N]>()?))
}

fn random<T: ring::rand::RandomlyConstructable>() -> Result<T> {
    let drawn = generate(&SystemRandom::new()).map_err(|_| Error::internal("The system gave no random bytes"))?;
    Ok(drawn.expose())
}

fn config(by_password: bool) -> Result<Config> {
    let method = if by_password { MethodKind::Password } else { MethodKind::None };
    Ok(Config {
        server_id: SshId::Standard("SSH-2.0-lxbox".into()),
        methods: MethodSet::from(&[method][..]),
        // A key for this run alone, as its password is.
        keys: vec![Ed25519Keypair::from_seed(&random()?).into()],
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        keepalive_interval: Some(ALIVE),
        nodelay: true,
        ..Config::default()
    })
}

async fn serve(stream: TcpStream, from: SocketAddr, config: Arc<Config>, served: Arc<Served>) {
    emit(format!("SSH client connected \"{from}\"\n").as_bytes());
    let entered = Arc::new(AtomicBool::new(false));
    let visitor = Visitor { served, entered: entered.clone(), channels: HashMap::new(), bridged: Arc::default() };
    let done = match timeout(LOGIN, run_stream(config, stream, visitor)).await {
        Ok(Ok(session)) => attend(session, &entered).await,
        Ok(failed) => failed.map(drop),
        Err(_) => Err(russh::Error::ConnectionTimeout),
    };
    if !entered.load(Ordering::Relaxed) {
        let why = done.err().map_or_else(|| "it left".to_owned(), |e| e.to_string());
        eprintln!("Failed SSH handshake with client \"{from}\": {why}");
    }
    emit(format!("SSH client disconnected \"{from}\"\n").as_bytes());
}

/// Waits for the end of a connection; ends one that stays at the door.
async fn attend(mut session: RunningSession<Visitor>, entered: &AtomicBool) -> std::result::Result<(), russh::Error> {
    if let Ok(done) = timeout(LOGIN, &mut session).await {
        return done;
    }
    if !entered.load(Ordering::Relaxed) {
        // One that has ended meanwhile is what we want.
        let _ = session.handle().disconnect(Disconnect::ByApplication, "too late".into(), String::new()).await;
    }
    session.await
}

/// One connection.
struct Visitor {
    served: Arc<Served>,
    entered: Arc<AtomicBool>,
    /// Those that nothing was asked of yet.
    channels: HashMap<ChannelId, Channel<Msg>>,
    /// Each of the others holds it.
    bridged: Arc<()>,
}

impl Visitor {
    /// Whether that is who may come in. Takes as long for a wrong password as for a right one.
    fn lets_in(&self, user: &str, password: Option<&str>) -> Auth {
        let welcome = match (&self.served.login, password) {
            (None, _) => true,
            (Some(login), Some(password)) => {
                let same =
                    |a: &str, b: &str| digest(&SHA256, a.as_bytes()).as_ref() == digest(&SHA256, b.as_bytes()).as_ref();
                same(&login.user, user) & same(&login.password, password)
            }
            (Some(_), None) => false,
        };
        self.entered.store(welcome, Ordering::Relaxed);
        if welcome { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> std::result::Result<Auth, Self::Error> {
        Ok(self.lets_in(user, None))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> std::result::Result<Auth, Self::Error> {
        Ok(self.lets_in(user, Some(password)))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> std::result::Result<(), Self::Error> {
        if self.channels.len() + Arc::strong_count(&self.bridged) <= CHANNELS {
            self.channels.insert(channel.id(), channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> std::result::Result<(), Self::Error> {
        if name != "sftp" {
            return session.channel_failure(id);
        }
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        let mut server = match self.served.client.sftp(&self.served.instance).await {
            Ok(server) => server,
            Err(e) => {
                eprintln!("Error: {e}");
                return session.channel_failure(id);
            }
        };
        session.channel_success(id)?;
        let bridged = self.bridged.clone();
        spawn(async move {
            let _one_more = bridged;
            // Either end may leave; the other finds out.
            let _ = tokio::io::copy_bidirectional(&mut server, &mut channel.into_stream()).await;
        });
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> std::result::Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> std::result::Result<(), Self::Error> {
        session.channel_failure(id)
    }
}
