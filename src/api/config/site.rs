//! Where a configuration is checked: what LXD 5.0.2 puts before the text there, and with which status it answers.

use crate::error::{Error, Kind};

/// A place where a client hands in configuration.
///
/// Asked of a 5.0.2 server. Where it answers 500 to a wrong value, the kind here is [`Kind::Internal`]; operations
/// (instance create and PUT) end with status 400 whatever the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// `POST /1.0/instances`.
    InstanceCreate,
    /// `PUT` and `PATCH /1.0/instances/NAME`.
    InstanceUpdate,
    /// `POST /1.0/profiles`.
    ProfileCreate,
    /// `PUT` and `PATCH /1.0/profiles/NAME`.
    ProfileUpdate,
    /// `POST /1.0/storage-pools`.
    PoolCreate,
    /// `PUT` and `PATCH /1.0/storage-pools/NAME`.
    PoolUpdate,
    /// `POST /1.0/networks`.
    NetworkCreate,
    /// `PUT` and `PATCH /1.0/networks/NAME`.
    NetworkUpdate,
    /// Access lists, forwards and zones of networks, wherever they are handed in.
    NetworkPart,
    /// `PUT` and `PATCH /1.0`.
    Server,
}

impl Site {
    /// The error of a `config` as a client of LXD sees it here.
    pub fn config(self, error: Error) -> Error {
        let prefix = match self {
            Site::InstanceCreate => "Failed creating instance record: ",
            Site::InstanceUpdate => "Invalid config: ",
            _ => "",
        };
        self.dress(prefix, error)
    }

    /// The error of `devices` as a client of LXD sees it here.
    pub fn devices(self, error: Error) -> Error {
        self.dress(self.devices_prefix("Invalid devices: "), error)
    }

    /// The error of an instance's devices together with those of its profiles, likewise.
    pub fn expanded_devices(self, error: Error) -> Error {
        self.dress(self.devices_prefix("Invalid expanded devices: "), error)
    }

    fn devices_prefix(self, update: &'static str) -> &'static str {
        match self {
            Site::InstanceCreate => "Failed creating instance record: Failed initialising instance: Invalid devices: ",
            Site::InstanceUpdate => update,
            _ => "",
        }
    }

    /// Puts the prefix before a refusal of ours too, but leaves its kind.
    fn dress(self, prefix: &str, error: Error) -> Error {
        let kind = match (error.kind(), self) {
            (Kind::Invalid, Site::InstanceUpdate | Site::ProfileUpdate | Site::PoolCreate) => Kind::Internal,
            (Kind::Invalid, Site::NetworkCreate | Site::NetworkPart) => Kind::Internal,
            (kind, _) => kind,
        };
        Error::new(kind, format!("{prefix}{}", error.message()))
    }
}
