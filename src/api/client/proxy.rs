//! Proxies on the way to servers: which one is asked for what, and how it is asked.
//!
//! For https a proxy is told to connect (`CONNECT`, RFC 9110 section 9.3.6) and sees nothing but TLS; a request by plain
//! http is given to it whole. Which hosts need none is decided as LXD decides it.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64;
use hyper::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::path::unescape;
use crate::error::{Ctx, Error, Kind, Result};

/// How long a server, or a proxy on the way to it, may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(15);
/// The longest answer of a proxy before it connects, in bytes.
const HEAD: usize = 16 << 10;

/// Which proxies are used, each by its URL; empty where there is none.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For servers of http.
    pub http: String,
    /// For servers of https.
    pub https: String,
    /// Hosts, domains, addresses and networks that are reached without one, with commas between them; `*` is everything.
    pub ignore: String,
}

/// A way to a server.
pub(super) struct Reached {
    /// To the server, or for plain http to the proxy.
    pub(super) stream: TcpStream,
    /// The proxy that wants requests by plain http whole, with this value of `Proxy-Authorization`, if any.
    pub(super) proxy: Option<Option<String>>,
}

/// A proxy.
#[derive(Debug, PartialEq)]
struct Proxy {
    host: String,
    port: u16,
    authorization: Option<String>,
}

impl Proxies {
    /// What the environment says: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, or the same in small letters.
    pub fn of_environment() -> Proxies {
        Proxies::default().or_environment()
    }

    /// These, and those of the environment where there is none.
    pub fn or_environment(self) -> Proxies {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let or = |own: String, name: &str| match own.is_empty() {
            true => set(name).or_else(|| set(&name.to_lowercase())).unwrap_or_default(),
            false => own,
        };
        Proxies {
            http: or(self.http, "HTTP_PROXY"),
            https: or(self.https, "HTTPS_PROXY"),
            ignore: or(self.ignore, "NO_PROXY"),
        }
    }

    /// Connects with a server, of https or of http; an address of IPv6 without its brackets.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when it, or the proxy, can't be reached, or the proxy refuses.
    pub(super) async fn reach(&self, secure: bool, host: &str, port: u16) -> Result<Reached> {
        let failed = || format!("Failed connecting to {host}:{port}");
        let Some(proxy) = self.on_the_way(secure, host)? else {
            let stream = timeout(CONNECT, TcpStream::connect((host, port))).await;
            let stream = stream.ctx(Kind::Unavailable, failed)?.ctx(Kind::Unavailable, failed)?;
            return Ok(Reached { stream, proxy: None });
        };
        let by = || format!("{} by the proxy {}:{}", failed(), proxy.host, proxy.port);
        let asked = async {
            let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await.ctx(Kind::Unavailable, by)?;
            if secure {
                let answer = proxy.connect(&mut stream, host, port).await.ctx(Kind::Unavailable, by)?;
                let status = answer.split(' ').nth(1).unwrap_or_default();
                if !answer.starts_with("HTTP/1.") || status != "200" {
                    return Err(Error::new(Kind::Unavailable, format!("{}: it answers {answer:?}", by())));
                }
            }
            Ok(stream)
        };
        let stream = timeout(CONNECT, asked).await.ctx(Kind::Unavailable, by)??;
        Ok(Reached { stream, proxy: (!secure).then_some(proxy.authorization) })
    }

    /// The proxy for a server.
    fn on_the_way(&self, secure: bool, host: &str) -> Result<Option<Proxy>> {
        let url = if secure { &self.https } else { &self.http };
        if url.is_empty() || self.is_ignored(host) { Ok(None) } else { proxy(url).map(Some) }
    }

    fn is_ignored(&self, host: &str) -> bool {
        let (host, ip) = (host.to_ascii_lowercase(), host.parse::<IpAddr>().ok());
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) || self.ignore.trim() == "*" {
            return true;
        }
        self.ignore.split(',').map(|one| one.trim().to_ascii_lowercase()).filter(|one| !one.is_empty()).any(|one| {
            let of_network = one.split_once('/').is_some_and(|(network, length)| {
                ip.is_some_and(|ip| network.parse().is_ok_and(|network| is_in(ip, network, length)))
            });
            // A port says nothing; what has more than one colon is an address of IPv6.
            let name = match one.rsplit_once(':') {
                Some((name, _)) if !name.contains(':') || name.ends_with(']') => name.trim_matches(['[', ']']),
                _ => &one,
            };
            let domain = name.trim_start_matches('.');
            let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
            of_network || host == domain || below
        })
    }
}

impl Proxy {
    /// Has it connect; the first line of its answer.
    async fn connect(&self, stream: &mut TcpStream, host: &str, port: u16) -> std::io::Result<String> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authorization =
            self.authorization.as_ref().map_or(String::new(), |value| format!("Proxy-Authorization: {value}\r\n"));
        let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        // Byte by byte: what follows the head is the server's.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD {
                return Err(std::io::Error::other("its answer is too long"));
            }
            head.push(stream.read_u8().await?);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        Ok(String::from_utf8_lossy(line).into_owned())
    }
}

/// A proxy by its URL, or by its host and port alone.
fn proxy(url: &str) -> Result<Proxy> {
    let bad = || Error::invalid(format!("Invalid URL {url:?} of a proxy"));
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let parsed: Uri = whole.parse().map_err(|_| bad())?;
    if parsed.scheme_str() != Some("http") {
        return Err(Error::unsupported(format!("A proxy that is not asked by http ({url:?})")));
    }
    let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
    let user = parsed.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(user, _)| user);
    let authorization = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let pair = [unescape(name), b":".to_vec(), unescape(password)].concat();
        format!("Basic {}", BASE64.encode(&pair))
    });
    let host = host.trim_matches(['[', ']']).to_owned();
    Ok(Proxy { host, port: parsed.port_u16().unwrap_or(80), authorization })
}

/// Whether an address is in a network with a prefix of this length.
fn is_in(ip: IpAddr, network: IpAddr, length: &str) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((a, width), (b, same)) = (bits(ip), bits(network));
    let length = length.parse::<u32>().ok().filter(|length| *length <= width && width == same);
    length.is_some_and(|length| (a ^ b).checked_shr(128 - length).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_proxies_are_read() {
        let of = |url: &str| proxy(url).map(|p| (p.host, p.port, p.authorization)).ok();
        let plain = |host: &str, port| Some((host.to_owned(), port, None));
        assert_eq!(of("p:3128"), plain("p", 3128));
        assert_eq!(of("http://p"), plain("p", 80));
        assert_eq!(of("http://[::1]:8080/"), plain("::1", 8080));
        // RFC 7617 section 2.
        let aladdin = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(of("http://Aladdin:open%20sesame@p:1"), Some(("p".into(), 1, aladdin)));
        for bad in ["https://p", "socks5://p:1", "http://", "p p"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_are_left_out_as_lxd_leaves_them_out() {
        let direct = |ignore: &str, host: &str| {
            let proxies = Proxies { https: "p:1".into(), ignore: ignore.into(), ..Proxies::default() };
            proxies.on_the_way(true, host).unwrap().is_none()
        };
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(direct("", host), "{host}");
        }
        for (ignore, host) in [
            ("*", "a.example"),
            ("a.example", "A.example"),
            ("x, .example ", "a.example"),
            ("example", "a.example"),
            (".a.example", "a.example"),
            ("10.77.0.1:99", "10.77.0.1"),
            ("0.1", "10.77.0.1"),
            ("10.0.0.0/8", "10.77.0.1"),
            ("0.0.0.0/0", "10.77.0.1"),
            ("fd00::/8", "fd01::2"),
            ("fd01::2", "fd01::2"),
            ("[fd01::2]:1", "fd01::2"),
        ] {
            assert!(direct(ignore, host), "{ignore} {host}");
        }
        for (ignore, host) in [
            ("", "a.example"),
            ("b.example", "a.example"),
            ("ample", "a.example"),
            ("10.0.0.0/16", "10.77.0.1"),
            ("10.0.0.0/33", "10.77.0.1"),
            ("::/0", "10.77.0.1"),
            (",", "a.example"),
        ] {
            assert!(!direct(ignore, host), "{ignore} {host}");
        }
    }
}
