//! Templates: no panic, no stack overflow, an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::api::types::{ImageMetadata, ImageMetadataTemplate};
use lxbox::runtime::images::template::{Context, Trigger, render};
use std::collections::BTreeMap;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let map = BTreeMap::from([("user.foo".to_owned(), "bar".to_owned())]);
    let template = ImageMetadataTemplate {
        when: vec!["start".into()],
        create_only: false,
        template: "t".into(),
        properties: map.clone(),
    };
    let metadata =
        ImageMetadata { templates: BTreeMap::from([("/out".to_owned(), template)]), ..ImageMetadata::default() };
    let devices = BTreeMap::from([("root".to_owned(), map.clone())]);
    let context = Context {
        name: "c1",
        kind: "container",
        architecture: "x86_64",
        privileged: false,
        ephemeral: false,
        config: &map,
        devices: &devices,
    };
    let _ = render(&metadata, &BTreeMap::from([("t".to_owned(), text.to_owned())]), Trigger::Start, &context);
});
