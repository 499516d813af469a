//! `exec`: a command in a running instance, on websockets, recorded to files, or unattended.
//!
//! ```text
//! reserve sockets -> operation -> all connected (10 s) -> attach -> pump until exit -> return code
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::tungstenite::Message;

use super::Instances;
use super::container::plan::exec_environment;
use super::container::{ExecProcess, ExecSpec, ExecStreams, Running, Stdio, return_code};
use super::logs::Logs;
use super::streams::{Receiver, Stream, receive_input, send_output};
use crate::api::types::{EventRequestor, ExecControl, InstanceExecPost, Operation, from_json};
use crate::order::Gather;
use crate::runtime::operations::{Handle, NewOperation, Socket, Sockets};
use crate::task;
use crate::{Ctx, Error, Kind, Result};

/// How long a client may take to connect the sockets a command needs.
const CONNECT: Duration = Duration::from_secs(10);

type Connecting = HashMap<String, oneshot::Receiver<Socket>>;

impl Instances {
    /// Starts a command in an instance; the operation ends with its exit code in `return`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it isn't running.
    pub fn exec(&self, project: &str, name: &str, post: InstanceExecPost, by: EventRequestor) -> Result<Operation> {
        let (_, running) = self.running(project, name)?;
        if post.command.first().is_none_or(String::is_empty) {
            return Err(Error::invalid("A command is required"));
        }
        let command = post.command.clone();
        let environment = self.environment_of(project, name)?;
        let spec = exec_spec(&post, &environment);
        let (sockets, connecting) = match (post.wait_for_websocket, post.interactive) {
            (false, _) => (None, Connecting::new()),
            (true, true) => split(Sockets::new(&["0", "control"])),
            (true, false) => split(Sockets::new(&["0", "1", "2", "control"])),
        };
        let metadata = sockets.as_ref().map(|s| metadata(&spec, s));
        let new =
            NewOperation { sockets, metadata, ..self.operation_on("Executing command", project, name, by.clone()) };
        let record = match post.record_output && !post.wait_for_websocket {
            true => Some(self.logs(project, name)?),
            false => None,
        };
        self.announce_with((project, name), "instance-exec", &by, [("command".into(), json!(command))]);
        Ok(self.operations.start(new, move |handle| async move {
            match (connecting.is_empty(), record) {
                (true, record) => unattended(&running, spec, record, &handle).await,
                (false, _) => attended(&running, spec, connecting, &handle).await,
            }
        }))
    }
}

fn split((sockets, connecting): (Sockets, Connecting)) -> (Option<Sockets>, Connecting) {
    (Some(sockets), connecting)
}

/// The command with the instance's variables of now, not those of its start, and the request's over them.
fn exec_spec(post: &InstanceExecPost, of_instance: &[(String, String)]) -> ExecSpec {
    let mut environment: BTreeMap<String, String> = of_instance.iter().cloned().gather();
    environment.extend(post.environment.clone());
    let size = |wanted: i64, usual: u16| u16::try_from(wanted).ok().filter(|n| *n > 0).unwrap_or(usual);
    let stdio = match post.interactive {
        true => Stdio::Terminal(size(post.width, 80), size(post.height, 25)),
        false => Stdio::Pipes,
    };
    ExecSpec {
        command: post.command.clone(),
        environment: environment.into_iter().collect(),
        uid: post.user,
        gid: post.group,
        cwd: post.cwd.clone(),
        stdio,
    }
}

/// What clients see of the command before it runs: its secrets, and the environment it will have.
fn metadata(spec: &ExecSpec, sockets: &Sockets) -> Map<String, Value> {
    let environment = exec_environment(&[], &spec.environment, spec.uid);
    // LXC sets this one itself, so LXD doesn't show it.
    let shown = environment.into_iter().filter(|(name, _)| name != "container");
    let all = json!({
        "command": spec.command,
        "environment": shown.gather::<BTreeMap<_, _>>(),
        "fds": sockets.secrets(),
        "interactive": matches!(spec.stdio, Stdio::Terminal(..)),
    });
    match all {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Without websockets: output goes to files below `/logs`, or nowhere.
async fn unattended(running: &Running, mut spec: ExecSpec, record: Option<Logs>, handle: &Handle) -> Result<()> {
    let null =
        || File::options().read(true).write(true).open("/dev/null").ctx(Kind::Internal, || "Failed opening /dev/null");
    let (stdout, stderr, urls) = match &record {
        None => (null()?, null()?, None),
        Some(logs) => {
            let (out, out_url) = logs.exec_file(&handle.id(), "stdout")?;
            let (err, err_url) = logs.exec_file(&handle.id(), "stderr")?;
            (out, err, Some(json!({"1": out_url, "2": err_url})))
        }
    };
    spec.stdio = Stdio::Given(null()?.into(), stdout.into(), stderr.into());
    if let Some(urls) = urls {
        handle.set("output", urls);
    }
    let process = spawn(running, spec, handle).await?;
    finish(process.wait().await?, handle)
}

/// With websockets, as the client connects them.
async fn attended(running: &Running, spec: ExecSpec, connecting: Connecting, handle: &Handle) -> Result<()> {
    let interactive = matches!(spec.stdio, Stdio::Terminal(..));
    let mut connected = connect(connecting, interactive).await?;
    let mut process = match spawn(running, spec, handle).await {
        Ok(process) => process,
        Err(e) => {
            for (_, socket) in connected.sockets {
                end(socket).await;
            }
            return Err(e);
        }
    };
    let streams = take_streams(&mut process)?;
    let process = Arc::new(process);
    let (exited_tx, exited) = watch::channel(false);
    let control = task::spawn(control(connected.control, process.clone()));
    let pumps = task::spawn(pump(std::mem::take(&mut connected.sockets), streams, exited));
    let code = process.wait().await;
    // Nobody listens any more when the client went away first.
    let _ = exited_tx.send(true);
    let _ = pumps.await;
    control.abort();
    finish(code?, handle)
}

struct Connected {
    /// By name, without the control socket.
    sockets: HashMap<String, Socket>,
    control: Control,
}

enum Control {
    Here(Box<Socket>),
    /// Old clients never open it for commands without a terminal.
    Later(oneshot::Receiver<Socket>),
}

async fn connect(mut connecting: Connecting, interactive: bool) -> Result<Connected> {
    let control = connecting.remove("control").ok_or_else(|| Error::internal("No control socket"))?;
    let all = async {
        let mut sockets = HashMap::new();
        for (name, receiver) in connecting {
            let socket = receiver.await.ctx(Kind::Internal, || "Failed connecting a websocket")?;
            sockets.insert(name, socket);
        }
        let control = match interactive {
            true => Control::Here(Box::new(control.await.ctx(Kind::Internal, || "Failed connecting a websocket")?)),
            false => Control::Later(control),
        };
        Ok(Connected { sockets, control })
    };
    let late = || Error::new(Kind::Unavailable, "Timed out waiting for websockets to connect");
    tokio::time::timeout(CONNECT, all).await.map_err(|_| late())?
}

async fn spawn(running: &Running, spec: ExecSpec, handle: &Handle) -> Result<ExecProcess> {
    running.exec(spec).await.inspect_err(|e| {
        if let Some(code) = return_code(e) {
            handle.set("return", code);
        }
    })
}

/// Our ends of a command's streams, by the names of their sockets. Pipes are taken, since their closing is the end of
/// a stream; of a terminal the process keeps one for its size.
fn take_streams(process: &mut ExecProcess) -> Result<Vec<(&'static str, OwnedFd)>> {
    if let ExecStreams::Terminal(master) = &process.streams {
        let ours = master.try_clone().ctx(Kind::Internal, || "Failed duplicating a terminal")?;
        return Ok(vec![("0", ours)]);
    }
    match std::mem::replace(&mut process.streams, ExecStreams::Given) {
        ExecStreams::Pipes { stdin, stdout, stderr } => Ok(vec![("0", stdin), ("1", stdout), ("2", stderr)]),
        ExecStreams::Terminal(_) | ExecStreams::Given => Ok(Vec::new()),
    }
}

fn finish(code: i32, handle: &Handle) -> Result<()> {
    handle.set("return", code);
    Ok(())
}

/// Moves bytes for every connected socket until the process is gone and its output is sent.
async fn pump(sockets: HashMap<String, Socket>, streams: Vec<(&'static str, OwnedFd)>, exited: watch::Receiver<bool>) {
    let is_terminal = streams.len() == 1;
    let mut streams: HashMap<&str, OwnedFd> = streams.into_iter().collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (name, socket) in sockets {
        let Some(Ok(stream)) = streams.remove(name.as_str()).map(Stream::new) else {
            end(socket).await;
            continue;
        };
        let exited = exited.clone();
        match (name.as_str(), is_terminal) {
            ("0", true) => drop(tasks.spawn(terminal(socket, stream, exited).boxed())),
            ("0", false) => drop(tasks.spawn(input(socket, stream, exited).boxed())),
            _ => drop(tasks.spawn(output(socket, stream, exited).boxed())),
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Both directions of a terminal.
pub(super) async fn terminal(socket: Socket, stream: Stream, exited: watch::Receiver<bool>) {
    let (mut sender, mut receiver) = socket.split();
    let incoming = async {
        // A terminal has no end of input of its own: stay until the output ends.
        while receive_input(&mut receiver, &stream).await {}
        std::future::pending::<()>().await
    };
    tokio::select! {
        _ = send_output(&stream, &mut sender, exited) => {}
        () = incoming => {}
    }
    let _ = futures_util::SinkExt::close(&mut sender).await;
}

async fn input(socket: Socket, stream: Stream, mut exited: watch::Receiver<bool>) {
    let (mut sender, mut receiver) = socket.split();
    tokio::select! {
        _ = receive_input(&mut receiver, &stream) => {}
        _ = exited.wait_for(|gone| *gone) => {}
    }
    // Closing the pipe is the end of the command's input.
    drop(stream);
    let _ = exited.wait_for(|gone| *gone).await;
    let _ = futures_util::SinkExt::close(&mut sender).await;
}

async fn output(socket: Socket, stream: Stream, exited: watch::Receiver<bool>) {
    let (mut sender, mut receiver) = socket.split();
    let gone = async { while let Some(Ok(_)) = receiver.next().await {} };
    tokio::select! {
        _ = send_output(&stream, &mut sender, exited) => {}
        () = gone => {}
    }
    let _ = futures_util::SinkExt::close(&mut sender).await;
}

async fn end(mut socket: Socket) {
    // The client may be gone.
    let _ = futures_util::SinkExt::send(&mut socket, Message::text("")).await;
    let _ = socket.close(None).await;
}

/// Serves the control socket; its end kills the command, as LXD does.
async fn control(control: Control, process: Arc<ExecProcess>) {
    let socket = match control {
        Control::Here(socket) => *socket,
        Control::Later(receiver) => match receiver.await {
            Ok(socket) => socket,
            Err(_) => return,
        },
    };
    let (_sender, mut receiver) = socket.split();
    while let Some(message) = next_control(&mut receiver).await {
        obey(&message, &process);
    }
    if let Err(e) = process.signal(libc::SIGKILL) {
        tracing::debug!("Failed killing a command: {e}");
    }
}

/// The next command on a control socket; `None` when the client is gone. What can't be read is skipped.
pub(super) async fn next_control(receiver: &mut Receiver) -> Option<ExecControl> {
    loop {
        let bytes = match receiver.next().await?.ok()? {
            Message::Text(text) => bytes::Bytes::from(text.as_str().to_owned()),
            // lxd-ui sends it so.
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        match from_json(&bytes) {
            Ok(command) => return Some(command),
            Err(e) => tracing::debug!("Ignoring a control message: {e}"),
        }
    }
}

fn obey(message: &ExecControl, process: &ExecProcess) {
    let done = match message.command.as_str() {
        "window-resize" => {
            let (columns, rows) = window(message);
            process.resize(columns, rows)
        }
        "signal" => process.signal(message.signal),
        other => Err(Error::invalid(format!("Unknown control command {other:?}"))),
    };
    if let Err(e) = done {
        tracing::debug!("Failed obeying a control message: {e}");
    }
}

/// Columns and rows of a `window-resize`.
pub(super) fn window(message: &ExecControl) -> (u16, u16) {
    let number = |name: &str| message.args.get(name).and_then(|v| v.parse().ok()).unwrap_or(0);
    (number("width"), number("height"))
}
