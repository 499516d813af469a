//! What a client of SFTP sends: no panic, nothing read beyond its packet, and texts that are pieces of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::helper::files::sftp::packet::{Request, read, version};

fuzz_target!(|data: &[u8]| {
    let _ = version(data);
    let Ok((id, request)) = read(data) else { return assert!(data.len() < 5) };
    assert_eq!(data[1..5], id.to_be_bytes());
    if let Ok(Request::Write(_, _, piece)) = request {
        assert!(data.as_ptr_range().contains(&piece.as_ptr()) || piece.is_empty());
        assert!(piece.len() < data.len());
    }
    if let Ok(Request::Open(path, ..) | Request::Lstat(path) | Request::Mkdir(path, _)) = request {
        assert!(!path.as_os_str().as_encoded_bytes().contains(&0));
    }
});
