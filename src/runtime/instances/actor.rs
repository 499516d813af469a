//! One task owns the state of one instance.
//!
//! Requests come by a bounded mailbox; [`State::next`] decides at once what can never succeed. Everybody else reads
//! [`Live`], which the actor publishes. The actor waits for nothing but its own guest: a clean stop is asked for here
//! and waited for by whoever wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use super::Instances;
use super::container::{Ended, ExitReason, Running};
use super::machine::{Effect, Event, State};
use crate::runtime::devices::nic;
use crate::runtime::spec::ContainerSpec;
use crate::runtime::sys::fault;
use crate::task::spawn;
use crate::{Error, Kind, Result};

/// Requests that wait for an actor at most; more are told that it is busy.
const MAILBOX: usize = 64;

/// What others may know of an instance.
#[derive(Clone)]
pub struct Live {
    /// Where it stands.
    pub state: State,
    /// Its guest, while one runs.
    pub running: Option<Running>,
}

/// Reaches the task that owns an instance. Cheap to clone.
#[derive(Clone)]
pub struct Actor {
    mailbox: mpsc::Sender<Message>,
    live: watch::Receiver<Live>,
    staying: Arc<AtomicUsize>,
}

type Message = (Event, oneshot::Sender<Result<()>>);

/// While it lives, a stop doesn't delete an ephemeral instance.
pub struct Staying(Arc<AtomicUsize>);

impl Drop for Staying {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor {
    /// Starts the task of an instance, around a guest that runs already if there is one.
    pub fn spawn(instances: Instances, id: u64, running: Option<Running>) -> Actor {
        let state = match &running {
            None => State::Stopped,
            Some(guest) if guest.is_frozen() => State::Frozen,
            Some(_) => State::Running,
        };
        let (mailbox, messages) = mpsc::channel(MAILBOX);
        let (publish, live) = watch::channel(Live { state, running });
        let staying = Arc::new(AtomicUsize::new(0));
        let task = Task { instances, id, publish, staying: staying.clone() };
        spawn(task.run(messages));
        Actor { mailbox, live, staying }
    }

    /// How it stands now.
    pub fn live(&self) -> Live {
        self.live.borrow().clone()
    }

    /// Brings it up; returns when it runs.
    pub async fn start(&self) -> Result<()> {
        self.ask(Event::Start).await
    }

    /// Tells its init to end; returns when it was told.
    pub async fn stop(&self) -> Result<()> {
        self.ask(Event::Stop).await
    }

    /// Kills it; returns when it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.ask(Event::Kill).await
    }

    /// Gives up waiting for a clean stop.
    pub async fn stop_timed_out(&self) {
        // It may have stopped in this very moment, which is what was wanted.
        let _ = self.ask(Event::StopTimedOut).await;
    }

    /// Freezes it.
    pub async fn freeze(&self) -> Result<()> {
        self.ask(Event::Freeze).await
    }

    /// Thaws it.
    pub async fn thaw(&self) -> Result<()> {
        self.ask(Event::Thaw).await
    }

    /// Makes sure that it is stopped and that nothing starts it any more.
    pub async fn retire(&self) -> Result<()> {
        self.ask(Event::Retire).await
    }

    /// Waits until it is in this state.
    pub async fn wait_for(&self, state: State) -> Result<()> {
        let mut live = self.live.clone();
        let reached = live.wait_for(|live| live.state == state || live.state == State::Retired).await;
        reached.map(drop).map_err(|_| Error::not_found("Instance not found"))
    }

    /// Keeps an ephemeral instance over the next stop, as long as the answer lives.
    pub fn keep_ephemeral(&self) -> Staying {
        self.staying.fetch_add(1, Ordering::SeqCst);
        Staying(self.staying.clone())
    }

    async fn ask(&self, event: Event) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.try_send((event, reply)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Error::new(Kind::Busy, "Instance is busy: too many requests wait"),
            mpsc::error::TrySendError::Closed(_) => Error::not_found("Instance not found"),
        })?;
        answer.await.map_err(|_| Error::internal("Instance task ended before answering"))?
    }
}

struct Task {
    instances: Instances,
    id: u64,
    publish: watch::Sender<Live>,
    staying: Arc<AtomicUsize>,
}

impl Task {
    async fn run(self, mut messages: mpsc::Receiver<Message>) {
        loop {
            let guest = self.publish.borrow().running.clone();
            tokio::select! {
                message = messages.recv() => {
                    let Some((event, reply)) = message else { return };
                    let outcome = self.happen(event).await;
                    // Whoever asked may be gone; it happened all the same.
                    let _ = reply.send(outcome);
                    if self.state() == State::Retired {
                        return;
                    }
                }
                ended = end_of(guest) => self.guest_ended(ended).await,
            }
        }
    }

    fn state(&self) -> State {
        self.publish.borrow().state
    }

    fn set(&self, state: State) {
        self.publish.send_modify(|live| live.state = state);
    }

    fn set_running(&self, running: Option<Running>) {
        self.publish.send_modify(|live| live.running = running);
    }

    async fn guest_ended(&self, ended: Result<Ended>) {
        let outcome = match ended {
            Ok(Ended::Reboot) => self.reboot().await,
            Ok(Ended::Stopped(record)) => {
                tracing::info!(instance = self.id, reason = ?record.reason, "Instance is down");
                if record.reason == ExitReason::StartFailed {
                    let why = record.failure.map(|f| f.what).unwrap_or_default();
                    tracing::warn!(instance = self.id, "Failed starting after a reboot: {why}");
                }
                self.happen(Event::Exited).await
            }
            Err(e) => {
                tracing::error!(instance = self.id, "Lost sight of a guest: {}", e.chain());
                self.happen(Event::Exited).await
            }
        };
        if let Err(e) = outcome {
            tracing::warn!(instance = self.id, "Failed following the guest: {}", e.chain());
        }
    }

    /// Lets the event happen and runs its effects; waiting for states is done on [`Live`].
    async fn happen(&self, event: Event) -> Result<()> {
        let before = self.state();
        let (state, effects) = before.next(event)?;
        // A kill and an exit are published when they are complete, so that nobody starts it too early.
        if state != State::Stopped {
            self.set(state);
        }
        for effect in &effects {
            if let Err(e) = self.effect(*effect).await {
                self.effect_failed(before, *effect);
                return Err(e);
            }
        }
        if state == State::Stopped {
            self.set_running(None);
            self.set(state);
            if effects.contains(&Effect::DeleteIfEphemeral) && self.staying.load(Ordering::SeqCst) == 0 {
                self.instances.delete_ephemeral(self.id);
            }
        }
        Ok(())
    }

    fn effect_failed(&self, before: State, effect: Effect) {
        match effect {
            // `launch` has moved on itself.
            Effect::Launch => {}
            Effect::SignalInit | Effect::Freeze | Effect::Thaw | Effect::KillAll => self.set(before),
            Effect::Cleanup | Effect::RecordRunning | Effect::RecordStopped => {}
            Effect::Announce(_) | Effect::DeleteIfEphemeral => {}
        }
    }

    async fn effect(&self, effect: Effect) -> Result<()> {
        tracing::trace!(instance = self.id, ?effect, "Taking a step");
        match effect {
            Effect::Launch => self.launch().await,
            Effect::SignalInit => {
                self.guest()?.stop_signal().await?;
                fault("daemon.stop.signalled");
                Ok(())
            }
            Effect::KillAll => self.kill_all().await,
            Effect::Freeze => self.guest()?.freeze().await,
            Effect::Thaw => self.guest()?.unfreeze().await,
            Effect::Cleanup => {
                self.instances.stopped(self.id).await;
                fault("daemon.stop.cleaned");
                Ok(())
            }
            Effect::RecordRunning => {
                self.instances.record_power(self.id, true).await?;
                fault("daemon.start.recorded");
                Ok(())
            }
            Effect::RecordStopped => {
                fault("daemon.stop.down");
                let recorded = self.instances.record_power(self.id, false).await;
                fault("daemon.stop.recorded");
                self.log_failure(recorded)
            }
            Effect::Announce(action) => self.instances.announce_by_itself(self.id, action),
            // Done once the stop is published.
            Effect::DeleteIfEphemeral => Ok(()),
        }
    }

    /// What is already so can't be refused any more.
    fn log_failure(&self, outcome: Result<()>) -> Result<()> {
        if let Err(e) = outcome {
            tracing::error!(instance = self.id, "Failed completing a stop: {}", e.chain());
        }
        Ok(())
    }

    fn guest(&self) -> Result<Running> {
        self.publish.borrow().running.clone().ok_or_else(|| Error::invalid("Instance is not running"))
    }

    async fn launch(&self) -> Result<()> {
        match self.instances.launch(self.id).await {
            Ok(running) => {
                self.set_running(Some(running));
                let started = Box::pin(self.happen(Event::Started)).await;
                if started.is_err() {
                    // Whoever asked is told that it failed, so it must not run.
                    self.log_failure(Box::pin(self.happen(Event::Kill)).await)?;
                }
                started
            }
            Err(e) => {
                Box::pin(self.happen(Event::StartFailed)).await?;
                Err(e)
            }
        }
    }

    /// Kills the guest and sees it down, so that the exit isn't met a second time by the loop.
    async fn kill_all(&self) -> Result<()> {
        let guest = self.guest()?;
        guest.kill().await?;
        fault("daemon.stop.killed");
        while guest.wait_exit().await? == Ended::Reboot {
            guest.decline_reboot().await?;
        }
        Box::pin(self.happen(Event::Exited)).await
    }

    /// The guest reboots: it gets a plan with the configuration of now, or stays down when it is being stopped.
    async fn reboot(&self) -> Result<()> {
        let guest = self.guest()?;
        if self.state() == State::Stopping {
            return guest.decline_reboot().await;
        }
        self.instances.unplug_all(self.id).await;
        self.instances.end_tpms(self.id).await;
        self.instances.end_visits(self.id).await;
        let (nics, mut spec) = match self.next_plan().await {
            Ok(next) => next,
            Err(e) => {
                guest.decline_reboot().await?;
                return Err(e);
            }
        };
        spec.hold = !nics.is_empty();
        guest.reboot(&spec, async |pid| self.instances.plug_all(self.id, pid, nics).await).await?;
        // The guest runs, whatever of its devices fails.
        for done in
            [self.instances.equipped(self.id, &guest).await, self.instances.fit_out_again(self.id, &guest).await]
        {
            if let Err(e) = done {
                tracing::warn!(instance = self.id, "Failed bringing devices back: {}", e.chain());
            }
        }
        self.instances.record_nics(self.id).await?;
        self.happen(Event::Rebooted).await
    }

    async fn next_plan(&self) -> Result<(Vec<nic::Plan>, ContainerSpec)> {
        let nics = self.instances.choose_nics(self.id).await?;
        let spec = self.instances.plan_of(self.id).await?;
        self.instances.follow_plan(self.id, &spec).await?;
        Ok((nics, spec))
    }
}

async fn end_of(guest: Option<Running>) -> Result<Ended> {
    match guest {
        Some(guest) => guest.wait_exit().await,
        None => std::future::pending().await,
    }
}
