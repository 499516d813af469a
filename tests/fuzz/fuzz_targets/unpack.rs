//! The tree writer: whatever the archive is, nothing appears beside the target. Needs root or a user namespace.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::helper::unpack::{Limits, remove, unpack_image};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::AsFd;

fuzz_target!(|data: &[u8]| {
    let scratch = std::env::temp_dir().join(format!("lxbox-fuzz-{}", std::process::id()));
    fs::create_dir_all(scratch.join("target")).unwrap();
    let mut archive =
        File::options().read(true).write(true).create(true).truncate(true).open(scratch.join("archive")).unwrap();
    archive.write_all(data).unwrap();
    archive.rewind().unwrap();
    let limits = Limits { bytes: 1 << 20, entries: 200, memory: 64 << 20, ..Limits::default() };
    let target = File::open(scratch.join("target")).unwrap();
    let _ = unpack_image(target.into(), vec![archive], false, limits);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 2);
    remove::tree(File::open(&scratch).unwrap().as_fd(), OsStr::new("target")).unwrap();
});
