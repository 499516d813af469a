//! The AppArmor label that a program of a guest is executed with.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::{Fail, What};

/// A label, and the way to say it to the kernel: through the host's `/proc`, since a guest may have put anything on its own.
pub(crate) struct Label<'a> {
    proc: OwnedFd,
    text: &'a str,
}

/// Opens that way, while `/proc` is the host's. `None` for an empty label.
pub(crate) fn prepare(text: &str) -> Result<Option<Label<'_>>, Fail> {
    if text.is_empty() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).what(|| "opening \"/proc\" of the host")?;
    Ok(Some(Label { proc, text }))
}

impl Label<'_> {
    /// From its next execution on this process has the label. (That execution also forgets [`crate::runtime::sys::process::die_with_parent`].)
    pub(crate) fn take_on_exec(self) -> Result<(), Fail> {
        // Opened by the process that it is about: the kernel wants it so.
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let what = || format!("taking the AppArmor label {:?}", self.text);
        let file = rustix::fs::openat(&self.proc, "self/attr/apparmor/exec", flags, Mode::empty()).what(what)?;
        rustix::io::write(&file, format!("exec {}", self.text).as_bytes()).what(what)?;
        Ok(())
    }
}
