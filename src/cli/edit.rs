//! The user's editor.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::output::note;
use crate::error::{Ctx, Error, Kind, Result};

/// Lets the user edit a text until `apply` takes it. Blocks.
pub fn edit(text: &str, apply: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let mut content = in_editor(text)?;
    loop {
        let Err(error) = apply(&content) else { return Ok(()) };
        note!("Config parsing error: {}", error.message());
        note!("Press enter to open the editor again or ctrl+c to abort change");
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).ctx(Kind::Internal, || "Failed reading the answer")?;
        if read == 0 {
            return Err(error);
        }
        content = in_editor(&content)?;
    }
}

/// A temporary file that goes away by itself.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Opens the user's editor on a text and returns what was made of it. Blocks.
pub fn in_editor(text: &str) -> Result<String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
    let editor = set("VISUAL")
        .or_else(|| set("EDITOR"))
        .or_else(found)
        .ok_or_else(|| Error::not_found("No text editor found, please set the EDITOR environment variable"))?;
    let path = std::env::temp_dir().join(format!("lxd_editor_{}.yaml", std::process::id()));
    let failed = || format!("Failed writing {:?}", path.display());
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.ctx(Kind::Internal, failed)?;
    let scratch = Scratch(path.clone());
    file.write_all(text.as_bytes()).ctx(Kind::Internal, failed)?;
    drop(file);
    let words = super::aliases::words(&editor)?;
    let (program, arguments) = words.split_first().ok_or_else(|| Error::invalid("The editor has no name"))?;
    let status = std::process::Command::new(program).args(arguments).arg(&scratch.0).status();
    let status = status.ctx(Kind::Internal, || format!("Failed starting the editor {program:?}"))?;
    if !status.success() {
        return Err(Error::internal(format!("The editor {program:?} failed: {status}")));
    }
    std::fs::read_to_string(&scratch.0).ctx(Kind::Internal, || format!("Failed reading {:?}", scratch.0.display()))
}

/// The first of the usual editors on the search path.
fn found() -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let there = |name: &&str| std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    ["editor", "vi", "emacs", "nano"].iter().find(|name| there(name)).map(|name| name.to_string())
}
