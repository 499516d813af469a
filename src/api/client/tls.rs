//! Servers on other machines: TLS connections with pinned certificates.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use hyper::Uri;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::Proxies;
use super::connect::Wire;
use crate::api::tls::{self, Certificate, Made, Pinned, Seen};
use crate::error::{Ctx, Error, Kind, Result};

/// A server on another machine.
pub(super) struct Far {
    /// As it was given.
    pub(super) url: String,
    /// `HOST:PORT`.
    pub(super) authority: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    pin: Option<Certificate>,
    seen: Seen,
}

impl Far {
    /// The server at `https://HOST[:PORT]`; without a pin every certificate is taken. `pair` is what it is shown.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for another kind of URL, and for a key that is none.
    pub(super) fn new(url: &str, pin: Option<Certificate>, pair: Option<Made>) -> Result<Far> {
        let bad = || Error::invalid(format!("Invalid URL {url:?} of an LXD server"));
        let parsed: Uri = url.parse().map_err(|_| bad())?;
        let host = parsed.host().filter(|_| parsed.scheme_str() == Some("https")).ok_or_else(bad)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = match bare.parse::<IpAddr>() {
            Ok(ip) => ServerName::IpAddress(ip.into()),
            Err(_) => ServerName::try_from(bare.to_owned()).map_err(|_| bad())?,
        };
        let seen = Seen::default();
        let failed = || "Failed preparing TLS";
        let verifier = Arc::new(Pinned::new(pin.clone(), seen.clone()));
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .ctx(Kind::Internal, failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match pair {
            Some(pair) => {
                let chain = pair.chain();
                builder.with_client_auth_cert(chain, pair.key).ctx(Kind::Invalid, || "Failed using the client's key")?
            }
            None => builder.with_no_client_auth(),
        };
        // Websockets have no place in HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let port = parsed.port_u16().unwrap_or(443);
        let (authority, host) = (format!("{host}:{port}"), bare.to_owned());
        Ok(Far { url: url.into(), authority, host, port, name, config: Arc::new(config), pin, seen })
    }

    /// A new connection, by the proxy that the environment names.
    pub(super) async fn connect(&self) -> Result<Wire> {
        tracing::debug!(url = self.url, "Connecting to a remote LXD over HTTPS");
        let failed = || format!("Failed connecting to the LXD server at {:?}", self.url);
        let reached = Proxies::of_environment().reach(true, &self.host, self.port).await;
        let stream = reached.ctx(Kind::Unavailable, failed)?.stream;
        // Failing to do without delays is no harm.
        let _ = stream.set_nodelay(true);
        let connected = TlsConnector::from(self.config.clone()).connect(self.name.clone(), stream).await;
        let wrong = self.pin.is_some() && self.pin != self.shown();
        match connected {
            Err(_) if wrong && self.shown().is_some() => Err(Error::new(
                Kind::Forbidden,
                format!("The certificate of the LXD server at {:?} isn't the one that was trusted", self.url),
            )),
            other => Ok(Box::new(other.ctx(Kind::Unavailable, failed)?)),
        }
    }

    /// The certificate that the server has shown on its last connection.
    fn shown(&self) -> Option<Certificate> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The certificate of the server at `https://HOST[:PORT]`, whatever it is.
///
/// # Errors
/// [`Kind::Unavailable`] when nobody speaks TLS there.
pub async fn certificate_of(url: &str) -> Result<Certificate> {
    let far = Far::new(url, None, None)?;
    far.connect().await?;
    far.shown().ok_or_else(|| Error::new(Kind::Unavailable, format!("The server at {url:?} has shown no certificate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let authority = |url: &str| Far::new(url, None, None).map(|far| far.authority).ok();
        assert_eq!(authority("https://127.0.0.1:8443").as_deref(), Some("127.0.0.1:8443"));
        assert_eq!(authority("https://[::1]:8443").as_deref(), Some("[::1]:8443"));
        assert_eq!(authority("https://host").as_deref(), Some("host:443"));
        for bad in ["http://host", "host", "https://", "nope"] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }
}
