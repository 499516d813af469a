//! `lxc exec` and `lxc console`.

use argh::{ArgsInfo, FromArgs};
use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt, stderr, stdout};
use tokio::signal::unix::{SignalKind, signal};

use crate::api::client::{Control, Socket, SocketReader, SocketWriter, path};
use crate::api::types::{InstanceConsolePost, InstanceExecPost};
use crate::cli::context::{Context, Target};
use crate::cli::output::{BROKEN_PIPE, emit, say};
use crate::cli::terminal::{Raw, is_terminal, size, typed};
use crate::cli::wait::Wait;
use crate::error::{Ctx, Error, Kind, Result};
use crate::task::spawn;

/// `lxc exec`.
#[derive(FromArgs, ArgsInfo)]
pub struct Exec {
    /// directory
    #[argh(option)]
    cwd: Option<String>,
    /// no input
    #[argh(switch)]
    disable_stdin: bool,
    /// environment
    #[argh(option)]
    env: Vec<String>,
    /// with a terminal
    #[argh(switch)]
    force_interactive: bool,
    /// without a terminal
    #[argh(switch)]
    force_noninteractive: bool,
    /// group id
    #[argh(option)]
    group: Option<u32>,
    /// terminal mode
    #[argh(option)]
    mode: String,
    /// user id
    #[argh(option)]
    user: Option<u32>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc console`.
#[derive(FromArgs, ArgsInfo)]
pub struct Console {
    /// the log
    #[argh(switch)]
    show_log: bool,
    /// kind of console
    #[argh(option, long = "type")]
    kind: String,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc exec`.
pub fn exec(cx: &Context, args: Exec) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    let interactive = interactive(&args)?;
    let mut environment = std::collections::BTreeMap::new();
    if let Ok(term) = std::env::var("TERM") {
        environment.insert("TERM".to_string(), term);
    }
    for word in &args.env {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        environment.insert(name.into(), value.into());
    }
    let (width, height) = size(std::io::stdout()).filter(|_| interactive).unwrap_or((0, 0));
    let post = InstanceExecPost {
        command: args.words[1..].to_vec(),
        wait_for_websocket: true,
        interactive,
        environment,
        width: width.into(),
        height: height.into(),
        user: args.user.unwrap_or(0),
        group: args.group.unwrap_or(0),
        cwd: args.cwd.clone().unwrap_or_default(),
        ..InstanceExecPost::default()
    };
    let raw = match interactive && is_terminal(std::io::stdin()) {
        true => Some(Raw::enter()?),
        false => None,
    };
    let ended = relayed(&target, &post, !args.disable_stdin).wait();
    drop(raw);
    match ended? {
        (code, None) => Ok(code),
        (code, Some(error)) => {
            crate::cli::output::complain(&format!("Error: {}\n", error.message()));
            Ok(if code == 0 { 1 } else { code })
        }
    }
}

/// Runs the command and returns how it has ended. One future: input, output and signals come at any time.
async fn relayed(target: &Target, post: &InstanceExecPost, input: bool) -> Result<(i32, Option<Error>)> {
    let started = target.client.exec(&target.name, post).await?;
    // What the terminal sends while nothing is connected would be lost: the handlers are in place from here on.
    let relay = spawn(relay(started.control, post.interactive));
    let id = started.id;
    let input = input.then(typed);
    match started.output {
        None => terminal(started.stdin, input).await?,
        Some((stdout, stderr)) => pipes(started.stdin, stdout, stderr, input).await?,
    }
    let ended = target.client.exit_code(&id).await;
    relay.abort();
    ended
}

/// Whether the command gets a terminal.
fn interactive(args: &Exec) -> Result<bool> {
    if args.force_interactive && args.force_noninteractive {
        return Err(Error::invalid("You can't pass -t and -T at the same time"));
    }
    if args.mode != "auto" && (args.force_interactive || args.force_noninteractive) {
        return Err(Error::invalid("You can't pass -t or -T at the same time as --mode"));
    }
    match args.mode.as_str() {
        "interactive" => Ok(true),
        "non-interactive" => Ok(false),
        _ if args.force_interactive => Ok(true),
        _ if args.force_noninteractive => Ok(false),
        _ => Ok(!args.disable_stdin && is_terminal(std::io::stdin()) && is_terminal(std::io::stdout())),
    }
}

type Input = Option<tokio::sync::mpsc::Receiver<Bytes>>;

/// Sends what is typed to a stream; its end is told when `ends`.
async fn feed(mut to: SocketWriter, input: Input) {
    let Some(mut input) = input else {
        to.end().await.ok();
        // The socket stays open: a closed one would be taken for a caller that went away.
        return std::future::pending().await;
    };
    while let Some(bytes) = input.recv().await {
        if to.bytes(bytes).await.is_err() {
            return;
        }
    }
    to.end().await.ok();
    std::future::pending().await
}

/// Prints what comes from a stream until its end.
///
/// The writer is tokio's, which writes on another thread: a reader of one of our streams who waits for the other one
/// first must not be kept waiting for ever.
async fn print(mut from: SocketReader, mut to: impl AsyncWrite + Unpin) -> Result<()> {
    while let Some(bytes) = from.bytes().await? {
        let written = async {
            to.write_all(&bytes).await?;
            to.flush().await
        };
        if let Err(error) = written.await {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                std::process::exit(BROKEN_PIPE);
            }
            return Err(error).ctx(Kind::Unavailable, || "Failed writing the command's output");
        }
    }
    Ok(())
}

/// One stream in both directions.
async fn terminal(stream: Socket, input: Input) -> Result<()> {
    let (reader, writer) = stream.split();
    let feeding = spawn(feed(writer, input));
    let printed = print(reader, stdout()).await;
    feeding.abort();
    printed
}

/// Three streams.
async fn pipes(stdin: Socket, out: Socket, err: Socket, input: Input) -> Result<()> {
    // Both halves are kept: dropping the reader would close nothing, but pings have to be answered.
    let (mut answers, writer) = stdin.split();
    let feeding = spawn(feed(writer, input));
    let reading = spawn(async move { while let Ok(Some(_)) = answers.bytes().await {} });
    let (out, _keep_out) = out.split();
    let (err, _keep_err) = err.split();
    let printed = tokio::try_join!(print(out, stdout()), print(err, stderr()));
    feeding.abort();
    reading.abort();
    printed.map(drop)
}

/// Signals that are passed on to the command as they are.
const FORWARDED: &[i32] = &[
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGABRT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGSEGV,
    libc::SIGCONT,
];

/// Passes window sizes and signals on. Keeping the control socket open keeps the command alive.
async fn relay(mut control: Control, interactive: bool) {
    let (sender, mut caught) = tokio::sync::mpsc::channel(8);
    for number in FORWARDED.iter().copied().chain(interactive.then_some(libc::SIGWINCH)) {
        // A signal that can't be caught (SIGSEGV) is simply not passed on.
        let Ok(mut stream) = signal(SignalKind::from_raw(number)) else { continue };
        let sender = sender.clone();
        spawn(async move { while stream.recv().await.is_some() && sender.send(number).await.is_ok() {} });
    }
    while let Some(number) = caught.recv().await {
        let sent = match number {
            libc::SIGWINCH => match size(std::io::stdout()) {
                Some((width, height)) => control.resize(width, height).await,
                None => Ok(()),
            },
            number => control.signal(number).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// `lxc console`.
pub fn console(cx: &Context, args: Console) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    if args.show_log {
        if args.kind != "console" {
            return Err(Error::invalid("The --show-log flag is only supported for by 'console' output type"));
        }
        let log = target.client.text(&path(&["instances", &target.name, "console"])).wait()?;
        say!("\nConsole log:\n");
        emit(&log);
        say!("");
        return Ok(0);
    }
    attach_console(&target, &args.kind).wait()?;
    Ok(0)
}

/// Attaches the terminal to the console of an instance until `ctrl-a q` is typed or the instance is down. One future:
/// input, output and window sizes come at any time, and some begin the instance's end beside it.
pub async fn attach_console(target: &Target, kind: &str) -> Result<()> {
    match kind {
        "console" | "" => {}
        "vga" => return Err(Error::unsupported("The graphical console")),
        kind => return Err(Error::invalid(format!("Unknown output type {kind:?}"))),
    }
    let (width, height) = size(std::io::stdout()).unwrap_or((0, 0));
    let raw = Raw::enter()?;
    let post = InstanceConsolePost { width: width.into(), height: height.into(), kind: "console".into() };
    let attached = target.client.console(&target.name, &post).await?;
    emit(b"To detach from the console, press: <ctrl>+a q\n\r");
    let relay = spawn(resizes(attached.control));
    let (reader, writer) = attached.stream.split();
    tokio::select! {
        printed = print(reader, stdout()) => printed?,
        () = until_escape(writer) => {}
    }
    relay.abort();
    // Still in raw mode, where a line end needs both.
    emit(b"\n\r");
    drop(raw);
    Ok(())
}

/// Passes window sizes on.
async fn resizes(mut control: Control) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return std::future::pending().await };
    while changed.recv().await.is_some() {
        if let Some((width, height)) = size(std::io::stdout()) {
            control.resize(width, height).await.ok();
        }
    }
}

/// Sends what is typed until `ctrl-a q`.
async fn until_escape(mut to: SocketWriter) {
    let (mut input, mut escape) = (typed(), Escape::default());
    while let Some(bytes) = input.recv().await {
        let (passed, left) = escape.filter(&bytes);
        if !passed.is_empty() && to.bytes(passed.into()).await.is_err() {
            return;
        }
        if left {
            break;
        }
    }
    to.close().await;
}

/// Looks for `ctrl-a q` in what is typed; `ctrl-a` twice is one for the guest.
#[derive(Default)]
struct Escape {
    pending: bool,
}

impl Escape {
    /// What goes to the guest, and whether the user wants to leave.
    fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        const CTRL_A: u8 = 1;
        let mut out = Vec::with_capacity(typed.len());
        for byte in typed {
            match (std::mem::take(&mut self.pending), *byte) {
                (true, b'q') => return (out, true),
                (true, CTRL_A) => out.push(CTRL_A),
                (true, byte) => out.extend([CTRL_A, byte]),
                (false, CTRL_A) => self.pending = true,
                (false, byte) => out.push(byte),
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_q_leaves_wherever_it_is_cut() {
        let mut escape = Escape::default();
        assert_eq!(escape.filter(b"ls\x01"), (b"ls".to_vec(), false));
        assert_eq!(escape.filter(b"x\x01\x01"), (b"\x01x\x01".to_vec(), false));
        assert_eq!(escape.filter(b"a\x01q!"), (b"a".to_vec(), true));
    }
}
