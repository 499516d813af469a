//! Connections of whom nobody knows yet: how many there may be, and who has to go when there are more.
//!
//! Nobody is turned away at the door, since that would let one who opens connections and does nothing lock out all
//! others. The oldest stranger goes instead, of the same address first: who has business has done it by then.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Strangers at once.
const ALL: usize = 1024;
/// Strangers of one address at once.
const OF_ONE: usize = 256;

/// The strangers that are connected. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Room>>);

#[derive(Default)]
struct Room {
    /// By the order in which they came.
    inside: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
    next: u64,
}

/// A stranger's place; free again when this is dropped.
pub struct Stranger {
    strangers: Strangers,
    number: u64,
    out: Arc<Notify>,
}

impl Strangers {
    /// A place for one more; somebody else may have to go for it.
    pub(super) fn enter(&self, from: IpAddr) -> Stranger {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = room.inside.values().filter(|(address, _)| *address == from).count();
        let oldest = match (of_one >= OF_ONE, room.inside.len() >= ALL) {
            (true, _) => room.inside.iter().find(|(_, (address, _))| *address == from).map(|(number, _)| *number),
            (false, true) => room.inside.keys().next().copied(),
            (false, false) => None,
        };
        if let Some((_, out)) = oldest.and_then(|number| room.inside.remove(&number)) {
            out.notify_one();
        }
        let (number, out) = (room.next, Arc::new(Notify::new()));
        room.next += 1;
        room.inside.insert(number, (from, out.clone()));
        Stranger { strangers: self.clone(), number, out }
    }
}

impl Stranger {
    /// Resolves when this one has to go.
    pub fn sent_out(&self) -> impl Future<Output = ()> + Send + 'static {
        let out = self.out.clone();
        async move { out.notified().await }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner).inside.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_goes_for_a_new_one() {
        let (room, of) = (Strangers::default(), |n: u8| IpAddr::from([10, 0, 0, n]));
        let other = room.enter(of(2));
        let mut one: Vec<Stranger> = (0..=OF_ONE).map(|_| room.enter(of(1))).collect();
        one[0].sent_out().await;
        assert_eq!(room.0.lock().unwrap().inside.len(), OF_ONE + 1);
        one.remove(0);
        let many: Vec<Stranger> = (3..9).flat_map(|n| (0..200).map(move |_| n)).map(|n| room.enter(of(n))).collect();
        other.sent_out().await;
        assert_eq!(room.0.lock().unwrap().inside.len(), ALL);
        drop((one, many, other));
        assert!(room.0.lock().unwrap().inside.is_empty());
    }
}
