//! Leases: what an operation takes before it works on several things, so that `copy a b` and `copy b a` can't
//! wait for each other.
//!
//! All leases of an operation are asked for at once and taken in one order for everybody: by class
//! (project < image < pool < volume < network < profile < instance), then by id.

use crate::order::Order;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Classes in the order in which leases are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A project.
    Project,
    /// An image, by fingerprint.
    Image,
    /// A storage pool.
    Pool,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// A profile.
    Profile,
    /// An instance, by project and name.
    Instance,
}

/// What a lease is on, and whether others may hold it too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want {
    class: Class,
    id: String,
    exclusive: bool,
}

impl Want {
    /// A lease that others may share.
    pub fn shared(class: Class, id: impl Into<String>) -> Want {
        Want { class, id: id.into(), exclusive: false }
    }

    /// A lease for one holder alone.
    pub fn exclusive(class: Class, id: impl Into<String>) -> Want {
        Want { class, id: id.into(), exclusive: true }
    }
}

/// A lease held; given back when dropped.
pub struct Lease {
    _held: Vec<Guard>,
}

enum Guard {
    Shared(#[allow(dead_code)] OwnedRwLockReadGuard<()>),
    Exclusive(#[allow(dead_code)] OwnedRwLockWriteGuard<()>),
}

type Locks = HashMap<(Class, String), Weak<RwLock<()>>>;

/// All leases of the daemon. Cheap to clone.
#[derive(Clone, Default)]
pub struct Leases(Arc<Mutex<Locks>>);

impl Leases {
    /// Takes all of these, waiting for each in the common order. A thing wanted twice is taken once, exclusively
    /// if any want says so.
    pub async fn take(&self, mut wants: Vec<Want>) -> Lease {
        // Exclusive sorts after shared of the same thing; the reversed dedup keeps the stronger one.
        wants.order();
        wants.reverse();
        wants.dedup_by(|weaker, stronger| weaker.class == stronger.class && weaker.id == stronger.id);
        wants.reverse();
        let mut held = Vec::with_capacity(wants.len());
        for want in wants {
            let lock = self.lock_of(want.class, want.id);
            held.push(match want.exclusive {
                true => Guard::Exclusive(lock.write_owned().await),
                false => Guard::Shared(lock.read_owned().await),
            });
        }
        Lease { _held: held }
    }

    fn lock_of(&self, class: Class, id: String) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() > 1024 {
            locks.retain(|_, weak| weak.strong_count() > 0);
        }
        let slot = locks.entry((class, id)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let lock = Arc::new(RwLock::new(()));
            *slot = Arc::downgrade(&lock);
            lock
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn opposite_pairs_of_operations_never_wait_for_each_other() {
        let leases = Leases::default();
        let pair = |a: &'static str, b: &'static str| {
            let leases = leases.clone();
            async move {
                for _ in 0..2000 {
                    let wants = vec![Want::shared(Class::Instance, a), Want::exclusive(Class::Instance, b)];
                    let _lease = leases.take(wants).await;
                    tokio::task::yield_now().await;
                }
            }
        };
        let both = async { tokio::join!(tokio::spawn(pair("a", "b")), tokio::spawn(pair("b", "a"))) };
        let done = tokio::time::timeout(std::time::Duration::from_secs(60), both).await;
        assert!(done.is_ok_and(|(x, y)| x.is_ok() && y.is_ok()));
    }

    #[tokio::test]
    async fn an_exclusive_lease_keeps_others_out_and_comes_back() {
        let leases = Leases::default();
        let want = || vec![Want::shared(Class::Profile, "p"), Want::exclusive(Class::Profile, "p")];
        let held = leases.take(want()).await;
        let second = tokio::time::timeout(std::time::Duration::from_millis(20), leases.take(want())).await;
        assert!(second.is_err());
        drop(held);
        leases.take(want()).await;
    }
}
