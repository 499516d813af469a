//! POSIX ACLs: from the text that tar carries to the attribute that the kernel takes.

use crate::order::Order;

/// The kernel's form (`include/uapi/linux/posix_acl_xattr.h`, version 2) of a text like
/// `user::rw-,user:1000:r--,group::r--,mask::rw-,other::---`. `None` when an entry isn't understood: names of users
/// mean nothing outside the image, so only numbers count (star adds them as a fourth field).
pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    let mut entries: Vec<(u16, u16, u32)> = Vec::new();
    for line in text.split([',', '\n']) {
        let line = line.split('#').next().unwrap_or("").trim();
        if !line.is_empty() {
            entries.push(entry(line)?);
        }
    }
    if entries.is_empty() {
        return None;
    }
    // The kernel wants the order of its tags, and ids rising within one.
    entries.order_by_key(|(tag, _, id)| (*tag, *id));
    let mut out = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(permissions.to_le_bytes());
        out.extend(id.to_le_bytes());
    }
    Some(out)
}

fn entry(line: &str) -> Option<(u16, u16, u32)> {
    const NO_ID: u32 = u32::MAX;
    let mut fields = line.split(':');
    let (kind, name, permissions) = (fields.next()?, fields.next()?.trim(), fields.next()?.trim());
    let id = fields.next().unwrap_or(name).trim();
    let tag = match (kind.trim(), name.is_empty()) {
        ("user" | "u", true) => 0x01,
        ("user" | "u", false) => 0x02,
        ("group" | "g", true) => 0x04,
        ("group" | "g", false) => 0x08,
        ("mask" | "m", true) => 0x10,
        ("other" | "o", true) => 0x20,
        _ => return None,
    };
    let mut bits = 0;
    for letter in permissions.chars() {
        bits |= match letter {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return None,
        };
    }
    let id = if matches!(tag, 0x02 | 0x08) { id.parse().ok()? } else { NO_ID };
    Some((tag, bits, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_what_setfacl_writes() {
        let text = "user::rw-\nuser:1000:r--\ngroup::r--\nmask::rw-\nother::---\n";
        let expected: Vec<u8> = [2u8, 0, 0, 0]
            .into_iter()
            .chain([1, 0, 6, 0, 255, 255, 255, 255])
            .chain([2, 0, 4, 0, 0xe8, 3, 0, 0])
            .chain([4, 0, 4, 0, 255, 255, 255, 255])
            .chain([16, 0, 6, 0, 255, 255, 255, 255])
            .chain([32, 0, 0, 0, 255, 255, 255, 255])
            .collect();
        assert_eq!(from_text(text).unwrap(), expected);
        let star = "user::rw-,user:joe:r--:1000,group::r--,mask::rw-,other::---";
        assert_eq!(from_text(star).unwrap(), expected);
    }

    #[test]
    fn names_without_numbers_and_nonsense_are_refused() {
        for text in ["user:joe:r--", "", "user", "user::rq-", "beings::rwx", "user:-1:r--"] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
