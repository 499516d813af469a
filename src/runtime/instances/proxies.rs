//! Proxies of running guests: brought to what the configuration says now.
//!
//! What runs is known by the records of the helpers in the guest's run directory, so that a daemon that comes later, and one that
//! died in the middle, know as much as this one.

use std::path::PathBuf;

use super::Instances;
use super::container::{Running, proxy};
use super::expand::{Expanded, expand};
use crate::Result;
use crate::runtime::devices;
use crate::runtime::spec::proxy::ProxyPlan;
use crate::store::repo;

impl Instances {
    fn proxy_directory(&self, id: u64) -> PathBuf {
        self.run_directory(id).run.join("proxies")
    }

    /// Ends the proxies of a running guest that are no more or are different, and starts what is new. Connections through the others go
    /// on.
    ///
    /// # Errors
    /// What can't be started; then those from before run, as far as that is possible.
    pub(super) async fn change_proxies(&self, id: u64, running: &Running, becomes: &Expanded) -> Result<()> {
        let Some(init) = running.process() else { return Ok(()) };
        let wanted = devices::proxy::plans(&becomes.devices, init, running.is_privileged())?;
        let had = proxy::running(self.proxy_directory(id)).await?;
        let done = self.exchange_proxies(id, &had, &wanted).await;
        if done.is_err() {
            let has = proxy::running(self.proxy_directory(id)).await?;
            let had: Vec<ProxyPlan> = had.into_iter().filter(|plan| plan.init == init).collect();
            if let Err(e) = self.exchange_proxies(id, &has, &had).await {
                tracing::warn!(id, "Failed bringing proxies back: {}", e.chain());
            }
        }
        done
    }

    /// Has the proxies of a guest that runs already, by the configuration of now.
    pub(super) async fn renew_proxies(&self, id: u64, running: &Running) -> Result<()> {
        let expanded = self.db.view(|v| expand(v, &repo::instances::by_id(v, id)?))?;
        self.change_proxies(id, running, &expanded).await
    }

    async fn exchange_proxies(&self, id: u64, has: &[ProxyPlan], wanted: &[ProxyPlan]) -> Result<()> {
        let gone = has.iter().filter(|plan| !wanted.contains(plan)).map(|plan| plan.device.clone());
        proxy::end(self.proxy_directory(id), Some(gone.collect())).await?;
        for plan in wanted.iter().filter(|plan| !has.contains(plan)) {
            proxy::start(plan.clone(), self.proxy_directory(id)).await?;
        }
        Ok(())
    }

    /// Ends all proxies of a guest that is down.
    pub(super) async fn end_proxies(&self, id: u64) {
        if let Err(e) = proxy::end(self.proxy_directory(id), None).await {
            tracing::warn!(id, "Failed ending proxies: {}", e.chain());
        }
    }
}
