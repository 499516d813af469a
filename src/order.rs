//! Sorting and gathering, made once for all types: the standard library's code for either is made anew for each type and
//! each iterator, 5 kB every time.

use std::cmp::Ordering;

/// Sorts as the standard library does (stable), a little slower and much smaller.
pub trait Order<T> {
    /// By the elements' own order.
    fn order(&mut self)
    where
        T: Ord;

    /// By this order.
    fn order_by(&mut self, compare: impl FnMut(&T, &T) -> Ordering);

    /// By what each element has.
    fn order_by_key<K: Ord>(&mut self, key: impl FnMut(&T) -> K);
}

impl<T> Order<T> for [T] {
    fn order(&mut self)
    where
        T: Ord,
    {
        self.order_by(T::cmp);
    }

    fn order_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let mut from = ordered(self.len(), &mut |a, b| compare(&self[a], &self[b]));
        arrange(&mut from, &mut |a, b| self.swap(a, b));
    }

    fn order_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        self.order_by(|a, b| key(a).cmp(&key(b)));
    }
}

/// Where what belongs to each place is now.
fn ordered(length: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut from: Vec<usize> = (0..length).collect();
    from.sort_by(|a, b| compare(*a, *b));
    from
}

/// Brings everything to its place, one ring of exchanges after the other.
fn arrange(from: &mut [usize], swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..from.len() {
        let mut to = start;
        loop {
            let next = std::mem::replace(&mut from[to], to);
            if next == start || next == to {
                break;
            }
            swap(to, next);
            to = next;
        }
    }
}

/// What an iterator gives, in a map or set; of two equal keys the last counts, as with `collect`.
pub trait Gather: Iterator + Sized {
    /// Puts one after the other into a new collection.
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }

    /// The same of results, up to the first error.
    fn try_gather<T, E, C: Default + Extend<T>>(self) -> Result<C, E>
    where
        Self: Iterator<Item = Result<T, E>>,
    {
        let mut all = C::default();
        for one in self {
            all.extend(Some(one?));
        }
        Ok(all)
    }
}

impl<I: Iterator> Gather for I {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sorts_as_the_standard_library_does() {
        let mut seed = 1_u32;
        for length in (0..70).chain([500]) {
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % 20
            };
            let mixed: Vec<(u32, String)> = (0..length).map(|n| (next(), n.to_string())).collect();
            let (mut ours, mut theirs) = (mixed.clone(), mixed.clone());
            ours.order_by_key(|(n, _)| *n);
            theirs.sort_by_key(|(n, _)| *n);
            assert_eq!(ours, theirs);
            ours.order();
            theirs.sort();
            assert_eq!(ours, theirs);
            ours.order_by(|a, b| b.1.cmp(&a.1));
            theirs.sort_by(|a, b| b.1.cmp(&a.1));
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let map: BTreeMap<u8, char> = [(1, 'a'), (2, 'b'), (1, 'c')].into_iter().gather();
        assert_eq!(map, [(1, 'c'), (2, 'b')].into());
        let tried = |last: &str| [Ok((1, 'a')), last.parse().map(|n| (n, 'd'))].into_iter().try_gather();
        assert_eq!(tried("2"), Ok(BTreeMap::from([(1, 'a'), (2, 'd')])));
        assert!(tried("x").is_err());
    }
}
