//! The states of an instance and what moves it between them. No I/O: `instances::actor` runs the effects.
//!
//! ```text
//!            Start            Started             Freeze
//!  Stopped ---------> Starting -------> Running <--------> Frozen
//!   |  ^  ^              |              ^  |  ^    Thaw      |
//!   |  |  '--StartFailed-'  StopTimedOut|  |  '-Rebooted     |
//!   |  |                                |  v  Stop, Kill     |
//!   |  '---------- Exited ----------- Stopping <-------------'
//!   v Retire
//!  Retired
//! ```

use crate::api::types::StatusCode;
use crate::{Error, Kind, Result};

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No process of it exists.
    Stopped,
    /// It is being brought up.
    Starting,
    /// Its init runs.
    Running,
    /// Its processes are frozen.
    Frozen,
    /// Its init was told to end, or it is being killed.
    Stopping,
    /// It was deleted or renamed away; nothing more may happen to it.
    Retired,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it up.
    Start,
    /// It came up.
    Started,
    /// It did not come up.
    StartFailed,
    /// Somebody wants it to end cleanly.
    Stop,
    /// Somebody wants it gone at once.
    Kill,
    /// It did not end in time.
    StopTimedOut,
    /// Somebody wants it frozen.
    Freeze,
    /// Somebody wants it thawed.
    Thaw,
    /// Its last process is gone.
    Exited,
    /// Its init rebooted and runs again.
    Rebooted,
    /// It is about to be deleted or renamed.
    Retire,
}

/// What is to be done about it, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bring it up.
    Launch,
    /// Tell its init to end.
    SignalInit,
    /// Kill all of it.
    KillAll,
    /// Freeze its processes.
    Freeze,
    /// Thaw its processes.
    Thaw,
    /// Undo what its start did to the host.
    Cleanup,
    /// Record that it is up.
    RecordRunning,
    /// Record that it is down.
    RecordStopped,
    /// Send this lifecycle event: the guest did it by itself.
    Announce(&'static str),
    /// Delete it if it is ephemeral.
    DeleteIfEphemeral,
}

impl State {
    /// What clients see.
    pub fn status(self) -> StatusCode {
        match self {
            State::Stopped | State::Retired => StatusCode::Stopped,
            // LXD shows an instance as running while it is brought up or told to end.
            State::Starting | State::Running | State::Stopping => StatusCode::Running,
            State::Frozen => StatusCode::Frozen,
        }
    }

    /// Whether processes of it may exist.
    pub fn is_up(self) -> bool {
        !matches!(self, State::Stopped | State::Retired)
    }

    /// What an event makes of it.
    ///
    /// # Errors
    /// [`Kind::Conflict`] or [`Kind::Busy`] with LXD's text when the event can't be served in this state.
    pub fn next(self, event: Event) -> Result<(State, Vec<Effect>)> {
        match event {
            Event::Start => self.start(),
            Event::Started | Event::Rebooted | Event::StartFailed | Event::Exited => self.report(event),
            Event::Stop | Event::Kill | Event::StopTimedOut => self.stop(event),
            Event::Freeze => self.freeze(),
            Event::Thaw => self.thaw(),
            Event::Retire => self.retire(),
        }
    }

    fn start(self) -> Result<(State, Vec<Effect>)> {
        match self {
            State::Stopped => Ok((State::Starting, vec![Effect::Launch])),
            State::Starting => Err(busy("start")),
            State::Stopping => Err(busy("stop")),
            State::Running | State::Frozen => Err(conflict("The instance is already running")),
            State::Retired => Err(gone()),
        }
    }

    fn report(self, event: Event) -> Result<(State, Vec<Effect>)> {
        // In this order: after a crash in between it must not count as one that ran and has to be started again.
        let down = vec![Effect::RecordStopped, Effect::Cleanup];
        let by_itself = vec![Effect::Announce("instance-shutdown"), Effect::DeleteIfEphemeral];
        match (self, event) {
            (State::Starting, Event::Started) => Ok((State::Running, vec![Effect::RecordRunning])),
            (State::Starting, Event::StartFailed) => Ok((State::Stopped, vec![Effect::Cleanup])),
            (State::Running | State::Frozen, Event::Exited) => Ok((State::Stopped, [down, by_itself].concat())),
            // Whoever asked for the stop announces it.
            (State::Starting | State::Stopping, Event::Exited) => {
                Ok((State::Stopped, [down, vec![Effect::DeleteIfEphemeral]].concat()))
            }
            (State::Running | State::Frozen, Event::Rebooted) => {
                Ok((State::Running, vec![Effect::RecordRunning, Effect::Announce("instance-restarted")]))
            }
            (State::Stopping, Event::Rebooted) => Ok((State::Stopping, vec![Effect::KillAll])),
            (state, event) => Err(Error::internal(format!("{event:?} can't happen while {state:?}"))),
        }
    }

    fn stop(self, event: Event) -> Result<(State, Vec<Effect>)> {
        match (self, event) {
            (State::Running, Event::Stop) => Ok((State::Stopping, vec![Effect::SignalInit])),
            // A frozen init can't hear the signal.
            (State::Frozen, Event::Stop) => Ok((State::Stopping, vec![Effect::Thaw, Effect::SignalInit])),
            (State::Running | State::Frozen | State::Stopping, Event::Kill) => {
                Ok((State::Stopping, vec![Effect::KillAll]))
            }
            (State::Stopping, Event::StopTimedOut) => Ok((State::Running, vec![])),
            (State::Stopping, _) => Err(busy("stop")),
            (State::Starting, _) => Err(busy("start")),
            (State::Stopped, _) => Err(conflict("The instance is already stopped")),
            (State::Retired, _) => Err(gone()),
            (State::Running | State::Frozen, _) => Err(conflict("The instance isn't being stopped")),
        }
    }

    fn freeze(self) -> Result<(State, Vec<Effect>)> {
        match self {
            State::Running => Ok((State::Frozen, vec![Effect::Freeze])),
            State::Frozen => Err(conflict("The container is already frozen")),
            State::Stopped => Err(conflict("The container isn't running")),
            State::Starting => Err(busy("start")),
            State::Stopping => Err(busy("stop")),
            State::Retired => Err(gone()),
        }
    }

    fn thaw(self) -> Result<(State, Vec<Effect>)> {
        match self {
            State::Frozen => Ok((State::Running, vec![Effect::Thaw])),
            State::Running => Err(conflict("The container is already running")),
            State::Stopped => Err(conflict("The container isn't running")),
            State::Starting => Err(busy("start")),
            State::Stopping => Err(busy("stop")),
            State::Retired => Err(gone()),
        }
    }

    fn retire(self) -> Result<(State, Vec<Effect>)> {
        match self {
            State::Stopped => Ok((State::Retired, vec![])),
            State::Starting | State::Running | State::Frozen | State::Stopping => {
                Err(Error::new(Kind::Busy, "Instance is running"))
            }
            State::Retired => Err(gone()),
        }
    }
}

fn busy(action: &str) -> Error {
    Error::new(Kind::Busy, format!("Instance is busy running a \"{action}\" operation"))
}

fn conflict(text: &str) -> Error {
    Error::new(Kind::Conflict, text)
}

fn gone() -> Error {
    Error::not_found("Instance not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] =
        [State::Stopped, State::Starting, State::Running, State::Frozen, State::Stopping, State::Retired];

    #[test]
    fn only_a_stopped_instance_is_launched_so_it_never_runs_twice() {
        for state in STATES {
            let launches = state.next(Event::Start).is_ok_and(|(_, effects)| effects.contains(&Effect::Launch));
            assert_eq!(launches, state == State::Stopped, "{state:?}");
        }
    }

    #[test]
    fn whatever_is_up_can_be_killed_or_is_on_its_way_up() {
        for state in STATES {
            let killable = state.next(Event::Kill).is_ok();
            assert_eq!(killable, state.is_up() && state != State::Starting, "{state:?}");
        }
    }

    #[test]
    fn every_way_down_cleans_up_and_records() {
        for state in STATES {
            if let Ok((next, effects)) = state.next(Event::Exited) {
                assert_eq!(next, State::Stopped);
                assert_eq!(effects[..2], [Effect::RecordStopped, Effect::Cleanup]);
            }
        }
    }

    #[test]
    fn a_frozen_instance_is_thawed_before_its_init_is_told_to_end() {
        let (next, effects) = State::Frozen.next(Event::Stop).unwrap();
        assert_eq!((next, effects), (State::Stopping, vec![Effect::Thaw, Effect::SignalInit]));
    }

    #[test]
    fn a_guest_that_reboots_instead_of_ending_is_killed() {
        assert_eq!(State::Stopping.next(Event::Rebooted).unwrap().1, [Effect::KillAll]);
    }
}
