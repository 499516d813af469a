//! `dnsmasq.leases`: the leases as LXD's dnsmasq writes them, because tools read that file. It is also our own memory.
//!
//! ```text
//! ENDS MAC ADDRESS NAME|* CLIENT-ID|*          DHCPv4
//! duid SERVER-DUID                             stands before those of DHCPv6
//! ENDS ASSOCIATION ADDRESS NAME|* CLIENT-DUID  DHCPv6
//! ```
//! Identifiers are hexadecimal with colons; an end of 0 is never; the number of an association is decimal.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileExt;

use super::leases::{Client, Entry, Leases};
use super::limits;
use super::names;
use crate::runtime::spec::net::Mac;

/// Bytes of a lease file, at most.
const MAX_FILE: u64 = 4 << 20;
/// Bytes of an identifier, at most (the longest that DHCPv4 can carry).
const MAX_ID: usize = 255;

/// What a lease file says.
#[derive(Debug, Default)]
pub struct Content {
    /// The leases.
    pub leases: Leases,
    /// The server's identifier in DHCPv6.
    pub duid: Option<Vec<u8>>,
}

/// Writes all leases as the file's text.
pub fn print(leases: &Leases, duid: Option<&[u8]>) -> String {
    let mut text = String::new();
    for entry in leases.iter() {
        let name = entry.name.as_deref().unwrap_or("*");
        let id = match &entry.client {
            Client::Mac(_) => "*".to_owned(),
            Client::Id(id) => hex(id),
            Client::Duid(..) => continue,
        };
        let mac = entry.mac.unwrap_or_default();
        let _ = writeln!(text, "{} {mac} {} {name} {id}", entry.expires, entry.address);
    }
    if let Some(duid) = duid {
        let _ = writeln!(text, "duid {}", hex(duid));
        for entry in leases.iter() {
            let Client::Duid(id, association) = &entry.client else { continue };
            let name = entry.name.as_deref().unwrap_or("*");
            let _ = writeln!(text, "{} {association} {} {name} {}", entry.expires, entry.address, hex(id));
        }
    }
    text
}

/// Reads a file's text. Lines that make no sense are left out: a write may have been cut off by a crash.
pub fn parse(text: &str) -> Content {
    let mut content = Content::default();
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("duid ") {
            content.duid = unhex(id).or(content.duid);
        } else if let Some(entry) = parse_line(line)
            && content.leases.has_room(None)
        {
            content.leases.put(entry);
        }
    }
    content.leases.take_changed();
    content
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let expires = words.next()?.parse().ok()?;
    let (who, address, name, id) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let name = names::host_name(name.as_bytes());
    if words.next().is_some() {
        return None;
    }
    if let Ok(address) = address.parse::<Ipv4Addr>() {
        let mac: Mac = who.parse().ok()?;
        let client = if id == "*" { Client::Mac(mac) } else { Client::Id(unhex(id)?) };
        return Some(Entry { client, mac: Some(mac), address: address.into(), name, expires });
    }
    let address: Ipv6Addr = address.parse().ok()?;
    let duid = unhex(id)?;
    let mac = mac_of_duid(&duid);
    let client = Client::Duid(duid, who.trim_start_matches('T').parse().ok()?);
    Some(Entry { client, mac, address: IpAddr::V6(address), name, expires })
}

/// The hardware address in a client's DUID, where it is of a kind that has one (RFC 8415, 11.2 and 11.4: Ethernet).
pub fn mac_of_duid(duid: &[u8]) -> Option<Mac> {
    let mac = match duid {
        [0, 1, 0, 1, _, _, _, _, mac @ ..] => mac,
        [0, 3, 0, 1, mac @ ..] => mac,
        _ => return None,
    };
    mac.try_into().ok().map(Mac)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02x}", if i == 0 { "" } else { ":" });
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_ID * 3 {
        return None;
    }
    let byte = |part: &str| match part.len() {
        2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    };
    text.split(':').map(byte).collect()
}

/// The file, and what stands in it. Opened by whoever started us: we could not.
#[derive(Debug)]
pub struct LeaseFile {
    file: File,
    written: String,
}

impl LeaseFile {
    /// Reads the file.
    pub fn open(file: File) -> io::Result<(LeaseFile, Content)> {
        let length = file.metadata()?.len().min(MAX_FILE);
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let written = String::from_utf8_lossy(&bytes).into_owned();
        let content = parse(&written);
        Ok((LeaseFile { file, written }, content))
    }

    /// Writes what changed. In place, because nothing here may create files: a crash in the middle leaves the beginning new and the
    /// rest old, which [`parse`] bears. Not synced: after a power cut clients ask for what they had, and get it.
    pub fn save(&mut self, leases: &Leases, duid: Option<&[u8]>) -> io::Result<()> {
        let text = print(leases, duid);
        let same = text.bytes().zip(self.written.bytes()).take_while(|(a, b)| a == b).count();
        if same < text.len() {
            self.file.write_all_at(&text.as_bytes()[same..], same as u64)?;
        }
        if text.len() < self.written.len() {
            self.file.set_len(text.len() as u64)?;
        }
        self.written = text;
        Ok(())
    }
}

const _: () = assert!(limits::LEASES * 900 < MAX_FILE as usize);

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debian's dnsmasq 2.90 wrote for LXD 5.0.2.
    const REAL: &str = "1795303812 00:16:3e:d7:63:d2 10.123.1.77 c2 01:00:16:3e:d7:63:d2\n\
        1795303815 00:16:3e:ec:0a:9e 10.123.1.163 * *\n\
        duid 00:01:00:01:32:94:d7:f2:00:16:3e:16:ae:d9\n\
        1795303900 15531009 fd42:1:2:3::77 c2 00:01:00:01:32:94:d8:00:00:16:3e:d7:63:d2\n";

    #[test]
    fn what_dnsmasq_wrote_is_read_and_written_the_same() {
        let content = parse(REAL);
        assert_eq!(content.leases.iter().count(), 3);
        let six = content.leases.at("fd42:1:2:3::77".parse::<Ipv6Addr>().unwrap()).unwrap();
        assert_eq!(six.mac.unwrap().to_string(), "00:16:3e:d7:63:d2");
        assert_eq!(print(&content.leases, content.duid.as_deref()), REAL);
    }

    #[test]
    fn damaged_lines_cost_only_themselves() {
        let torn = REAL.replace("1795303815 00:16", "17953").replace("fd42:1:2:3::77 c2", "fd42:1:2:3::77");
        assert_eq!(parse(&torn).leases.iter().count(), 1);
        assert_eq!(parse("\0\u{fffd} a b c d\n\n  \nduid zz\n").leases.iter().count(), 0);
    }

    #[test]
    fn a_file_is_written_over_and_cut_in_place() {
        let path = std::env::temp_dir().join(format!("lxbox-lease-file-{}", std::process::id()));
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (mut file, _) = LeaseFile::open(open()).unwrap();
        let mut content = parse(REAL);
        file.save(&content.leases, content.duid.as_deref()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), REAL);
        content.leases.remove(|e| e.address == "10.123.1.77".parse::<Ipv4Addr>().unwrap());
        file.save(&content.leases, content.duid.as_deref()).unwrap();
        let lines: Vec<_> = REAL.lines().skip(1).collect();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines.join("\n") + "\n");
        let (_, again) = LeaseFile::open(open()).unwrap();
        assert_eq!(again.leases.iter().count(), 2);
        std::fs::remove_file(&path).unwrap();
    }
}
