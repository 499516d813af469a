//! `null` in place of a text, number, list or map, read as an empty one: so does LXD's client.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// A reader, or a part of one, that takes `null` for whatever is wanted.
pub struct NullIsEmpty<T>(pub T);

/// What is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    Bool,
    Signed,
    Unsigned,
    Float,
    Text,
    List,
    Map,
}

/// Reads what is wanted, unless it is `null`.
struct Unless<V>(Wanted, V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Unless<V> {
    type Value = V::Value;

    fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.1.expecting(to)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        match self.0 {
            Wanted::Bool => self.1.visit_bool(false),
            Wanted::Signed => self.1.visit_i64(0),
            Wanted::Unsigned => self.1.visit_u64(0),
            Wanted::Float => self.1.visit_f64(0.0),
            Wanted::Text => self.1.visit_str(""),
            Wanted::List => self.1.visit_seq(Nothing(std::marker::PhantomData)),
            Wanted::Map => self.1.visit_map(Nothing(std::marker::PhantomData)),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        match self.0 {
            Wanted::Bool => from.deserialize_bool(self.1),
            Wanted::Signed => from.deserialize_i64(self.1),
            Wanted::Unsigned => from.deserialize_u64(self.1),
            Wanted::Float => from.deserialize_f64(self.1),
            Wanted::Text => from.deserialize_string(self.1),
            Wanted::List => from.deserialize_seq(NullIsEmpty(self.1)),
            Wanted::Map => from.deserialize_map(NullIsEmpty(self.1)),
        }
    }
}

/// A list or map without members.
struct Nothing<E>(std::marker::PhantomData<E>);

impl<'de, E: Error> SeqAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<Option<S::Value>, E> {
        Ok(None)
    }
}

impl<'de, E: Error> MapAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<Option<S::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<S::Value, E> {
        Err(E::custom("there is no value"))
    }
}

macro_rules! wants {
    ($($wanted:ident: $($method:ident)*;)*) => {$($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_option(Unless(Wanted::$wanted, visitor))
        }
    )*)*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for NullIsEmpty<D> {
    type Error = D::Error;

    wants! {
        Bool: deserialize_bool;
        Signed: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64;
        Unsigned: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        Float: deserialize_f32 deserialize_f64;
        Text: deserialize_str deserialize_string;
        List: deserialize_seq;
        Map: deserialize_map;
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(NullIsEmpty(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for NullIsEmpty<V> {
    type Value = V::Value;

    fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.expecting(to)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(NullIsEmpty(from))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(NullIsEmpty(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(NullIsEmpty(members))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for NullIsEmpty<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(NullIsEmpty(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for NullIsEmpty<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(NullIsEmpty(seed))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for NullIsEmpty<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(NullIsEmpty(from))
    }
}
