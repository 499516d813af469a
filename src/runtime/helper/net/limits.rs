//! How much a bridge's guests can make the helper do and remember.

use std::time::{Duration, Instant};

/// Leases of both kinds, at most; more clients get none.
pub const LEASES: usize = 4096;
/// Addresses that were offered and not yet asked for, at most: the oldest is forgotten.
pub const OFFERS: usize = 1024;
/// Addresses that clients found in use, at most.
pub const DECLINED: usize = 256;
/// Questions waiting for an upstream resolver, at most, and of one client.
pub const FORWARDS: usize = 150;
/// See [`FORWARDS`].
pub const FORWARDS_OF_ONE: usize = 50;
/// Connections for DNS over TCP, at most.
pub const CONNECTIONS: usize = 16;
/// Packets taken from one socket before the others get their turn.
pub const BATCH: usize = 64;
/// Connections of daemons, at most.
pub const DAEMONS: usize = 4;
/// Bytes of a received packet, at most: what is longer is cut off, and then fails to decode.
pub const PACKET: usize = 4096;

/// So many things at once, and so many a second in the long run.
#[derive(Debug)]
pub struct Bucket {
    size: f64,
    rate: f64,
    level: f64,
    last: Instant,
}

impl Bucket {
    /// A full one: `burst` at once, `rate` a second.
    pub fn new(burst: u32, rate: u32, now: Instant) -> Bucket {
        Bucket { size: burst.into(), rate: rate.into(), level: burst.into(), last: now }
    }

    /// Whether one more may be.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.last);
        self.last = now;
        self.level = (self.level + passed.as_secs_f64() * self.rate).min(self.size);
        let may = self.level >= 1.0;
        if may {
            self.level -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 10, start);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        let later = start + Duration::from_millis(250);
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 2);
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..5).filter(|_| bucket.take(much_later)).count(), 3);
    }
}
