//! How structures and enumerations are read: by tables of their fields, so that a type has no more code than where its
//! fields are. What `serde` derives for each type anew is ten times as large, and was a tenth of the file.

use super::{FromTree, Tree, Wrong};

/// A field of a structure.
pub struct Field {
    /// The member it is read from; empty when it is read from none.
    pub name: &'static str,
    /// Another name for that, or empty.
    pub alias: &'static str,
    /// Whether the member has to be there.
    pub needed: bool,
    /// Whether it is read from all members of the structure (`flatten`).
    pub flat: bool,
}

/// Where what is read goes.
pub trait Place {
    /// Reads it.
    ///
    /// # Errors
    /// What isn't as it has to be.
    fn put(&mut self, tree: Tree) -> Result<(), Wrong>;
}

impl<T: FromTree> Place for T {
    #[inline(never)]
    fn put(&mut self, tree: Tree) -> Result<(), Wrong> {
        *self = T::of(tree)?;
        Ok(())
    }
}

/// What a structure is read by.
pub struct Shape {
    /// Its fields.
    pub fields: &'static [Field],
    /// Whether members that are needed have to be there.
    pub complete: bool,
    /// Whether members that are no field's are refused.
    pub strict: bool,
}

impl Shape {
    /// Reads the fields, each into the place of its number.
    ///
    /// # Errors
    /// What isn't as it has to be, by the names of the members it is in.
    pub fn fill(&self, tree: Tree, places: &mut [&mut dyn Place]) -> Result<(), Wrong> {
        let any_case = matches!(tree, Tree::Object(_));
        let members = match tree {
            Tree::Object(members) | Tree::Map(members) => members,
            Tree::Blank => Vec::new(),
            Tree::List(_) => return Err(Wrong::new("invalid type: array, expected an object")),
            tree => return Err(tree.unwanted(&"an object")),
        };
        let mut missing: Vec<bool> = self.fields.iter().map(|field| self.complete && field.needed).collect();
        for at in (0..self.fields.len()).filter(|at| self.fields[*at].flat) {
            places[at].put(Tree::Object(members.clone()))?;
            missing[at] = false;
        }
        for (name, member) in members {
            match self.find(&name, any_case) {
                _ if any_case && member == Tree::Blank => {}
                Some(at) => {
                    places[at].put(member).map_err(|wrong| wrong.within(self.fields[at].name))?;
                    missing[at] = false;
                }
                None if self.strict => return Err(Wrong::new(format!("unknown field `{name}`"))),
                None => {}
            }
        }
        match missing.iter().position(|missing| *missing) {
            Some(at) => Err(Wrong::new(format!("missing field `{}`", self.fields[at].name))),
            None => Ok(()),
        }
    }

    /// The field of a member; one that is spelled as the member is before one that isn't.
    fn find(&self, member: &str, any_case: bool) -> Option<usize> {
        let find = |is: &dyn Fn(&Field) -> bool| self.fields.iter().position(|field| field.has_name() && is(field));
        let exact = find(&|field| field.name == member || (!field.alias.is_empty() && field.alias == member));
        exact.or_else(|| find(&|field| any_case && field.name.eq_ignore_ascii_case(member)))
    }
}

impl Field {
    fn has_name(&self) -> bool {
        !self.flat && !self.name.is_empty()
    }
}

/// How the names of an enumeration's variants are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As in the source.
    Own,
    /// `likethis`.
    Lower,
    /// `like_this`.
    Snake,
    /// `like-this`.
    Kebab,
}

impl Spelling {
    fn writes(self, name: &str, word: &str) -> bool {
        let between = match self {
            Spelling::Own => return name == word,
            Spelling::Lower => None,
            Spelling::Snake => Some('_'),
            Spelling::Kebab => Some('-'),
        };
        let letters = name.chars().enumerate().flat_map(|(at, letter)| {
            let between = between.filter(|_| at > 0 && letter.is_ascii_uppercase());
            between.into_iter().chain([letter.to_ascii_lowercase()])
        });
        letters.eq(word.chars())
    }
}

/// A variant of an enumeration: its name, and what it holds.
pub struct Variant {
    name: String,
    content: Tree,
    spelling: Spelling,
}

impl Variant {
    /// The one that a tree says: by a member of this name, or as a text, or as the only member of an object.
    ///
    /// # Errors
    /// What says none.
    pub fn of(tree: Tree, tag: Option<&str>, spelling: Spelling) -> Result<Variant, Wrong> {
        let (name, content) = match (tree, tag) {
            (Tree::Object(mut members) | Tree::Map(mut members), Some(tag)) => {
                let at = members.iter().position(|(name, _)| name == tag);
                let (_, name) = members.remove(at.ok_or_else(|| Wrong::new(format!("missing field `{tag}`")))?);
                (String::of(name)?, Tree::Object(members))
            }
            (Tree::Text(name) | Tree::Plain(name), None) => (name, Tree::Null),
            (Tree::Object(mut members) | Tree::Map(mut members), None) if members.len() == 1 => members.remove(0),
            (tree, _) => return Err(tree.unwanted(&"the name of a variant")),
        };
        Ok(Variant { name, content, spelling })
    }

    /// Whether it is the one of this name in the source, or of another name that it was given.
    pub fn is(&self, name: &str, given: &str) -> bool {
        if given.is_empty() { self.spelling.writes(name, &self.name) } else { self.name == given }
    }

    /// What it holds.
    pub fn content(self) -> Tree {
        self.content
    }

    /// That there is none of this name.
    #[cold]
    pub fn unknown(&self) -> Wrong {
        Wrong::new(format!("unknown variant `{}`", self.name))
    }
}
