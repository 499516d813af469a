//! `lxc start`, `stop`, `restart`, `pause`.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::Value;

use super::exec::attach_console;
use crate::api::client::path;
use crate::api::types::{InstanceStatePut, InstancesPut};
use crate::cli::context::{Context, Target};
use crate::cli::output::note;
use crate::cli::wait::{Read, Wait};
use crate::cli::waiting::run;
use crate::error::{Error, Kind, Result};

/// `lxc start`.
#[derive(FromArgs, ArgsInfo)]
pub struct Start {
    /// all instances
    #[argh(switch)]
    all: bool,
    /// attach to the console
    #[argh(option)]
    console: Option<String>,
    /// ignore the kept running state
    #[argh(switch)]
    stateless: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc stop`.
#[derive(FromArgs, ArgsInfo)]
pub struct Stop {
    /// all instances
    #[argh(switch)]
    all: bool,
    /// attach to the console
    #[argh(option)]
    console: Option<String>,
    /// by force
    #[argh(switch)]
    force: bool,
    /// keep the running state
    #[argh(switch)]
    stateful: bool,
    /// seconds to wait
    #[argh(option)]
    timeout: i64,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc restart`.
#[derive(FromArgs, ArgsInfo)]
pub struct Restart {
    /// all instances
    #[argh(switch)]
    all: bool,
    /// attach to the console
    #[argh(option)]
    console: Option<String>,
    /// by force
    #[argh(switch)]
    force: bool,
    /// seconds to wait
    #[argh(option)]
    timeout: i64,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc pause`.
#[derive(FromArgs, ArgsInfo)]
pub struct Pause {
    /// all instances
    #[argh(switch)]
    all: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// A change of state, for some instances or all.
struct Change {
    put: InstanceStatePut,
    /// "start", for messages.
    verb: &'static str,
    all: bool,
    console: Option<String>,
    words: Vec<String>,
}

fn put(action: &str, timeout: i64, force: bool, stateful: bool) -> InstanceStatePut {
    InstanceStatePut { action: action.into(), timeout, force, stateful }
}

/// `lxc start`.
pub fn start(cx: &Context, args: Start) -> Result<i32> {
    let change = Change {
        put: put("start", -1, false, false),
        verb: "start",
        all: args.all,
        console: args.console,
        words: args.words,
    };
    let stateless = args.stateless;
    change.run(cx, stateless)
}

/// `lxc stop`.
pub fn stop(cx: &Context, args: Stop) -> Result<i32> {
    let put = put("stop", args.timeout, args.force, args.stateful);
    Change { put, verb: "stop", all: args.all, console: args.console, words: args.words }.run(cx, false)
}

/// `lxc restart`.
pub fn restart(cx: &Context, args: Restart) -> Result<i32> {
    let put = put("restart", args.timeout, args.force, false);
    Change { put, verb: "restart", all: args.all, console: args.console, words: args.words }.run(cx, false)
}

/// `lxc pause`.
pub fn pause(cx: &Context, args: Pause) -> Result<i32> {
    let put = put("freeze", -1, false, false);
    Change { put, verb: "pause", all: args.all, console: None, words: args.words }.run(cx, false)
}

impl Change {
    fn run(self, cx: &Context, stateless: bool) -> Result<i32> {
        if self.all {
            return self.run_all(cx);
        }
        if self.words.is_empty() {
            return cx.wordless();
        }
        if self.console.is_some() && self.words.len() != 1 {
            return Err(Error::invalid("--console only works with a single instance"));
        }
        let mut failures = Vec::new();
        for word in &self.words {
            if let Err(error) = self.one(cx, word, stateless) {
                failures.push((word, error));
            }
        }
        match (failures.pop(), self.words.len()) {
            (None, _) => Ok(0),
            (Some((_, error)), 1) => Err(error),
            (Some(last), _) => {
                failures.push(last);
                for (word, error) in failures {
                    note!("{word}: error: {}", error.message());
                }
                note!("");
                Err(Error::new(Kind::Internal, format!("Some instances failed to {}", self.verb)))
            }
        }
    }

    fn one(&self, cx: &Context, word: &str, stateless: bool) -> Result<()> {
        let target = cx.target(word)?;
        if target.name.is_empty() {
            return Err(Error::invalid(format!("Must supply instance name for: {word:?}")));
        }
        let mut put = self.put.clone();
        if self.verb == "start" {
            // Starting thaws a frozen instance, and goes on from a kept running state.
            let found: Value = target.client.read(&path(&["instances", &target.name]))?;
            match found["status"].as_str() {
                Some("Frozen") => put.action = "unfreeze".into(),
                _ => put.stateful = found["stateful"] == true && !stateless,
            }
        }
        self.change(cx, &target, &put, word)
    }

    fn change(&self, cx: &Context, target: &Target, put: &InstanceStatePut, word: &str) -> Result<()> {
        let client = &target.client;
        let address = path(&["instances", &target.name, "state"]);
        let attached = self.console.as_deref().filter(|_| self.verb != "start");
        if let Some(kind) = attached {
            // The console has to be there before the instance begins to go down: both are waited for as a whole.
            let operation = client.begin(Method::PUT, &address, put);
            let (operation, console) = async { tokio::join!(operation, attach_console(target, kind)) }.wait();
            console?;
            return client.wait(&operation?.id).wait().map(drop);
        }
        let changed = run(cx, client, (Method::PUT, &address, put), "");
        changed.map_err(|error| match error.kind() {
            Kind::Internal if !hintless(error.message()) => {
                let hint = format!("Try `lxc info --show-log {word}` for more info");
                Error::new(Kind::Internal, format!("{}\n{hint}", error.message()))
            }
            _ => error,
        })?;
        match &self.console {
            Some(kind) => attach_console(target, kind).wait(),
            None => Ok(()),
        }
    }

    /// All instances of the default server that are in the state to be changed.
    fn run_all(mut self, cx: &Context) -> Result<i32> {
        let remotes = match self.words.len() {
            0 => vec![cx.target("")?],
            _ => self.words.iter().map(|word| cx.target(word)).collect::<Result<_>>()?,
        };
        self.words.clear();
        for target in remotes {
            if !target.name.is_empty() {
                return Err(Error::invalid("Both --all and instance name given"));
            }
            let put = InstancesPut { state: Some(self.put.clone()) };
            run(cx, &target.client, (Method::PUT, "/1.0/instances", &put), "")?;
        }
        Ok(0)
    }
}

/// Whether an error says all there is to say: the log would tell nothing more.
fn hintless(text: &str) -> bool {
    text.starts_with("The instance is already")
}
