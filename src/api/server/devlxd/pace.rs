//! How fast a guest is answered.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests a second, on the long run.
const RATE: f64 = 100.0;
/// Requests at once after a rest.
const BURST: f64 = 200.0;

/// A bucket that fills by the clock and is emptied by requests.
pub(super) struct Pace(Mutex<(f64, Instant)>);

impl Default for Pace {
    fn default() -> Pace {
        Pace(Mutex::new((BURST, Instant::now())))
    }
}

impl Pace {
    /// Waits until it is the guest's turn again.
    pub(super) async fn wait(&self) {
        while let Err(pause) = self.take(Instant::now()) {
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes a turn, or says how long there is none.
    fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, filled) = *bucket;
        let left = (left + now.saturating_duration_since(filled).as_secs_f64() * RATE).min(BURST);
        let turn = left >= 1.0;
        *bucket = (if turn { left - 1.0 } else { left }, now.max(filled));
        if turn { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / RATE)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert_eq!((0..1000).filter(|_| pace.take(start).is_ok()).count(), 200);
        assert!(pace.take(start).unwrap_err() <= Duration::from_millis(10));
        let later = start + Duration::from_millis(500);
        assert_eq!((0..1000).filter(|_| pace.take(later).is_ok()).count(), 50);
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..1000).filter(|_| pace.take(much_later).is_ok()).count(), 200);
    }
}
