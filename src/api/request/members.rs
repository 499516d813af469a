//! Objects out of a JSON tree, by the rules of the decoder that LXD has (Go's `encoding/json`): members of structures are
//! known whatever the case of their letters, the last of two of a name counts, and `null` is what is empty.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Error, Map, Value};

/// A tree that is read by these rules. (Serde's own reader takes a list for a structure, as its members in order.)
pub struct Members(pub Value);

impl<'de> Deserializer<'de> for Members {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(map) => visitor.visit_map(Entries { left: map.into_iter(), value: None, named: false }),
            Value::Array(list) => visitor.visit_seq(Items(list.into_iter())),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(map) => {
                visitor.visit_map(Entries { left: known(map, fields).into_iter(), value: None, named: true })
            }
            Value::Array(_) => Err(Error::custom("invalid type: array, expected an object")),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => Members(Value::Object(Map::new())).deserialize_any(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_seq(Items(Vec::new().into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_string(String::new()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// The members of a structure by their own names, without those that are `null`.
fn known(map: Map<String, Value>, fields: &[&str]) -> Map<String, Value> {
    let own = |name: String| match fields.iter().find(|field| field.eq_ignore_ascii_case(&name)) {
        Some(field) if !fields.contains(&name.as_str()) => (*field).to_owned(),
        _ => name,
    };
    map.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (own(name), value)).collect()
}

/// Pairs of a map, or the members of a structure, which errors name.
struct Entries {
    left: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
    named: bool,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.left.next() else { return Ok(None) };
        self.value = Some((name.clone(), value));
        seed.deserialize(Members(Value::String(name))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, value) = self.value.take().ok_or_else(|| Error::custom("a value without a name"))?;
        let read = seed.deserialize(Members(value));
        if self.named { read.map_err(|e| Error::custom(format!("{name}: {e}"))) } else { read }
    }
}

struct Items(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|value| seed.deserialize(Members(value))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::api::types::{InstancePut, InstancesPost};

    #[test]
    fn members_are_known_in_any_case_and_null_is_empty() {
        let tree = json!({
            "Name": "c1", "name": "c2", "SOURCE": {"Type": "image", "alias": null, "Nobody": [1]},
            "config": {"user.A": "b", "USER.a": null}, "devices": {"d": null}, "profiles": ["x", null], "ephemeral": null,
        });
        let post = InstancesPost::deserialize(Members(tree)).unwrap();
        assert_eq!((post.name.as_str(), post.source.kind.as_str(), post.source.alias.as_str()), ("c2", "image", ""));
        let config: Vec<_> = post.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(config, [("USER.a", ""), ("user.A", "b")]);
        assert!(post.devices["d"].is_empty());
        assert_eq!(post.profiles, Some(vec!["x".to_owned(), String::new()]));
    }

    #[test]
    fn what_is_of_another_kind_is_refused_by_its_name() {
        let said = |tree| InstancesPost::deserialize(Members(tree)).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(said(json!({"source": []})), "source: invalid type: array, expected an object");
        assert_eq!(said(json!({"config": {"a": 1}})), "config: invalid type: integer `1`, expected a string");
        assert_eq!(
            said(json!({"source": {"properties": 5}})),
            "source: properties: invalid type: integer `5`, expected a map"
        );
        assert!(InstancePut::deserialize(Members(json!({"stateful": "x"}))).is_err());
    }
}
