//! The multipart reader: the same events however the body is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::images::multipart::{Event, Parser, boundary};

fn parts(body: &[u8], piece: usize) -> Option<Vec<(String, Vec<u8>)>> {
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    let mut parser = Parser::new("XX");
    for piece in body.chunks(piece.max(1)) {
        let fed = parser.feed(piece, &mut |event| {
            match event {
                Event::Part(name, _) => parts.push((name, Vec::new())),
                Event::Data(data) => parts.last_mut().expect("data belongs to a part").1.extend_from_slice(data),
            }
            Ok(())
        });
        fed.ok()?;
    }
    parser.finish().ok()?;
    Some(parts)
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = boundary(text);
    }
    let Some((first, body)) = data.split_first() else { return };
    assert_eq!(parts(body, usize::from(*first)), parts(body, body.len()));
});
