//! A directory of a test's own, and unpacking into it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use lxbox::Result;
use lxbox::runtime::helper::unpack::plan::Outcome;
use lxbox::runtime::helper::unpack::{Limits, unpack_image};

/// Goes with everything in it when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("lxbox-archive-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("target")).unwrap();
        Scratch(path)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    /// Where a root file system comes to lie.
    pub fn root(&self, below: &str) -> PathBuf {
        self.0.join("target/rootfs").join(below)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Unpacks a unified image, in this process.
    pub fn unpack(&self, archive: &Path) -> Result<Outcome> {
        self.unpack_with(&[archive], true, Limits::default())
    }

    pub fn unpack_with(&self, archives: &[&Path], devices: bool, limits: Limits) -> Result<Outcome> {
        let target = File::open(self.path("target")).unwrap();
        let files = archives.iter().map(|path| File::open(path).unwrap()).collect();
        unpack_image(target.into(), files, devices, limits)
    }

    /// The words of the error of unpacking these bytes as a unified image.
    pub fn refusal(&self, bytes: &[u8], limits: Limits) -> String {
        let archive = self.write("archive", bytes);
        self.unpack_with(&[&archive], true, limits).expect_err("the archive was taken").message().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a shell script in a directory; it must succeed.
pub fn sh(directory: &Path, script: &str) {
    let output = Command::new("bash").arg("-euc").arg(script).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The output of a program.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
