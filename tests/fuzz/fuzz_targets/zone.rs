//! What a stranger sends to the server of zones: no panic, answers that carry the question's number, no answer to an
//! answer, and no signature that holds without the key.
#![no_main]

use hickory_proto::op::ResponseCode;
use libfuzzer_sys::fuzz_target;
use lxbox::runtime::network::dns::answer::{messages, refusal, too_long};
use lxbox::runtime::network::dns::question::{Heard, read};
use lxbox::runtime::network::dns::tsig::Key;

fuzz_target!(|data: &[u8]| {
    let mut answers = Vec::new();
    match read(data) {
        Heard::Nothing => assert!(data.len() < 12 || data[2] & 0x80 != 0),
        Heard::Other | Heard::Malformed => answers.push(refusal(data, None, ResponseCode::NotImp)),
        Heard::Question(question) => {
            answers.extend([refusal(data, Some(&question), ResponseCode::Refused), too_long(&question)]);
            answers.extend(messages(&question, &[], None, 0));
            if let Some(signed) = &question.signed {
                let key = Key::new("z.net", "peer", "c2VjcmV0").expect("base64");
                assert!(!signed.by(&key, signed.tsig.time));
            }
        }
    }
    for answer in answers.iter().filter(|a| !a.is_empty()) {
        assert_eq!(answer[..2], data[..2]);
        assert!(answer[2] & 0x80 != 0);
    }
});
