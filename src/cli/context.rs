//! What commands share: global flags, the client's configuration, connections.

use std::cell::RefCell;

use super::config::Config;
use super::help;
use super::output::{complain, emit, say};
use super::table::Command;
use super::trusted;
use super::wait::Wait;
use crate::api::client::Client;
use crate::error::{Error, Result};

/// What commands share.
pub struct Context {
    /// The client's configuration; commands about remotes and aliases change it.
    pub config: RefCell<Config>,
    /// `--project`.
    pub project: Option<String>,
    /// `--force-local`.
    pub force_local: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// The row that is run, and the words that lead to it.
    pub command: (&'static Command, Vec<&'static str>),
}

/// A thing on a server, as `remote:name` on the command line.
pub struct Target {
    /// The server's name.
    pub remote: String,
    /// What follows the colon; may be empty.
    pub name: String,
    /// The server.
    pub client: Client,
}

/// What is said of `--target` where there are no members to choose from.
pub const NO_CLUSTER: &str = "To use --target, the destination remote must be a cluster";

impl Target {
    /// The name of the project that is worked in.
    pub fn project(&self) -> &str {
        match self.client.project() {
            "" => "default",
            project => project,
        }
    }

    /// Refuses servers that stand alone, in these words.
    pub fn clustered(&self, refusal: &str) -> Result<()> {
        match self.client.server().wait()?.environment.server_clustered {
            true => Ok(()),
            false => Err(Error::invalid(refusal)),
        }
    }
}

impl Context {
    /// The answer to a wrong number of words: help, and an error unless there were none.
    pub fn wrong_count(&self, words: usize) -> Result<i32> {
        emit(help::text(self.command.0, &self.command.1, help::Depth::default()).as_bytes());
        if words == 0 { Ok(0) } else { Err(Error::invalid("Invalid number of arguments")) }
    }

    /// The answer to no words at all where LXD's client prints only the usage, and that as a complaint.
    pub fn wordless(&self) -> Result<i32> {
        complain(&help::usage(self.command.0, &self.command.1, help::Depth::default()));
        Ok(0)
    }

    /// Prints a line, unless `--quiet` was given.
    pub fn tell(&self, line: &str) {
        if !self.quiet {
            say!("{line}");
        }
    }

    /// Understands `[remote:]name`.
    pub fn target(&self, text: &str) -> Result<Target> {
        let config = self.config.borrow();
        let (remote, name) = config.split(text)?;
        Ok(Target { remote: remote.to_string(), name: name.to_string(), client: self.client(remote)? })
    }

    /// As [`Context::target`], with a name that must not be empty; `what` says what is missing.
    pub fn named(&self, text: &str, what: &str) -> Result<Target> {
        let target = self.target(text)?;
        match target.name.is_empty() {
            true => Err(Error::invalid(format!("Missing {what}"))),
            false => Ok(target),
        }
    }

    /// The server of an optional `remote:` as first word.
    pub fn server(&self, words: &[String]) -> Result<Target> {
        self.target(words.first().map_or("", String::as_str))
    }

    /// A connection to a server by its name, not used before the first request.
    pub fn client(&self, remote: &str) -> Result<Client> {
        let config = self.config.borrow();
        let found = config.remote(remote)?;
        let client = match found.addr.strip_prefix("unix:") {
            _ if self.force_local => Client::local(),
            Some(path) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Client::local(),
                path => Client::unix(path),
            },
            None if found.protocol != "simplestreams" => trusted::client(&config, remote, found)?,
            None => return Err(Error::unsupported(format!("The remote \"{remote}\" at {:?}", found.addr))),
        };
        Ok(client.in_project(self.project.as_deref().unwrap_or(&found.project)))
    }
}
