//! What all things with a configuration have in common: show, get, set, unset, edit.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::client::Client;
use crate::api::types::{ConfigMap, from_tree};
use crate::cli::edit::edit as in_editor;
use crate::cli::input::piped;
use crate::cli::output::{emit, say, yaml};
use crate::cli::yaml_in::from_yaml;
use crate::error::{Ctx, Kind, Result};

/// Something on a server that has a configuration.
pub(super) struct Thing {
    /// Its server.
    pub client: Client,
    /// Its path, with what is asked of it.
    pub address: String,
}

impl Thing {
    /// Prints it.
    pub async fn show<T: DeserializeOwned + Serialize>(&self) -> Result<i32> {
        let seen: T = self.client.get(&self.address).await?;
        let mut seen = json!(seen);
        if let Some(users) = seen.get_mut("used_by").and_then(Value::as_array_mut) {
            users.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
        emit(yaml(&seen).as_bytes());
        Ok(0)
    }

    /// Prints the value of a key.
    pub async fn get(&self, key: &str) -> Result<i32> {
        let seen: Value = self.client.get(&self.address).await?;
        if let Some(value) = seen["config"].get(key).and_then(Value::as_str) {
            say!("{value}");
        }
        Ok(0)
    }

    /// Sets keys; empty values unset them.
    pub async fn set<T: DeserializeOwned + Serialize>(&self, keys: ConfigMap) -> Result<i32> {
        self.change::<T>(|put| {
            for (key, value) in keys {
                match value.is_empty() {
                    true => _ = put["config"].as_object_mut().map(|config| config.remove(&key)),
                    false => put["config"][&key] = value.into(),
                }
            }
            Ok(())
        })
        .await
    }

    /// Reads it as JSON, lets `edit` change it, and writes back what of it can be changed (`T`).
    pub async fn change<T: DeserializeOwned + Serialize>(
        &self,
        edit: impl FnOnce(&mut Value) -> Result<()>,
    ) -> Result<i32> {
        let (seen, etag): (Value, String) = self.client.get_with_etag(&self.address).await?;
        let put: T = read(seen)?;
        let mut put = json!(put);
        edit(&mut put)?;
        self.client.put(&self.address, &put, &etag).await?;
        Ok(0)
    }

    /// Takes it from standard input, or lets the user's editor change it. `S` is shown, `T` is written back.
    pub async fn edit<S, T>(&self, what: &str, changeable: &str) -> Result<i32>
    where
        S: DeserializeOwned + Serialize,
        T: DeserializeOwned + Serialize + Default,
    {
        let put = async |text: &str, etag: &str| self.client.put(&self.address, &from_yaml::<T>(text)?, etag).await;
        match piped()? {
            Some(text) => put(&text, "").await?,
            None => {
                let (seen, etag): (S, String) = self.client.get_with_etag(&self.address).await?;
                let help =
                    format!("### A {what}. Lines that begin with # are left out; {changeable} can be changed.\n\n");
                let text = format!("{help}{}", yaml(&json!(seen)));
                in_editor(&text, async |text| put(text, &etag).await).await?;
            }
        }
        Ok(0)
    }
}

/// A server's answer as a typed object; `null` counts as missing.
fn read<T: DeserializeOwned>(mut seen: Value) -> Result<T> {
    crate::api::types::drop_nulls(&mut seen);
    from_tree(&seen).ctx(Kind::Invalid, || "Failed reading the server's answer")
}
