//! A row of the table: one configuration key and everything said about it in one place.

use super::kind::Kind;

/// One configuration key of one entity.
///
/// Rows are written as `key(name, kind, short)` followed by what differs from the usual, and end with
/// [`Key::applied`] or [`Key::later`].
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name; `user.*` stands for every name with that prefix, `NAME` within a name for one part of it.
    pub name: &'static str,
    /// What the key can be set on.
    pub on: On,
    /// The heading it stands under in the documentation; empty until its table says it.
    pub group: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// What holds when it isn't set, in words for people; empty when nothing does.
    pub default: &'static str,
    /// When a change takes effect.
    pub live: Live,
    /// The API extension that brought it; empty when it was there from the beginning.
    pub since: &'static str,
    /// One line.
    pub short: &'static str,
    /// More than that; empty when there is no more to say.
    pub long: &'static str,
    /// Whether this server acts on it.
    pub support: Support,
    /// Whether the key must be there.
    pub required: bool,
}

/// What a key can be set on, within its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Everything.
    Any,
    /// Containers only.
    Container,
    /// Virtual machines only.
    Vm,
    /// Custom volumes only.
    Custom,
    /// Each member of a cluster has a value of its own.
    Member,
}

/// When a change of a value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// At once.
    Now,
    /// When the instance (or whatever it is) starts the next time.
    Restart,
    /// Never: the value is fixed when the thing is made, a change is refused.
    Fixed,
}

/// Whether this server acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Applied,
    /// Only as far as switching off goes (false, 0); anything else is refused by name until then.
    Off(&'static str),
    /// Not yet: setting it is refused by name. The text says what it waits for.
    Later(&'static str),
}

/// A row with the usual: on everything, no default, takes effect at the next start.
pub(super) const fn key(name: &'static str, kind: Kind, short: &'static str) -> Key {
    Key {
        name,
        on: On::Any,
        group: "",
        kind,
        default: "",
        live: Live::Restart,
        since: "",
        short,
        long: "",
        support: Support::Later(""),
        required: false,
    }
}

impl Key {
    /// Restricts what the key can be set on.
    pub(super) const fn on(mut self, on: On) -> Key {
        self.on = on;
        self
    }

    /// Names the heading.
    pub(super) const fn group(mut self, group: &'static str) -> Key {
        self.group = group;
        self
    }

    /// Says what holds when it isn't set.
    pub(super) const fn default(mut self, default: &'static str) -> Key {
        self.default = default;
        self
    }

    /// A change takes effect at once.
    pub(super) const fn live(mut self) -> Key {
        self.live = Live::Now;
        self
    }

    /// A change is refused.
    pub(super) const fn fixed(mut self) -> Key {
        self.live = Live::Fixed;
        self
    }

    /// Names the API extension that brought the key.
    pub(super) const fn since(mut self, since: &'static str) -> Key {
        self.since = since;
        self
    }

    /// Adds a longer text.
    pub(super) const fn long(mut self, long: &'static str) -> Key {
        self.long = long;
        self
    }

    /// The key must be there.
    pub(super) const fn required(mut self) -> Key {
        self.required = true;
        self
    }

    /// This server acts on it.
    pub(super) const fn applied(mut self) -> Key {
        self.support = Support::Applied;
        self
    }

    /// This server has only the off position of it until `what` is there.
    pub(super) const fn off(mut self, what: &'static str) -> Key {
        self.support = Support::Off(what);
        self
    }

    /// This server refuses it until `what` is there.
    pub(super) const fn later(mut self, what: &'static str) -> Key {
        self.support = Support::Later(what);
        self
    }

    /// Whether this server acts on the key having this value.
    ///
    /// Nothing is asked for by an empty value, nor by false where that is the default.
    pub fn supports(&self, value: &str) -> bool {
        let off = value == "0" || (self.kind == Kind::Bool && !super::is_true(value));
        match self.support {
            _ if value.is_empty() => true,
            Support::Applied => true,
            Support::Off(_) => off,
            Support::Later(_) => off && self.kind == Kind::Bool && self.default == "false",
        }
    }

    /// Whether this row stands for the key `name`.
    ///
    /// Nothing may follow the prefix of a free name space only where LXD itself allows that (`user.`, `image.`).
    pub fn matches(&self, name: &str) -> bool {
        if let Some(prefix) = self.name.strip_suffix('*') {
            return match name.strip_prefix(prefix) {
                Some("") => matches!(prefix, "user." | "image."),
                Some(_) => true,
                None => false,
            };
        }
        match self.name.split_once("NAME") {
            Some((head, tail)) => name
                .strip_prefix(head)
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|middle| !middle.is_empty()),
            None => self.name == name,
        }
    }
}

/// The row for `name`: an exact one before a prefix.
pub(super) fn find(tables: &[&'static [Key]], name: &str) -> Option<&'static Key> {
    let rows = || tables.iter().flat_map(|table| table.iter());
    rows().find(|key| key.name == name).or_else(|| rows().find(|key| key.matches(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[Key] = &[
        key("a.b", Kind::Bool, "x").applied(),
        key("a.NAME.c", Kind::Bool, "x").applied(),
        key("user.*", Kind::Text, "x").applied(),
        key("limits.kernel.*", Kind::Text, "x").applied(),
    ];

    #[test]
    fn names_prefixes_and_placeholders_are_found() {
        let name = |n: &str| find(&[ROWS], n).map(|k| k.name);
        assert_eq!(name("a.b"), Some("a.b"));
        assert_eq!(name("a.x.c"), Some("a.NAME.c"));
        assert_eq!(name("a.x.y.c"), Some("a.NAME.c"));
        assert_eq!(name("a..c"), None);
        assert_eq!(name("a.c"), None);
        assert_eq!(name("user."), Some("user.*"));
        assert_eq!(name("user"), None);
        assert_eq!(name("limits.kernel."), None);
        assert_eq!(name("limits.kernel.nofile"), Some("limits.kernel.*"));
        assert_eq!(name(""), None);
    }
}
