//! `lxc remote add`: a server is looked at, its certificate shown and pinned, and the client made known to it.

use argh::{ArgsInfo, FromArgs};
use data_encoding::BASE64;

use crate::api::client::{Client, certificate_of, path};
use crate::api::tls::Certificate;
use crate::api::types::{CertificatesPost, Project, Server};
use crate::cli::config::Remote;
use crate::cli::context::Context;
use crate::cli::output::{emit, say};
use crate::cli::terminal::{Silent, is_terminal};
use crate::cli::trusted;
use crate::cli::wait::{Read, Wait};
use crate::error::{Ctx, Error, Kind, Result};

/// The port of a server where none is said.
const PORT: u16 = 8443;

/// `lxc remote add`.
#[derive(FromArgs, ArgsInfo)]
pub struct Add {
    /// trust the certificate
    #[argh(switch)]
    accept_certificate: bool,
    /// how to log in
    #[argh(option)]
    auth_type: Option<String>,
    /// candid domain
    #[argh(option)]
    domain: Option<String>,
    /// password
    #[argh(option)]
    password: Option<String>,
    /// project
    #[argh(option)]
    project: Option<String>,
    /// protocol
    #[argh(option)]
    protocol: Option<String>,
    /// image server
    #[argh(switch)]
    public: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc remote add`.
pub fn add(cx: &Context, args: Add) -> Result<i32> {
    let name = args.words.first().cloned().unwrap_or_default();
    let addr = args.words.last().cloned().unwrap_or_default();
    if addr.is_empty() {
        return Err(Error::invalid("Remote address must not be empty"));
    }
    if name.contains(':') {
        return Err(Error::invalid("Remote names may not contain colons"));
    }
    if let Some(present) = cx.config.borrow().remotes.get(&name) {
        return Err(Error::new(Kind::Exists, format!("Remote {name} exists as <{}>", present.addr)));
    }
    if BASE64.decode(addr.as_bytes()).is_ok_and(|text| text.starts_with(b"{")) {
        return Err(Error::unsupported("Adding a remote by a token"));
    }
    let remote = match args.protocol.as_deref().unwrap_or("lxd") {
        "lxd" | "" => match address(&addr)? {
            Where::Local(addr) => local(cx, &name, addr, &args)?,
            Where::Far(url) => far(cx, &name, url, &args)?,
        },
        "simplestreams" if addr.starts_with("https://") => {
            Remote { addr, public: true, protocol: "simplestreams".into(), ..Remote::default() }
        }
        "simplestreams" => return Err(Error::invalid("Only https URLs are supported for simplestreams")),
        other => return Err(Error::invalid(format!("Invalid protocol: {other}"))),
    };
    cx.config.borrow_mut().remotes.insert(name, remote);
    cx.config.borrow().save()?;
    Ok(0)
}

/// Where a server is.
#[derive(Debug, PartialEq)]
enum Where {
    /// Behind a unix socket.
    Local(String),
    /// At a URL with a port.
    Far(String),
}

/// Understands an address, host name or URL.
fn address(text: &str) -> Result<Where> {
    if text.starts_with("unix:") {
        return Ok(Where::Local(text.into()));
    }
    if text.starts_with('/') {
        return Ok(Where::Local(format!("unix://{text}")));
    }
    let rest = match text.split_once("://") {
        Some(("https", rest)) => rest,
        Some((scheme, _)) => return Err(Error::invalid(format!("Invalid URL scheme \"{scheme}\" in \"{text}\""))),
        None => text,
    };
    let rest = rest.trim_end_matches('/');
    let host = match rest.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => rest.to_owned(),
    };
    let ported = !host.ends_with(']') && host.contains(':');
    Ok(Where::Far(if ported { format!("https://{host}") } else { format!("https://{host}:{PORT}") }))
}

fn local(cx: &Context, name: &str, addr: String, args: &Add) -> Result<Remote> {
    if args.auth_type.is_some() || args.domain.is_some() || args.password.is_some() {
        return Err(Error::unsupported(format!("Logging in to the remote at {addr:?}")));
    }
    // What LXD's client writes into the file for such a one.
    let remote = Remote {
        addr,
        auth_type: "tls".into(),
        project: args.project.clone().unwrap_or_else(|| "default".into()),
        protocol: "lxd".into(),
        public: args.public,
        ..Remote::default()
    };
    cx.config.borrow_mut().remotes.insert(name.into(), remote.clone());
    cx.client(name)?.server().wait()?;
    Ok(remote)
}

fn far(cx: &Context, name: &str, url: String, args: &Add) -> Result<Remote> {
    if args.domain.is_some() {
        return Err(Error::unsupported("Logging in by Candid"));
    }
    let pair = match args.public {
        true => None,
        false => Some(trusted::pair(&cx.config.borrow())?),
    };
    let pinned = pin(cx, name, &url, args.accept_certificate)?;
    if args.public {
        return Ok(Remote { addr: url, public: true, ..Remote::default() });
    }
    let client = Client::tls(&url, pinned, pair)?;
    let (server, auth_type) = (client.server().wait()?, args.auth_type.clone().unwrap_or_else(|| "tls".into()));
    if !server.auth_methods.contains(&auth_type) {
        return Err(Error::invalid(format!("Authentication type '{auth_type}' not supported by server")));
    }
    if server.auth != "trusted" {
        introduce(&client, name, args.password.clone())?;
    }
    let project = project(&client, args.project.as_deref())?;
    Ok(Remote { addr: url, auth_type, project, protocol: "lxd".into(), ..Remote::default() })
}

/// Looks at the certificate of a server; one that isn't known yet is shown to the user and then pinned.
fn pin(cx: &Context, name: &str, url: &str, accept: bool) -> Result<Certificate> {
    let shown = certificate_of(url).wait()?;
    if trusted::pin(&cx.config.borrow(), name)?.as_ref() == Some(&shown) {
        return Ok(shown);
    }
    if !accept {
        let fingerprint = shown.fingerprint();
        say!("Certificate fingerprint: {fingerprint}");
        emit(b"ok (y/n/[fingerprint])? ");
        loop {
            let answer = line()?.unwrap_or_default().to_lowercase();
            match answer.chars().next() {
                _ if answer == fingerprint => break,
                Some('y') => break,
                None | Some('n') => return Err(Error::new(Kind::Forbidden, "Server certificate NACKed by user")),
                Some(_) => emit(b"Please type 'y', 'n' or the fingerprint: "),
            }
        }
    }
    trusted::set_pin(&cx.config.borrow(), name, &shown)?;
    Ok(shown)
}

/// A line of standard input; none at its end.
fn line() -> Result<Option<String>> {
    let mut text = String::new();
    let read = std::io::stdin().read_line(&mut text).ctx(Kind::Invalid, || "Failed reading the answer")?;
    Ok((read > 0).then(|| text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Makes this client known to a server that doesn't trust it yet.
fn introduce(client: &Client, name: &str, password: Option<String>) -> Result<()> {
    let password = match password {
        Some(password) => password,
        None => {
            emit(format!("Admin password (or token) for {name}: ").as_bytes());
            let silent = is_terminal(std::io::stdin()).then(Silent::enter).transpose()?;
            let typed = line()?;
            drop(silent);
            say!("");
            typed.unwrap_or_default()
        }
    };
    let post = CertificatesPost { kind: "client".into(), password, ..CertificatesPost::default() };
    client.post("/1.0/certificates", &post).wait()?;
    let server: Server = client.server().wait()?;
    if server.auth != "trusted" {
        return Err(Error::new(Kind::Forbidden, "Server doesn't trust us after authentication"));
    }
    say!("Client certificate now trusted by server: {name}");
    Ok(())
}

/// The project to work in: the one that was named, the only one there is, or the one that is chosen.
fn project(client: &Client, named: Option<&str>) -> Result<String> {
    if let Some(name) = named {
        let _: Project = client.read(&path(&["projects", name]))?;
        return Ok(name.into());
    }
    let projects: Vec<Project> = client.read("/1.0/projects?recursion=1")?;
    if projects.len() < 2 {
        return Ok(projects.into_iter().next().map_or_else(|| "default".into(), |project| project.name));
    }
    say!("Available projects:");
    projects.iter().for_each(|project| say!("- {}", project.name));
    loop {
        emit(b"Name of the project to use for this remote [default=default]: ");
        match line()? {
            Some(answer) if projects.iter().any(|project| project.name == answer) => return Ok(answer),
            Some(answer) if !answer.is_empty() => say!("There is no project {answer:?}"),
            _ => return Ok("default".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls_with_ports() {
        let far = |text: &str| Ok(Where::Far(text.into()));
        let read = |text: &str| address(text).map_err(|e| e.message().to_owned());
        assert_eq!(read("127.0.0.1"), far("https://127.0.0.1:8443"));
        assert_eq!(read("127.0.0.1:9443"), far("https://127.0.0.1:9443"));
        assert_eq!(read("https://h/"), far("https://h:8443"));
        assert_eq!(read("::1"), far("https://[::1]:8443"));
        assert_eq!(read("[::1]"), far("https://[::1]:8443"));
        assert_eq!(read("https://[::1]:1"), far("https://[::1]:1"));
        assert_eq!(read("unix:///x"), Ok(Where::Local("unix:///x".into())));
        assert_eq!(read("/x"), Ok(Where::Local("unix:///x".into())));
        assert_eq!(read("ftp://x"), Err("Invalid URL scheme \"ftp\" in \"ftp://x\"".into()));
    }
}
