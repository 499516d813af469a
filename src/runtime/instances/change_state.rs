//! Start, stop, restart, freeze and thaw: what clients ask for, as operations.

use std::time::Duration;

use futures_util::StreamExt;

use super::machine::State;
use super::{Action, Instances, Scope};
use crate::api::types::{EventRequestor, Instance, Operation, StatusCode};
use crate::runtime::leases::{Class, Want};
use crate::runtime::operations::NewOperation;
use crate::runtime::url;
use crate::store::records::InstanceRecord;
use crate::store::repo;
use crate::{Error, Kind, Result};

/// Instances whose state is changed at the same time.
const AT_ONCE: usize = 8;

impl Instances {
    /// Changes the state of one instance, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn change_state(&self, project: &str, name: &str, action: Action, by: EventRequestor) -> Result<Operation> {
        let record = self.record(project, name)?;
        let new = NewOperation::task(action.description(), project)
            .on("instances", vec![url::of("instances", name, project)])
            .by(by.clone());
        let this = self.clone();
        Ok(self.operations.start(new, move |_| async move { this.change_now(&record, action, Some(&by)).await }))
    }

    /// Changes the state of all instances of a scope, in the background, a few at a time.
    ///
    /// Those that are as they should be already are left alone.
    pub fn change_all(&self, scope: &Scope, action: Action, by: EventRequestor) -> Result<Operation> {
        let mut all = self.list(scope)?;
        all.retain(|instance| action.changes(instance.status_code));
        let urls = all.iter().map(|i| url::of("instances", &i.name, &i.project)).collect();
        let project = scope.project.clone().unwrap_or_default();
        let new = NewOperation::task(action.description(), &project).on("instances", urls).by(by.clone());
        let this = self.clone();
        Ok(self.operations.start(new, move |_| async move { this.change_each(all, action, by).await }))
    }

    async fn change_each(&self, all: Vec<Instance>, action: Action, by: EventRequestor) -> Result<()> {
        let changes = all.into_iter().map(|i| {
            let (this, by) = (self.clone(), by.clone());
            async move {
                let changed = match this.record(&i.project, &i.name) {
                    Ok(record) => this.change_now(&record, action, Some(&by)).await,
                    Err(e) => Err(e),
                };
                changed.err().map(|e| format!(" - Instance: {}: {e}\n", i.name))
            }
        });
        let failed: Vec<Option<String>> = futures_util::stream::iter(changes).buffer_unordered(AT_ONCE).collect().await;
        let failed: String = failed.into_iter().flatten().collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(Error::internal(format!("The following instances failed to update state:\n{failed}"))),
        }
    }

    /// Changes the state of one instance and announces it.
    pub(super) async fn change_now(
        &self,
        record: &InstanceRecord,
        action: Action,
        by: Option<&EventRequestor>,
    ) -> Result<()> {
        match action {
            Action::Start => self.start(record).await?,
            Action::Stop { force, timeout } => self.stop(record, force, timeout).await?,
            Action::Restart { force, timeout } => self.restart(record, force, timeout).await?,
            Action::Freeze => self.actor(record.id).freeze().await?,
            Action::Unfreeze => self.actor(record.id).thaw().await?,
        }
        self.announce(&record.project, &record.name, action.event(), by);
        Ok(())
    }

    /// Brings an instance up. Its record and its profiles stay as they are meanwhile.
    pub(super) async fn start(&self, record: &InstanceRecord) -> Result<()> {
        self.snapshot_before_start(record).await?;
        let mut wants = vec![Want::shared(Class::Instance, format!("{}/{}", record.project, record.name))];
        wants.extend(record.profiles.iter().map(|id| Want::shared(Class::Profile, id.to_string())));
        let _lease = self.leases.take(wants).await;
        // It may have been deleted meanwhile; an actor for it must not come to be.
        self.db.view(|v| repo::instances::by_id(v, record.id))?;
        self.actor(record.id).start().await
    }

    /// Brings an instance down. A forced stop also ends a clean one that hangs.
    pub(super) async fn stop(&self, record: &InstanceRecord, force: bool, timeout: Option<Duration>) -> Result<()> {
        let actor = self.actor(record.id);
        if force {
            actor.kill().await?;
            return actor.wait_for(State::Stopped).await;
        }
        actor.stop().await?;
        let down = actor.wait_for(State::Stopped);
        let Some(limit) = timeout else { return down.await };
        match tokio::time::timeout(limit, down).await {
            Ok(down) => down,
            Err(_) => {
                actor.stop_timed_out().await;
                let status = actor.live().state.status().name();
                let text = format!("Failed shutting down instance, status is {status:?}: context deadline exceeded");
                Err(Error::new(Kind::Busy, text))
            }
        }
    }

    async fn restart(&self, record: &InstanceRecord, force: bool, timeout: Option<Duration>) -> Result<()> {
        let actor = self.actor(record.id);
        // An ephemeral instance survives its restart.
        let _staying = actor.keep_ephemeral();
        self.stop(record, force, timeout).await?;
        self.start(record).await
    }
}

impl Action {
    /// Whether there is something to do for an instance in this state.
    fn changes(self, status: StatusCode) -> bool {
        match self {
            Action::Start => status == StatusCode::Stopped,
            Action::Stop { .. } | Action::Restart { .. } => status != StatusCode::Stopped,
            Action::Freeze => status == StatusCode::Running,
            Action::Unfreeze => status == StatusCode::Frozen,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Action::Start => "Starting instance",
            Action::Stop { .. } => "Stopping instance",
            Action::Restart { .. } => "Restarting instance",
            Action::Freeze => "Freezing instance",
            Action::Unfreeze => "Unfreezing instance",
        }
    }

    fn event(self) -> &'static str {
        match self {
            Action::Start => "instance-started",
            Action::Stop { force: true, .. } => "instance-stopped",
            Action::Stop { force: false, .. } => "instance-shutdown",
            Action::Restart { .. } => "instance-restarted",
            Action::Freeze => "instance-paused",
            Action::Unfreeze => "instance-resumed",
        }
    }
}
