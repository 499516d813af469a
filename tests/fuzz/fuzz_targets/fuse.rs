//! What the kernel hands on of a guest's requests for its view of /proc: no panic, and every answer has its length and number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::helper::procfs::fuse::{self, Call};

fuzz_target!(|data: &[u8]| {
    let Some(request) = fuse::parse(data) else { return };
    let answer = match request.call {
        Call::Init => fuse::welcome(&request),
        Call::Lookup(name) => fuse::found(&request, name, 1),
        Call::Attributes => fuse::attributes(&request, 1),
        Call::Open(flags) => fuse::opened(&request, flags, 1),
        Call::Read { size, .. } => fuse::content(&request, &vec![0; size as usize]),
        Call::Release { .. } => fuse::done(&request),
        Call::Space => fuse::space(&request),
        Call::Fill | Call::Silent | Call::Other => fuse::refuse(&request, 22),
    };
    assert_eq!(answer[..4], (answer.len() as u32).to_ne_bytes());
    assert_eq!(answer[8..16], data[8..16]);
    assert!(fuse::file(request.node).is_none_or(|place| place < 8));
});
