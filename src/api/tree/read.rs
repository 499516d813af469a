//! What is read from trees: values by themselves, lists, maps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Display};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::de::{Error as _, Expected, Unexpected};
use serde_json::{Map, Number, Value};

use super::Tree;
use super::yaml::{float, truth, whole};

/// What isn't as it was wanted.
#[derive(Debug)]
pub struct Wrong(String);

impl Wrong {
    /// In these words.
    #[cold]
    pub fn new(what: impl Into<String>) -> Wrong {
        Wrong(what.into())
    }

    #[cold]
    pub(super) fn within(self, name: &str) -> Wrong {
        Wrong(format!("{name}: {}", self.0))
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    #[cold]
    fn custom<T: Display>(what: T) -> Wrong {
        Wrong(what.to_string())
    }
}

/// What can be read from a tree; structures and enumerations by [`readable`](super::readable).
pub trait FromTree: Sized {
    /// Whether a structure may be without a member for it.
    const OPTIONAL: bool = false;

    /// Reads it.
    ///
    /// # Errors
    /// What isn't as it has to be.
    fn of(tree: Tree) -> Result<Self, Wrong>;

    /// What stands in its place until it is read.
    fn blank() -> Self;
}

impl Tree {
    #[cold]
    pub(super) fn unwanted(&self, wanted: &dyn Expected) -> Wrong {
        let found = match self {
            Tree::Null | Tree::Blank => Unexpected::Other("null"),
            Tree::Bool(value) => Unexpected::Bool(*value),
            Tree::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Unexpected::Unsigned(value),
                (_, Some(value)) => Unexpected::Signed(value),
                _ => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Tree::Text(text) | Tree::Plain(text) => Unexpected::Str(text),
            Tree::List(_) => Unexpected::Seq,
            Tree::Object(_) | Tree::Map(_) => Unexpected::Map,
        };
        Wrong::invalid_type(found, wanted)
    }

    fn number(self, wanted: &str) -> Result<Number, Wrong> {
        match self {
            Tree::Number(number) => Ok(number),
            Tree::Blank => Ok(0.into()),
            Tree::Plain(text) => {
                let number = whole(&text).or_else(|| Number::from_f64(float(&text)?));
                number.ok_or_else(|| Tree::Plain(text).unwanted(&wanted))
            }
            tree => Err(tree.unwanted(&wanted)),
        }
    }

    /// A whole number of any size that types here have.
    fn integer(self, wanted: &str) -> Result<i128, Wrong> {
        let number = self.number(wanted)?;
        let whole = number.as_u64().map(i128::from).or(number.as_i64().map(i128::from));
        whole.ok_or_else(|| Tree::Number(number).unwanted(&wanted))
    }

    fn list(self) -> Result<Vec<Tree>, Wrong> {
        match self {
            Tree::List(list) => Ok(list),
            Tree::Blank => Ok(Vec::new()),
            tree => Err(tree.unwanted(&"a sequence")),
        }
    }

    fn members(self) -> Result<Vec<(String, Tree)>, Wrong> {
        match self {
            Tree::Object(members) | Tree::Map(members) => Ok(members),
            Tree::Blank => Ok(Vec::new()),
            tree => Err(tree.unwanted(&"a map")),
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ident)*) => {$(
        impl FromTree for $type {
            fn of(tree: Tree) -> Result<$type, Wrong> {
                let number = tree.integer(stringify!($type))?;
                $type::try_from(number).map_err(|_| too_large(number, stringify!($type)))
            }

            fn blank() -> $type {
                0
            }
        }
    )*};
}

#[cold]
fn too_large(number: i128, wanted: &str) -> Wrong {
    Wrong(format!("invalid value: integer `{number}`, expected {wanted}"))
}

whole_numbers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

impl FromTree for f64 {
    fn of(tree: Tree) -> Result<f64, Wrong> {
        Ok(tree.number("f64")?.as_f64().unwrap_or_default())
    }

    fn blank() -> f64 {
        0.0
    }
}

impl FromTree for bool {
    fn of(tree: Tree) -> Result<bool, Wrong> {
        let value = match &tree {
            Tree::Bool(value) => Some(*value),
            Tree::Plain(text) => truth(text),
            Tree::Blank => Some(false),
            _ => None,
        };
        value.ok_or_else(|| tree.unwanted(&"a boolean"))
    }

    fn blank() -> bool {
        false
    }
}

impl FromTree for String {
    fn of(tree: Tree) -> Result<String, Wrong> {
        match tree {
            Tree::Text(text) | Tree::Plain(text) => Ok(text),
            Tree::Blank => Ok(String::new()),
            _ => Err(tree.unwanted(&"a string")),
        }
    }

    fn blank() -> String {
        String::new()
    }
}

impl FromTree for PathBuf {
    fn of(tree: Tree) -> Result<PathBuf, Wrong> {
        String::of(tree).map(PathBuf::from)
    }

    fn blank() -> PathBuf {
        PathBuf::new()
    }
}

macro_rules! addresses {
    ($($type:ident: $blank:expr, $wanted:literal;)*) => {$(
        impl FromTree for $type {
            fn of(tree: Tree) -> Result<$type, Wrong> {
                String::of(tree)?.parse().map_err(|_| Wrong::new(concat!("invalid ", $wanted)))
            }

            fn blank() -> $type {
                $blank
            }
        }
    )*};
}

addresses! {
    IpAddr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), "IP address";
    Ipv4Addr: Ipv4Addr::UNSPECIFIED, "IPv4 address";
    Ipv6Addr: Ipv6Addr::UNSPECIFIED, "IPv6 address";
    SocketAddr: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), "socket address";
}

impl<T: FromTree> FromTree for Option<T> {
    const OPTIONAL: bool = true;

    fn of(tree: Tree) -> Result<Option<T>, Wrong> {
        match tree {
            Tree::Null | Tree::Blank => Ok(None),
            tree => T::of(tree).map(Some),
        }
    }

    fn blank() -> Option<T> {
        None
    }
}

impl<T: FromTree> FromTree for Box<T> {
    fn of(tree: Tree) -> Result<Box<T>, Wrong> {
        T::of(tree).map(Box::new)
    }

    fn blank() -> Box<T> {
        Box::new(T::blank())
    }
}

impl<T: FromTree> FromTree for Vec<T> {
    fn of(tree: Tree) -> Result<Vec<T>, Wrong> {
        tree.list()?.into_iter().map(T::of).collect()
    }

    fn blank() -> Vec<T> {
        Vec::new()
    }
}

impl<T: FromTree + Ord> FromTree for BTreeSet<T> {
    fn of(tree: Tree) -> Result<BTreeSet<T>, Wrong> {
        tree.list()?.into_iter().map(T::of).collect()
    }

    fn blank() -> BTreeSet<T> {
        BTreeSet::new()
    }
}

impl<T: FromTree, const N: usize> FromTree for [T; N] {
    fn of(tree: Tree) -> Result<[T; N], Wrong> {
        let list = Vec::<T>::of(tree)?;
        list.try_into().map_err(|list: Vec<T>| Wrong::invalid_length(list.len(), &format!("{N} elements").as_str()))
    }

    fn blank() -> [T; N] {
        std::array::from_fn(|_| T::blank())
    }
}

macro_rules! tuples {
    ($(($($name:ident: $type:ident),*): $count:literal, $wanted:literal;)*) => {$(
        impl<$($type: FromTree),*> FromTree for ($($type,)*) {
            fn of(tree: Tree) -> Result<($($type,)*), Wrong> {
                let elements = <[Tree; $count]>::try_from(tree.list()?);
                let [$($name),*] = elements.map_err(|list| Wrong::invalid_length(list.len(), &$wanted))?;
                Ok(($($type::of($name)?,)*))
            }

            fn blank() -> ($($type,)*) {
                ($($type::blank(),)*)
            }
        }
    )*};
}

tuples! {
    (a: A, b: B): 2, "two elements";
    (a: A, b: B, c: C): 3, "three elements";
}

impl<T: FromTree> FromTree for BTreeMap<String, T> {
    fn of(tree: Tree) -> Result<BTreeMap<String, T>, Wrong> {
        let mut map = BTreeMap::new();
        for (name, member) in tree.members()? {
            map.insert(name, T::of(member)?);
        }
        Ok(map)
    }

    fn blank() -> BTreeMap<String, T> {
        BTreeMap::new()
    }
}

impl<K: From<String> + Eq + Hash, T: FromTree> FromTree for HashMap<K, T> {
    fn of(tree: Tree) -> Result<HashMap<K, T>, Wrong> {
        tree.members()?.into_iter().map(|(name, member)| Ok((name.into(), T::of(member)?))).collect()
    }

    fn blank() -> HashMap<K, T> {
        HashMap::new()
    }
}

impl FromTree for Value {
    fn of(tree: Tree) -> Result<Value, Wrong> {
        Ok(match tree {
            Tree::Null | Tree::Blank => Value::Null,
            Tree::Bool(value) => Value::Bool(value),
            Tree::Number(number) => Value::Number(number),
            Tree::Text(text) => Value::String(text),
            Tree::Plain(text) => match (truth(&text), whole(&text), float(&text)) {
                (Some(value), ..) => Value::Bool(value),
                (_, Some(number), _) => Value::Number(number),
                (_, _, Some(number)) => Number::from_f64(number).map_or(Value::Null, Value::Number),
                _ => Value::String(text),
            },
            Tree::List(list) => Value::Array(list.into_iter().map(Value::of).collect::<Result<_, _>>()?),
            tree => Value::Object(Map::of(tree)?),
        })
    }

    fn blank() -> Value {
        Value::Null
    }
}

impl FromTree for Map<String, Value> {
    fn of(tree: Tree) -> Result<Map<String, Value>, Wrong> {
        let members = tree.members()?;
        let mut map = Map::with_capacity(members.len());
        for (name, member) in members {
            map.insert(name, Value::of(member)?);
        }
        Ok(map)
    }

    fn blank() -> Map<String, Value> {
        Map::new()
    }
}
