//! AppArmor: the profile of a guest, loaded before it starts and unloaded when it is down.
//!
//! ```text
//! variant ─▶ text ─▶ compiled once, kept in a file ─▶ the guest's name put in ─▶ loaded ─▶ label of process 1 and of `exec`
//!                                                                                             │ guest is down
//!                                                                                    unloaded ◀┘
//! ```
//!
//! Where the kernel can stack policies, unprivileged guests have a namespace of policies below their profile, in which they may load
//! their own. A host without AppArmor runs guests without it, and so does one without `apparmor_parser`, until something is to be compiled
//! there that an operator has written.

mod compiled;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Ctx, Error, Kind, Result};
use crate::order::Order;

pub use text::Variant;

/// The kernel's files (`Documentation/admin-guide/LSM/apparmor.rst`).
const KERNEL: &str = "/sys/kernel/security/apparmor";
/// The features' tree is small; more of it than this is none.
const FEATURES: usize = 1 << 20;

/// AppArmor of this host, for the guests of one daemon. All calls block.
pub struct AppArmor {
    lxd_dir: String,
    cache: PathBuf,
    host: OnceLock<std::result::Result<Host, String>>,
    /// One at a time compiles. Says whether it was told that nothing can be.
    compiling: Mutex<bool>,
}

/// What the kernel can do.
struct Host {
    features: String,
    stacking: bool,
}

/// What a guest is to be confined by.
#[derive(Debug)]
pub struct Confinement<'a> {
    /// The instance's number.
    pub id: u64,
    /// `NAME`, or `PROJECT_NAME`.
    pub guest: &'a str,
    /// By its configuration.
    pub variant: Variant,
    /// Lines of `raw.apparmor`.
    pub own: &'a str,
}

impl AppArmor {
    /// For the daemon in `lxd_dir`, which keeps compiled policy there.
    pub fn new(lxd_dir: &Path) -> AppArmor {
        AppArmor {
            lxd_dir: lxd_dir.to_string_lossy().trim_end_matches('/').to_owned(),
            cache: lxd_dir.join("security/apparmor/cache"),
            host: OnceLock::new(),
            compiling: Mutex::default(),
        }
    }

    /// Why guests aren't confined by AppArmor; `None` when they are.
    pub fn missing(&self) -> Option<String> {
        match self.host() {
            Err(reason) => Some(reason.clone()),
            Ok(_) if compiled::parser().is_none() => Some("There is no \"apparmor_parser\" to compile profiles".into()),
            Ok(_) => None,
        }
    }

    /// Loads the profile of a guest, in the place of an older one; gives the label that its programs are executed with. `None`: this host
    /// doesn't confine them.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for lines of the operator's that are wrong; [`Kind::Internal`] when the kernel refuses.
    pub fn load(&self, wanted: &Confinement<'_>) -> Result<Option<String>> {
        let Ok(host) = self.host() else { return Ok(None) };
        let name = text::profile_name(wanted.guest, &self.lxd_dir);
        let Some(policy) = self.policy(host, wanted, &name)? else { return Ok(None) };
        write(".replace", &policy).ctx(Kind::Internal, || format!("Failed loading the AppArmor profile {name:?}"))?;
        if !host.stacking || wanted.variant.privileged {
            return Ok(Some(name));
        }
        let namespace = text::namespace_name(wanted.guest, &self.lxd_dir);
        match fs::create_dir(self.namespace(&namespace)) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                Err(e).ctx(Kind::Internal, || format!("Failed making the AppArmor namespace {namespace:?}"))
            }
            _ => Ok(Some(format!("{name}//&:{namespace}:"))),
        }
    }

    /// Checks lines of the operator's, as far as this host can.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the parser's words.
    pub fn check(&self, wanted: &Confinement<'_>) -> Result<()> {
        let Ok(host) = self.host() else { return Ok(()) };
        let name = text::profile_name(wanted.guest, &self.lxd_dir);
        self.policy(host, wanted, &name).map(drop)
    }

    /// Unloads what a guest had that is down; one that had nothing is fine.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the kernel refuses.
    pub fn unload(&self, guest: &str) -> Result<()> {
        match self.host() {
            Ok(_) => {
                let space = self.remove_namespace(&text::namespace_name(guest, &self.lxd_dir));
                remove_profile(&text::profile_name(guest, &self.lxd_dir)).and(space)
            }
            Err(_) => Ok(()),
        }
    }

    /// Unloads what is loaded for guests of this daemon that aren't among `keep`.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the kernel refuses.
    pub fn sweep(&self, keep: &BTreeSet<String>) -> Result<()> {
        if self.host().is_err() {
            return Ok(());
        }
        let named = |name: fn(&str, &str) -> String| keep.iter().map(|guest| name(guest, &self.lxd_dir)).collect();
        let (profiles, namespaces): (BTreeSet<String>, BTreeSet<String>) =
            (named(text::profile_name), named(text::namespace_name));
        let listed = fs::read_to_string(Path::new(KERNEL).join("profiles"));
        let listed = listed.ctx(Kind::Internal, || "Failed reading the list of AppArmor profiles")?;
        let all = listed.lines().filter_map(|line| Some(line.rsplit_once(" (")?.0));
        for name in ours(all.map(str::to_owned), &self.lxd_dir).filter(|name| !profiles.contains(name)) {
            remove_profile(&name)?;
        }
        let all = fs::read_dir(self.namespace("")).into_iter().flatten().flatten();
        let all = all.filter_map(|entry| entry.file_name().into_string().ok());
        let place = text::namespace_place(&self.lxd_dir);
        for name in ours(all, &place).filter(|name| !namespaces.contains(name)) {
            self.remove_namespace(&name)?;
        }
        Ok(())
    }

    /// Removes what was compiled for one guest alone.
    pub fn forget(&self, id: u64) {
        compiled::forget(&compiled::file(&self.cache, &id.to_string(), ""), false);
    }

    /// The compiled policy of a guest. `None`: there is no parser, which is in the log.
    fn policy(&self, host: &Host, wanted: &Confinement<'_>, name: &str) -> Result<Option<Vec<u8>>> {
        let peers = format!("lxd-*{}", escaped(&text::ending(&self.lxd_dir)));
        let shared = wanted.own.trim().is_empty();
        let inner = if shared { compiled::placeholder(name) } else { name.to_owned() };
        let text = text::profile(&inner, wanted.variant, &peers, wanted.own);
        let stem = match shared {
            true => format!("{}-{}", wanted.variant.word(), inner.len() % 8),
            false => wanted.id.to_string(),
        };
        let file = compiled::file(&self.cache, &stem, &compiled::hash(&host.features, &text));
        let mut told = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        let policy = match (compiled::cached(&file)?, compiled::parser()) {
            (Some(policy), _) => policy,
            (None, Some(parser)) => compiled::compile(&parser, &text, &file)?,
            (None, None) if !shared => {
                return Err(Error::invalid("\"raw.apparmor\" needs apparmor_parser on the host"));
            }
            (None, None) => {
                if !std::mem::replace(&mut *told, true) {
                    tracing::warn!("Containers run without AppArmor: there is no \"apparmor_parser\"");
                }
                return Ok(None);
            }
        };
        if !shared {
            return Ok(Some(policy));
        }
        let named = compiled::renamed(&policy, &inner, name);
        named.map(Some).ok_or_else(|| Error::internal(format!("{file:?} isn't a compiled AppArmor profile")))
    }

    fn host(&self) -> &std::result::Result<Host, String> {
        self.host.get_or_init(look)
    }

    fn namespace(&self, name: &str) -> PathBuf {
        Path::new(KERNEL).join("policy/namespaces").join(name)
    }

    fn remove_namespace(&self, name: &str) -> Result<()> {
        match fs::remove_dir(self.namespace(name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(e).ctx(Kind::Internal, || format!("Failed removing the AppArmor namespace {name:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// Those of these names that are of the daemon in `place`.
fn ours(names: impl Iterator<Item = String>, place: &str) -> impl Iterator<Item = String> {
    let ending = text::ending(place);
    names.filter(move |name| name.starts_with("lxd-") && name.ends_with(&ending))
}

fn remove_profile(name: &str) -> Result<()> {
    match write(".remove", name.as_bytes()) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed unloading the AppArmor profile {name:?}"))
        }
        _ => Ok(()),
    }
}

/// Writes to a file of the kernel's, which takes all at once.
fn write(file: &str, content: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(Path::new(KERNEL).join(file))?;
    match file.write(content)? {
        written if written == content.len() => Ok(()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

/// Patterns of AppArmor take these characters for themselves.
fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, '\\' | '"' | '*' | '?' | '[' | ']' | '{' | '}' | '^' | ',');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Looks what the kernel has, and whether this process may load policy.
fn look() -> std::result::Result<Host, String> {
    let wish = std::env::var("LXD_SECURITY_APPARMOR").unwrap_or_default();
    if ["false", "0", "no", "off"].contains(&wish.to_ascii_lowercase().as_str()) {
        return Err("It is switched off by LXD_SECURITY_APPARMOR".into());
    }
    let one = |file: &str| fs::read_to_string(Path::new(KERNEL).join(file)).unwrap_or_default().trim().to_owned();
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if !enabled.starts_with('Y') || !Path::new(KERNEL).join(".replace").exists() {
        return Err("This kernel has no AppArmor, or it isn't switched on, or securityfs isn't mounted".into());
    }
    let own = fs::read_to_string("/proc/self/attr/apparmor/current").unwrap_or_default();
    if own.trim() != "unconfined" {
        return Err(format!("The daemon itself is confined, by {:?}: its guests are so too", own.trim()));
    }
    if !matches!(caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_MAC_ADMIN), Ok(true)) {
        return Err("The daemon may not load policy: it lacks CAP_MAC_ADMIN".into());
    }
    let mut features = String::new();
    read_tree(&Path::new(KERNEL).join("features"), &mut features);
    let stacking = one("features/domain/stack") == "yes" && one(".ns_stacked") == "no";
    Ok(Host { features, stacking })
}

/// Names and contents of the files below a directory, in order.
fn read_tree(directory: &Path, into: &mut String) {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.order();
    for path in &paths {
        if into.len() > FEATURES {
            return;
        }
        if path.is_dir() {
            read_tree(path, into);
        } else {
            let content = fs::read_to_string(path).unwrap_or_default();
            into.push_str(&format!("{}: {content}\n", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_this_daemon_is_told_by_its_end() {
        let all = ["lxd-a_</var/lib/lxd>", "lxd-a_</srv>", "docker-default", "lxd-b_c_</var/lib/lxd>"];
        let found: Vec<String> = ours(all.iter().map(|name| (*name).to_owned()), "/var/lib/lxd").collect();
        assert_eq!(found, [all[0], all[3]]);
    }

    #[test]
    fn patterns_are_made_plain() {
        assert_eq!(escaped("_</a,b*{c}>"), "_</a\\,b\\*\\{c\\}>");
    }
}
