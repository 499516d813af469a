//! Certificates of trusted clients.

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// A trusted certificate.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Certificate {
        /// For people.
        pub name: String,
        /// `client` or `metrics`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Whether it opens only `projects`.
        pub restricted: bool,
        /// The projects it opens.
        pub projects: Vec<String>,
        /// PEM.
        pub certificate: String,
        /// SHA-256 of its DER form, in lower case hexadecimal digits.
        pub fingerprint: String,
    }

    /// What PUT and PATCH change of a certificate.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct CertificatePut {
        /// For people.
        pub name: String,
        /// Can't be changed.
        #[serde(rename = "type")]
        pub kind: String,
        /// Whether it opens only `projects`.
        pub restricted: bool,
        /// The projects it opens.
        pub projects: Vec<String>,
        /// PEM; empty keeps the present one.
        pub certificate: String,
    }

    /// `POST /1.0/certificates`.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct CertificatesPost {
        /// For people.
        pub name: String,
        /// `client` or `metrics`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Whether it opens only `projects`.
        pub restricted: bool,
        /// The projects it opens.
        pub projects: Vec<String>,
        /// DER in Base64; empty for the one the caller has shown.
        pub certificate: String,
        /// What lets in a caller who isn't trusted yet.
        pub password: String,
        /// Whether a token is wanted instead.
        pub token: bool,
    }
}
