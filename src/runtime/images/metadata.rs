//! `metadata.yaml` of an image.

use std::collections::BTreeMap;

use crate::api::tree::{FromTree, Tree, Wrong, readable};

use super::architecture;
use crate::api::types::{self, ImageMetadata, ImageMetadataTemplate, Twice};
use crate::error::{Error, Result};
use crate::order::Gather;

/// Bytes that a `metadata.yaml` may have.
pub const MAX: usize = 1 << 20;

/// Reads the text of a `metadata.yaml` (YAML, or JSON, which is YAML too) without judging it.
///
/// Scalars keep their spelling where a text is wanted (`010`, `1.50`, `yes`), null is the empty text, unknown keys
/// count for nothing and the last of two equal keys wins, all as with LXD's reader.
pub fn parse(text: &str) -> Result<ImageMetadata> {
    if text.len() > MAX {
        return Err(Error::invalid(format!("\"metadata.yaml\" is longer than {MAX} bytes")));
    }
    if text.trim().is_empty() {
        // LXD's text.
        return Err(Error::invalid("EOF"));
    }
    let raw: Option<Raw> =
        types::from_yaml(text, Twice::LastCounts).map_err(|e| Error::invalid(format!("yaml: {e}")))?;
    Ok(raw.unwrap_or_default().into())
}

/// Reads and judges: an architecture that exists (made LXD's name for it) and a creation date are demanded.
pub fn checked(text: &str) -> Result<ImageMetadata> {
    let mut metadata = parse(text)?;
    validate(&mut metadata)?;
    Ok(metadata)
}

/// Checks what an image must say of itself, in LXD's order and words; normalises the architecture.
pub fn validate(metadata: &mut ImageMetadata) -> Result<()> {
    let known = architecture::normalise(&metadata.architecture)
        .ok_or_else(|| Error::invalid(format!("Architecture isn't supported: {}", metadata.architecture)))?;
    metadata.architecture = known.to_owned();
    if metadata.creation_date == 0 {
        return Err(Error::invalid("Missing creation date"));
    }
    Ok(())
}

readable! {
    /// As the file has it: everything may be missing or null.
    #[derive(Default)]
    struct Raw {
        architecture: Option<String>,
        creation_date: Option<Seconds>,
        expiry_date: Option<Seconds>,
        properties: Option<BTreeMap<String, Option<String>>>,
        templates: Option<BTreeMap<String, Option<RawTemplate>>>,
    }

    #[derive(Default)]
    struct RawTemplate {
        when: Option<Vec<Option<String>>>,
        create_only: Option<bool>,
        template: Option<String>,
        properties: Option<BTreeMap<String, Option<String>>>,
    }
}

/// A date: Go's reader takes `1.7e9` for a whole number too.
struct Seconds(i64);

impl FromTree for Seconds {
    fn of(tree: Tree) -> std::result::Result<Seconds, Wrong> {
        match i64::of(tree.clone()) {
            Ok(seconds) => Ok(Seconds(seconds)),
            // Saturates, and drops a fraction.
            Err(_) => f64::of(tree).map(|seconds| Seconds(seconds as i64)),
        }
    }

    fn blank() -> Seconds {
        Seconds(0)
    }
}

fn texts(map: Option<BTreeMap<String, Option<String>>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).gather()
}

impl From<Raw> for ImageMetadata {
    fn from(raw: Raw) -> ImageMetadata {
        ImageMetadata {
            architecture: raw.architecture.unwrap_or_default(),
            creation_date: raw.creation_date.map_or(0, |date| date.0),
            expiry_date: raw.expiry_date.map_or(0, |date| date.0),
            properties: texts(raw.properties),
            templates: raw
                .templates
                .unwrap_or_default()
                .into_iter()
                .map(|(path, template)| (path, template.unwrap_or_default().into()))
                .gather(),
        }
    }
}

impl From<RawTemplate> for ImageMetadataTemplate {
    fn from(raw: RawTemplate) -> ImageMetadataTemplate {
        ImageMetadataTemplate {
            when: raw.when.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect(),
            create_only: raw.create_only.unwrap_or(false),
            template: raw.template.unwrap_or_default(),
            properties: texts(raw.properties),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "architecture: amd64\ncreation_date: 1700000000\n";

    #[test]
    fn scalars_keep_their_spelling_as_with_lxd() {
        let text = format!(
            "{START}properties: {{a: 2, b: true, c: 010, d: 1.50, e: null, f: ~, g: \"q\", h: 0x10, i: yes, \
             j: 2020-01-01, k: , 5: x, l: \"a\\nb\", m: 1e3}}\n"
        );
        let metadata = checked(&text).unwrap();
        assert_eq!(metadata.architecture, "x86_64");
        let expected = [
            ("5", "x"),
            ("a", "2"),
            ("b", "true"),
            ("c", "010"),
            ("d", "1.50"),
            ("e", ""),
            ("f", ""),
            ("g", "q"),
            ("h", "0x10"),
            ("i", "yes"),
            ("j", "2020-01-01"),
            ("k", ""),
            ("l", "a\nb"),
            ("m", "1e3"),
        ];
        let properties: Vec<_> = metadata.properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(properties, expected);
    }

    #[test]
    fn templates_json_and_extras_are_taken() {
        let text = r#"{"architecture":"x86_64","creation_date":1700000000,"expiry_date":1800000000,"more":{"a":[1]},
            "templates":{"/a":{"when":[""],"template":"x","properties":{"k":1}},
                         "/b":{"when":["create","copy"],"create_only":true,"template":"y"}}}"#;
        let metadata = checked(text).unwrap();
        assert_eq!(metadata.expiry_date, 1_800_000_000);
        assert_eq!(metadata.templates["/a"].when, [""]);
        assert_eq!(metadata.templates["/a"].properties["k"], "1");
        assert!(metadata.templates["/b"].create_only);
        let yes = checked(&format!("{START}templates: {{/a: {{when: [start], create_only: yes}}}}")).unwrap();
        assert!(yes.templates["/a"].create_only);
    }

    #[test]
    fn odd_but_accepted_by_lxd() {
        assert_eq!(checked("architecture: x86_64\ncreation_date: 1.7e9\n").unwrap().creation_date, 1_700_000_000);
        assert_eq!(checked("architecture: x86_64\ncreation_date: -5\n").unwrap().creation_date, -5);
        assert_eq!(checked(&format!("{START}architecture: i386\n")).unwrap().architecture, "i686");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_as_lxd_says_it() {
        let message = |text: &str| checked(text).unwrap_err().message().to_owned();
        assert_eq!(message("creation_date: 1"), "Architecture isn't supported: ");
        assert_eq!(message("architecture: bogus\ncreation_date: 1"), "Architecture isn't supported: bogus");
        assert_eq!(message("architecture: x86_64"), "Missing creation date");
        assert_eq!(message(""), "EOF");
        for broken in [
            "architecture: [x\n",
            "architecture: x86_64\ncreation_date: abc\n",
            "architecture: x86_64\ncreation_date: \"1700000000\"\n",
            "- a\n",
            "architecture: x86_64\ncreation_date: 1\nproperties: {a: [1]}\n",
            "architecture: x86_64\ncreation_date: 1\ntemplates: {/a: {when: start}}\n",
        ] {
            assert!(message(broken).starts_with("yaml: "), "{broken}: {}", message(broken));
        }
        assert!(message(&"#".repeat(MAX + 1)).contains("longer than"));
    }

    #[test]
    fn bombs_of_anchors_are_refused_quickly() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(checked(&text).is_err());
    }
}
