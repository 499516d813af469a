//! The guests' view of `/proc` exists as long as one of them runs.

use crate::task::spawn;
use std::time::Duration;

use super::Instances;

/// How long it stays after the last guest: often another one comes soon, and its start would have to wait for it.
const STAY: Duration = Duration::from_secs(2);

impl Instances {
    /// Takes over the one of an earlier daemon for the guests that run, or ends it.
    pub(super) async fn adopt_view(&self) {
        if self.any_up() {
            self.view.ensure().await;
        } else {
            self.end_view().await;
        }
    }

    /// Ends it in a while if no guest runs then.
    pub(super) fn release_view(&self) {
        let instances = self.clone();
        spawn(async move {
            tokio::time::sleep(STAY).await;
            instances.end_view().await;
        });
    }

    /// Ends it unless a guest runs.
    pub async fn end_view(&self) {
        if let Err(e) = self.view.end(|| !self.any_up()).await {
            tracing::warn!("Failed ending the server of /proc: {}", e.chain());
        }
    }

    fn any_up(&self) -> bool {
        self.actors().values().any(|actor| actor.live().state.is_up())
    }
}
