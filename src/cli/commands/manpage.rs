//! `lxc manpage`.

use std::path::Path;

use super::args::Format;
use super::file::local;
use crate::cli::context::Context;
use crate::cli::manual::{self, pages};
use crate::error::{Error, Result};

/// `lxc manpage`.
pub fn manpage(_: &Context, args: Format) -> Result<i32> {
    let wrong = || Error::invalid(format!("Invalid format {:?}", args.format));
    let format = manual::Format::named(&args.format).ok_or_else(wrong)?;
    for (name, text) in pages(format) {
        let file = Path::new(&args.words[0]).join(name);
        std::fs::write(&file, text).map_err(|e| local("open", &file.to_string_lossy(), &e))?;
    }
    Ok(0)
}
