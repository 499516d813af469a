//! `lxc file delete`.

use super::place;
use crate::api::client::file_address;
use crate::cli::commands::args::Words;
use crate::cli::context::Context;
use crate::cli::wait::Wait;
use crate::error::Result;

/// `lxc file delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let places = args.words.iter().map(|word| place(cx, word, "path")).collect::<Result<Vec<_>>>()?;
    for place in places {
        place.target.client.delete(&file_address(&place.instance, &place.path)).wait()?;
    }
    Ok(0)
}
