//! `lxd init`: sets up storage, the default profile and the server, by flags, from YAML, or by dialogue.
//!
//! Each way ends in one [`Preseed`], which [`apply`] carries out and undoes when a step fails.

mod apply;
mod automatic;
mod dialogue;
mod dump;
mod preseed;

pub use preseed::Preseed;

use std::io::Read;

use super::api::Api;
use super::print;
use crate::error::{Ctx, Error, Kind, Result};

/// The longest preseed that is read.
const LONGEST: u64 = 4 << 20;

/// Flags of `lxd init`; numbers are `None` when not given or -1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the flags' own; words.rs describes them")]
pub struct InitFlags {
    pub auto: bool,
    pub minimal: bool,
    pub preseed: bool,
    pub dump: bool,
    pub network_address: Option<String>,
    pub network_port: Option<i64>,
    pub storage_backend: Option<String>,
    pub storage_create_device: Option<String>,
    pub storage_create_loop: Option<i64>,
    pub storage_pool: Option<String>,
    pub trust_password: Option<String>,
}

impl InitFlags {
    fn any_configuration(&self) -> bool {
        let texts = [&self.network_address, &self.storage_backend, &self.storage_create_device];
        texts.iter().any(|text| text.is_some())
            || self.storage_pool.is_some()
            || self.trust_password.is_some()
            || self.network_port.is_some()
            || self.storage_create_loop.is_some()
    }

    /// Refuses flags that don't go together, with LXD's texts.
    fn check(&self) -> Result<()> {
        let text = if self.auto && self.preseed {
            "Can't use --auto and --preseed together"
        } else if self.minimal && self.preseed {
            "Can't use --minimal and --preseed together"
        } else if self.minimal && self.auto {
            "Can't use --minimal and --auto together"
        } else if !self.auto && self.any_configuration() {
            "Configuration flags require --auto"
        } else if self.dump && (self.auto || self.minimal || self.preseed || self.any_configuration()) {
            "Can't use --dump with other flags"
        } else {
            return Ok(());
        };
        Err(Error::invalid(text))
    }
}

/// Carries out `lxd init`. Blocks, also on standard input.
///
/// # Errors
/// Flags that don't go together, what the daemon refuses, and answers that end early. What was done is undone then.
pub(super) fn run(flags: &InitFlags, api: &impl Api) -> Result<()> {
    flags.check()?;
    if flags.dump {
        return print(&dump::dump(api)?);
    }
    let preseed = if flags.preseed {
        Preseed::parse(&read_input()?)?
    } else if flags.auto || flags.minimal {
        automatic::plan(flags, api)?
    } else {
        dialogue::plan(&mut super::ask::Ask::terminal(), api)?
    };
    apply::apply(&preseed, api)
}

fn read_input() -> Result<String> {
    let mut text = String::new();
    let input = std::io::stdin().lock();
    input.take(LONGEST).read_to_string(&mut text).ctx(Kind::Invalid, || "Failed to read from stdin")?;
    Ok(text)
}

#[cfg(test)]
pub(super) mod fake {
    //! A daemon that answers from a table and keeps what it was asked.

    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::cli::lxd::api::{Api, Reply};
    use crate::error::{Error, Result};

    pub(crate) struct Fake {
        pub(crate) objects: BTreeMap<String, Value>,
        pub(crate) calls: RefCell<Vec<String>>,
        /// The call that fails: a method and a path.
        pub(crate) fails: Option<&'static str>,
    }

    impl Fake {
        /// A fresh server with `dir` and `overlay`.
        pub(crate) fn new() -> Fake {
            let drivers = json!([{"Name": "dir"}, {"Name": "overlay"}]);
            let server = json!({"config": {}, "environment": {"storage_supported_drivers": drivers}});
            let profile = json!({"config": {}, "description": "Default LXD profile", "devices": {}, "name": "default"});
            let mut fake = Fake { objects: BTreeMap::new(), calls: RefCell::default(), fails: None };
            fake.add("/1.0", server);
            fake.add("/1.0/storage-pools", json!([]));
            fake.add("/1.0/profiles", json!(["/1.0/profiles/default"]));
            fake.add("/1.0/profiles/default", profile);
            fake
        }

        pub(crate) fn add(&mut self, path: &str, object: Value) -> &mut Fake {
            self.objects.insert(path.to_string(), object);
            self
        }

        /// What was changed, in order.
        pub(crate) fn changes(&self) -> Vec<String> {
            self.calls.borrow().iter().filter(|call| !call.starts_with("GET")).cloned().collect()
        }
    }

    impl Api for Fake {
        fn call(&self, method: &str, path: &str, body: Option<&Value>, etag: Option<&str>) -> Result<Reply> {
            let name = format!("{method} {path}");
            let call = body.map_or(name.clone(), |body| format!("{name} {body}"));
            self.calls.borrow_mut().push(call);
            if self.fails == Some(name.as_str()) {
                return Err(Error::invalid("no"));
            }
            assert!(etag.is_none_or(|etag| etag == "tag"));
            match (method, self.objects.get(path)) {
                ("GET", None) => Err(Error::not_found("not found")),
                (_, Some(object)) => Ok(Reply { metadata: object.clone(), etag: Some("tag".to_string()) }),
                _ => Ok(Reply::default()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets up a real LXD and back: `LXBOX_ORACLE=SOCKET cargo test -- --ignored a_dump_of_lxd`. The daemon must be fresh:
    /// it gets a pool and a profile.
    #[test]
    #[ignore = "needs a real, fresh LXD"]
    fn a_dump_of_lxd_makes_it_again() {
        let api = crate::cli::lxd::SocketApi::new(std::env::var("LXBOX_ORACLE").unwrap());
        let fresh = dump::dump(&api).unwrap();
        assert!(fresh.contains("storage_pools: []\n"), "not fresh: {fresh}");
        let broken = "config: {user.a: 1}\nstorage_pools: [{name: lxbox-p, driver: dir}]\nprofiles: [{name: q, devices: {x: {type: no}}}]\n";
        apply::apply(&Preseed::parse(broken).unwrap(), &api).unwrap_err();
        assert_eq!(dump::dump(&api).unwrap(), fresh);
        let good =
            "storage_pools: [{name: lxbox-p, driver: dir}]\nprofiles: [{name: lxbox-q, config: {limits.cpu: 2}}]\n";
        apply::apply(&Preseed::parse(good).unwrap(), &api).unwrap();
        let text = dump::dump(&api).unwrap();
        assert!(text.contains("    limits.cpu: \"2\"\n"), "{text}");
        apply::apply(&Preseed::parse(&text).unwrap(), &api).unwrap();
        assert_eq!(dump::dump(&api).unwrap(), text);
        let delete = |path: &str| api.delete(path).unwrap();
        delete("/1.0/profiles/lxbox-q");
        delete("/1.0/storage-pools/lxbox-p");
        assert_eq!(dump::dump(&api).unwrap(), fresh);
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        let base = InitFlags::default;
        let check = |flags: InitFlags| flags.check().map_err(|e| e.message().to_string()).err().unwrap_or_default();
        let text = check(InitFlags { auto: true, preseed: true, ..base() });
        assert_eq!(text, "Can't use --auto and --preseed together");
        let text = check(InitFlags { minimal: true, storage_pool: Some("x".to_string()), ..base() });
        assert_eq!(text, "Configuration flags require --auto");
        assert_eq!(check(InitFlags { dump: true, auto: true, ..base() }), "Can't use --dump with other flags");
        assert_eq!(check(InitFlags { auto: true, network_port: Some(1), ..base() }), "");
    }
}
