//! Images and their aliases.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Timestamp;
use crate::api::tree::readable;

readable! {
    /// An image.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Image {
        /// Whether it follows its source.
        pub auto_update: bool,
        /// Free keys: `os`, `release`, `description`, …
        pub properties: BTreeMap<String, String>,
        /// Whether untrusted callers see it.
        pub public: bool,
        /// When it may go; 1970 for never.
        pub expires_at: Timestamp,
        /// Profiles an instance of it gets by default.
        pub profiles: Vec<String>,
        /// Names for it.
        pub aliases: Vec<ImageAlias>,
        /// `x86_64`, …
        pub architecture: String,
        /// Whether it was fetched for a launch.
        pub cached: bool,
        /// The uploaded file's name.
        pub filename: String,
        /// SHA-256 of the file, or of metadata and rootfs one after the other.
        pub fingerprint: String,
        /// Bytes.
        pub size: u64,
        /// Where it came from.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub update_source: Option<ImageSource>,
        /// `container` or `virtual-machine`.
        #[serde(rename = "type")]
        pub kind: String,
        /// When it was built.
        pub created_at: Timestamp,
        /// When an instance was last made of it.
        pub last_used_at: Timestamp,
        /// When it was added here.
        pub uploaded_at: Timestamp,
    }

    /// Where an image came from.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImageSource {
        /// Its alias there.
        pub alias: String,
        /// The server's certificate.
        pub certificate: String,
        /// `lxd`, `simplestreams` or `direct`.
        pub protocol: String,
        /// The server's URL.
        pub server: String,
        /// `container` or `virtual-machine`.
        pub image_type: String,
    }

    /// A name of an image, as the image shows it.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImageAlias {
        /// The name; may contain slashes.
        pub name: String,
        /// For people.
        pub description: String,
    }

    /// What PUT and PATCH change of an image.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImagePut {
        /// Whether it follows its source.
        pub auto_update: bool,
        /// Free keys.
        pub properties: BTreeMap<String, String>,
        /// Whether untrusted callers see it.
        pub public: bool,
        /// When it may go.
        pub expires_at: Timestamp,
        /// Profiles an instance of it gets by default; those it has when nothing is said.
        pub profiles: Option<Vec<String>>,
    }

    /// The JSON body of `POST /1.0/images`: make an image from something that exists elsewhere.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImagesPost {
        /// Whether it follows its source.
        pub auto_update: bool,
        /// Free keys.
        pub properties: BTreeMap<String, String>,
        /// Whether untrusted callers see it.
        pub public: bool,
        /// When it may go.
        pub expires_at: Timestamp,
        /// Profiles an instance of it gets by default.
        pub profiles: Vec<String>,
        /// The file's name.
        pub filename: String,
        /// What to make it of.
        pub source: Option<ImagesPostSource>,
        /// How to compress it.
        pub compression_algorithm: String,
        /// Names to give it.
        pub aliases: Vec<ImageAlias>,
    }

    /// What to make an image of.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImagesPostSource {
        /// `instance`, `container`, `snapshot`, `image` or `url`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The instance or snapshot.
        pub name: String,
        /// The image.
        pub fingerprint: String,
        /// The image's alias on the server.
        pub alias: String,
        /// The server's URL.
        pub server: String,
        /// `lxd`, `simplestreams` or `direct`.
        pub protocol: String,
        /// `pull` or `push`.
        pub mode: String,
        /// The direct URL.
        pub url: String,
        /// The server's certificate.
        pub certificate: String,
        /// One-time secret of a private image.
        pub secret: String,
        /// Source project.
        pub project: String,
        /// `container` or `virtual-machine`.
        pub image_type: String,
    }

    /// An alias as the alias API shows it.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImageAliasesEntry {
        /// For people.
        pub description: String,
        /// Fingerprint of the image.
        pub target: String,
        /// The name; may contain slashes.
        pub name: String,
        /// `container` or `virtual-machine`.
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// What PUT and PATCH change of an alias.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImageAliasesEntryPut {
        /// For people.
        pub description: String,
        /// Fingerprint of the image.
        pub target: String,
    }

    /// The image's own `metadata.yaml`.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImageMetadata {
        /// `x86_64`, …
        pub architecture: String,
        /// Seconds since 1970.
        pub creation_date: i64,
        /// Seconds since 1970; 0 for never.
        pub expiry_date: i64,
        /// Free keys.
        pub properties: BTreeMap<String, String>,
        /// Files to make from templates, by path in the guest.
        pub templates: BTreeMap<String, ImageMetadataTemplate>,
    }

    /// A file of the guest that is made from a template.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ImageMetadataTemplate {
        /// `create`, `copy`, `start`, `rename`.
        pub when: Vec<String>,
        /// Only when the file isn't there yet.
        pub create_only: bool,
        /// The template's file name below `templates/`.
        pub template: String,
        /// Values for the template.
        pub properties: BTreeMap<String, String>,
    }
}
