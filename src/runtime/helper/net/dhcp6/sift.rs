//! Leaves of a packet only what is read: the decoder panics on some of the rest, and nests options as deep as a packet is long.

/// Bytes in front of the options.
const HEAD: usize = 4;
/// Client, server, rapid commit, full name: read as they are.
const READ: [u16; 4] = [1, 2, 14, 39];
/// An association (RFC 8415, 21.4) and one of prefixes (21.21): bytes in front of their own options.
const ASSOCIATION: u16 = 3;
const PREFIXES: u16 = 25;
const ASSOCIATION_HEAD: usize = 12;
/// An address (21.6), and its bytes in front of its own options.
const ADDRESS: u16 = 5;
const ADDRESS_HEAD: usize = 24;

/// The packet with the options alone that are read; `None` when there is not even a head.
pub(super) fn sift(packet: &[u8]) -> Option<Vec<u8>> {
    let (head, options) = packet.split_at_checked(HEAD)?;
    let mut sifted = head.to_vec();
    for (code, content) in walk(options) {
        if READ.contains(&code) {
            put(&mut sifted, code, content);
        } else if code == ASSOCIATION || code == PREFIXES {
            let Some((head, inner)) = content.split_at_checked(ASSOCIATION_HEAD) else { continue };
            let mut kept = head.to_vec();
            let addresses = walk(inner).filter(|(inner, _)| (code, *inner) == (ASSOCIATION, ADDRESS));
            for address in addresses.filter_map(|(_, content)| content.get(..ADDRESS_HEAD)) {
                put(&mut kept, ADDRESS, address);
            }
            put(&mut sifted, code, &kept);
        }
    }
    Some(sifted)
}

/// The options of a level, up to the first that is cut off.
fn walk(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (content, behind) = behind.split_at_checked(length)?;
        rest = behind;
        Some((u16::from_be_bytes([head[0], head[1]]), content))
    })
}

/// Appends an option. Contents come out of a packet, so their length fits.
fn put(to: &mut Vec<u8>, code: u16, content: &[u8]) {
    to.extend(code.to_be_bytes());
    to.extend((content.len() as u16).to_be_bytes());
    to.extend(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_left_out_at_each_level() {
        let mut address = vec![7; ADDRESS_HEAD];
        let kept = address.clone();
        put(&mut address, 13, b"status");
        let (mut inner, mut expected) = (vec![1; ASSOCIATION_HEAD], vec![1; ASSOCIATION_HEAD]);
        put(&mut inner, 16, b"x");
        put(&mut inner, ADDRESS, &address);
        put(&mut inner, ADDRESS, b"short");
        put(&mut expected, ADDRESS, &kept);
        let (mut packet, mut wanted) = (b"\x01abc".to_vec(), b"\x01abc".to_vec());
        put(&mut packet, 1, b"client");
        put(&mut packet, 16, b"");
        put(&mut packet, ASSOCIATION, &inner);
        packet.extend([0, 2, 0, 9, 1]);
        put(&mut wanted, 1, b"client");
        put(&mut wanted, ASSOCIATION, &expected);
        assert_eq!(sift(&packet), Some(wanted));
        assert_eq!(sift(b"abc"), None);
    }
}
