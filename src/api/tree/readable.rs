//! Structures and enumerations that can be read from trees.

/// Makes the structures and enumerations in it [readable](super::FromTree), by the attributes they have for `serde`, which
/// writes them.
///
/// Of structures it knows `default` and `deny_unknown_fields`, of their fields `default` (in front), `rename`, `alias`,
/// `flatten` and `skip`; of enumerations `tag` and `rename_all`, of their variants `rename` and `other`.
macro_rules! readable {
    () => {};
    (
        $(#[$($meta:tt)*])*
        $vis:vis struct $name:ident $(<$of:ident>)? {
            $($(#[$($about:tt)*])* $field_vis:vis $field:ident: $type:ty),* $(,)?
        }
        $($more:tt)*
    ) => {
        $(#[$($meta)*])*
        $vis struct $name $(<$of>)? {
            $($(#[$($about)*])* $field_vis $field: $type),*
        }

        impl $(<$of: $crate::api::tree::FromTree>)? $crate::api::tree::FromTree for $name $(<$of>)? {
            fn of(tree: $crate::api::tree::Tree) -> Result<Self, $crate::api::tree::Wrong> {
                let mut new = <Self as $crate::api::tree::FromTree>::blank();
                let shape = const {
                    &$crate::api::tree::Shape {
                        fields: &[$($crate::api::tree::attribute!(field $field: $type; $([$($about)*])*)),*],
                        complete: !$crate::api::tree::attribute!(default $([$($meta)*])*),
                        strict: $crate::api::tree::attribute!(strict $([$($meta)*])*),
                    }
                };
                shape.fill(tree, &mut [$(&mut new.$field),*])?;
                Ok(new)
            }

            fn blank() -> Self {
                $crate::api::tree::attribute!(
                    blank $name { $($field: $crate::api::tree::attribute!(value $([$($about)*])*)),* } $([$($meta)*])*
                )
            }
        }

        $crate::api::tree::readable! { $($more)* }
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($of_vis:vis $of:ty);
        $($more:tt)*
    ) => {
        $(#[$meta])*
        $vis struct $name($of_vis $of);

        impl $crate::api::tree::FromTree for $name {
            fn of(tree: $crate::api::tree::Tree) -> Result<Self, $crate::api::tree::Wrong> {
                <$of as $crate::api::tree::FromTree>::of(tree).map(Self)
            }

            fn blank() -> Self {
                Self(<$of as $crate::api::tree::FromTree>::blank())
            }
        }

        $crate::api::tree::readable! { $($more)* }
    };
    (
        $(#[$($meta:tt)*])*
        $vis:vis enum $name:ident { $($variants:tt)* }
        $($more:tt)*
    ) => {
        $(#[$($meta)*])*
        $vis enum $name { $($variants)* }

        impl $crate::api::tree::FromTree for $name {
            fn of(tree: $crate::api::tree::Tree) -> Result<Self, $crate::api::tree::Wrong> {
                let tag = $crate::api::tree::attribute!(tag $([$($meta)*])*);
                let spelling = $crate::api::tree::attribute!(spelling $([$($meta)*])*);
                let variant = $crate::api::tree::Variant::of(tree, tag, spelling)?;
                $crate::api::tree::variants!(variant $($variants)*);
                Err(variant.unknown())
            }

            fn blank() -> Self {
                $crate::api::tree::variants!(first $($variants)*)
            }
        }

        $crate::api::tree::readable! { $($more)* }
    };
}

/// What the attributes for `serde` say.
macro_rules! attribute {
    (default) => { false };
    (default [serde(default $($_:tt)*)] $($more:tt)*) => { true };
    (default [serde(skip)] $($more:tt)*) => { true };
    (default [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(default $($more)*) };

    (strict) => { false };
    (strict [serde($(default,)? deny_unknown_fields)] $($more:tt)*) => { true };
    (strict [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(strict $($more)*) };

    (flat) => { false };
    (flat [serde(flatten)] $($more:tt)*) => { true };
    (flat [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(flat $($more)*) };

    (other) => { false };
    (other [serde(other $($_:tt)*)] $($more:tt)*) => { true };
    (other [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(other $($more)*) };

    (name $own:expr;) => { $own };
    (name $own:expr; [serde($(default,)? rename = $name:literal $($_:tt)*)] $($more:tt)*) => { $name };
    (name $own:expr; [serde(skip)] $($more:tt)*) => { "" };
    (name $own:expr; [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(name $own; $($more)*) };

    (alias) => { "" };
    (alias [serde($(default,)? alias = $name:literal)] $($more:tt)*) => { $name };
    (alias [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(alias $($more)*) };

    (tag) => { None };
    (tag [serde(tag = $tag:literal $($_:tt)*)] $($more:tt)*) => { Some($tag) };
    (tag [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(tag $($more)*) };

    (spelling) => { $crate::api::tree::Spelling::Own };
    (spelling [serde($(tag = $_:literal,)? rename_all = "lowercase")] $($more:tt)*) => { $crate::api::tree::Spelling::Lower };
    (spelling [serde($(tag = $_:literal,)? rename_all = "snake_case")] $($more:tt)*) => { $crate::api::tree::Spelling::Snake };
    (spelling [serde($(tag = $_:literal,)? rename_all = "kebab-case")] $($more:tt)*) => { $crate::api::tree::Spelling::Kebab };
    (spelling [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(spelling $($more)*) };

    (field $field:ident: $type:ty; $($about:tt)*) => {
        $crate::api::tree::Field {
            name: $crate::api::tree::attribute!(name stringify!($field); $($about)*),
            alias: $crate::api::tree::attribute!(alias $($about)*),
            needed: !$crate::api::tree::attribute!(default $($about)*)
                && !<$type as $crate::api::tree::FromTree>::OPTIONAL,
            flat: $crate::api::tree::attribute!(flat $($about)*),
        }
    };

    (value) => { $crate::api::tree::FromTree::blank() };
    (value [serde(default $($_:tt)*)] $($more:tt)*) => { Default::default() };
    (value [serde(skip)] $($more:tt)*) => { Default::default() };
    (value [$($_:tt)*] $($more:tt)*) => { $crate::api::tree::attribute!(value $($more)*) };

    (blank $name:ident { $($fields:tt)* }) => { $name { $($fields)* } };
    (blank $name:ident { $($fields:tt)* } [serde(default $($_:tt)*)] $($more:tt)*) => { Default::default() };
    (blank $name:ident { $($fields:tt)* } [$($_:tt)*] $($more:tt)*) => {
        $crate::api::tree::attribute!(blank $name { $($fields)* } $($more)*)
    };
}

/// The variants of an enumeration: which of them is read, and what the first is before that.
macro_rules! variants {
    (first
        $(#[$($_:tt)*])* $name:ident { $($(#[$($about:tt)*])* $field:ident: $type:ty),* $(,)? } $($more:tt)*
    ) => {
        Self::$name { $($field: <$type as $crate::api::tree::FromTree>::blank()),* }
    };
    (first $(#[$($_:tt)*])* $name:ident($type:ty) $($more:tt)*) => {
        Self::$name(<$type as $crate::api::tree::FromTree>::blank())
    };
    (first $(#[$($_:tt)*])* $name:ident $($more:tt)*) => { Self::$name };

    ($variant:ident) => {};
    ($variant:ident
        $(#[$($meta:tt)*])* $name:ident { $($(#[$($about:tt)*])* $field:ident: $type:ty),* $(,)? } $(, $($more:tt)*)?
    ) => {
        if $variant.is(stringify!($name), $crate::api::tree::attribute!(name ""; $([$($meta)*])*)) {
            $(let mut $field: $type = $crate::api::tree::FromTree::blank();)*
            let shape = const {
                &$crate::api::tree::Shape {
                    fields: &[$($crate::api::tree::attribute!(field $field: $type; $([$($about)*])*)),*],
                    complete: true,
                    strict: false,
                }
            };
            shape.fill($variant.content(), &mut [$(&mut $field),*])?;
            return Ok(Self::$name { $($field),* });
        }
        $crate::api::tree::variants!($variant $($($more)*)?);
    };
    ($variant:ident $(#[$($meta:tt)*])* $name:ident($type:ty) $(, $($more:tt)*)?) => {
        if $variant.is(stringify!($name), $crate::api::tree::attribute!(name ""; $([$($meta)*])*)) {
            return Ok(Self::$name($crate::api::tree::FromTree::of($variant.content())?));
        }
        $crate::api::tree::variants!($variant $($($more)*)?);
    };
    ($variant:ident $(#[$($meta:tt)*])* $name:ident $(, $($more:tt)*)?) => {
        if $crate::api::tree::attribute!(other $([$($meta)*])*)
            || $variant.is(stringify!($name), $crate::api::tree::attribute!(name ""; $([$($meta)*])*))
        {
            return Ok(Self::$name);
        }
        $crate::api::tree::variants!($variant $($($more)*)?);
    };
}

pub(crate) use {attribute, readable, variants};
