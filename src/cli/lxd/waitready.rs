//! `lxd waitready`: returns when the daemon is usable.

use std::time::{Duration, Instant};

use super::api::Api;
use super::socket::SocketApi;
use crate::error::{Error, Kind, Result};

/// How often a daemon that is not there yet is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one answer may take: a daemon that hangs must not make the whole wait hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the daemon says that it is ready; `timeout` in seconds.
///
/// # Errors
/// `Unavailable` when the time is over.
pub(super) fn run(api: &SocketApi, timeout: Option<u64>) -> Result<()> {
    let end = timeout.map(|seconds| (seconds, Instant::now() + Duration::from_secs(seconds)));
    loop {
        let left = end.map_or(PATIENCE, |(_, end)| end.saturating_duration_since(Instant::now()));
        // A read timeout of zero is refused by the standard library.
        let error = match api.within(left.clamp(Duration::from_millis(1), PATIENCE)).get("/internal/ready") {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match end {
            Some((seconds, end)) if Instant::now() + PAUSE >= end => {
                let text = format!("LXD still not running after {seconds}s timeout ({error})");
                return Err(Error::new(Kind::Unavailable, text));
            }
            _ => std::thread::sleep(PAUSE),
        }
    }
}
