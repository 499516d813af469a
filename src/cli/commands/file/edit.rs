//! `lxc file edit`.

use super::{Place, place};
use crate::api::client::{FileContent, Piece, Upload, file_address};
use crate::cli::commands::args::Words;
use crate::cli::context::Context;
use crate::cli::edit::in_editor;
use crate::cli::terminal::is_terminal;
use crate::cli::wait::Wait;
use crate::error::{Error, Kind, Result};

/// The most that is opened in an editor, in bytes.
const MAX_TEXT: usize = 256 << 20;

/// `lxc file edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let place = place(cx, &args.words[0], "target")?;
    // Owner and permissions stay those of the file, if there is one.
    if !is_terminal(std::io::stdin()) {
        return write(&place, vec![Piece::Reader(Box::new(tokio::io::stdin()))]);
    }
    let found = place.target.client.file(&place.instance, &place.path).wait()?;
    let mut text = Vec::new();
    match found.content {
        FileContent::File(mut download) => {
            while let Some(piece) = download.next().wait()? {
                text.extend_from_slice(&piece);
                if text.len() > MAX_TEXT {
                    return Err(Error::invalid(format!("The file {:?} is too large to be edited", place.path)));
                }
            }
        }
        _ => return Err(Error::invalid(format!("The path {:?} is no file", place.path))),
    }
    let text = String::from_utf8(text);
    let text = text.map_err(|_| Error::new(Kind::Invalid, format!("The file {:?} is no text", place.path)))?;
    let text = in_editor(&text)?;
    write(&place, vec![Piece::Bytes(text.into())])
}

fn write(place: &Place, content: Vec<Piece>) -> Result<i32> {
    let address = file_address(&place.instance, &place.path);
    let headers = vec![("X-LXD-type", "file".to_string())];
    place.target.client.upload(Upload { address, headers, content }, None).wait()?;
    Ok(0)
}
