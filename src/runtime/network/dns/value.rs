//! Values of records, as zone files have them (RFC 1035 section 5.1).

use hickory_proto::rr::rdata::{NULL, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

/// The types that people can give records of. Others are written as RFC 3597 has them: `TYPE65400`, `\# 2 aabb`.
/// With how many words a value has; none where hex digits may be cut into several.
const TYPES: &[(&str, RecordType, Option<usize>)] = &[
    ("A", RecordType::A, Some(1)),
    ("AAAA", RecordType::AAAA, Some(1)),
    ("CAA", RecordType::CAA, Some(3)),
    ("CNAME", RecordType::CNAME, Some(1)),
    ("HINFO", RecordType::HINFO, Some(2)),
    ("HTTPS", RecordType::HTTPS, None),
    ("MX", RecordType::MX, Some(2)),
    ("NAPTR", RecordType::NAPTR, Some(6)),
    ("NS", RecordType::NS, Some(1)),
    ("OPENPGPKEY", RecordType::OPENPGPKEY, Some(1)),
    ("PTR", RecordType::PTR, Some(1)),
    ("SMIMEA", RecordType::SMIMEA, None),
    ("SRV", RecordType::SRV, Some(4)),
    ("SSHFP", RecordType::SSHFP, None),
    ("SVCB", RecordType::SVCB, None),
    ("TLSA", RecordType::TLSA, None),
    ("TXT", RecordType::TXT, None),
];

/// The longest value, in bytes of its text.
const LONGEST: usize = 4096;
/// The longest string of a TXT record.
const STRING: usize = 255;

/// The data of a record of this type with this value; names that end in no dot are below `zone`.
///
/// # Errors
/// A text for people.
pub fn parse(kind: &str, value: &str, zone: &Name) -> Result<RData, String> {
    let upper = kind.to_ascii_uppercase();
    let wrong = || format!("{value:?} is no value for {kind:?}");
    if value.len() > LONGEST || value.contains(|c: char| c.is_control() && c != '\t') {
        return Err(wrong());
    }
    let parsed = match TYPES.iter().find(|(name, ..)| *name == upper) {
        Some((_, _, Some(count))) if words(value) != Some(*count) => None,
        Some((_, kind, _)) => known(*kind, value, zone),
        None => {
            let number = upper.strip_prefix("TYPE").and_then(|n| n.parse::<u16>().ok());
            let number = number.filter(|n| RecordType::from(*n) == RecordType::Unknown(*n));
            unknown(number.ok_or_else(|| format!("unknown type {kind:?}"))?, value)
        }
    };
    // What can't be sent is no value either.
    parsed.filter(|data| data.to_bytes().is_ok_and(|bytes| bytes.len() <= LONGEST)).ok_or_else(wrong)
}

fn known(kind: RecordType, value: &str, zone: &Name) -> Option<RData> {
    words(value).filter(|count| *count > 0)?;
    let relative = value.split_whitespace().map(|w| if w == "@" { zone.to_ascii() } else { w.to_owned() });
    let data = match kind {
        // Blanks within the quotes of a text matter.
        RecordType::TXT | RecordType::CAA | RecordType::HINFO | RecordType::NAPTR => {
            RData::try_from_str(kind, value).ok()?
        }
        _ => RData::try_from_str(kind, &relative.collect::<Vec<_>>().join(" ")).ok()?,
    };
    Some(match data {
        RData::CNAME(mut d) => RData::CNAME(below(&mut d.0, zone).then_some(d)?),
        RData::NS(mut d) => RData::NS(below(&mut d.0, zone).then_some(d)?),
        RData::PTR(mut d) => RData::PTR(below(&mut d.0, zone).then_some(d)?),
        RData::MX(mut d) => RData::MX(below(&mut d.exchange, zone).then_some(d)?),
        RData::SRV(mut d) => RData::SRV(below(&mut d.target, zone).then_some(d)?),
        RData::TXT(d) if d.txt_data.is_empty() => return None,
        RData::TXT(d) => {
            let strings: Vec<&[u8]> = d.txt_data.iter().flat_map(|s| pieces(s)).collect();
            RData::TXT(TXT::from_bytes(strings))
        }
        other => other,
    })
}

/// A string in pieces that fit in a record; an empty one stays.
fn pieces(string: &[u8]) -> Vec<&[u8]> {
    if string.is_empty() { vec![string] } else { string.chunks(STRING).collect() }
}

/// How many words a value has; none when quotes stay open, or something would be lost as a comment or go on in
/// another line.
fn words(value: &str) -> Option<usize> {
    let (mut quoted, mut escaped, mut within, mut count) = (false, false, false, 0);
    for c in value.chars() {
        let blank = c.is_whitespace() && !quoted && !escaped;
        if !blank && !within {
            count += 1;
        }
        within = !blank;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ';' | '(' | ')' if !quoted => return None,
            _ => {}
        }
    }
    (!quoted && !escaped).then_some(count)
}

/// Puts a name that is relative below the zone; false when it gets too long.
fn below(name: &mut Name, zone: &Name) -> bool {
    if name.is_fqdn() {
        return true;
    }
    match name.clone().append_domain(zone) {
        Ok(full) => *name = full,
        Err(_) => return false,
    }
    true
}

/// `\# LENGTH HEX...` (RFC 3597 section 5).
fn unknown(number: u16, value: &str) -> Option<RData> {
    let mut words = value.split_whitespace();
    let length: usize = (words.next()? == "\\#").then(|| words.next()?.parse().ok()).flatten()?;
    let hex: String = words.collect();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    (bytes.len() == length).then(|| RData::Unknown { code: number.into(), rdata: NULL::with(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: &str, value: &str) -> Result<String, String> {
        parse(kind, value, &Name::from_ascii("z.example.net.").unwrap()).map(|d| d.to_string())
    }

    #[test]
    fn values_are_read() {
        for (kind, value, want) in [
            ("A", "192.0.2.1", "192.0.2.1"),
            ("aaaa", "2001:db8::1", "2001:db8::1"),
            ("CNAME", "www", "www.z.example.net."),
            ("CNAME", "@", "z.example.net."),
            ("CNAME", "www.other.", "www.other."),
            ("NS", "ns.x.", "ns.x."),
            ("MX", "10  mail", "10 mail.z.example.net."),
            ("SRV", "0 5 5060 sip.other.", "0 5 5060 sip.other."),
            ("CAA", "0 issue \"x.org\"", "0 issue \"x.org\""),
            ("SSHFP", "1 1 aabb", "1 1 aabb"),
        ] {
            assert_eq!(shown(kind, value).map(|s| s.to_ascii_lowercase()), Ok(want.into()), "{kind} {value}");
        }
    }

    #[test]
    fn texts_keep_what_is_quoted() {
        let strings = |value: &str| match parse("TXT", value, &Name::root()) {
            Ok(RData::TXT(txt)) => txt.txt_data.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(strings("hello world"), ["hello", "world"]);
        assert_eq!(strings("\"v=1;  k=2\" \"two\""), ["v=1;  k=2", "two"]);
        assert_eq!(strings(&"x".repeat(600)).iter().map(String::len).collect::<Vec<_>>(), [255, 255, 90]);
        for wrong in ["", " ", "\"a b", "v=1; k=2", "a\nb", &"x".repeat(5000)] {
            assert_eq!(strings(wrong), [""; 0], "{wrong:?}");
        }
    }

    #[test]
    fn other_types_are_written_in_hex() {
        let data = parse("TYPE65400", "\\# 2 aa BB", &Name::root()).unwrap();
        assert_eq!(data.to_bytes().unwrap(), [0xaa, 0xbb]);
        for (kind, value) in
            [("TYPE65400", "\\# 3 aabb"), ("TYPE65400", "aabb"), ("TYPE1", "\\# 4 01020304"), ("TYPE250", "\\# 0")]
        {
            assert!(parse(kind, value, &Name::root()).is_err(), "{kind} {value}");
        }
        for kind in ["NOPE", "", "ANY", "AXFR", "OPT", "SOA", "TSIG"] {
            assert_eq!(shown(kind, "1.2.3.4"), Err(format!("unknown type {kind:?}")));
        }
    }
}
