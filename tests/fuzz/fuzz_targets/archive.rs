//! The tar reader and every decoder before it: no panic, no more memory or members than the limits allow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::helper::unpack::compression::{Format, decoder};
use lxbox::runtime::helper::unpack::reader::Reader;
use lxbox::runtime::helper::unpack::{Limits, Threads};
use std::io::Read;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { entries: 1000, extended: 1 << 20, memory: 64 << 20, ..Limits::default() };
    let format = Format::detect(data).filter(|format| format.is_archive()).unwrap_or(Format::Tar);
    let Ok(stream) = decoder(std::io::Cursor::new(data.to_vec()), format, limits.memory, Threads::One) else { return };
    let mut reader = Reader::new(stream.take(16 << 20), limits);
    let mut buffer = [0; 4096];
    while let Ok(Some(_)) = reader.next() {
        while matches!(reader.read_data(&mut buffer), Ok(n) if n > 0) {}
    }
});
