//! What daemon and shims tell each other, and the records a new daemon finds: another version, or a guest that broke out,
//! may have written them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::api::tree::{FromTree, from_slice};
use lxbox::runtime::spec::attach::{AttachAnswer, AttachPlan};
use lxbox::runtime::spec::shift::ShiftPlan;
use lxbox::runtime::spec::shim::{ExitRecord, FromShim, RunRecord, ToShim};
use lxbox::runtime::spec::{ContainerSpec, Idmap};
use serde::Serialize;

/// What is understood is written as it would be understood again.
fn same<T: Serialize + FromTree>(data: &[u8]) {
    if let Ok(message) = from_slice::<T>(data) {
        let text = serde_json::to_string(&message).expect("a message can be written");
        let again: T = from_slice(text.as_bytes()).expect("what was written can be read");
        assert_eq!(text, serde_json::to_string(&again).expect("a message can be written"));
    }
}

fuzz_target!(|data: &[u8]| {
    same::<FromShim>(data);
    same::<ToShim>(data);
    same::<RunRecord>(data);
    same::<ExitRecord>(data);
    same::<ContainerSpec>(data);
    same::<AttachPlan>(data);
    same::<AttachAnswer>(data);
    same::<ShiftPlan>(data);
    if let Ok(map) = from_slice::<Idmap>(data) {
        map.root();
    }
});
