//! YAML that people write: configuration files, preseeds, what comes back from the editor.

use serde::de::DeserializeOwned;
use serde_saphyr::Options;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::error::{Ctx, Kind, Result};

/// Reads a document. Of a key that stands twice the last one counts, as in LXD; an empty document is the default.
pub fn from_yaml<T: DeserializeOwned + Default>(text: &str) -> Result<T> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Ok(T::default());
    }
    let mut options = Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::LastWins;
    serde_saphyr::from_str_with_options(text, options).ctx(Kind::Invalid, || "Failed reading YAML")
}
