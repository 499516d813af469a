//! What somebody asks: reading strangers' packets.

use std::panic::catch_unwind;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::tsig::Signed;

/// Bytes of a header.
const HEADER: usize = 12;
/// Bytes of a question, at most.
pub const LONGEST: usize = 4096;

/// What is wanted of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Its SOA record alone.
    State,
    /// All of it.
    All,
    /// What changed since this serial number. All of it, where that is not known.
    Since(Option<u32>),
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// To be repeated in the answer.
    pub id: u16,
    /// Likewise.
    pub recursion_desired: bool,
    /// Whether the asker knows extensions (RFC 6891).
    pub extended: bool,
    /// Likewise.
    pub query: Query,
    /// What is wanted.
    pub wish: Wish,
    /// The signature.
    pub signed: Option<Signed>,
}

/// A packet.
#[derive(Debug)]
pub enum Heard {
    /// A question about a zone.
    Question(Box<Question>),
    /// A question that isn't answered here.
    Other,
    /// No question that can be read.
    Malformed,
    /// No question: answering it could go on for ever.
    Nothing,
}

/// Reads a packet.
pub fn read(packet: &[u8]) -> Heard {
    let Some(header) = packet.get(..HEADER) else { return Heard::Nothing };
    if header[2] & 0x80 != 0 {
        return Heard::Nothing;
    }
    if header[2] >> 3 & 0xf != 0 {
        return Heard::Other;
    }
    if packet.len() > LONGEST || header[4..6] != [0, 1] {
        return Heard::Malformed;
    }
    // The decoder is a crate's, and its input a stranger's.
    let decoded = catch_unwind(|| Some((Message::from_vec(packet).ok()?, before_last(packet)?)));
    let Some((message, last)) = decoded.ok().flatten() else { return Heard::Malformed };
    match question(packet, message, last) {
        Some(question) => Heard::Question(Box::new(question)),
        None => Heard::Other,
    }
}

fn question(packet: &[u8], mut message: Message, last: usize) -> Option<Question> {
    let query = message.queries.pop()?;
    let wish = match query.query_type() {
        RecordType::SOA => Wish::State,
        RecordType::AXFR => Wish::All,
        RecordType::IXFR => Wish::Since(message.authorities.iter().find_map(|r| match &r.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        })),
        _ => return None,
    };
    // Nothing may stand behind a signature (RFC 8945 section 5.1).
    let signed = match message.additionals.pop().map(|record| (record.name, record.data)) {
        Some((key, RData::TSIG(tsig))) => Some(Signed { message: unsigned(packet, last, tsig.oid), key, tsig }),
        _ => None,
    };
    (query.query_class() == DNSClass::IN).then(|| Question {
        id: message.metadata.id,
        recursion_desired: message.metadata.recursion_desired,
        extended: message.edns.is_some(),
        query,
        wish,
        signed,
    })
}

/// A message without its last record, and with the number it had when it was signed.
fn unsigned(packet: &[u8], last: usize, id: u16) -> Vec<u8> {
    let mut message = packet[..last].to_vec();
    message[..2].copy_from_slice(&id.to_be_bytes());
    let count = u16::from_be_bytes([message[10], message[11]]).saturating_sub(1);
    message[10..HEADER].copy_from_slice(&count.to_be_bytes());
    message
}

/// Where the last record of a packet begins; its end, when there is none.
fn before_last(packet: &[u8]) -> Option<usize> {
    let mut decoder = BinDecoder::new(packet);
    let count = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    decoder.read_slice(HEADER).ok()?;
    for _ in 0..count(4) {
        Query::read(&mut decoder).ok()?;
    }
    let mut last = decoder.index();
    for _ in 0..count(6) + count(8) + count(10) {
        last = decoder.index();
        Name::read(&mut decoder).ok()?;
        decoder.read_slice(8).ok()?;
        let length = decoder.read_u16().ok()?.unverified();
        decoder.read_slice(usize::from(length)).ok()?;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{MessageType, OpCode};

    fn packet(kind: RecordType, class: DNSClass) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        let mut query = Query::query(Name::from_ascii("z.net.").unwrap(), kind);
        query.set_query_class(class);
        message.add_query(query);
        message.to_vec().unwrap()
    }

    #[test]
    fn questions_are_told_from_the_rest() {
        let wish = |kind| match read(&packet(kind, DNSClass::IN)) {
            Heard::Question(q) => Some(q.wish),
            _ => None,
        };
        assert_eq!(wish(RecordType::SOA), Some(Wish::State));
        assert_eq!(wish(RecordType::AXFR), Some(Wish::All));
        assert_eq!(wish(RecordType::IXFR), Some(Wish::Since(None)));
        assert!(matches!(read(&packet(RecordType::A, DNSClass::IN)), Heard::Other));
        assert!(matches!(read(&packet(RecordType::AXFR, DNSClass::CH)), Heard::Other));
        let mut answer = packet(RecordType::SOA, DNSClass::IN);
        answer[2] |= 0x80;
        assert!(matches!(read(&answer), Heard::Nothing));
        assert!(matches!(read(b"short"), Heard::Nothing));
        let cut = packet(RecordType::SOA, DNSClass::IN);
        for length in HEADER..cut.len() {
            assert!(matches!(read(&cut[..length]), Heard::Malformed), "{length}");
        }
    }
}
