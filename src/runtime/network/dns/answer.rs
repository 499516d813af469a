//! Answers: refusals, the state of a zone, and all of it in as many messages as that takes.

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncodable;

use super::question::Question;
use super::tsig::Signer;

/// Bytes of records in one message, about: well below the 65535 that a message can have, whose records may be compressed.
const PIECE: usize = 16 * 1024;

/// An answer of one message without records.
pub fn refusal(packet: &[u8], question: Option<&Question>, code: ResponseCode) -> Vec<u8> {
    let mut message = match question {
        Some(question) => begun(question),
        None => bare(packet),
    };
    message.metadata.response_code = code;
    message.to_vec().unwrap_or_default()
}

/// The header of an answer to what could not be read.
fn bare(packet: &[u8]) -> Message {
    let byte = |at: usize| packet.get(at).copied().unwrap_or(0);
    let id = u16::from_be_bytes([byte(0), byte(1)]);
    let mut message = Message::response(id, OpCode::from_u8(byte(2) >> 3 & 0xf));
    message.metadata.recursion_desired = byte(2) & 1 != 0;
    message
}

/// Nothing but the word that it doesn't fit: ask over TCP.
pub fn too_long(question: &Question) -> Vec<u8> {
    let mut message = begun(question);
    message.metadata.truncation = true;
    message.to_vec().unwrap_or_default()
}

/// Messages with these records, signed where the question was. Empty when one can't be made.
pub fn messages(question: &Question, records: &[Record], signer: Option<Signer>, now: u64) -> Vec<Vec<u8>> {
    let mut signer = signer;
    let made = split(records).into_iter().map(|records| {
        let mut message = begun(question);
        message.metadata.authoritative = true;
        message.add_answers(records.iter().cloned());
        if let Some(signer) = &mut signer {
            message.signature = Some(Box::new(signer.sign(&message.to_vec().ok()?, now)?));
        }
        message.to_vec().ok()
    });
    made.collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn begun(question: &Question) -> Message {
    let mut message = Message::response(question.id, OpCode::Query);
    message.metadata.recursion_desired = question.recursion_desired;
    message.add_query(question.query.clone());
    if question.extended {
        message.set_edns(Edns::new());
    }
    message
}

fn split(records: &[Record]) -> Vec<&[Record]> {
    let size = |r: &Record| r.to_bytes().map_or(PIECE, |bytes| bytes.len());
    let (mut pieces, mut start, mut length) = (Vec::new(), 0, 0);
    for (at, record) in records.iter().enumerate() {
        let size = size(record);
        if length + size > PIECE && at > start {
            pieces.push(&records[start..at]);
            (start, length) = (at, 0);
        }
        length += size;
    }
    pieces.push(&records[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::question::{Heard, read};
    use super::super::tsig::{FUDGE, Key, Signed};
    use super::*;
    use hickory_proto::op::{MessageType, Query};
    use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm};
    use hickory_proto::rr::rdata::{A, TXT};
    use hickory_proto::rr::{Name, RData, RecordType};

    const NOW: u64 = 1_795_311_651;

    fn asked() -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii("z.net.").unwrap(), RecordType::AXFR));
        message
    }

    /// A packet signed with the key, as a client signs it: like an answer to nothing.
    fn signed_packet(key: &Key, now: u64) -> Vec<u8> {
        let tsig = TSIG::new(TsigAlgorithm::HmacSha256, now, FUDGE, Vec::new(), 7, None, Vec::new());
        let mut message = asked();
        let bytes = hickory_proto::rr::rdata::tsig::message_tbs(&message, &tsig, &key.name).unwrap();
        let mac = super::super::tsig::code_for_tests(key, &bytes);
        let record = hickory_proto::rr::rdata::tsig::make_tsig_record(key.name.clone(), tsig.set_mac(mac));
        message.signature = Some(Box::new(record));
        message.to_vec().unwrap()
    }

    fn question(packet: &[u8]) -> Box<Question> {
        match read(packet) {
            Heard::Question(question) => question,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_knows_the_key_is_believed_for_a_while() {
        let key = Key::new("z.net", "a", "c2VjcmV0").unwrap();
        let other = Key::new("z.net", "a", "b3RoZXI=").unwrap();
        let mut packet = signed_packet(&key, NOW);
        let signed = |packet: &[u8]| -> Signed { question(packet).signed.unwrap() };
        assert!(signed(&packet).by(&key, NOW) && signed(&packet).by(&key, NOW + 299));
        assert!(!signed(&packet).by(&other, NOW) && !signed(&packet).by(&key, NOW + 301));
        assert!(!signed(&packet).by(&Key::new("z.net", "b", "c2VjcmV0").unwrap(), NOW));
        // Another number in the header is allowed, a change of the question isn't.
        packet[0] ^= 1;
        assert!(signed(&packet).by(&key, NOW));
        packet[13] ^= 1;
        assert!(!signed(&packet).by(&key, NOW));
    }

    #[test]
    fn long_zones_are_sent_in_pieces() {
        let name = Name::from_ascii("z.net.").unwrap();
        let text = RData::TXT(TXT::new(vec!["x".repeat(200)]));
        let records: Vec<Record> = (0..1000).map(|_| Record::from_rdata(name.clone(), 1, text.clone())).collect();
        let packet = asked().to_vec().unwrap();
        let messages = messages(&question(&packet), &records, None, NOW);
        assert!(messages.len() > 10 && messages.iter().all(|m| m.len() < 20_000));
        let read: usize = messages.iter().map(|m| Message::from_vec(m).unwrap().answers.len()).sum();
        assert_eq!(read, 1000);
        let one = [Record::from_rdata(name, 1, RData::A(A::new(1, 2, 3, 4)))];
        let key = Key::new("z.net", "a", "c2VjcmV0").unwrap();
        let asked = question(&signed_packet(&key, NOW));
        let signer = Signer::new(asked.signed.as_ref().unwrap(), key);
        let message = Message::from_vec(&super::messages(&asked, &one, Some(signer), NOW)[0]).unwrap();
        assert!(matches!(&message.additionals[0].data, RData::TSIG(tsig) if tsig.mac.len() == 32));
    }
}
