//! A made-up `/sys`, `/proc` and `/dev` for tests: a directory below the temporary one, removed at the end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) struct Tree(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Tree {
    pub(super) fn new() -> Tree {
        let name = format!("lxbox-tree.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Tree(root)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Files of one line each, in a directory that is made.
    pub(super) fn put(&self, place: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(self.0.join(place)).unwrap();
        let write = |(name, text): &(&str, &str)| fs::write(self.0.join(place).join(name), format!("{text}\n"));
        files.iter().for_each(|file| write(file).unwrap());
    }

    /// A link to something of the tree, or of the real one for what begins with `/`: so anybody can have device nodes in it.
    pub(super) fn link(&self, name: &str, target: &str) {
        fs::create_dir_all(self.0.join(name).parent().unwrap()).unwrap();
        symlink(self.0.join(target), self.0.join(name)).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        let path = self.0.join(name);
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
