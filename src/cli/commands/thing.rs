//! What all things with a configuration have in common: show, get, set, unset, edit.

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::client::Client;
use crate::api::tree::FromTree;
use crate::api::types::{ConfigMap, from_tree};
use crate::cli::edit::edit as in_editor;
use crate::cli::input::piped;
use crate::cli::output::{emit, say, yaml};
use crate::cli::wait::{Read, Wait};
use crate::cli::yaml_in::from_yaml;
use crate::error::{Ctx, Kind, Result};
use crate::order::Order;

/// Something on a server that has a configuration.
pub(super) struct Thing {
    /// Its server.
    pub client: Client,
    /// Its path, with what is asked of it.
    pub address: String,
}

impl Thing {
    /// Prints it.
    pub fn show<T: FromTree + Serialize>(&self) -> Result<i32> {
        self.show_as(part::<T>)
    }

    fn show_as(&self, shown: Part) -> Result<i32> {
        let seen: Value = self.client.read(&self.address)?;
        let mut seen = shown(&seen)?;
        if let Some(users) = seen.get_mut("used_by").and_then(Value::as_array_mut) {
            users.order_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
        emit(yaml(&seen).as_bytes());
        Ok(0)
    }

    /// Prints the value of a key.
    pub fn get(&self, key: &str) -> Result<i32> {
        let seen: Value = self.client.read(&self.address)?;
        if let Some(value) = seen["config"].get(key).and_then(Value::as_str) {
            say!("{value}");
        }
        Ok(0)
    }

    /// Sets keys; empty values unset them, for which they are sent to the server.
    pub fn set<T: FromTree + Serialize>(&self, keys: ConfigMap) -> Result<i32> {
        self.set_as(part::<T>, keys)
    }

    fn set_as(&self, changeable: Part, keys: ConfigMap) -> Result<i32> {
        let (mut put, etag) = self.read(changeable)?;
        for (key, value) in keys {
            put["config"][&key] = value.into();
        }
        self.write(&put, &etag)
    }

    /// Reads it as JSON, lets `edit` change it, and writes back what of it can be changed (`T`).
    pub fn change<T: FromTree + Serialize>(&self, edit: impl FnOnce(&mut Value) -> Result<()>) -> Result<i32> {
        let (mut put, etag) = self.read(part::<T>)?;
        edit(&mut put)?;
        self.write(&put, &etag)
    }

    /// What of it can be changed, and its ETag.
    fn read(&self, changeable: Part) -> Result<(Value, String)> {
        let (seen, etag): (Value, String) = self.client.read_with_etag(&self.address)?;
        Ok((changeable(&seen)?, etag))
    }

    fn write(&self, put: &Value, etag: &str) -> Result<i32> {
        self.client.put(&self.address, put, etag).wait()?;
        Ok(0)
    }

    /// Takes it from standard input, or lets the user's editor change it. `S` is shown, `T` is written back.
    pub fn edit<S, T>(&self, what: &str, changeable: &str) -> Result<i32>
    where
        S: FromTree + Serialize,
        T: FromTree + Serialize + Default,
    {
        self.edit_as((what, changeable), part::<S>, |text| Ok(json!(from_yaml::<T>(text)?)))
    }

    fn edit_as(
        &self,
        (what, changeable): (&str, &str),
        shown: Part,
        written: fn(&str) -> Result<Value>,
    ) -> Result<i32> {
        let put = |text: &str, etag: &str| self.client.put(&self.address, &written(text)?, etag).wait();
        match piped()? {
            Some(text) => put(&text, "")?,
            None => {
                let (seen, etag): (Value, String) = self.client.read_with_etag(&self.address)?;
                let help =
                    format!("### A {what}. Lines that begin with # are left out; {changeable} can be changed.\n\n");
                let text = format!("{help}{}", yaml(&shown(&seen)?));
                in_editor(&text, &mut |text| put(text, &etag))?;
            }
        }
        Ok(0)
    }
}

/// Makes of a server's answer what a type has of it. A type is only that here: what is done with it is made once for all.
type Part = fn(&Value) -> Result<Value>;

fn part<T: FromTree + Serialize>(seen: &Value) -> Result<Value> {
    let part: T = from_tree(seen).ctx(Kind::Invalid, || "Failed reading the server's answer")?;
    Ok(json!(part))
}
