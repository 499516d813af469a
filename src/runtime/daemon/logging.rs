//! Where the daemon's log goes: standard error, a file, syslog, and the event bus.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Options;
use crate::runtime::events::{Events, LogLayer};
use crate::{Ctx, Error, Kind, Result};

/// What `--trace` knows: the word, and the module whose every step it logs. `dqlite` is the word LXD has for its database.
pub const PARTS: &[(&str, &str)] = &[
    ("api", "lxbox::api"),
    ("database", "lxbox::store"),
    ("dqlite", "lxbox::store"),
    ("images", "lxbox::runtime::images"),
    ("instances", "lxbox::runtime::instances"),
    ("storage", "lxbox::runtime::storage"),
];

/// Starts logging for the life of the process.
///
/// # Errors
/// [`Kind::Internal`] when the file can't be opened or syslog isn't there.
pub fn start(options: &Options, events: Events) -> Result<()> {
    let traced = traced(&options.trace)?;
    let level = match (options.debug, options.verbose) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::INFO,
        (false, false) => LevelFilter::WARN,
    };
    let stderr = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
    let file = match &options.logfile {
        None => None,
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            let file = file.ctx(Kind::Internal, || format!("Failed opening the log file {path:?}"))?;
            let file_level = if options.debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
            let layer = tracing_subscriber::fmt::layer().with_writer(Mutex::new(file)).with_ansi(false);
            Some(layer.with_target(false).with_filter(traced.clone().with_default(file_level)))
        }
    };
    let syslog = match options.syslog {
        false => None,
        true => {
            let layer = tracing_subscriber::fmt::layer().with_writer(Syslog::connect()?).with_ansi(false);
            Some(layer.with_target(false).without_time().with_filter(traced.clone().with_default(level)))
        }
    };
    let bus = LogLayer(events).with_filter(LevelFilter::DEBUG);
    tracing_subscriber::registry()
        .with(stderr.with_filter(traced.with_default(level)))
        .with(file)
        .with(syslog)
        .with(bus)
        .init();
    Ok(())
}

/// What is logged of the parts to trace.
fn traced(parts: &[String]) -> Result<Targets> {
    let mut targets = Targets::new();
    for part in parts {
        let Some((_, module)) = PARTS.iter().find(|(name, _)| name == part) else {
            let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
            return Err(Error::invalid(format!("There is no part \"{part}\" to trace, only: {}", known.join(", "))));
        };
        targets = targets.with_target(*module, LevelFilter::TRACE);
    }
    Ok(targets)
}

/// Sends each line as a datagram to `/dev/log` (RFC 3164, facility daemon).
struct Syslog(UnixDatagram);

impl Syslog {
    fn connect() -> Result<Syslog> {
        let socket = UnixDatagram::unbound().ctx(Kind::Internal, || "Failed making a socket for syslog")?;
        socket.connect("/dev/log").ctx(Kind::Internal, || "Failed connecting to syslog at \"/dev/log\"")?;
        Ok(Syslog(socket))
    }
}

struct Line<'a>(&'a UnixDatagram);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Facility 3 (daemon), severity 6 (informational).
        let text = [format!("<30>lxd[{}]: ", std::process::id()).as_bytes(), bytes.trim_ascii_end()].concat();
        self.0.send(&text)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}
