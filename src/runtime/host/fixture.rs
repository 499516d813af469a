//! Made-up hosts for tests: a directory below the temporary one, removed at the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Tree;

pub(crate) struct Fixture(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let name = format!("lxbox-host.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Fixture(dir)
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::below(&self.0)
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Fixture {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// A symbolic link; `target` is relative to the root, as the link's text is relative to its directory.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Fixture {
        let depth = Path::new(path).components().count() - 1;
        let text = format!("{}{target}", "../".repeat(depth));
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::create_dir_all(self.0.join(target)).ok();
        std::os::unix::fs::symlink(text, path).unwrap();
        self
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
