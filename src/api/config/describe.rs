//! The table as the document of `GET /1.0/metadata/configuration` (LXD main's shape).

use serde_json::{Map, Value, json};

use super::key::{Key, Live, On, Support};
use super::table;

/// What a set of keys is for, under the name LXD's document has for it.
#[derive(Clone, Debug)]
pub struct Entity {
    /// `instance`, `device-nic-bridged`, `storage-dir`...
    pub name: String,
    /// Its keys, in the order of the tables.
    pub keys: Vec<&'static Key>,
}

/// All entities with all their keys.
pub fn entities() -> Vec<Entity> {
    let mut list = vec![
        entity("instance".into(), super::instance::TABLES),
        entity("project".into(), super::project::TABLES),
        entity("server".into(), super::server::TABLES),
    ];
    for kind in super::device::types() {
        let parts: Vec<&str> = ["device", kind.name, kind.sub].into_iter().filter(|p| !p.is_empty()).collect();
        list.push(entity(parts.join("-"), &[kind.keys, table::device::COMMON]));
    }
    for (kind, keys) in table::network::TYPES {
        list.push(entity(format!("network-{kind}"), &[keys, table::network::COMMON]));
    }
    for (driver, keys) in table::pool::DRIVERS {
        list.push(entity(format!("storage-{driver}"), &[keys, table::pool::COMMON]));
        let own = table::volume::DRIVERS.iter().find(|row| row.0 == *driver).map_or(&[][..], |row| row.1);
        let volume = [own, table::volume::COMMON, table::volume::OWN];
        list.push(entity(format!("storage-{driver}"), &volume));
    }
    list
}

fn entity(name: String, tables: &[&'static [Key]]) -> Entity {
    Entity { name, keys: tables.iter().flat_map(|t| t.iter()).collect() }
}

/// The document: `configs` -> entity -> group -> `keys` -> one object a key.
pub fn describe() -> Value {
    let mut configs = Map::new();
    for entity in entities() {
        let groups = configs.entry(entity.name).or_insert_with(|| json!({}));
        for key in entity.keys {
            if let Some(list) = group(groups, key.group) {
                list.push(json!({ key.name: fields(key) }));
            }
        }
    }
    json!({ "configs": configs })
}

/// The list of keys under a heading, made when it is the first.
fn group<'a>(groups: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    let group = groups.as_object_mut()?.entry(name).or_insert_with(|| json!({ "keys": [] }));
    group.get_mut("keys")?.as_array_mut()
}

fn fields(key: &Key) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            fields.insert(name.to_owned(), value.into());
        }
    };
    put("longdesc", if key.long.is_empty() { key.short } else { key.long });
    put("shortdesc", key.short);
    put("type", key.kind.type_name());
    put("defaultdesc", key.default);
    put("liveupdate", if key.live == Live::Now { "yes" } else { "no" });
    put("condition", condition(key.on));
    put("scope", if key.on == On::Member { "local" } else { "global" });
    put("required", if key.required { "yes" } else { "no" });
    put("extension", key.since);
    // Ours: a client can tell what is refused for now.
    put("supported", if key.support == Support::Applied { "yes" } else { "no" });
    Value::Object(fields)
}

fn condition(on: On) -> &'static str {
    match on {
        On::Any | On::Member => "",
        On::Container => "container",
        On::Vm => "virtual machine",
        On::Custom => "custom volume",
    }
}
