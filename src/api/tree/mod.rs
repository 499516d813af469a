//! Documents, in JSON or YAML, as the one tree that all types are read from.
//!
//! Between text and type, so that each type's reader is made once, and not for every format, each of which is larger than
//! this one. What a type is read by is a table of its fields ([`readable`]). JSON is read by the rules of the decoder that LXD has (Go's `encoding/json`): members of structures are known
//! whatever the case of their letters, the last of two of a name counts, and a list is no structure.

mod fields;
mod read;
mod readable;
mod yaml;

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

pub use fields::{Field, Place, Shape, Spelling, Variant};
pub use read::{FromTree, Wrong};
pub(crate) use readable::{attribute, readable, variants};
pub use yaml::{Twice, from_yaml, is_yaml_map, to_yaml};

/// A document, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing.
    Null,
    /// Nothing, which is an empty text, list or map where one is wanted.
    Blank,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// YAML without quotes: a text where one is wanted, else what it looks like.
    Plain(String),
    /// A list.
    List(Vec<Tree>),
    /// Members of JSON, in their order; one name may stand twice.
    Object(Vec<(String, Tree)>),
    /// A map of YAML, each key of which stands once, and is known by its own spelling alone.
    Map(Vec<(String, Tree)>),
}

/// Reads a JSON document.
///
/// # Errors
/// What is no JSON, with its line; what isn't as the type wants it, by the names of the members it is in.
pub fn from_slice<T: FromTree>(json: &[u8]) -> serde_json::Result<T> {
    read(serde_json::from_slice(json)?)
}

/// Reads a JSON document; members that are `null` count as missing.
///
/// Go clients send `null` for empty lists, maps and strings, and every member may be missing.
///
/// # Errors
/// As [`from_slice`].
pub fn from_json<T: FromTree>(json: &[u8]) -> serde_json::Result<T> {
    let mut tree: Tree = serde_json::from_slice(json)?;
    tree.drop_nulls();
    read(tree)
}

/// Reads an object out of a tree of JSON.
///
/// # Errors
/// What isn't as the type wants it, by the names of the members it is in.
pub fn from_tree<T: FromTree>(tree: &serde_json::Value) -> serde_json::Result<T> {
    read(Tree::deserialize(tree)?)
}

/// Reads an object out of a request's tree, in which `null` is what is empty, and counts as missing in structures.
///
/// # Errors
/// As [`from_tree`].
pub fn from_request<T: FromTree>(tree: &serde_json::Value) -> serde_json::Result<T> {
    let mut tree = Tree::deserialize(tree)?;
    tree.blank_nulls();
    read(tree)
}

fn read<T: FromTree>(tree: Tree) -> serde_json::Result<T> {
    T::of(tree).map_err(serde_json::Error::custom)
}

impl Tree {
    fn drop_nulls(&mut self) {
        match self {
            Tree::Object(members) => {
                members.retain(|(_, member)| *member != Tree::Null);
                members.iter_mut().for_each(|(_, member)| member.drop_nulls());
            }
            Tree::List(list) => list.iter_mut().for_each(Tree::drop_nulls),
            _ => {}
        }
    }

    fn blank_nulls(&mut self) {
        match self {
            Tree::Null => *self = Tree::Blank,
            Tree::Object(members) => members.iter_mut().for_each(|(_, member)| member.blank_nulls()),
            Tree::List(list) => list.iter_mut().for_each(Tree::blank_nulls),
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Tree, D::Error> {
        from.deserialize_any(Whatever)
    }
}

struct Whatever;

impl<'de> Visitor<'de> for Whatever {
    type Value = Tree;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a document")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Tree::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::json;

    use super::*;
    use crate::api::types::{InstancePut, InstancesPost};

    readable! {
        #[derive(Debug, PartialEq, Serialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Plain,
            Wrapped(u8),
            Pair((u8, String)),
            Named { a: Option<i64>, b: f64 },
        }

        #[derive(Debug, PartialEq, Serialize)]
        #[serde(tag = "say", rename_all = "snake_case")]
        enum Said {
            GoodDay {
                to: u32,
            },
            #[serde(rename = "adieu")]
            Bye,
            #[serde(other, skip_serializing)]
            Unknown,
        }

        #[derive(Debug, PartialEq, Serialize)]
        struct Rest {
            #[serde(rename = "7")]
            seven: serde_json::Value,
        }

        #[derive(Debug, PartialEq, Serialize)]
        struct All {
            kinds: Vec<Kind>,
            said: Said,
            pairs: BTreeMap<String, (bool, [u8; 2])>,
            #[serde(default)]
            left_out: String,
            #[serde(skip)]
            never: bool,
            #[serde(flatten)]
            rest: Rest,
        }

        #[derive(Debug, Serialize)]
        #[serde(deny_unknown_fields)]
        struct Strict {
            #[serde(alias = "second")]
            first: Option<String>,
        }
    }

    fn all() -> All {
        All {
            kinds: vec![
                Kind::Plain,
                Kind::Wrapped(7),
                Kind::Pair((1, "x".into())),
                Kind::Named { a: None, b: 0.5 },
                Kind::Named { a: Some(-3), b: 1e30 },
            ],
            said: Said::GoodDay { to: 3 },
            pairs: [("five".into(), (true, [5, 6]))].into(),
            left_out: String::new(),
            never: false,
            rest: Rest { seven: json!({"list": [1, null, "a", -1.5]}) },
        }
    }

    #[test]
    fn types_of_all_shapes_come_back_as_they_were() {
        let text = serde_json::to_string(&all()).unwrap();
        assert_eq!(from_slice::<All>(text.as_bytes()).unwrap(), all());
        assert_eq!(from_tree::<All>(&serde_json::to_value(all()).unwrap()).unwrap(), all());
        assert_eq!(from_slice::<Said>(br#"{"say":"later","x":1}"#).unwrap(), Said::Unknown);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_members() {
        let said = |text: &str| from_slice::<Vec<Kind>>(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(said(r#"["plain",{"named":{"b":"x"}}]"#), "b: invalid type: string \"x\", expected f64");
        assert_eq!(said("{}"), "invalid type: map, expected a sequence");
        assert!(said(r#"["bent"]"#).starts_with("unknown variant `bent`"));
        assert!(said("[\n}").ends_with("at line 2 column 1"));
        for wrong in
            [r#"{"wrapped":300}"#, r#"{"wrapped":-1}"#, r#"{"wrapped":"7"}"#, r#"{"wrapped":null}"#, "[7]", "{}"]
        {
            assert!(from_slice::<Kind>(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(from_slice::<Kind>(br#"{"named":[1,2]}"#).is_err());
        let said = |tree| from_request::<InstancesPost>(&tree).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(said(json!({"source": []})), "source: invalid type: array, expected an object");
        assert_eq!(said(json!({"config": {"a": 1}})), "config: invalid type: integer `1`, expected a string");
        assert_eq!(
            said(json!({"source": {"properties": 5}})),
            "source: properties: invalid type: integer `5`, expected a map"
        );
        assert!(from_request::<InstancePut>(&json!({"stateful": "x"})).is_err());
    }

    #[test]
    fn what_has_to_be_there_and_what_may_not() {
        let said = |text: &str| from_slice::<Strict>(text.as_bytes()).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!((said("{}"), said(r#"{"SECOND":"x"}"#)), (String::new(), "unknown field `SECOND`".into()));
        assert_eq!(from_slice::<Strict>(br#"{"second":"x"}"#).unwrap().first.as_deref(), Some("x"));
        let said = |text: &str| from_slice::<All>(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(said(r#"{"7":1,"kinds":[],"pairs":{},"":1}"#), "missing field `said`");
        assert_eq!(said(r#"{"kinds":[]}"#), "missing field `7`");
        assert_eq!(said(r#"{"7":1,"said":{"to":1}}"#), "said: missing field `say`");
        assert_eq!(said(r#"{"7":1,"said":{"say":"good_day"}}"#), "said: missing field `to`");
        let yaml = |text: &str| from_yaml::<Strict>(text, Twice::Refused).is_ok();
        assert!(yaml("first: ~") && !yaml("First: x"));
    }

    #[test]
    fn members_are_known_in_any_case_and_null_is_empty() {
        let tree = json!({
            "Name": "c1", "name": "c2", "SOURCE": {"Type": "image", "alias": null, "Nobody": [1]},
            "config": {"user.A": "b", "USER.a": null}, "devices": {"d": null}, "profiles": ["x", null], "ephemeral": null,
        });
        let post: InstancesPost = from_request(&tree).unwrap();
        assert_eq!((post.name.as_str(), post.source.kind.as_str(), post.source.alias.as_str()), ("c2", "image", ""));
        let config: Vec<_> = post.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(config, [("USER.a", ""), ("user.A", "b")]);
        assert!(post.devices["d"].is_empty());
        assert_eq!(post.profiles, Some(vec!["x".to_owned(), String::new()]));
        assert!(from_yaml::<InstancePut>("Description: x", Twice::Refused).unwrap().description.is_empty());
    }

    #[test]
    fn a_member_that_is_null_is_missing_where_that_is_asked_for() {
        let text = br#"{"kinds":[{"named":{"a":null,"b":1}}],"said":{"say":"adieu"},"pairs":{},"left_out":null,"7":{"y":null}}"#;
        let read: All = from_json(text).unwrap();
        assert_eq!((read.left_out.as_str(), &read.rest.seven, read.said), ("", &json!({}), Said::Bye));
        assert!(from_slice::<All>(text).is_err());
    }
}
