//! A tree as the source of a type.

use std::fmt::{self, Display};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Tree;
use super::yaml::{float, truth, whole};

/// What isn't as it was wanted.
#[derive(Debug)]
pub(super) struct Wrong(String);

impl Wrong {
    #[cold]
    fn within(self, name: &str) -> Wrong {
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

impl Tree {
    #[cold]
    fn unwanted(&self, wanted: &dyn Expected) -> Wrong {
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

    /// The members of an object or map.
    fn members(self, wanted: &dyn Expected) -> Result<Vec<(String, Tree)>, Wrong> {
        match self {
            Tree::Object(members) | Tree::Map(members) => Ok(members),
            Tree::Blank => Ok(Vec::new()),
            _ => Err(self.unwanted(wanted)),
        }
    }

    #[inline(never)]
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self {
            Tree::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            Tree::Plain(text) => match (whole(text), float(text)) {
                (Some(number), _) => Tree::Number(number).number(visitor),
                (_, Some(value)) => visitor.visit_f64(value),
                _ => Err(self.unwanted(&visitor)),
            },
            Tree::Blank => visitor.visit_u64(0),
            _ => Err(self.unwanted(&visitor)),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Wrong;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
    }

    #[inline(never)]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Tree::Null | Tree::Blank => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(value),
            Tree::Number(_) => self.number(visitor),
            Tree::Text(text) => visitor.visit_string(text),
            Tree::Plain(text) => match (truth(&text), whole(&text), float(&text)) {
                (Some(value), ..) => visitor.visit_bool(value),
                (_, None, None) => visitor.visit_string(text),
                _ => Tree::Plain(text).number(visitor),
            },
            Tree::List(_) => self.deserialize_seq(visitor),
            Tree::Object(_) | Tree::Map(_) => self.deserialize_map(visitor),
        }
    }

    #[inline(never)]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let value = match &self {
            Tree::Bool(value) => Some(*value),
            Tree::Plain(text) => truth(text),
            Tree::Blank => Some(false),
            _ => None,
        };
        match value {
            Some(value) => visitor.visit_bool(value),
            None => Err(self.unwanted(&visitor)),
        }
    }

    #[inline(never)]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Tree::Text(text) | Tree::Plain(text) => visitor.visit_string(text),
            Tree::Blank => visitor.visit_str(""),
            _ => Err(self.unwanted(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    #[inline(never)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Tree::Null | Tree::Blank => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    #[inline(never)]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let list = match self {
            Tree::List(list) => list,
            Tree::Blank => Vec::new(),
            _ => return Err(self.unwanted(&visitor)),
        };
        let length = list.len();
        let mut elements = Elements(list.into_iter());
        let read = visitor.visit_seq(&mut elements)?;
        match elements.0.len() {
            0 => Ok(read),
            _ => Err(Wrong::invalid_length(length, &"fewer elements")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    #[inline(never)]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let members = self.members(&visitor)?;
        visitor.visit_map(Members::of(members, false))
    }

    #[inline(never)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let members = match self {
            Tree::List(_) => return Err(Wrong::custom("invalid type: array, expected an object")),
            Tree::Object(members) => known(members, fields),
            _ => self.members(&visitor)?,
        };
        visitor.visit_map(Members::of(members, true))
    }

    #[inline(never)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Tree::Text(name) | Tree::Plain(name) => visitor.visit_enum(Variant(name, None)),
            Tree::Object(mut members) | Tree::Map(mut members) if members.len() == 1 => {
                let (name, content) = members.remove(0);
                visitor.visit_enum(Variant(name, Some(content)))
            }
            _ => Err(self.unwanted(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct }
}

impl IntoDeserializer<'_, Wrong> for Tree {
    type Deserializer = Tree;

    fn into_deserializer(self) -> Tree {
        self
    }
}

/// The members of a structure by their own names, each once, without those that are blank.
fn known(members: Vec<(String, Tree)>, fields: &[&str]) -> Vec<(String, Tree)> {
    let mut places = vec![None; fields.len()];
    let mut known: Vec<(String, Tree)> = Vec::with_capacity(members.len());
    for (name, member) in members.into_iter().filter(|(_, member)| *member != Tree::Blank) {
        let spelled = fields.iter().position(|field| *field == name);
        let Some(field) = spelled.or_else(|| fields.iter().position(|field| field.eq_ignore_ascii_case(&name))) else {
            known.push((name, member));
            continue;
        };
        match places[field] {
            Some(place) => known[place] = (fields[field].to_owned(), member),
            None => {
                places[field] = Some(known.len());
                known.push((fields[field].to_owned(), member));
            }
        }
    }
    known
}

struct Elements(std::vec::IntoIter<Tree>);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Wrong;

    #[inline(never)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        self.0.next().map(|element| seed.deserialize(element)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// Members that are still to come, and the one that is being read, which errors name in a structure.
struct Members {
    rest: std::vec::IntoIter<(String, Tree)>,
    at: (String, Tree),
    named: bool,
}

impl Members {
    fn of(members: Vec<(String, Tree)>, named: bool) -> Members {
        Members { rest: members.into_iter(), at: (String::new(), Tree::Null), named }
    }
}

impl<'de> MapAccess<'de> for Members {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(member) = self.rest.next() else { return Ok(None) };
        self.at = member;
        seed.deserialize(Name(&self.at.0)).map(Some)
    }

    #[inline(never)]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let value = std::mem::replace(&mut self.at.1, Tree::Null);
        let read = seed.deserialize(value);
        if self.named { read.map_err(|wrong| wrong.within(&self.at.0)) } else { read }
    }
}

/// A member's name: a text, or a number where one is wanted.
struct Name<'a>(&'a str);

macro_rules! numbers_by_name {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match whole(self.0) {
                Some(number) => Tree::Number(number).number(visitor),
                None => visitor.visit_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Wrong;

    numbers_by_name! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(Variant(self.0.to_owned(), None))
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// The name of a variant, and what it holds.
struct Variant(String, Option<Tree>);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = Variant;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Variant), Wrong> {
        let name: StrDeserializer<Wrong> = self.0.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.1 {
            None | Some(Tree::Null | Tree::Blank) => Ok(()),
            Some(content) => Err(content.unwanted(&"nothing")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Wrong> {
        seed.deserialize(self.1.unwrap_or(Tree::Null))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.1.unwrap_or(Tree::Null).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        self.1.unwrap_or(Tree::Null).deserialize_struct("", fields, visitor)
    }
}
