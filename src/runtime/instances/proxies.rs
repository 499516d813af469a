//! Proxies of running guests: brought to what the configuration says now.
//!
//! What runs is known by the records of the helpers in the guest's run directory, so that a daemon that comes later, and one that
//! died in the middle, know as much as this one. Of those without a helper (`nat=true`) each has a file with its name there,
//! made before its rules. One that dies while its guest runs is started again: by this daemon, which watches it, or by the next.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Instances;
use super::container::{Running, proxy};
use super::expand::{Expanded, expand};

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::network::netlink::{Netlink, PortChange};
use crate::runtime::network::nft::{Family, Nft};
use crate::runtime::network::rules::{self, Nic, nat_proxy};
use crate::runtime::spec::proxy::ProxyPlan;
use crate::runtime::spec::resident::file_name;
use crate::runtime::sys::link::Watched;
use crate::runtime::sys::{fault, process};
use crate::runtime::warnings::Warnings;
use crate::runtime::{blocking, devices, url};
use crate::store::records::{InstanceRecord, Severity};
use crate::store::repo;
use crate::task::spawn;

/// One that has lived this long is started again at once.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// Between tries: at first and at most. It doubles each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));
/// What can't be started again is told by this warning.
const WARNING: &str = "Proxy device unavailable";

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
        let translated = devices::nat::plans(&becomes.devices, &self.nics.bridge_ports(id))?;
        let done = match self.exchange_proxies(id, &had, &wanted).await {
            Ok(()) => self.translate(id, translated).await,
            failed => failed,
        };
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
            let helper = proxy::start(plan.clone(), self.proxy_directory(id)).await?;
            spawn(self.clone().follow_proxy(id, plan.clone(), helper));
        }
        Ok(())
    }

    /// Watches the helpers that an earlier daemon has started, and has those that are lacking.
    pub(super) async fn adopt_proxies(&self, id: u64, running: &Running) -> Result<()> {
        for (plan, helper) in proxy::found(self.proxy_directory(id)).await? {
            spawn(self.clone().follow_proxy(id, plan, helper));
        }
        self.renew_proxies(id, running).await
    }

    /// Starts a helper again whenever it dies, for as long as its guest is to have it.
    async fn follow_proxy(self, id: u64, plan: ProxyPlan, mut helper: Watched) {
        let mut pause = PAUSES.0;
        loop {
            let since = Instant::now();
            if helper.reaped().await.is_err() {
                return;
            }
            if since.elapsed() >= SHORT_LIFE {
                pause = PAUSES.0;
            }
            helper = loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
                match self.revive_proxy(id, &plan).await {
                    Ok(Some(helper)) => break helper,
                    Ok(None) => return,
                    Err(e) => self.warn_of_proxy(id, &e).await,
                }
            };
        }
    }

    /// Starts one again that has died by itself; `None` when it was ended, or somebody has started it meanwhile.
    async fn revive_proxy(&self, id: u64, plan: &ProxyPlan) -> Result<Option<Watched>> {
        let Ok(record) = self.db.view(|v| repo::instances::by_id(v, id)) else { return Ok(None) };
        let _lease = self.leases.take(self.exclusive(&record.project, &record.name)).await;
        let Some(running) = self.actor(id).live().running else { return Ok(None) };
        // With the guest its helpers end.
        if running.process() != Some(plan.init) || process::find(plan.init).is_none() {
            return Ok(None);
        }
        let Ok(record) = self.db.view(|v| repo::instances::by_id(v, id)) else { return Ok(None) };
        let devices = self.db.view(|v| expand(v, &record))?.devices;
        let wanted = devices::proxy::plans(&devices, plan.init, running.is_privileged())?;
        let has = proxy::running(self.proxy_directory(id)).await?;
        if !wanted.contains(plan) || has.contains(plan) {
            return Ok(None);
        }
        tracing::warn!(instance = %record.name, device = %plan.device, "A proxy has died and is started again");
        let helper = proxy::start(plan.clone(), self.proxy_directory(id)).await?;
        let entity = url::of("instances", &record.name, &record.project);
        if let Err(e) = Warnings::new(self.db.clone()).resolve_about((&record.project, entity), WARNING).await {
            tracing::warn!("Failed resolving a warning: {}", e.chain());
        }
        Ok(Some(helper))
    }

    async fn warn_of_proxy(&self, id: u64, why: &Error) {
        tracing::warn!(id, "A proxy can't be started again: {}", why.chain());
        let Ok(record) = self.db.view(|v| repo::instances::by_id(v, id)) else { return };
        let about = (record.project.as_str(), url::of("instances", &record.name, &record.project));
        let warnings = Warnings::new(self.db.clone());
        if let Err(e) = warnings.raise_about(about, WARNING, Severity::Moderate, &why.chain()).await {
            tracing::warn!("Failed recording a warning: {}", e.chain());
        }
    }

    /// Ends all proxies of a guest that is down.
    pub(super) async fn end_proxies(&self, id: u64) {
        let ended = [proxy::end(self.proxy_directory(id), None).await, self.translate(id, Vec::new()).await];
        for e in ended.into_iter().filter_map(Result::err) {
            tracing::warn!(id, "Failed ending proxies: {}", e.chain());
        }
    }

    /// Has the firewall translate addresses for these of a guest's devices, and no others.
    async fn translate(&self, id: u64, plans: Vec<devices::nat::Plan>) -> Result<()> {
        let directory = self.proxy_directory(id);
        let record = self.db.view(|v| repo::instances::by_id(v, id))?;
        let owner = record.clone();
        let unreachable = blocking(move || translate(&directory, &owner, &plans)).await?;
        for why in unreachable {
            tracing::warn!(instance = %record.name, "{why}");
            let about = (record.project.as_str(), url::of("instances", &record.name, &record.project));
            let warnings = Warnings::new(self.db.clone());
            warnings.raise_about(about, "Proxy bridge netfilter not enabled", Severity::Low, &why).await?;
        }
        Ok(())
    }
}

/// Says for which devices the other guests of the bridge, and the guest itself, can't use the address on the host.
fn translate(directory: &Path, of: &InstanceRecord, plans: &[devices::nat::Plan]) -> Result<Vec<String>> {
    let had = translated(directory)?;
    if had.is_empty() && plans.is_empty() {
        return Ok(Vec::new());
    }
    let nic = |device| Nic { project: &of.project, instance: &of.name, device };
    fs::create_dir_all(directory).ctx(Kind::Internal, || format!("Failed creating {directory:?}"))?;
    let (mut chains, mut unreachable) = (Vec::new(), Vec::new());
    for plan in plans {
        let path = marker(directory, &plan.device);
        fs::write(&path, &plan.device).ctx(Kind::Internal, || format!("Failed creating {path:?}"))?;
        match bridges_are_filtered(plan.four) {
            Ok(()) => {
                let hairpin = PortChange { hairpin: Some(true), ..PortChange::default() };
                Netlink::open()?.set_port(plan.port.as_str(), &hairpin)?;
            }
            Err(why) => unreachable.push(format!(
                "Guests behind the same bridge can't use the listen address of {:?}: {why}",
                plan.device
            )),
        }
        chains.extend(nat_proxy(nic(&plan.device), &plan.rules));
    }
    let gone: Vec<String> = had.into_iter().filter(|device| plans.iter().all(|plan| plan.device != *device)).collect();
    fault("daemon.proxies.marked");
    let gone_chains: Vec<String> = gone.iter().flat_map(|device| nic(device).proxy_chains()).collect();
    Nft::with(|nft| nft.ensure(Family::Inet, rules::TABLE, &chains, &gone_chains))?;
    for device in gone {
        let path = marker(directory, &device);
        fs::remove_file(&path).ctx(Kind::Internal, || format!("Failed removing {path:?}"))?;
    }
    Ok(unreachable)
}

/// The devices for which rules may be there.
fn translated(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.ctx(Kind::Internal, || format!("Failed reading {directory:?}"))?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let markers = paths.filter(|path| path.extension().is_some_and(|extension| extension == MARKER));
    markers.map(|path| fs::read_to_string(&path).ctx(Kind::Internal, || format!("Failed reading {path:?}"))).collect()
}

const MARKER: &str = "nat";

fn marker(directory: &Path, device: &str) -> PathBuf {
    directory.join(format!("{}.{MARKER}", file_name(device)))
}

/// Whether packets between the ports of a bridge pass the rules (br_netfilter): without it, an answer of a guest to its
/// neighbour wouldn't be translated back.
fn bridges_are_filtered(four: bool) -> std::result::Result<(), &'static str> {
    let name = if four { "bridge-nf-call-iptables" } else { "bridge-nf-call-ip6tables" };
    match fs::read_to_string(format!("/proc/sys/net/bridge/{name}")).as_deref().map(str::trim) {
        Ok("1") => Ok(()),
        Ok(_) => Err("br_netfilter is switched off (net.bridge.bridge-nf-call-*)"),
        Err(_) => Err("the kernel module br_netfilter is missing"),
    }
}
