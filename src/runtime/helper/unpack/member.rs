//! What a tar archive says about one file.

/// One member of an archive. Bytes are as the archive has them: nothing here is safe to use as a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The path, unchecked.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content changed last.
    pub mtime: Time,
    /// Extended attributes: name, value. POSIX ACLs are among them in the kernel's form.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file: its length, and where its data lies if it has holes.
    File {
        /// Bytes, holes included.
        size: u64,
        /// Pieces with data in rising order; `None` for a file without holes.
        map: Option<Vec<Extent>>,
    },
    /// A directory.
    Directory,
    /// A symbolic link to the target, which is kept as it is.
    Symlink(Vec<u8>),
    /// Another name of a member that came before; a path, unchecked.
    Link(Vec<u8>),
    /// A character device, major and minor.
    Character(u32, u32),
    /// A block device, major and minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// Something that isn't a file (a volume label, an unknown type).
    #[default]
    Other,
}

/// A piece of a sparse file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A time as tar and the kernel have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// 0..=999,999,999.
    pub nanoseconds: u32,
}

impl Time {
    /// Parses the PAX form: seconds with an optional fraction, may be negative.
    pub fn parse(text: &str) -> Option<Time> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let mut seconds: i64 = whole.parse().ok()?;
        let digits: String = fraction.chars().take(9).collect();
        let mut nanoseconds: u32 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        nanoseconds *= 10u32.pow(9 - digits.len() as u32);
        if whole.starts_with('-') && nanoseconds > 0 {
            seconds = seconds.checked_sub(1)?;
            nanoseconds = 1_000_000_000 - nanoseconds;
        }
        Some(Time { seconds, nanoseconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_times_have_fractions_and_signs() {
        let time = |seconds, nanoseconds| Some(Time { seconds, nanoseconds });
        assert_eq!(Time::parse("1700000000"), time(1_700_000_000, 0));
        assert_eq!(Time::parse("1700000000.5"), time(1_700_000_000, 500_000_000));
        assert_eq!(Time::parse("1.0000000019"), time(1, 1));
        assert_eq!(Time::parse("-1.25"), time(-2, 750_000_000));
        assert_eq!(Time::parse("-0.5"), time(-1, 500_000_000));
        assert_eq!(Time::parse("soon"), None);
        assert_eq!(Time::parse("1.x"), None);
    }
}
