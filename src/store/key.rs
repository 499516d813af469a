//! Keys: ordered bytes that sort like the values they are made of.

use super::tables::Table;

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The table the row is in.
    pub table: Table,
    /// The row's place in the table.
    pub bytes: Vec<u8>,
}

impl Key {
    /// The key of `table` made of these parts.
    pub fn new(table: Table, parts: &impl AsKey) -> Key {
        Key { table, bytes: KeyBytes::of(parts).0 }
    }
}

impl Key {
    /// The number that it begins with, in tables whose keys do.
    pub fn number(&self) -> Option<u64> {
        self.bytes.first_chunk().copied().map(u64::from_be_bytes)
    }

    /// The text that it begins with, in tables whose keys do; of one with a zero byte a part.
    pub fn text(&self) -> Option<&str> {
        let end = self.bytes.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&self.bytes[..end]).ok()
    }
}

/// All keys that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The table, or none for every table.
    pub table: Option<Table>,
    /// How the keys begin.
    pub bytes: Vec<u8>,
}

impl Prefix {
    /// Every key there is.
    pub fn all() -> Prefix {
        Prefix { table: None, bytes: Vec::new() }
    }

    /// Every key of a table.
    pub fn table(table: Table) -> Prefix {
        Prefix { table: Some(table), bytes: Vec::new() }
    }

    /// The keys of a table whose first parts are these.
    pub fn of(table: Table, parts: &impl AsKey) -> Prefix {
        Prefix { table: Some(table), bytes: KeyBytes::of(parts).0 }
    }

    /// Whether the key is below this prefix.
    pub fn covers(&self, key: &Key) -> bool {
        self.table.is_none_or(|t| t == key.table) && key.bytes.starts_with(&self.bytes)
    }
}

/// A key being put together.
///
/// Texts are closed by `00 01`, with `00` inside escaped as `00 FF`, so that neither the end of one part nor what a
/// stranger puts into a name can run into the next, and the order is that of the parts.
#[derive(Clone, Debug, Default)]
pub struct KeyBytes(pub Vec<u8>);

impl KeyBytes {
    /// How a text part ends.
    pub const END: [u8; 2] = [0, 1];

    /// The bytes of these parts.
    pub fn of(parts: &impl AsKey) -> KeyBytes {
        let mut bytes = KeyBytes::default();
        parts.append_to(&mut bytes);
        bytes
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend(Self::END);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }
}

/// What can stand in a key: numbers, texts and tuples of them.
pub trait AsKey {
    /// Adds this part.
    fn append_to(&self, bytes: &mut KeyBytes);
}

impl AsKey for u64 {
    fn append_to(&self, bytes: &mut KeyBytes) {
        bytes.number(*self);
    }
}

impl AsKey for &str {
    fn append_to(&self, bytes: &mut KeyBytes) {
        bytes.text(self);
    }
}

impl AsKey for String {
    fn append_to(&self, bytes: &mut KeyBytes) {
        bytes.text(self);
    }
}

impl AsKey for () {
    fn append_to(&self, _: &mut KeyBytes) {}
}

macro_rules! tuple_key {
    ($($part:ident $index:tt),+) => {
        impl<$($part: AsKey),+> AsKey for ($($part,)+) {
            fn append_to(&self, bytes: &mut KeyBytes) {
                $(self.$index.append_to(bytes);)+
            }
        }
    };
}
tuple_key!(A 0, B 1);
tuple_key!(A 0, B 1, C 2);
tuple_key!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_their_parts() {
        let mut parts = vec![
            ("a", "b", 1u64),
            ("a", "b", 256),
            ("a", "b\0", 0),
            ("a", "ba", 0),
            ("a", "", 9),
            ("a\0", "a", 0),
            ("a\u{1}", "a", 0),
            ("ab", "a", 0),
            ("", "z", 3),
        ];
        let mut by_bytes: Vec<_> = parts.iter().map(|p| (KeyBytes::of(p).0, *p)).collect();
        parts.sort();
        by_bytes.sort();
        assert_eq!(by_bytes.iter().map(|p| p.1).collect::<Vec<_>>(), parts);
    }

    #[test]
    fn a_prefix_ends_with_its_part() {
        let project = Prefix::of(Table::InstanceNames, &"p");
        assert!(project.covers(&Key::new(Table::InstanceNames, &("p", "c1"))));
        assert!(!project.covers(&Key::new(Table::InstanceNames, &("p1", "c1"))));
        assert!(!project.covers(&Key::new(Table::InstanceNames, &("p\0", "c1"))));
        assert!(!project.covers(&Key::new(Table::ProfileNames, &("p", "c1"))));
    }
}
