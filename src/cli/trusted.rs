//! Whom this client trusts, and what it shows of itself: `servercerts/REMOTE.crt`, `client.crt` and `client.key` beside
//! `config.yml`, as LXD's client keeps them.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::config::{Config, Remote};
use super::output::note;
use crate::api::client::Client;
use crate::api::tls::{Certificate, Made, Role, load_or_make};
use crate::error::{Ctx, Error, Kind, Result};

/// The directory of the client's configuration.
fn directory(config: &Config) -> Result<&Path> {
    let found = config.file.as_deref().and_then(Path::parent);
    found.ok_or_else(|| Error::not_found("There is no home directory to keep certificates in"))
}

fn pin_file(config: &Config, remote: &str) -> Result<PathBuf> {
    if remote.is_empty() || remote.starts_with('.') || remote.contains('/') {
        return Err(Error::invalid(format!("Invalid remote name {remote:?}")));
    }
    Ok(directory(config)?.join("servercerts").join(format!("{remote}.crt")))
}

/// The certificate that is trusted as a server's, if one is.
pub fn pin(config: &Config, remote: &str) -> Result<Option<Certificate>> {
    let file = pin_file(config, remote)?;
    match fs::read_to_string(&file) {
        Ok(text) => Certificate::from_pem(&text).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).ctx(Kind::Invalid, || format!("Failed reading {:?}", file.display())),
    }
}

/// Trusts this certificate as a server's from now on.
pub fn set_pin(config: &Config, remote: &str, certificate: &Certificate) -> Result<()> {
    let file = pin_file(config, remote)?;
    let failed = || format!("Failed writing {:?}", file.display());
    if let Some(directory) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(directory).ctx(Kind::Internal, failed)?;
    }
    fs::write(&file, certificate.pem()).ctx(Kind::Internal, failed)
}

/// Keeps a server's certificate under another name; under none it is forgotten. There may be none.
pub fn move_pin(config: &Config, from: &str, to: Option<&str>) -> Result<()> {
    let old = pin_file(config, from)?;
    let moved = match to {
        Some(to) => fs::rename(&old, pin_file(config, to)?),
        None => fs::remove_file(&old),
    };
    match moved {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed moving {:?}", old.display()))
        }
        _ => Ok(()),
    }
}

/// `USER@HOST`, whom certificates name.
fn owner() -> String {
    let user = std::env::var("USER").ok().filter(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| match rustix::process::getuid().is_root() {
        true => "root".into(),
        false => rustix::process::getuid().as_raw().to_string(),
    });
    format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// The client's key pair, made where there is none.
pub fn pair(config: &Config) -> Result<Made> {
    let directory = directory(config)?;
    let failed = || format!("Failed making {:?}", directory.display());
    fs::DirBuilder::new().recursive(true).mode(0o750).create(directory).ctx(Kind::Internal, failed)?;
    load_or_make(directory, Role::Client, &owner(), || {
        note!("Generating a client certificate. This may take a minute...");
    })
}

/// A connection to a server over TLS.
///
/// # Errors
/// [`Kind::Forbidden`] when its certificate isn't known.
pub fn client(config: &Config, name: &str, remote: &Remote) -> Result<Client> {
    let Some(pin) = pin(config, name)? else {
        let text = format!("The certificate of the remote \"{name}\" isn't known: remove it and add it again");
        return Err(Error::new(Kind::Forbidden, text));
    };
    let there = directory(config)?.join("client.crt").exists();
    let pair = (there && !remote.public).then(|| pair(config)).transpose()?;
    Client::tls(&remote.addr, pin, pair)
}
