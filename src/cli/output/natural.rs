//! The order of rows: by columns, with numbers inside names compared as numbers.

use crate::order::Order;
use std::cmp::Ordering;

/// Sorts rows by their first column, then the next, in natural order; rows with an empty cell come last.
pub fn sort_rows(rows: &mut [Vec<String>]) {
    rows.order_by(|a, b| by_columns(a, b));
}

fn by_columns(a: &[String], b: &[String]) -> Ordering {
    for (x, y) in a.iter().zip(b) {
        if x != y {
            return match (x.is_empty(), y.is_empty()) {
                (true, _) => Ordering::Greater,
                (_, true) => Ordering::Less,
                _ => natural(x, y),
            };
        }
    }
    Ordering::Equal
}

/// Compares texts; runs of digits by value, then by length (`a2 < a02 < a10`).
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y, mut inside) = (a.as_bytes(), b.as_bytes(), false);
    while let (Some(p), Some(q)) = (x.first(), y.first()) {
        if !p.is_ascii_digit() || !q.is_ascii_digit() {
            if p != q {
                // Where one goes on with a number, its word has ended.
                return match (inside, p.is_ascii_digit(), q.is_ascii_digit()) {
                    (true, true, false) => Ordering::Less,
                    (true, false, true) => Ordering::Greater,
                    _ => p.cmp(q),
                };
            }
            (x, y, inside) = (&x[1..], &y[1..], true);
            continue;
        }
        let digits = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
        let ((n, x_rest), (m, y_rest)) = (x.split_at(digits(x)), y.split_at(digits(y)));
        let value = |n: &[u8]| n.iter().skip_while(|c| **c == b'0').copied().collect::<Vec<u8>>();
        let (v, w) = (value(n), value(m));
        let order = v.len().cmp(&w.len()).then(v.cmp(&w)).then(n.len().cmp(&m.len()));
        if order != Ordering::Equal {
            return order;
        }
        (x, y, inside) = (x_rest, y_rest, false);
    }
    x.len().cmp(&y.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = ["c10", "c9", "c", "b1", "c09", "13c5", "6c82", "cc1"].map(String::from);
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["6c82", "13c5", "b1", "c", "c9", "c09", "c10", "cc1"]);
        let mut names = ["p.a", "p q", "p2", "p-a", "p10", "p1", "p", "P1", "1p", "-p"].map(String::from);
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["-p", "1p", "P1", "p", "p1", "p2", "p10", "p q", "p-a", "p.a"]);
    }
}
