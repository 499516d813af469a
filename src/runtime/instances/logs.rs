//! Log files of an instance: `lxc.log`, `lxc.conf`, the console log and recorded output of `exec`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use super::Instances;
use crate::api::types::EventRequestor;
use crate::order::Order;
use crate::runtime::url;
use crate::{Ctx, Error, Kind, Result};

/// The largest log file that is sent, in bytes.
const LIMIT: u64 = 64 << 20;

/// The log directory of one instance. Its functions block.
pub struct Logs {
    directory: PathBuf,
    url: String,
}

impl Instances {
    /// The log files of an instance.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance.
    pub fn logs(&self, project: &str, name: &str) -> Result<Logs> {
        self.record(project, name)?;
        Ok(Logs { directory: self.places.logs(project, name), url: url::of("instances", name, "") })
    }

    /// What the console has shown, as far as its ring holds it.
    pub async fn console_log(&self, project: &str, name: &str) -> Result<Vec<u8>> {
        let path = self.logs(project, name)?.directory.join("console.log");
        crate::runtime::blocking(move || fs::read(&path).ctx(Kind::Internal, || format!("open {path:?}"))).await
    }

    /// Empties the console log.
    pub async fn clear_console_log(&self, project: &str, name: &str, by: EventRequestor) -> Result<()> {
        let path = self.logs(project, name)?.directory.join("console.log");
        crate::runtime::blocking(move || {
            let emptied = File::options().write(true).open(&path).and_then(|log| log.set_len(0));
            emptied.ctx(Kind::NotFound, || format!("Failed emptying {path:?}"))
        })
        .await?;
        self.announce(project, name, "instance-console-reset", Some(&by));
        Ok(())
    }
}

impl Logs {
    /// Names of the files that clients may read.
    pub fn list(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).ctx(Kind::Internal, || format!("Failed listing {:?}", self.directory)),
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| is_log(n)).collect();
        names.order();
        Ok(names)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that is no log file's; [`Kind::NotFound`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        match fs::metadata(&path) {
            Ok(meta) if meta.len() > LIMIT => {
                return Err(Error::invalid(format!("Log file {name:?} is larger than {} MiB", LIMIT >> 20)));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(Error::not_found("Log file not found")),
            _ => {}
        }
        fs::read(&path).ctx(Kind::Internal, || format!("Failed reading {path:?}"))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for `lxc.log`, `lxc.conf` and names that are no log file's; [`Kind::NotFound`].
    pub fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        if name == "lxc.log" || name == "lxc.conf" {
            return Err(Error::invalid("lxc.log and lxc.conf may not be deleted"));
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Err(Error::not_found("Log file not found")),
            other => other.ctx(Kind::Internal, || format!("Failed removing {path:?}")),
        }
    }

    /// A new file for recorded output, and its URL.
    pub fn exec_file(&self, operation: &str, stream: &str) -> Result<(File, String)> {
        let name = format!("exec_{operation}.{stream}");
        make_directory(&self.directory)?;
        let path = self.directory.join(&name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.ctx(Kind::Internal, || format!("Failed making {path:?}"))?;
        Ok((file, format!("{}/logs/{name}", self.url)))
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        match is_log(name) {
            true => Ok(self.directory.join(name)),
            false => Err(Error::invalid(format!("log file name {name} not valid"))),
        }
    }
}

/// Makes the log directory of an instance; LXD's has mode 0700.
pub fn make_directory(directory: &std::path::Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.ctx(Kind::Internal, || format!("Failed making {directory:?}"))
}

/// LXD shows `lxc.log`, `lxc.conf`, `qemu.log` and files that begin with `migration_`, `snapshot_` or `exec_`.
fn is_log(name: &str) -> bool {
    let plain = !name.contains('/') && !name.contains('\0');
    let known = ["lxc.log", "lxc.conf", "qemu.log", "qemu.conf"].contains(&name);
    plain && (known || ["migration_", "snapshot_", "exec_"].iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::is_log;

    #[test]
    fn only_log_files_have_names_of_log_files() {
        assert!(is_log("lxc.log") && is_log("exec_1.stdout"));
        assert!(!is_log("console.log") && !is_log("../lxc.log") && !is_log("exec_/../../x") && !is_log(""));
    }
}
