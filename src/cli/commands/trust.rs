//! `lxc config trust …`: the clients that a server trusts.

use argh::{ArgsInfo, FromArgs};
use data_encoding::BASE64;

use super::args::{Format, Words, fetch, objects};
use super::thing::Thing;
use super::tokens::{self, Guest};
use crate::api::client::path;
use crate::api::tls;
use crate::api::types::{Certificate, CertificatePut, CertificatesPost};
use crate::cli::context::Context;
use crate::cli::output::{Rows, long_date, render, say, sort_rows};
use crate::cli::wait::Wait;
use crate::error::{Ctx, Error, Kind, Result};

/// `lxc config trust add`.
#[derive(FromArgs, ArgsInfo)]
pub struct Add {
    /// name
    #[argh(option)]
    name: Option<String>,
    /// projects
    #[argh(option)]
    projects: Option<String>,
    /// only some projects
    #[argh(switch)]
    restricted: bool,
    /// kind of certificate
    #[argh(option, long = "type")]
    kind: String,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc config trust add`.
pub fn add(cx: &Context, args: Add) -> Result<i32> {
    let (server, file) = match &args.words[..] {
        [server, file] => (server.as_str(), Some(file)),
        [server] if server.ends_with(':') => (server.as_str(), None),
        [file] => ("", Some(file)),
        _ => ("", None),
    };
    let target = cx.target(server)?;
    if !matches!(args.kind.as_str(), "client" | "metrics") {
        return Err(Error::invalid(format!("Unknown certificate type \"{}\"", args.kind)));
    }
    let Some(file) = file.filter(|file| *file != "-") else {
        return Err(Error::unsupported("Making a token for a client"));
    };
    let text = std::fs::read_to_string(file).ctx(Kind::Invalid, || format!("Failed reading {file:?}"))?;
    let certificate = tls::Certificate::from_pem(&text)?;
    let base = std::path::Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let projects = args.projects.unwrap_or_default();
    let post = CertificatesPost {
        name: args.name.unwrap_or(base),
        kind: args.kind,
        restricted: args.restricted,
        projects: projects.split(',').filter(|p| !p.is_empty()).map(String::from).collect(),
        certificate: BASE64.encode(certificate.der()),
        ..CertificatesPost::default()
    };
    target.client.post("/1.0/certificates", &post).wait()?;
    Ok(0)
}

/// `lxc config trust list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    let (raw, certificates) = fetch::<Certificate>(&target.client, "/1.0/certificates?recursion=1")?;
    let row = |c: &Certificate| {
        let facts = tls::Certificate::from_pem(&c.certificate)?.facts();
        let short = c.fingerprint.get(..12).unwrap_or(&c.fingerprint).to_owned();
        let (from, to) = (long_date(facts.not_before), long_date(facts.not_after));
        Ok(vec![c.kind.clone(), c.name.clone(), facts.common_name, short, from, to])
    };
    let mut cells: Vec<Vec<String>> = certificates.iter().map(row).collect::<Result<_>>()?;
    sort_rows(&mut cells);
    let head = ["TYPE", "NAME", "COMMON NAME", "FINGERPRINT", "ISSUE DATE", "EXPIRY DATE"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &certificates) })?;
    Ok(0)
}

/// `lxc config trust show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    certificate(cx, &args)?.show::<Certificate>()
}

/// `lxc config trust edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let changeable = "all but the fingerprint";
    certificate(cx, &args)?.edit::<Certificate, CertificatePut>("trusted client", changeable)
}

fn certificate(cx: &Context, args: &Words) -> Result<Thing> {
    let target = cx.named(&args.words[0], "certificate fingerprint")?;
    Ok(Thing { address: path(&["certificates", &target.name]), client: target.client })
}

/// `lxc config trust remove`.
pub fn remove(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "certificate fingerprint")?;
    target.client.delete(&path(&["certificates", &target.name])).wait()?;
    Ok(0)
}

/// `lxc config trust list-tokens`.
pub fn list_tokens(cx: &Context, args: Format) -> Result<i32> {
    tokens::list(&cx.server(&args.words)?, Guest::Client, &args.format)?;
    Ok(0)
}

/// `lxc config trust revoke-token`.
pub fn revoke_token(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    tokens::revoke(&target, Guest::Client)?;
    if !cx.quiet {
        say!("Certificate add token for {} deleted", target.name);
    }
    Ok(0)
}
