//! The one executable: `lxd` or `lxc` by the name it is called with, or by its first word.
//!
//! Helper modes are started by the daemon only; they run before any async runtime exists, on one thread.

use std::io::Write as _;
use std::path::Path;

use lxbox::Error;
use lxbox::api::server;
use lxbox::cli::{self, lxd};
use lxbox::runtime::{daemon, helper, host};

fn main() {
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    std::process::exit(dispatch(&args));
}

/// Runs what the name or the first word asks for, and says the exit code.
fn dispatch(args: &[String]) -> i32 {
    let name = args.first().map_or("", String::as_str);
    let name = Path::new(name).file_name().map_or("", |n| n.to_str().unwrap_or(""));
    let rest = args.get(1..).unwrap_or_default();
    match (name, rest.first().map(String::as_str)) {
        ("lxc", _) => cli::main(args.to_vec()),
        ("lxd", _) => lxd_main(rest),
        (_, Some("shim")) => helper::shim::main(&rest[1..]),
        (_, Some("attach")) => helper::attach::main(&rest[1..]),
        (_, Some(helper::files::MODE)) => helper::files::main(&rest[1..]),
        (_, Some(helper::net::MODE)) => helper::net::main(&rest[1..]),
        (_, Some(helper::pack::MODE)) => helper::pack::main(&rest[1..]),
        (_, Some(helper::procfs::MODE)) => helper::procfs::main(&rest[1..]),
        (_, Some(helper::proxy::MODE)) => helper::proxy::main(&rest[1..]),
        (_, Some(helper::shift::MODE)) => helper::shift::main(&rest[1..]),
        (_, Some(helper::tpm::MODE)) => helper::tpm::main(&rest[1..]),
        (_, Some(helper::unpack::MODE)) => helper::unpack::main(&rest[1..]),
        (_, Some("client" | "lxc")) => cli::main(rest.to_vec()),
        (_, Some("daemon" | "lxd")) => lxd_main(&rest[1..]),
        (_, Some("version" | "--version")) => {
            let _ = writeln!(std::io::stdout(), "{}", env!("CARGO_PKG_VERSION"));
            0
        }
        _ => usage(),
    }
}

/// Wakes the daemon through its socket, which systemd listens on, when something of it is due.
fn activate_if_needed(debug: bool) -> Result<(), Error> {
    let socket = daemon::socket_path();
    let found = daemon::on_disk()?;
    let Some(reason) = lxd::activate_reason(&found.server, &found.instances, &found.volumes) else { return Ok(()) };
    if debug {
        eprintln!("{reason}");
    }
    // Nobody listens there without systemd: then there is nothing to wake.
    drop(std::os::unix::net::UnixStream::connect(&socket));
    Ok(())
}

fn usage() -> i32 {
    eprintln!("Usage: lxbox daemon|client|version [...]\nLinked as \"lxd\" it is the daemon, as \"lxc\" the client");
    1
}

fn lxd_main(words: &[String]) -> i32 {
    match lxd_command(words) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("Error: {e}");
            1
        }
    }
}

fn lxd_command(words: &[String]) -> Result<i32, Error> {
    let call = lxd::parse(words.iter().cloned())?;
    let outcome = match &call.command {
        lxd::Command::Daemon(flags) => {
            let options = daemon::Options {
                group: flags.group.clone(),
                logfile: call.global.logfile.clone().map(Into::into),
                syslog: call.global.syslog,
                debug: call.global.debug,
                verbose: call.global.verbose,
                trace: call.global.trace.clone(),
            };
            let api = daemon::Api {
                unix: |listener, services| Box::pin(server::serve(listener, services)),
                tls: |arrived, services| Box::pin(server::tls::serve(arrived, services)),
            };
            daemon::run(&options, api)
        }
        lxd::Command::ActivateIfNeeded => activate_if_needed(call.global.debug),
        lxd::Command::Doctor => {
            let report = host::doctor::report(&daemon::lxd_dir());
            // Who reads it may have seen enough.
            let _ = write!(std::io::stdout(), "{report}");
            return Ok(i32::from(report.exit_code()));
        }
        other => {
            lxd::run(other, &lxd::SocketApi::new(lxd::socket_path(|name| std::env::var(name).ok()))).unwrap_or(Ok(()))
        }
    };
    outcome.map(|()| 0)
}
