//! Values a field is compared with, as bytes in the network's order: one, a span, or several in a set without a name.

use super::model::Span;
use crate::order::Order;

/// Spans of bytes, all of one length, in order, that neither overlap nor touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    /// The spans: lowest and highest, both included.
    pub spans: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether more than one was asked for; several that became one stay a set, as nft(8) does it.
    pub several: bool,
}

impl Values {
    pub fn new<T: Copy>(spans: &[Span<T>], bytes: impl Fn(T) -> Vec<u8>) -> Values {
        let mut all: Vec<_> = spans.iter().map(|s| (bytes(s.from), bytes(s.to))).collect();
        all.retain(|(from, to)| from <= to && from.len() == to.len());
        all.order();
        let single = all.iter().all(|(from, to)| from == to);
        let mut merged: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (from, to) in all {
            match merged.last_mut() {
                Some(last) if touches(&last.1, &from) && !(single && last.1 != from) => {
                    last.1 = last.1.clone().max(to);
                }
                _ => merged.push((from, to)),
            }
        }
        Values { spans: merged, several: spans.len() > 1 }
    }

    /// Whether any is more than one value.
    pub fn has_spans(&self) -> bool {
        self.spans.iter().any(|(from, to)| from != to)
    }

    /// The elements of a set with these values, each with whether it is the first value behind a span.
    pub fn elements(&self) -> Vec<(Vec<u8>, bool)> {
        if !self.has_spans() {
            return self.spans.iter().map(|(value, _)| (value.clone(), false)).collect();
        }
        let mut elements = Vec::new();
        // What is below the first span is no member.
        if let Some((first, _)) = self.spans.first().filter(|(first, _)| first.iter().any(|b| *b != 0)) {
            elements.push((vec![0; first.len()], true));
        }
        for (from, to) in &self.spans {
            elements.push((from.clone(), false));
            elements.extend(next(to).map(|end| (end, true)));
        }
        elements
    }
}

/// Whether `from` is at most one behind `to`.
fn touches(to: &[u8], from: &[u8]) -> bool {
    next(to).is_none_or(|next| from <= next.as_slice())
}

/// One more; nothing is behind the highest.
fn next(value: &[u8]) -> Option<Vec<u8>> {
    let mut next = value.to_vec();
    for byte in next.iter_mut().rev() {
        let (more, over) = byte.overflowing_add(1);
        *byte = more;
        if !over {
            return Some(next);
        }
    }
    None
}

/// How many bits at the beginning all values from `from` to `to` share, when they are all that begin so.
pub(super) fn common_prefix(from: &[u8], to: &[u8]) -> Option<usize> {
    let bits = |bytes: &[u8]| -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1 == 1)).collect()
    };
    let (from, to) = (bits(from), bits(to));
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let whole = from.iter().skip(same).all(|bit| !bit) && to.iter().skip(same).all(|bit| *bit);
    whole.then_some(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(spans: &[(u16, u16)]) -> Values {
        let spans: Vec<_> = spans.iter().map(|(from, to)| Span { from: *from, to: *to }).collect();
        Values::new(&spans, |port: u16| port.to_be_bytes().to_vec())
    }

    #[test]
    fn spans_that_overlap_or_touch_become_one() {
        assert_eq!(ports(&[(80, 90), (85, 99)]), ports(&[(90, 99), (80, 89)]));
        assert_eq!(ports(&[(80, 90), (1, 2)]).spans.len(), 2);
        assert_eq!(ports(&[(0, 65_535), (7, 7)]).spans, [(vec![0, 0], vec![255, 255])]);
        // Single values next to each other stay single: such a set needs no spans.
        assert_eq!(ports(&[(5, 5), (6, 6), (5, 5)]).spans.len(), 2);
        // A span that ends before it begins is none.
        assert!(ports(&[(9, 8)]).spans.is_empty());
    }

    #[test]
    fn sets_of_spans_say_where_spans_end() {
        let element = |value: u16, end| (value.to_be_bytes().to_vec(), end);
        let wanted = [element(0, true), element(22, false), element(23, true), element(80, false), element(91, true)];
        assert_eq!(ports(&[(80, 90), (22, 22)]).elements(), wanted);
        assert_eq!(
            ports(&[(0, 3), (65_530, 65_535)]).elements(),
            [element(0, false), element(4, true), element(65_530, false)]
        );
        assert_eq!(ports(&[(5, 5), (7, 7)]).elements(), [element(5, false), element(7, false)]);
    }

    #[test]
    fn prefixes_are_seen_in_spans() {
        assert_eq!(common_prefix(&[10, 1, 1, 0], &[10, 1, 1, 255]), Some(24));
        assert_eq!(common_prefix(&[0xfe, 0x80], &[0xfe, 0xbf]), Some(10));
        assert_eq!(common_prefix(&[7], &[7]), Some(8));
        assert_eq!(common_prefix(&[0], &[255]), Some(0));
        assert_eq!(common_prefix(&[10, 5], &[10, 9]), None);
    }
}
