//! Guests' own sockets: what a guest finds at `/dev/lxd/sock`, and what is told through it.
//!
//! Each guest has a socket of its own in a directory of its own, which is mounted in it:
//!
//! ```text
//! LXD_DIR/devlxd/ID/sock (0700 above it) ── mounted at /dev/lxd of guest ID ── `api::server::devlxd` answers
//! ```
//!
//! So whoever is connected is known by the way he came in. LXD has one socket for all guests and looks a caller up by his process
//! id, which may be somebody else's by then. The directory outlives the daemon, and the next one puts a new socket in the same
//! directory.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, watch};

use super::cloud_init::visible;
use super::delete::remove_directory;
use super::expand::{Expanded, expand};
use super::{Instances, Running, ids};
use crate::api::config::instance::{self, Config};
use crate::api::types::{ConfigMap, DeviceMap, Devices, Timestamp};
use crate::runtime::blocking;
use crate::runtime::spec::{ContainerSpec, Mount};
use crate::store::repo;
use crate::{Ctx, Kind, Result};

/// Where a guest finds its socket.
const PLACE: &str = "/dev/lxd";
/// News that a listener may lag behind before it is closed.
const QUEUE: usize = 256;

/// Something that a guest is told.
#[derive(Debug)]
pub struct News {
    /// `config` or `device`.
    pub kind: &'static str,
    /// The JSON text.
    pub text: String,
}

/// An open socket of a guest.
pub struct Door {
    /// The instance.
    pub id: u64,
    /// The guest's root, as the host sees it.
    pub root: u32,
    /// The socket.
    pub listener: UnixListener,
    /// Fails once the door is closed: then everybody who came in by it has to go.
    pub open: watch::Receiver<()>,
    /// Where news for the guest come from.
    pub news: broadcast::Sender<Arc<News>>,
}

/// What a guest may know.
pub struct Seen {
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// `container` or `virtual-machine`.
    pub kind: &'static str,
    /// The keys that it may see.
    pub config: ConfigMap,
    /// Its devices.
    pub devices: Devices,
    /// Its identity for cloud-init.
    pub instance_id: String,
    /// Whether it may have images.
    pub images: bool,
}

/// A door as it is kept here.
struct Opened {
    /// Dropping it closes the door.
    _closes: watch::Sender<()>,
    news: broadcast::Sender<Arc<News>>,
    root: u32,
}

/// All doors.
pub(super) struct Doors {
    open: Mutex<HashMap<u64, Opened>>,
    opened: mpsc::UnboundedSender<Door>,
    /// For whoever serves them.
    served: Mutex<Option<mpsc::UnboundedReceiver<Door>>>,
}

impl Default for Doors {
    fn default() -> Doors {
        let (opened, served) = mpsc::unbounded_channel();
        Doors { open: Mutex::default(), opened, served: Mutex::new(Some(served)) }
    }
}

impl Doors {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Opened>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a configuration gives the guest its socket.
pub(super) fn wanted(config: &ConfigMap) -> bool {
    Config(config).bool("security.devlxd")
}

impl Instances {
    /// The doors as they are opened; given once, to whoever serves them.
    pub fn doors(&self) -> Option<mpsc::UnboundedReceiver<Door>> {
        self.doors.served.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the guest of an instance may know.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it is gone.
    pub fn seen_by_guest(&self, id: u64) -> Result<Seen> {
        let (record, expanded) = self.db.view(|v| {
            let record = repo::instances::by_id(v, id)?;
            let expanded = expand(v, &record)?;
            Ok((record, expanded))
        })?;
        let Expanded { config, mut devices, .. } = expanded;
        for (name, device) in devices.iter_mut().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic")) {
            // By it cloud-init tells interfaces apart.
            if let (None, Some(mac)) = (device.get("hwaddr"), record.config.get(&format!("volatile.{name}.hwaddr"))) {
                device.insert("hwaddr".into(), mac.clone());
            }
        }
        let images = Config(&config).bool("security.devlxd.images");
        let instance_id = record.config.get("volatile.cloud-init.instance-id").cloned().unwrap_or_default();
        let config = config.into_iter().filter(|(key, _)| visible(key)).collect();
        let kind = record.kind.as_str();
        Ok(Seen { project: record.project, name: record.name, kind, config, devices, instance_id, images })
    }

    /// What mounts the guest's socket in it.
    pub(super) fn door_mount(&self, id: u64) -> Mount {
        Mount { source: self.door_directory(id), target: PathBuf::from(PLACE), readonly: true, ..Mount::default() }
    }

    fn door_directory(&self, id: u64) -> PathBuf {
        self.places.root.join("devlxd").join(id.to_string())
    }

    /// Makes the socket of the guest whose root is this user of the host, or a new one after a restart of the daemon. One that is open stays.
    pub(super) async fn open_door(&self, id: u64, root: u32) -> Result<()> {
        if self.doors.all().contains_key(&id) {
            return Ok(());
        }
        let directory = self.door_directory(id);
        let listener = blocking(move || listen(&directory)).await?;
        let listener = UnixListener::from_std(listener).ctx(Kind::Internal, || "Failed watching a guest's socket")?;
        let (closes, open) = watch::channel(());
        let news = broadcast::channel(QUEUE).0;
        self.doors.all().insert(id, Opened { _closes: closes, news: news.clone(), root });
        // Only a daemon that ends serves nobody any more.
        let _ = self.doors.opened.send(Door { id, root, listener, open, news });
        Ok(())
    }

    /// Takes the guest's socket away, and ends all connections; one that isn't there is fine.
    pub(super) async fn close_door(&self, id: u64) {
        drop(self.doors.all().remove(&id));
        let directory = self.door_directory(id);
        if let Err(e) = blocking(move || remove_directory(&directory)).await {
            tracing::warn!(id, "Failed removing a guest's socket: {}", e.chain());
        }
    }

    /// Has the guest's door as a plan for its next run has it.
    pub(super) async fn follow_plan(&self, id: u64, spec: &ContainerSpec) -> Result<()> {
        if !spec.mounts.iter().any(|mount| mount.target == Path::new(PLACE)) {
            self.close_door(id).await;
            return Ok(());
        }
        let root = spec.idmap.root().0;
        let stays = self.doors.all().get(&id).is_some_and(|door| door.root == root);
        if !stays {
            drop(self.doors.all().remove(&id));
        }
        self.open_door(id, root).await
    }

    /// Gives a running guest its socket, or takes it away, as a change of its configuration says.
    pub(super) async fn change_door(
        &self,
        id: u64,
        running: &Running,
        was: &ConfigMap,
        becomes: &ConfigMap,
    ) -> Result<()> {
        match (wanted(was), wanted(becomes)) {
            (false, true) => {
                let record = self.db.view(|v| repo::instances::by_id(v, id))?;
                self.open_door(id, ids::current(&record)?.root().0).await?;
                let mounted = running.attach_mount(&self.door_mount(id)).await;
                if mounted.is_err() {
                    self.close_door(id).await;
                }
                mounted
            }
            (true, false) => {
                self.close_door(id).await;
                // A guest may have unmounted it itself; nobody answers there any more in any case.
                if let Err(e) = running.detach_mount(Path::new(PLACE)).await {
                    tracing::info!(id, "Failed unmounting a guest's socket: {}", e.chain());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Removes directories of instances that are none, or whose guest was stopped.
    pub(super) async fn sweep_doors(&self, known: BTreeSet<u64>) {
        let places = self.places.clone();
        let swept = blocking(move || {
            for entry in fs::read_dir(places.root.join("devlxd")).into_iter().flatten().flatten() {
                let id = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
                if id.is_some_and(|id| !known.contains(&id) || !places.run(id).exists()) {
                    remove_directory(&entry.path())?;
                }
            }
            Ok(())
        });
        if let Err(e) = swept.await {
            tracing::warn!("Failed removing a leftover socket: {}", e.chain());
        }
    }

    /// Tells a guest what has changed for it.
    pub(super) fn tell_guest(&self, id: u64, was: &Expanded, becomes: &Expanded) {
        let Some(news) = self.doors.all().get(&id).map(|door| door.news.clone()) else { return };
        if news.receiver_count() == 0 {
            return;
        }
        for (kind, metadata) in changes(was, becomes) {
            let text = json!({"type": kind, "timestamp": Timestamp::now(), "metadata": metadata}).to_string();
            // Fails only when the last listener has just gone.
            let _ = news.send(Arc::new(News { kind, text: format!("{text}\n") }));
        }
    }
}

/// The news in a change, as LXD tells them. Pure.
fn changes(was: &Expanded, becomes: &Expanded) -> Vec<(&'static str, Value)> {
    let mut news = Vec::new();
    let value = |config: &ConfigMap, key: &str| config.get(key).cloned().unwrap_or_default();
    // LXD tells of no others.
    for key in instance::changed(&was.config, &becomes.config).into_iter().filter(|key| key.starts_with("user.")) {
        let (old, new) = (value(&was.config, key), value(&becomes.config, key));
        news.push(("config", json!({"key": key, "old_value": old, "value": new})));
    }
    let mut device = |action: &str, name: &str, config: &DeviceMap| {
        news.push(("device", json!({"action": action, "config": config, "name": name})));
    };
    let stays = |name: &str| Some((was.devices.get(name)?, becomes.devices.get(name)?));
    let in_place = |name: &str| stays(name).is_some_and(|(old, new)| old != new && changes_in_place(old, new));
    let same = |name: &str| stays(name).is_some_and(|(old, new)| old == new);
    for (name, config) in was.devices.iter().filter(|(name, _)| !same(name) && !in_place(name)) {
        device("removed", name, config);
    }
    for (name, config) in becomes.devices.iter().filter(|(name, _)| !same(name) && !in_place(name)) {
        device("added", name, config);
    }
    for (name, config) in becomes.devices.iter().filter(|(name, _)| in_place(name)) {
        device("updated", name, config);
    }
    news
}

/// Whether a device is changed without being taken away: limits, filters, addresses.
fn changes_in_place(old: &DeviceMap, new: &DeviceMap) -> bool {
    let live = |key: &str| {
        key.starts_with("limits.")
            || (old.get("type").is_some_and(|t| t == "nic")
                && (key.starts_with("security.") || key.starts_with("ipv4.") || key.starts_with("ipv6.")))
    };
    old.get("type") == new.get("type") && instance::changed(old, new).into_iter().all(live)
}

/// Makes the socket; an old one is replaced in one step.
fn listen(directory: &Path) -> Result<std::os::unix::net::UnixListener> {
    let failed = || format!("Failed making a guest's socket in {directory:?}");
    if let Some(parent) = directory.parent() {
        fs::set_permissions(parent, Permissions::from_mode(0o700)).ctx(Kind::Internal, failed)?;
    }
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e).ctx(Kind::Internal, failed),
        _ => {}
    }
    fs::set_permissions(directory, Permissions::from_mode(0o755)).ctx(Kind::Internal, failed)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::open(directory, flags, Mode::empty()).ctx(Kind::Internal, failed)?;
    // An address has 107 bytes at most, LXD_DIR may have more.
    let short = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()));
    let (fresh, path) = (short.join("new"), short.join("sock"));
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).ctx(Kind::Internal, failed),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&fresh).ctx(Kind::Internal, failed)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o666)).ctx(Kind::Internal, failed)?;
    listener.set_nonblocking(true).ctx(Kind::Internal, failed)?;
    fs::rename(&fresh, &path).ctx(Kind::Internal, failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_guest_is_told_what_it_may_know() {
        let disk = |source: &str| map(&[("type", "disk"), ("source", source)]);
        let nic = |limit: &str| map(&[("type", "nic"), ("limits.max", limit)]);
        let was = Expanded {
            config: map(&[("user.a", "1"), ("user.gone", "x"), ("limits.cpu", "1")]),
            devices: [("d".into(), disk("/a")), ("n".into(), nic("1")), ("s".into(), disk("/s"))].into(),
            ..Expanded::default()
        };
        let becomes = Expanded {
            config: map(&[("user.a", "2"), ("limits.cpu", "2"), ("cloud-init.user-data", "x")]),
            devices: [("d".into(), disk("/b")), ("n".into(), nic("2")), ("s".into(), disk("/s"))].into(),
            ..Expanded::default()
        };
        let told: Vec<String> = changes(&was, &becomes).iter().map(|(kind, m)| format!("{kind} {m}")).collect();
        assert_eq!(
            told,
            [
                r#"config {"key":"user.a","old_value":"1","value":"2"}"#,
                r#"config {"key":"user.gone","old_value":"x","value":""}"#,
                r#"device {"action":"removed","config":{"source":"/a","type":"disk"},"name":"d"}"#,
                r#"device {"action":"added","config":{"source":"/b","type":"disk"},"name":"d"}"#,
                r#"device {"action":"updated","config":{"limits.max":"2","type":"nic"},"name":"n"}"#,
            ]
        );
        assert!(changes(&was, &was).is_empty());
    }

    #[tokio::test]
    async fn a_socket_is_replaced_in_the_same_directory() {
        use std::os::unix::fs::MetadataExt;
        let root = std::env::temp_dir().join(format!("lxbox-doors-{}-{}", "x".repeat(90), std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let directory = root.join("7");
        let first = listen(&directory).unwrap();
        let (inode, socket) = (fs::metadata(&directory).unwrap().ino(), fs::metadata(directory.join("sock")).unwrap());
        assert_eq!(socket.mode() & 0o777, 0o666);
        drop(first);
        let _second = listen(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().ino(), inode);
        assert_ne!(fs::metadata(directory.join("sock")).unwrap().ino(), socket.ino());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&root).unwrap();
    }
}
