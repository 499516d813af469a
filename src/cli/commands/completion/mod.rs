//! `lxc completion`: scripts for shells, and the words the scripts ask for.

use super::args::Words;
use crate::cli::complete::candidates;
use crate::cli::context::Context;
use crate::cli::output::emit;
use crate::error::{Error, Result};

/// `lxc completion bash|zsh|fish`, and `lxc completion words -- …` for the scripts.
pub fn completion(cx: &Context, args: Words) -> Result<i32> {
    let script = match args.words[0].as_str() {
        "bash" => include_str!("lxc.bash"),
        "zsh" => include_str!("lxc.zsh"),
        "fish" => include_str!("lxc.fish"),
        "words" => {
            let mut out = String::new();
            for (word, about) in candidates(cx, &args.words[1..]) {
                out += &if about.is_empty() { format!("{word}\n") } else { format!("{word}\t{about}\n") };
            }
            emit(out.as_bytes());
            return Ok(0);
        }
        other => return Err(Error::invalid(format!("Unknown shell {other:?}: there is bash, zsh and fish"))),
    };
    emit(script.as_bytes());
    Ok(0)
}
