//! Content on its way to or from a server, and how far it is.

use std::io::Write;
use std::time::{Duration, Instant};

use super::context::Context;
use super::output::{BROKEN_PIPE, Progress};
use super::wait::Wait;
use crate::api::client::{Download, Progress as Report};
use crate::error::{Ctx, Kind, Result};

/// How often the line is rewritten.
const PACE: Duration = Duration::from_millis(100);

/// A line with the share that is done, or what has come so far, and the speed.
struct Meter {
    progress: Progress,
    label: String,
    began: Instant,
    shown: Option<Instant>,
}

impl Meter {
    fn new(cx: &Context, label: &str) -> Option<Meter> {
        let progress = Progress::new(cx.quiet);
        let visible = progress.visible();
        visible.then(|| Meter { progress, label: label.to_string(), began: Instant::now(), shown: None })
    }

    fn tell(&mut self, done: u64, all: u64) {
        let (now, ended) = (Instant::now(), done == all);
        if !ended && self.shown.is_some_and(|shown| now - shown < PACE) {
            return;
        }
        self.shown = Some(now);
        let speed = size(done as f64 / self.began.elapsed().as_secs_f64().max(1e-3));
        let far = match all {
            0 => size(done as f64),
            all => format!("{}%", done * 100 / all),
        };
        self.progress.update(&format!("{}: {far} ({speed}/s)", self.label));
    }
}

/// A size in powers of 1000, as progress shows it.
fn size(bytes: f64) -> String {
    let (mut value, mut name) = (bytes, "B");
    for unit in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, name) = (value / 1000.0, unit);
    }
    format!("{value:.2}{name}")
}

/// What tells the user how far an upload is; none when nobody looks.
pub fn sending(cx: &Context, label: &str) -> Option<Report> {
    let mut meter = Meter::new(cx, label)?;
    Some(Box::new(move |sent, all| meter.tell(sent, all)))
}

/// Writes what arrives. `what` is the label of its progress, and the place; at `-`, standard output, nothing else is
/// said, and a reader that went away ends the program.
pub fn receive(cx: &Context, mut from: Download, to: &mut dyn Write, what: (&str, &str)) -> Result<()> {
    let (label, place) = what;
    let mut meter = if place == "-" { None } else { Meter::new(cx, label) };
    let (mut done, all) = (0, from.length.unwrap_or(0));
    let failed = || format!("Failed writing {place:?}");
    while let Some(piece) = from.next().wait()? {
        match to.write_all(&piece) {
            Err(_) if place == "-" => std::process::exit(BROKEN_PIPE),
            written => written.ctx(Kind::Internal, failed)?,
        }
        done += piece.len() as u64;
        if let Some(meter) = &mut meter {
            meter.tell(done, all);
        }
    }
    to.flush().ctx(Kind::Internal, failed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn speeds_have_two_digits() {
        assert_eq!(super::size(12_660_000.0), "12.66MB");
        assert_eq!(super::size(999.0), "999.00B");
    }
}
